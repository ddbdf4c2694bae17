"""Random cohorts of sites in files, each written in its own way, and pooled in one.

Sites differ in alleles, strands, order and choice of variants, and names; the pooled
cohort has what the study keeps of them, and the folds that it gives them.
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import numpy.testing as npt

from hpc_connector.federation.folds import deal_folds, hash_folds
from pooled_cohorts import save_bed, save_study

NAMES = ("zeta", "Alpha", "mid", "b_2", "a-9", "0")
CHROMOSOMES = ("1", "2", "22", "X", "Y", "MT")
ALLELES = (("A", "G"), ("C", "A"), ("T", "G"), ("CA", "C"), ("A", "T"))
OTHER_STRAND = str.maketrans("ACGT", "TGCA")
NO_CONSISTENCY = frozenset(("cv_consistency", "is_best"))


class Trial(NamedTuple):
    """Files of a random study.

    Parameters
    ----------
    words
        Options of the run of the pooled cohort, but for --out.
    n_models
        Of the list.
    """

    study: Path
    names: tuple[str, ...]
    words: list[str]
    n_models: int
    is_exact: bool


class Cohort(NamedTuple):
    """A site before it is written: -1 is a missing genotype, or label."""

    genotypes: np.ndarray
    is_case: np.ndarray
    ids: list[str]


def draw_settings(rng):
    """Return the settings of a random study, as STUDY.toml has them."""
    choices = {
        "fold_mode": ["dealt", "hash"],
        "rank_by": ["test", "test", "train", "whole"],
        "top": [1, 10, 1000],
        "missing": ["exclude", "level"],
        "tie": ["high", "low"],
        "cvc": ["exact", "none"],
        "scorer": ["hub", "sites"],
        "min_maf": [0.0, 0.1],
        "max_missing": [0.05, 1.0],
    }
    found = {key: some[rng.integers(len(some))] for key, some in choices.items()}
    return found | {
        "folds": int(rng.integers(2, 11)),
        "salt": f"salt {rng.integers(99)}",
    }


def draw_variants(rng, n):
    """Return the variants of the list: chromosome, id, position, two alleles."""
    variants = []
    for v in range(n):
        alleles = ALLELES[rng.integers(len(ALLELES))]
        chromosome = CHROMOSOMES[rng.integers(len(CHROMOSOMES))]
        variants.append((chromosome, f"v{v}", 100 + 3 * v, *alleles))
    return variants


def draw_cohorts(rng, names, n_variants, share):
    """Return the cohort of each site; every second variant lacks genotypes."""
    maf = rng.uniform(0.05, 0.5, (n_variants, 1))
    cohorts = []
    for name in names:
        n = int(rng.integers(100, 400))
        genotypes = rng.binomial(2, maf, (n_variants, n)).astype(np.int8)
        genotypes[1::2][rng.random((n_variants // 2, n)) < share] = -1
        is_case = (rng.random(n) < rng.uniform(0.3, 0.6)).astype(int)
        is_case[rng.random(n) < 0.02] = -1
        cohorts.append(Cohort(genotypes, is_case, [f"{name}:{i}" for i in range(n)]))
    return cohorts


def write_otherwise(rng, variants, genotypes):
    """Return variants and genotypes of a site as it may have them: the same ones."""
    own, rows = [], genotypes.copy()
    for v, (chromosome, name, position, *alleles) in enumerate(variants):
        if rng.random() < 0.4:
            alleles = alleles[::-1]
            rows[v] = np.where(rows[v] < 0, -1, 2 - rows[v])
        if rng.random() < 0.3 and all(len(one) == 1 for one in alleles):
            alleles = [one.translate(OTHER_STRAND) for one in alleles]
        start = "chr" if rng.random() < 0.3 else ""
        own.append((f"{start}{chromosome}", f"{name}x", position, *alleles))
    return own, rows


def is_left_out(variant):
    """Return whether a variant of a site is not matched, though it is there.

    Its strand cannot be told, or whether it is an insertion or a deletion: its alleles
    are exchanged.
    """
    alleles = variant[3:]
    return set(alleles) == {"A", "T"} or alleles == ("C", "CA")


def save_trial(folder, seed, n_sites=None, **given):
    """Write a random study, its sites, and their pooled cohort; return the trial.

    Parameters
    ----------
    given
        Settings that are not drawn.
    """
    rng = np.random.default_rng(seed)
    settings = draw_settings(rng) | given
    n_sites = n_sites or int(rng.integers(3, 7))
    names = tuple(str(name) for name in rng.permutation(NAMES)[:n_sites])
    variants = draw_variants(rng, int(rng.integers(12, 61)))
    share = float(rng.choice([0.0, 0.02, 0.1]))
    cohorts = draw_cohorts(rng, names, len(variants), share)
    is_union = bool(rng.random() < 0.5)
    for name, cohort in zip(names, cohorts, strict=True):
        lacks = set(rng.choice(len(variants), 2, replace=False).tolist())
        own, rows = write_otherwise(rng, variants, cohort.genotypes)
        kept = [v for v in range(len(own)) if v not in lacks or is_left_out(own[v])]
        lacks |= {v for v, one in enumerate(own) if is_left_out(one)}
        kept = rng.permutation(kept).tolist()
        others = [("1", "elsewhere", 7, "A", "G"), ("9", "another", 100, "A", "C")]
        rows = np.concatenate([rows[kept], cohort.genotypes[:2]])
        own = [*(own[v] for v in kept), *others]
        save_bed(folder, name, rows, cohort.is_case, cohort.ids, own)
        cohort.genotypes[sorted(lacks)] = -1  # as the pooled cohort has them
    listed = "".join(f"{c}\t{v}\t0\t{p}\t{a}\t{b}\n" for c, v, p, a, b in variants)
    (folder / "list.bim").write_text(listed)
    n_kept = save_pooled(folder, settings, names, variants, cohorts, is_union)
    study = save_study(folder, names, make_text(settings, is_union))
    words = list_words(folder, settings)
    is_exact = settings["cvc"] == "exact"
    n_models = min(settings["top"], n_kept * (n_kept - 1) // 2)
    return Trial(study, names, words, n_models, is_exact)


def save_pooled(folder, settings, names, variants, cohorts, is_union):
    """Write all sites as one cohort with its folds; return the variants of it."""
    is_shared = [
        all((c.genotypes[v] >= 0).any() for c in cohorts) for v in range(len(variants))
    ]
    kept = [v for v in range(len(variants)) if is_union or is_shared[v]]
    genotypes = np.concatenate([c.genotypes[kept] for c in cohorts], axis=1)
    is_case = np.concatenate([c.is_case for c in cohorts])
    ids = [one for c in cohorts for one in c.ids]
    save_bed(folder, "pooled", genotypes, is_case, ids, [variants[v] for v in kept])
    lines = [f"{i}\t{f}\n" for i, f in list_folds(settings, names, cohorts)]
    (folder / "folds.tsv").write_text("".join(lines))
    return len(kept)


def list_folds(settings, names, cohorts):
    """Yield the id and fold of each individual that has a label."""
    salt, folds = settings["salt"], settings["folds"]
    sizes = {
        name: (int((c.is_case == 1).sum()), int((c.is_case == 0).sum()))
        for name, c in zip(names, cohorts, strict=True)
    }
    for name, cohort in zip(names, cohorts, strict=True):
        ids = [i for i, c in zip(cohort.ids, cohort.is_case, strict=True) if c >= 0]
        is_case = cohort.is_case[cohort.is_case >= 0]
        if settings["fold_mode"] == "hash":
            fold = hash_folds(salt, ids, folds)
        else:
            fold = deal_folds(salt, ids, is_case, folds, name, sizes)
        yield from zip(ids, fold.tolist(), strict=True)


def make_text(settings, is_union):
    """Return STUDY.toml up to its sites."""
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in settings.items()]
    kept = "union" if is_union else "intersection"
    least = "\n".join(f"least_{what} = 1" for what in ("site", "class", "total"))
    lines = ["[study]", 'name = "trial"', *lines, "[variants]"]
    lines += ['reference = "list.bim"', f'variants = "{kept}"', "[release]", least, ""]
    return "\n".join(lines)


def list_words(folder, settings):
    """Return the options of ``mdr-epistasis`` of the pooled cohort."""
    words = [
        "run",
        str(folder / "pooled.bed"),
        "--fold-file",
        str(folder / "folds.tsv"),
    ]
    for key in ("rank_by", "top", "missing", "tie", "min_maf", "max_missing"):
        words += [f"--{key.replace('_', '-')}", str(settings[key])]
    return [*words, "--quiet"]


def assert_same_models(federated, pooled, *, is_exact=True):
    """Compare all columns of a federated result with those of a pooled one.

    Those of variants, and of models but tables, which are not let out; but consistency,
    and who is best by it, where the study does not ask for it.
    """
    with h5py.File(federated) as a, h5py.File(pooled) as b:
        assert b["models"].keys() - a["models"].keys() == {"cases", "controls"}
        for name, column in a["variants"].items():
            npt.assert_array_equal(column[:], b["variants"][name][:], name)
        for name, column in a["models"].items():
            if is_exact or name not in NO_CONSISTENCY:
                npt.assert_array_equal(
                    column[:], b["models"][name][: len(column)], name
                )
        n, of = len(a["models/rank"]), len(b["models/rank"])
        assert n == of if is_exact else n <= of
        assert n > 0
