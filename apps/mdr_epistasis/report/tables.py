"""The table of the best models: its columns, and what stands in its rows."""

from math import isnan
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from hpc_connector.report.text import shorten
from mdr_epistasis.report.cells import draw_folds
from mdr_epistasis.report.run_file import LINKED_R2, NEAR_BP, SearchRun
from mdr_epistasis.report.summary import format_distance, get_distance, get_interval
from mdr_epistasis.report.trait import Z95

MOST_ROWS = 100
HEADS = {
    "rank": ("Rank", "Place in models.tsv; – where only a fold's choice put it here"),  # noqa: RUF001
    "model": ("Model", "The variants, and where they lie"),
    "test_balanced_accuracy": ("Test BA", "Mean over folds, on held-out individuals"),
    "folds": ("Folds", "Test BA of each fold; the line is chance, 0.5"),
    "train_balanced_accuracy": ("Train BA", "Mean over folds, on the rest"),
    "cv_consistency": ("CVC", "Folds in which the model is the best of all"),
    "p_value": ("p", "By permutation, corrected for the whole search"),
    "p_value_within_sites": (
        "p within sites",
        "By permutation of labels within each site, corrected for the whole search",
    ),
    "balanced_accuracy": ("Whole BA", "On all individuals"),
    "sensitivity": ("Sens.", "Cases of high-risk genotypes, of all cases"),
    "specificity": ("Spec.", "Controls of low-risk genotypes, of all controls"),
    "odds_ratio": ("Odds ratio", "High against low risk, all data; 95 % interval"),
    "effect": ("Effect", "Of high risk, beside covariates; 95 % interval"),
    "r2": ("r²", "Greatest of two of its variants; above 0.5 they are much the same"),
    "n": ("n", "Individuals counted: called at all variants of the model"),
}
SET_HEADS = {
    "sets": ("Sets", "Two of them"),
    "variants": ("Best pair", "One variant of each, in their order"),
    "test_balanced_accuracy": HEADS["test_balanced_accuracy"],
    "balanced_accuracy": HEADS["balanced_accuracy"],
    "p_value": ("p", "By permutation, corrected for all pairs of all sets"),
    "r2": ("r²", "Of both variants; above 0.5 they are much the same"),
}
FORMATS = {"rank": ",", "n": ",", "cv_consistency": ",", "p_value": ".2g"}
FORMATS |= {"p_value_within_sites": ".2g"}
FORMATS |= {"odds_ratio": ".2f", "effect": ".3g"}
NOT_NUMBERS = ("model", "folds")
OF_CLASSES = {"sensitivity", "specificity"}
OF_FOLDS = {"folds", "test_balanced_accuracy", "cv_consistency"}


class Number(NamedTuple):
    """A number of a model.

    Parameters
    ----------
    text
        As it is written.
    value
        What sorts it.
    interval
        Written behind it, smaller; empty without.
    """

    text: str
    value: str
    interval: str = ""


class ModelRow(NamedTuple):
    """A row of the table.

    Parameters
    ----------
    ids
        Of the variants.
    places
        Where they lie; empty if one is not known.
    distance
        Between the nearest two where it is small, else empty.
    is_linked
        Two of them are much the same.
    folds
        The picture of its folds; None of a run without.
    numbers
        By the name of the column.
    """

    is_best: bool
    ids: list[str]
    places: str
    distance: str
    is_linked: bool
    folds: Markup | None
    numbers: dict[str, Number]


def list_columns(run: SearchRun) -> list[str]:
    """Return the columns of :data:`HEADS` that a run has."""
    absent = set() if run.folds > 1 else OF_FOLDS
    if run.is_scored:
        absent = absent | OF_CLASSES
    if not run.has_consistency:
        absent = absent | {"cv_consistency"}
    if "fold_test_balanced_accuracy" not in run.models:
        absent = absent | {"folds"}
    known = {*run.models, *NOT_NUMBERS} - absent
    return [name for name in HEADS if name in known]


