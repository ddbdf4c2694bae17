"""What a search has found: tables for Python, and the files of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector import storer
from hpc_connector.errors import BadInput
from hpc_connector.learner.mdr import search as learner
from hpc_connector.manifest import is_in_use, read_whole_manifest, save_manifest
from hpc_connector.pipeline.ledger import Arrays
from hpc_connector.report.results_file import open_results
from hpc_connector.run_record import RunRecord
from hpc_connector.storer.columns import TEXT, Column, to_plain, to_table
from mdr_epistasis import schema
from mdr_epistasis.cohort.loading import Cohort
from mdr_epistasis.cohort.traits import Trait, describe_trait
from mdr_epistasis.output.files import Columns, make_table, save_tables
from mdr_epistasis.output.models import describe
from mdr_epistasis.output.scored import describe_scored
from mdr_epistasis.output.sets import SetResult, make_set_table
from mdr_epistasis.output.summary import get_ids, list_top, make_html, to_number
from mdr_epistasis.report.page import save_report
from mdr_epistasis.tasks import get_best

PROGRAM = "mdr-epistasis"
ATTRIBUTES = ("order", "folds", "levels", "rank_by", "permutation_test")


@dataclass(frozen=True, repr=False)
class Result:
    """The models that a search reports, best first.

    Parameters
    ----------
    columns
        Of the models, as ``results.h5`` has them: :data:`mdr_epistasis.schema.MODELS`.
    variants
        Columns of all variants searched: :data:`mdr_epistasis.schema.VARIANTS`.
    maximum
        Best statistic under each permutation, float64 (permutations,); None without.
    attributes
        order, folds, levels, rank_by, permutation_test.
    record
        The manifest.
    of_sets
        Of a search across sets, else None.

    Examples
    --------
    >>> import numpy as np
    >>> import mdr_epistasis as mdr
    >>> genotypes = np.array([[0, 0, 1, 1] * 5, [0, 1, 0, 1] * 5, [0, 0, 0, 1] * 5])
    >>> result = mdr.search(genotypes, [0, 1, 1, 0] * 5, folds=5, permutations=0)
    >>> result
    <Result: 3 models, best 0 x 1, test balanced accuracy 1.0000>
    >>> cells = result.cells(0)
    >>> [int(n) for n in cells["cases"]], [int(n) for n in cells["controls"]]
    ([0, 5, 0, 5, 0, 0, 0, 0, 0], [5, 0, 0, 0, 5, 0, 0, 0, 0])
    """

    columns: Columns
    variants: Columns
    maximum: np.ndarray | None
    attributes: dict[str, Any]
    record: RunRecord
    of_sets: SetResult | None = None

    @property
    def order(self) -> int:
        """Variants of a model."""
        return int(self.attributes["order"])

    @property
    def table(self) -> dict[str, Any]:
        """The columns of ``models.tsv``: :data:`mdr_epistasis.schema.TABLE`."""
        return make_table(self.columns, self.variants)

    @property
    def models(self) -> Any:
        """The columns of ``models.tsv``: a pandas.DataFrame, or without pandas a dict.

        A row is a model, best first; :data:`mdr_epistasis.schema.TABLE` says what each
        column is.
        """
        return to_table(self.table)

    @property
    def sets(self) -> Any:
        """The columns of ``sets.tsv``, as :attr:`models`; None of a search without."""
        if self.of_sets is None:
            return None
        return to_table(make_set_table(self.of_sets, self.variants))

    @property
    def best(self) -> dict[str, Any]:
        """The row of the model of the classic rule.

        It has the highest cross-validation consistency, then the highest test balanced
        accuracy; without folds it is the first of the list.
        """
        row = self._get_best_row()
        return {name: to_plain(column[row]) for name, column in self.table.items()}

    @property
    def p_value(self) -> float | None:
        """P-value of that model over the whole search; None without permutations."""
        if "p_value" not in self.columns:
            return None
        return float(self.columns["p_value"][self._get_best_row()])

    def cells(self, i: int = 0) -> Any:
        """Return who has each combination of genotypes of a model.

        Parameters
        ----------
        i
            Row of :attr:`models`.

        Returns
        -------
        A pandas.DataFrame, or without pandas a dict of columns: variant_1, variant_2
        and so on, the genotypes (copies of the counted allele, -1 missing); cases,
        controls, high_risk; of a trait that is scored also mean_score, and its
        standard_error.

        Raises
        ------
        BadInput
            It is the result of a search over sites, which let out no tables.
        """
        if "cases" not in self.columns:
            raise BadInput("sites let out no tables of genotypes")
        n_levels = int(self.attributes["levels"])
        shape = (n_levels,) * self.order
        genotypes = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape))
        genotypes[genotypes == 3] = -1  # the level of missing genotypes
        columns = {f"variant_{k + 1}": row for k, row in enumerate(genotypes)}
        columns |= {n: self.columns[n][i] for n in ("cases", "controls", "high_risk")}
        scored = {
            "mean_score": "cell_mean_score",
            "standard_error": "cell_standard_error",
        }
        columns |= {
            name: self.columns[stored][i]
            for name, stored in scored.items()
            if stored in self.columns
        }
        return to_table(columns)

    def save(self, directory: str | Path) -> Path:
        """Write the files of a run, but a ledger: they can be loaded, and reported.

        Raises
        ------
        BadInput
            The folder is not empty.
        """
        out = Path(directory)
        if is_in_use(out):
            raise BadInput(f"{out} is not empty: expected a new folder")
        out.mkdir(parents=True, exist_ok=True)
        outputs = [*save_results(out, self), "report.html"]
        record = self.record | {"status": "done", "outputs": outputs}
        if "all_models" in (parameters := record["parameters"]):  # not saved here
            record |= {"parameters": parameters | {"all_models": False}}
        save_manifest(out, record)
        save_report(out)
        return out

    def _get_best_row(self) -> int:
        return int(np.flatnonzero(self.columns["is_best"])[0])

    def __repr__(self) -> str:
        """Return the best model in a line."""
        row = self._get_best_row()
        ids = " x ".join(get_ids(self.table, self.order, row))
        score = to_number(self.columns["test_balanced_accuracy"][row])
        test = "" if score is None else f", test balanced accuracy {score:.4f}"
        p = "" if self.p_value is None else f", p {self.p_value:.4g}"
        return f"<Result: {len(self.columns['rank'])} models, best {ids}{test}{p}>"

    def _repr_html_(self) -> str:
        """Return the first models as a notebook shows them."""
        return make_html(list_top(self.table, self.order), repr(self)[1:-1])


def make_result(
    cohort: Cohort,
    question: learner.Question,
    findings: Arrays,
    record: RunRecord,
    trait: Trait | None = None,
    sets: SetResult | None = None,
) -> Result:
    """Return the result of a search, of what all its tasks found.

    The record is given the trait, with what its integer scores were off by at most.
    """
    maximum, best = findings["maximum"], get_best(findings)
    if trait is None:
        columns = describe(cohort, question, best, maximum)
    else:
        columns, found = describe_scored(cohort, question, best, maximum, trait)
        record["trait"] = describe_trait(trait) | found
    attributes = {
        "order": question.order,
        "folds": cohort.arrangement.folds,
        "levels": round(columns["cases"].shape[1] ** (1 / question.order)),
        "rank_by": question.rank_by,
        "permutation_test": "interaction" if question.interaction else "labels",
    }
    permuted = maximum if question.permutations else None
    return Result(columns, cohort.variants, permuted, attributes, record, sets)


def save_results(
    out: Path, result: Result, shards: storer.Shards | None = None
) -> list[str]:
    """Write the tables and results.h5 of a result; return their names."""
    attributes = {"program": PROGRAM} | result.attributes
    what = (result.columns, result.variants, result.maximum)
    return save_tables(out, *what, attributes, shards, result.of_sets)


def load(directory: str | Path) -> Result:
    """Return the result of a finished run, or of one that was saved.

    Raises
    ------
    BadInput
        The folder holds none, or a damaged one.
    """
    folder = Path(directory)
    with open_results(folder, PROGRAM) as file:
        models, variants = file["models"], file["variants"]
        known = [c for c in (*schema.MODELS, *schema.SCORED) if c.name in models]
        columns = {column.name: _read(models, column) for column in known}
        places = {column.name: _read(variants, column) for column in schema.VARIANTS}
        permuted = file.get("permutations/maximum")
        maximum = None if permuted is None else permuted[:]
        attributes = {name: to_plain(file.attrs[name]) for name in ATTRIBUTES}
        sets = _read_sets(file) if "set_pairs" in file else None
    return Result(
        columns, places, maximum, attributes, read_whole_manifest(folder), sets
    )


def _read_sets(file: Any) -> SetResult:
    """Return what a file has of sets."""
    sets, pairs = file["sets"], file["set_pairs"]
    of_pairs = {c.name: _read(pairs, c) for c in schema.SET_PAIRS if c.name in pairs}
    return SetResult({c.name: _read(sets, c) for c in schema.SETS}, of_pairs)


def _read(group: Any, column: Column) -> np.ndarray:
    """Return a column of a file."""
    if column.dtype == TEXT:
        return group[column.name].asstr()[:].astype(np.dtypes.StringDType())
    return group[column.name][:]


class Ending(NamedTuple):
    """How a run has ended.

    Parameters
    ----------
    is_done
        Whether it is complete; it is not after a stop signal.
    result
        What it has found, on rank 0; None if an earlier attempt had found it.
    """

    is_done: bool
    result: Result | None = None
