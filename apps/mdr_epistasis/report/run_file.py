"""A finished run of mdr-epistasis as its report needs it: read, and checked, once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_whole_manifest
from hpc_connector.report.results_file import open_results
from hpc_connector.run_record import RunRecord
from hpc_connector.storer.results import FORMAT_VERSION
from mdr_epistasis.schema import P_VALUES

if TYPE_CHECKING:
    import h5py

LISTED = 1000  # models that a report can show; the best by the classic rule is added
LISTED_SETS = 20  # pairs of sets
NEAR_BP = 100_000  # linkage disequilibrium is common below
LINKED_R2 = 0.5  # above it two variants are much the same

INTEGERS = ("rank", "n", "cv_consistency", "variant", "cases", "controls")
BOOLEANS = ("is_best", "high_risk")
STATISTICS = (
    "test_balanced_accuracy",
    "train_balanced_accuracy",
    "balanced_accuracy",
)
FRACTIONS = (
    *STATISTICS,
    "sensitivity",
    "specificity",
    *P_VALUES,
    "effect_p",
    "fold_test_balanced_accuracy",
    "r2",
    "hwe_p",
)
RATIOS = ("odds_ratio", "odds_ratio_low", "odds_ratio_high", "chi2")
CELL_SCORES = (
    "cell_positive_score",
    "cell_negative_score",
    "cell_mean_score",
    "cell_standard_error",
)
SCORES = ("effect", "effect_se", *CELL_SCORES)  # of what a null model leaves
OPTIONAL = {*P_VALUES, "fold_test_balanced_accuracy", *RATIOS, "sensitivity"} | {
    "specificity",
    "r2",
    "hwe_p",
}
OPTIONAL |= {"effect_p", *SCORES}
TABLES = {"cases", "controls"}  # which a search over sites does not let out
KINDS = {"iu": INTEGERS, "b": BOOLEANS, "fiu": FRACTIONS + RATIOS + SCORES}
TEXTS = ("id", "chromosome", "counted", "other")

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class SearchRun:
    """The models, best first, the variants they name, and the record of the run.

    Parameters
    ----------
    models
        Columns of :data:`INTEGERS`, :data:`BOOLEANS`, :data:`FRACTIONS`,
        :data:`RATIOS` and :data:`SCORES`, first axis models; tables are
        (models, levels ** order).
    variants
        Columns ``id``, ``chromosome``, ``position``, ``counted``, ``other``.
    maximum
        Maximum of `rank_by` in each permutation, float64; empty without permutations.
    shuffled
        What the permutations shuffled: ``labels``, or ``genotypes`` within each class;
        ``scores`` where individuals have those; ``labels within sites``.
    best
        The model of the classic rule: highest consistency, then test accuracy.
    sets
        Of a search across sets, the first rows: columns of ``sets.tsv``, else empty.
    n_sets
        Pairs of sets in all.
    """

    record: RunRecord
    order: int
    folds: int
    levels: int
    rank_by: str
    models: Columns
    variants: Columns
    maximum: np.ndarray
    shuffled: str
    best: int
    sets: dict[str, list[Any]]
    n_sets: int

    def get_part(self, name: str) -> dict[str, Any]:
        """Return a part of the manifest, empty where it is absent."""
        part = self.record.get(name)
        return part if isinstance(part, dict) else {}

    @property
    def n_permutations(self) -> int:
        """Number of permutations, of which sites let no maximum out."""
        told = self.get_part("federation").get("permutations", 0)
        return len(self.maximum) or (told if isinstance(told, int) else 0)

    def get_ids(self, model: int) -> list[str]:
        """Return the ids of the variants of a model."""
        ids: list[str] = self.variants["id"][self.models["variant"][model]].tolist()
        return ids

    def get_name(self, model: int) -> str:
        """Return the name of a model: the ids of its variants."""
        return " × ".join(self.get_ids(model))  # noqa: RUF001

    @property
    def is_scored(self) -> bool:
        """Whether individuals are scored, and not plain cases and controls."""
        return set(SCORES) <= self.models.keys()

    @property
    def has_tables(self) -> bool:
        """Whether it has how many cases and controls have which genotypes."""
        return self.models.keys() >= TABLES

    @property
    def has_consistency(self) -> bool:
        """Whether it is known which model is the best of each fold."""
        return self.folds > 1 and "cv_consistency" in self.models

    @property
    def score_name(self) -> str:
        """The accuracy that models are judged by: test, or all data without folds."""
        return "test_balanced_accuracy" if self.folds > 1 else "balanced_accuracy"

    @property
    def score(self) -> np.ndarray:
        """Values of :attr:`score_name`, float64 (models,)."""
        return self.models[self.score_name]


def read_run(directory: Path) -> SearchRun:
    """Read ``results.h5`` and ``manifest.json`` of a finished run.

    Raises
    ------
    BadInput
        One is missing, damaged, or not what this version of the program writes.
    """
    with open_results(directory, "mdr-epistasis") as file:
        return _read(file, read_whole_manifest(directory))


def _read(file: h5py.File, record: RunRecord) -> SearchRun:
    order, folds, levels, rank_by = _read_attributes(file)
    is_of_sites = isinstance(record.get("federation"), dict)
    optional = OPTIONAL | TABLES if is_of_sites else OPTIONAL
    models = _read_models(file["models"], order, folds, levels, optional)
    variants = _read_variants(file["variants"])
    _check_models(models, len(variants["id"]), folds)
    maximum = np.zeros(0)
    if "permutations/maximum" in file:
        maximum = file["permutations/maximum"][:].astype(np.float64)
        _check_fractions("permutations/maximum", maximum)
    is_best = np.flatnonzero(models["is_best"])
    is_interaction = str(file.attrs.get("permutation_test")) == "interaction"
    shuffled = "scores" if set(SCORES) <= models.keys() else "labels"
    if P_VALUES[1] in models:
        shuffled = "labels within sites"
    return SearchRun(
        record,
        order,
        folds,
        levels,
        rank_by,
        models,
        variants,
        maximum[~np.isnan(maximum)],
        "genotypes" if is_interaction else shuffled,
        int(is_best[0]) if len(is_best) else 0,
        *_read_sets(file, variants["id"]),
    )


def _read_sets(file: h5py.File, ids: np.ndarray) -> tuple[dict[str, list[Any]], int]:
    """Return the first rows of pairs of sets, and how many there are."""
    if "set_pairs" not in file:
        return {}, 0
    pairs, names = file["set_pairs"], file["sets/name"].asstr()[:]
    sets, variants = (pairs[name][:LISTED_SETS] for name in ("set", "variant"))
    for what, of_pairs, n in (("set", sets, names), ("variant", variants, ids)):
        top = len(n) - 1
        bad = np.flatnonzero((of_pairs < 0) | (of_pairs > top))
        _complain(f"set_pairs/{what}", of_pairs, bad, f"0 to {top}")
    rows: dict[str, list[Any]] = {"sets": names[sets].tolist()}
    rows["variants"] = ids[variants].tolist()
    for name in (*STATISTICS, "p_value", "r2"):
        if name in pairs:
            rows[name] = pairs[name][:LISTED_SETS].astype(np.float64).tolist()
    return rows, len(pairs["set"])


def _read_attributes(file: h5py.File) -> tuple[int, int, int, str]:
    """Return order, folds, levels, and the statistic that ranks."""
    found = file.attrs["format_version"]
    if found != FORMAT_VERSION:
        raise BadInput(f"has format {found}; this version reads {FORMAT_VERSION}")
    order, folds, levels = (int(file.attrs[n]) for n in ("order", "folds", "levels"))
    if order not in (2, 3) or levels not in (3, 4) or folds < 1:
        raise BadInput(
            f"has order {order}, {levels} levels and {folds} folds; expected order 2 "
            "or 3, 3 or 4 levels and at least 1 fold"
        )
    rank_by = str(file.attrs.get("rank_by", STATISTICS[0]))
    if rank_by not in STATISTICS:
        raise BadInput(f"is ranked by {rank_by!r}; expected one of {STATISTICS}")
    return order, folds, levels, rank_by


def _read_models(
    group: h5py.Group, order: int, folds: int, levels: int, optional: set[str]
) -> Columns:
    """Return the columns of the models that are listed; some need not be there."""
    m = len(group["rank"])
    if m == 0:
        raise BadInput("holds no models; expected at least one")
    widths = {"variant": (order,)} | dict.fromkeys(
        ("cases", "controls", "high_risk", *CELL_SCORES), (levels**order,)
    )
    widths["hwe_p"] = (order,)
    widths["fold_test_balanced_accuracy"] = (folds if folds > 1 else 0,)
    is_best = np.flatnonzero(group["is_best"][:])[:1]
    rows = np.union1d(np.arange(min(m, LISTED)), is_best)
    models = {}
    for kinds, names in KINDS.items():
        for name in names:
            if name in optional and name not in group:
                continue
            column = group[name]
            is_unknown = name == "cv_consistency" and optional >= TABLES
            if is_unknown and np.isnan(column[:]).all():  # it was not asked for
                continue
            expected = (m, *widths.get(name, ()))
            if column.shape != expected or column.dtype.kind not in kinds:
                raise BadInput(
                    f"models/{name} is {column.dtype} {column.shape}; expected shape "
                    f"{expected} of kind {' or '.join(kinds)}"
                )
            models[name] = column[:][rows]
    return models


def _read_variants(group: h5py.Group) -> Columns:
    """Return the columns that name and place the variants."""
    variants = {name: group[name].asstr()[:] for name in TEXTS}
    variants["position"] = group["position"][:].astype(np.int64)
    lengths = {name: len(column) for name, column in variants.items()}
    if len(set(lengths.values())) > 1:
        raise BadInput(f"variants: columns differ in length: {lengths}")
    return variants


def _check_models(models: Columns, n_variants: int, folds: int) -> None:
    """Raise where a number cannot be what it is called."""
    for name in FRACTIONS:
        if name in models:
            _check_fractions(f"models/{name}", models[name])
    limits = {"variant": n_variants - 1, "cv_consistency": folds}
    for name in INTEGERS:
        if name in models:
            top = limits.get(name, 2**40)
            bad = np.flatnonzero((models[name] < 0) | (models[name] > top))
            _complain(f"models/{name}", models[name], bad, f"0 to {top}")


def _check_fractions(name: str, values: np.ndarray) -> None:
    bad = np.flatnonzero(~(np.isnan(values) | ((values >= 0) & (values <= 1))))
    _complain(name, values, bad, "0 to 1")


def _complain(name: str, values: np.ndarray, bad: np.ndarray, expected: str) -> None:
    if len(bad):
        row = int(bad[0]) // max(values[0].size, 1)
        found = values.ravel()[bad[0]]
        raise BadInput(f"{name} row {row} is {found}; expected {expected}")