def list_rows(run: SearchRun, columns: list[str]) -> list[ModelRow]:
    """Return the rows of the first models, and of the best."""
    models = sorted({*range(min(MOST_ROWS, len(run.score))), run.best})
    limits = get_fold_limits(run, models)
    numbers = {
        name: list_numbers(run, name, models)
        for name in columns
        if name not in NOT_NUMBERS
    }
    return [
        ModelRow(
            is_best=m == run.best,
            ids=run.get_ids(m),
            places=_format_places(run, m),
            distance=_format_near(run, m),
            is_linked="r2" in run.models and run.models["r2"][m] > LINKED_R2,
            folds=_draw_folds(run, m, limits) if "folds" in columns else None,
            numbers={name: column[k] for name, column in numbers.items()},
        )
        for k, m in enumerate(models)
    ]


def list_sets(run: SearchRun) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Return heads and rows of the best pairs of sets; nothing of other searches."""
    if not run.n_sets:
        return [], []
    known = [name for name in SET_HEADS if name in run.sets]
    columns = []
    for name in known:
        values = run.sets[name]
        if name in ("sets", "variants"):
            columns.append([" × ".join(map(shorten, pair)) for pair in values])  # noqa: RUF001
        else:
            spec = FORMATS.get(name, ".4f")
            columns.append(
                [_make_number(v, spec, "", is_rank=False).text for v in values]
            )
    return [SET_HEADS[name] for name in known], list(
        map(list, zip(*columns, strict=True))
    )


def get_fold_limits(run: SearchRun, models: list[int]) -> tuple[float, float]:
    """Return the ends of the axis of folds, the same in all rows."""
    none = np.zeros((len(run.score), 0))
    folds = run.models.get("fold_test_balanced_accuracy", none)[models]
    known = np.append(folds[~np.isnan(folds)], 0.5)
    return float(known.min()) - 0.01, float(known.max()) + 0.01


def list_numbers(run: SearchRun, name: str, models: list[int]) -> list[Number]:
    """Return a column of the table."""
    values = run.models[name][models].tolist()
    spec = FORMATS.get(name, ".4f")
    intervals = [_format_interval(run, name, m) for m in models]
    return [
        _make_number(value, spec, interval, is_rank=name == "rank")
        for value, interval in zip(values, intervals, strict=True)
    ]


def _make_number(value: float, spec: str, interval: str, *, is_rank: bool) -> Number:
    if is_rank and value == 0:
        return Number("–", "1e9")  # noqa: RUF001
    if isnan(value):
        return Number("–", "-1")  # noqa: RUF001
    return Number(format(value, spec), str(value), interval)


def _format_interval(run: SearchRun, name: str, m: int) -> str:
    """Return the interval of a statistic, empty where it has none."""
    if name == "effect":
        value, error = (float(run.models[n][m]) for n in ("effect", "effect_se"))
        ends = value - Z95 * error, value + Z95 * error
        return "" if isnan(error) else "{:.3g} to {:.3g}".format(*ends)
    if name != "odds_ratio" or "odds_ratio_low" not in run.models:
        return ""
    low, high = get_interval(run, m)
    return f"{low:.2f}–{high:.2f}"  # noqa: RUF001


def _draw_folds(run: SearchRun, m: int, limits: tuple[float, float]) -> Markup:
    return draw_folds(run.models["fold_test_balanced_accuracy"][m], *limits)


def _format_places(run: SearchRun, m: int) -> str:
    """Return chromosomes and positions; empty if one is not known."""
    variants = run.models["variant"][m]
    position = run.variants["position"][variants].tolist()
    if min(position) <= 0:
        return ""
    chromosome = run.variants["chromosome"][variants]
    return " · ".join(
        f"{shorten(c, 12)}:{p:,}" for c, p in zip(chromosome, position, strict=True)
    )


def _format_near(run: SearchRun, m: int) -> str:
    """Return the distance where linkage disequilibrium is common, else nothing."""
    distance_bp = get_distance(run, m)
    if distance_bp is None or distance_bp >= NEAR_BP:
        return ""
    return format_distance(distance_bp)
