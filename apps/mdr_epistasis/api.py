"""The search for Python users: on arrays, and on files as the command does it."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hpc_connector.errors import BadInput
from hpc_connector.loader.traits import convert_trait
from hpc_connector.options import fill, make_options, read_values
from hpc_connector.pipeline.call import call
from mdr_epistasis.cohort.arrays import list_words, make_array_trait
from mdr_epistasis.cohort.folds import CLASSES, SIDES, deal_folds
from mdr_epistasis.cohort.lists import Lists
from mdr_epistasis.cohort.loading import make_cohort
from mdr_epistasis.cohort.traits import check_permutation, has_controls
from mdr_epistasis.options import Options, choose_inputs
from mdr_epistasis.output.record import make_record
from mdr_epistasis.output.result import Result, load, make_result
from mdr_epistasis.possible import check_models
from mdr_epistasis.question import make_question
from mdr_epistasis.runner import make_search
from mdr_epistasis.runner import run as run_files
from mdr_epistasis.tasks import make_tasks, search_all

NOT_CALLED = ("plan", "compat", "encrypt_to")  # what the command alone has


def search(
    genotypes: ArrayLike,
    is_case: ArrayLike | None = None,
    *,
    trait: ArrayLike | None = None,
    trait_kind: str = "auto",
    covariates: Any = None,
    strata: ArrayLike | None = None,
    score_bits: int = 8,
    folds: int = 10,
    permutations: int = 100,
    seed: int = 1,
    order: int = 2,
    top: int = 1000,
    missing: str = "exclude",
    tie: str = "high",
    rank_by: str = "test",
    permutation_test: str = "labels",
    names: Sequence[str] | None = None,
    threads: int = 1,
) -> Result:
    """Search all pairs, or triples, of variants by dimensionality reduction (MDR).

    A model is the variants whose combinations of genotypes are labelled high or low
    risk, by whether cases are more frequent in them than in all; it is scored by its
    balanced accuracy in cross-validation (Ritchie et al. 2001, doi:10.1086/321276;
    Velez et al. 2007, doi:10.1002/gepi.20211).

    No variant is left out: choose them before. ``mdr-epistasis run`` with ``--min-maf 0
    --max-missing 1`` searches the same, and gives the same numbers.

    Parameters
    ----------
    genotypes
        Copies of the counted allele, 0, 1 or 2, and -1 where missing; whole numbers of
        any type, shape (variants, individuals).
    is_case
        1 or True for a case, 0 or False for a control, shape (individuals,).
    trait
        Instead of `is_case`, a trait of any kind, NaN where missing, shape
        (individuals,): individuals are scored by what a null model leaves of it.
    trait_kind
        ``binary``, ``quantitative`` or ``count``; by its values if ``auto``.
    covariates
        To adjust for: numbers, shape (individuals, covariates), or columns by name, as
        of a pandas.DataFrame; texts are categories. Whoever lacks one is left out.
    strata
        Within which the trait is permuted, values of any kind, shape (individuals,).
    score_bits
        Of the scores in the search, 6 to 15; those reported are exact.
    folds
        Of the cross-validation, dealt by `seed` so that each has its share of cases; 1
        for none.
    permutations
        Of the whole search, for p-values over all models; 0 for none.
    seed
        The same seed gives the same result, for individuals in the same order: the
        command takes them in the order of their ids, as text.
    order
        Variants of a model, 2 or 3.
    top
        Models to report.
    missing
        ``exclude`` whoever lacks a genotype from the models of that variant, or take it
        as a ``level``, a genotype of its own.
    tie
        Risk of a combination with as many cases as expected, ``high`` or ``low``.
    rank_by
        Balanced accuracy by which models are ranked: mean of the ``test`` folds, of
        ``train``, or on the ``whole``.
    permutation_test
        Shuffle ``labels``; or, for ``interaction`` alone, each variant's genotypes
        within cases and within controls.
    names
        Of the variants; their rows, as text, if None.
    threads
        That search.

    Raises
    ------
    BadInput
        Arrays or options that cannot be; it is a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> import mdr_epistasis as mdr
    >>> rng = np.random.default_rng(3)
    >>> genotypes = rng.integers(0, 3, (20, 400))
    >>> is_case = (genotypes[4] > 0) ^ (genotypes[11] > 0) ^ (rng.random(400) < 0.1)
    >>> result = mdr.search(genotypes, is_case, folds=5, permutations=20)
    >>> result.best["variant_1"], result.best["variant_2"]
    ('4', '11')
    >>> round(result.p_value, 3)
    0.048
    """
    chosen = {
        "folds": folds,
        "permutations": permutations,
        "seed": seed,
        "order": order,
        "top": top,
        "missing": missing,
        "tie": tie,
        "rank_by": rank_by,
        "permutation_test": permutation_test,
        "threads": threads,
        "trait_kind": trait_kind,
        "score_bits": score_bits,
    }
    if nothing := [name for name, value in chosen.items() if value is None]:
        raise BadInput(f"{nothing[0]}: expected a value")
    read = read_values(Options, chosen)
    options = fill(Options, read | {"genotypes": [], "out": Path()})
    calls = check_genotypes(genotypes)
    kind, values = check_trait(is_case, trait, options.trait_kind)
    if calls.shape[1] != len(values):
        raise BadInput(
            f"genotypes of {calls.shape[1]} individuals, and labels of {len(values)}: "
            "expected genotypes of shape (variants, individuals)"
        )
    labels, kept, scored = make_array_trait(
        values, kind, covariates, strata, options.score_bits
    )
    check_permutation(options, scored)
    calls = calls[:, kept]
    ids = list_names(names, len(calls))
    classes = CLASSES if has_controls(scored) else SIDES
    fold = deal_folds(labels, options.folds, options.seed, classes)
    cohort = make_cohort(calls, labels, fold, ids)
    question = make_question(options, cohort, Lists())
    check_models(question, cohort.n_variants)
    tasks = make_tasks(cohort.planes.shape, options.order, options.permutations, None)
    searched = make_search(cohort, question, scored)
    findings = search_all(searched, tasks, options.threads)
    record = make_record(read, options, cohort, tasks, scored)
    return make_result(cohort, question, findings, record, scored)


def check_trait(
    is_case: ArrayLike | None, trait: ArrayLike | None, kind: str
) -> tuple[str, np.ndarray]:
    """Return the kind and values of labels or a trait, of which one is given.

    Raises
    ------
    BadInput
        Both are given, or none; or values that are none of the kind.
    """
    if trait is not None and is_case is None:
        return convert_trait(list_words(trait, "trait"), "trait", kind)[:2]
    if is_case is None or trait is not None:
        raise BadInput("is_case and trait: expected one of the two")
    if kind not in ("auto", "binary"):
        raise BadInput(f"trait_kind {kind}: is_case is binary; expected it as trait")
    return "binary", check_labels(is_case).astype(np.float64)


def check_genotypes(genotypes: ArrayLike) -> np.ndarray:
    """Return genotypes as int8 (variants, individuals).

    Raises
    ------
    BadInput
        They have another shape, or a value that is none of -1, 0, 1, 2.
    """
    found = np.asarray(genotypes)
    if np.ma.isMA(genotypes):
        found = np.ma.filled(genotypes, -1)
    if found.ndim != 2:
        raise BadInput(
            f"genotypes of shape {found.shape}: expected (variants, individuals)"
        )
    if found.dtype.kind not in "biuf":
        raise BadInput(
            f"genotypes of type {found.dtype}: expected whole numbers, with -1 where "
            "missing (of pandas: .fillna(-1).astype('int8'))"
        )
    is_known = (found == -1) | (found == 0) | (found == 1) | (found == 2)
    if not is_known.all():
        v, i = np.argwhere(~is_known)[0]
        raise BadInput(
            f"genotype of variant {v}, individual {i} is {found[v, i]}: expected 0, 1, "
            "2, or -1 where missing"
        )
    if (found == -1).all():
        raise BadInput("genotypes: all are missing")
    return np.ascontiguousarray(found, np.int8)


def check_labels(is_case: ArrayLike) -> np.ndarray:
    """Return labels as int8 (individuals,), 1 for a case.

    Raises
    ------
    BadInput
        They have another shape, or a value that is neither 0 nor 1.
    """
    found = np.asarray(is_case)
    if found.ndim != 1 or found.dtype.kind not in "biuf":
        raise BadInput(
            f"is_case of type {found.dtype} and shape {found.shape}: expected 0 and 1, "
            "of shape (individuals,)"
        )
    wrong = found[(found != 0) & (found != 1)]
    if len(wrong):
        raise BadInput(
            f"is_case has {wrong[0]}: expected 1 for a case, 0 for a control"
        )
    return found.astype(np.int8)


def list_names(names: Sequence[str] | None, n_variants: int) -> list[str]:
    """Return the names of variants, their rows if there are none."""
    if names is None:
        return [str(row) for row in range(n_variants)]
    if isinstance(names, str) or len(names) != n_variants:
        raise BadInput(f"{len(names)} names of {n_variants} variants")
    found = [str(name) for name in names]
    if wrong := [name for name in found if not name or not name.isprintable()]:
        raise BadInput(f"names: {wrong[0]!r}: expected text in one line, without tabs")
    return found


def run(
    genotypes: str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    comm: Any = None,
    **options: Any,
) -> Result:
    """Search genotype files as ``mdr-epistasis run`` does, and write its files.

    Parameters
    ----------
    genotypes
        VCF, BCF, .bed, BGEN, .gen or a MDR table: a file or object, or several.
    out
        Folder of the results.
    comm
        Communicator of mpi4py, all of whose ranks call this; this process alone if
        None.
    **options
        Of the command, with ``_`` for ``-``: ``labels="cases.tsv"``, ``folds=5``,
        ``permutations=100``, ``min_maf=0.05``, ``threads=4``, ``resume=True``,
        ``phenotype="traits.tsv"``, ``covariates="c.tsv"``, ``covariate_names=["age"]``;
        ``config`` names a TOML file of others. All are the fields of
        :class:`mdr_epistasis.options.Options`.

    Returns
    -------
    The result, on every rank.

    Raises
    ------
    BadInput
        Input that the command refuses, by the same message; it is a ValueError.
    KeyboardInterrupt
        The run was stopped by Ctrl-C; ``resume=True`` goes on with it.

    Examples
    --------
    >>> import mdr_epistasis as mdr
    >>> result = mdr.run("cohort.bed", out="results", folds=5)  # doctest: +SKIP
    >>> result.models.head()  # doctest: +SKIP
    """
    for name in NOT_CALLED:
        if options.get(name):
            raise BadInput(f"{name}: it is for the command alone")
    chosen = make_options(Options, {"genotypes": genotypes, "out": out} | options)
    outcome = call(run_files, chosen, choose_inputs, comm)
    if not outcome.is_done:
        raise KeyboardInterrupt(f"stopped; resume=True goes on with {chosen.out}")
    return load(chosen.out)
