"""What a run found, in plain words, and what its reader must not overlook."""

from collections.abc import Iterator
from math import comb
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.loader.genotypes.chromosomes import get_codes
from hpc_connector.notes import list_notes
from hpc_connector.report.text import shorten
from mdr_epistasis.report import trait
from mdr_epistasis.report.charts import FEWEST
from mdr_epistasis.report.run_file import (
    CELL_SCORES,
    LINKED_R2,
    NEAR_BP,
    SearchRun,
)
from mdr_epistasis.schema import P_VALUES

CHANCE_BA = 0.55  # test accuracy below is close to guessing
SIGNIFICANT = 0.05
FEW = 5  # individuals of a genotype combination


class Best(NamedTuple):
    """The best model as the page writes it; what is not known is empty.

    Parameters
    ----------
    ids
        Of its variants.
    score
        Balanced accuracy: in test, or on all data without cross-validation.
    consistency
        Folds that choose it.
    p_value, reached
        By permutation, and how many searches with shuffled labels reach its score.
    alone
        What each of its variants reaches without the others, in a sentence.
    first, first_score
        Of the model that heads the list, if that is another.
    """

    ids: list[str]
    score: str
    consistency: str
    p_value: str
    reached: str
    alone: str
    first: list[str]
    first_score: str


class Tile(NamedTuple):
    """A figure to show in large, what it is, and what it is out of, if anything."""

    value: str
    name: str
    of: str = ""


def get_best(run: SearchRun) -> Best:
    """Return the best model as the page writes it."""
    has_folds, p = run.folds > 1, get_p_value(run)
    is_first = run.best == 0 or not has_folds
    return Best(
        ids=run.get_ids(run.best),
        score=f"{run.score[run.best]:.3f}",
        consistency=_get_consistency(run),
        p_value="" if np.isnan(p) else f"{p:.2g}",
        reached=str(count_reached(run) or "none"),
        alone=say_alone(run),
        first=[] if is_first else run.get_ids(0),
        first_score="" if is_first else f"{run.score[0]:.3f}",
    )


def _get_consistency(run: SearchRun) -> str:
    """Return in how many folds the best model is the best, empty if not known."""
    if not run.has_consistency:
        return ""
    return str(run.models["cv_consistency"][run.best])


def get_kind(run: SearchRun) -> str:
    """Return the word for a model: pair or triple."""
    return "pair" if run.order == 2 else "triple"


def stands_out(run: SearchRun) -> bool:
    """Tell whether nothing speaks against the best model."""
    if run.folds > 1 and not run.score[run.best] >= CHANCE_BA:
        return False
    return not (get_p_value(run) > SIGNIFICANT and count_reached(run))


def get_p_value(run: SearchRun) -> float:
    """Return the p-value of the best model, NaN where there is none."""
    found = [run.models[name] for name in P_VALUES if name in run.models]
    return float(found[0][run.best]) if found else np.nan


def count_reached(run: SearchRun) -> int:
    """Count the permutations that reach the score of the best model.

    Of sites the p-value tells it, for they let no maximum out.
    """
    if len(run.maximum) == 0 and not np.isnan(p := get_p_value(run)):
        return round(p * (run.n_permutations + 1)) - 1
    return int((run.maximum >= run.models[run.rank_by][run.best]).sum())


def get_alone(run: SearchRun, model: int) -> list[float]:
    """Return the balanced accuracy that each variant of a model reaches alone.

    On the individuals of the model, all data: from the margins of its table; NaN where
    that is not known.
    """
    if "cases" not in run.models:
        return [np.nan] * run.order
    shape = (run.levels,) * run.order
    is_scored = CELL_SCORES[0] in run.models
    names = CELL_SCORES[:2] if is_scored else ("cases", "controls")
    cases, controls = (run.models[name][model].reshape(shape) for name in names)
    total = float(cases.sum()) * float(controls.sum())
    alone = []
    for axis in range(run.order):
        others = tuple(k for k in range(run.order) if k != axis)
        a, u = cases.sum(axis=others), controls.sum(axis=others)
        excess = np.maximum(0.0, a * float(u.sum()) - u * float(a.sum())).sum()
        alone.append(0.5 + 0.5 * float(excess) / total if total else np.nan)
    return alone


def get_distance(run: SearchRun, model: int) -> int | None:
    """Return the least distance of two variants of a model, in bp.

    None where no two of them have a place on the same chromosome.
    """
    variants = run.models["variant"][model]
    position = run.variants["position"][variants]
    chromosome = get_codes(run.variants["chromosome"][variants])
    distances = [
        abs(int(position[a]) - int(position[b]))
        for a in range(run.order)
        for b in range(a)
        if chromosome[a] == chromosome[b] >= 0 and min(position[a], position[b]) > 0
    ]
    return min(distances, default=None)


def format_distance(distance_bp: int) -> str:
    """Return a distance in the unit one would say it in."""
    for size, unit in ((1e6, "Mb"), (1e3, "kb")):
        if distance_bp >= size:
            return f"{distance_bp / size:.3g} {unit}"
    return f"{distance_bp} bp"


def format_list(parts: list[str]) -> str:
    """Return parts joined as one speaks."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)


def format_count(value: Any) -> str:
    """Return a number with separators, anything else as it is."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def say_search(run: SearchRun) -> str:
    """Say in a sentence what was searched."""
    cohort, search = run.get_part("cohort"), run.get_part("search")
    n_variants = len(run.variants["id"])
    n_models = search.get("models", comb(n_variants, run.order))
    cases, controls = (
        cohort[name]
        if name in cohort or not run.has_tables
        else int(run.models[name][run.best].sum())
        for name in ("cases", "controls")
    )
    kind = get_kind(run) + ("" if n_models == 1 else "s")
    are = "was" if n_models == 1 else "were"
    who = f"{format_count(cases)} cases and {format_count(controls)} controls"
    return (
        f"{format_count(n_models)} {kind} of {format_count(n_variants)} variants {are} "
        f"searched for interaction in {trait.say_who(run) if run.is_scored else who}."
    )


def say_alone(run: SearchRun) -> str:
    """Say what the variants of the best model reach alone; empty if not known."""
    alone = get_alone(run, run.best)
    if np.isnan(alone).any():
        return ""
    parts = [
        f"{shorten(name)} reaches {value:.3f}"
        for name, value in zip(run.get_ids(run.best), alone, strict=True)
    ]
    whole = run.models["balanced_accuracy"][run.best]
    return f"Alone, on all data, {format_list(parts)}; together {whole:.3f}."


def list_cautions(run: SearchRun) -> list[str]:
    """List what speaks against the finding, in sentences."""
    doubts = (_doubt_accuracy, _doubt_p_value, _doubt_model)
    return [*list_notes(run.record), *(said for doubt in doubts for said in doubt(run))]


def _doubt_accuracy(run: SearchRun) -> Iterator[str]:
    if run.record.get("status", "done") != "done":
        status = run.record["status"]
        yield f"The run's record says “{status}”: these may be older results."
    if run.folds == 1:
        yield (
            "There was no cross-validation: accuracy is measured on the data that "
            "chose the model, so noise, too, is above one half (see --folds)."
        )
        return
    if not run.score[run.best] >= CHANCE_BA:
        yield "Test accuracy is close to 0.5: the best model hardly predicts."
    if not run.has_consistency:
        yield (
            "Whether the folds agree on this model is not known: the study has not "
            "asked for it (cvc)."
        )
        return
    agreeing = int(run.models["cv_consistency"][run.best])
    if 2 * agreeing <= run.folds:
        yield (
            f"The folds disagree: only {agreeing} of {run.folds} choose this model. A "
            "real effect is mostly chosen by nearly all."
        )


def _doubt_p_value(run: SearchRun) -> Iterator[str]:
    p, n = get_p_value(run), run.n_permutations
    option = (
        "permutations of the study" if run.get_part("federation") else "--permutations"
    )
    if np.isnan(p):
        yield (
            f"No p-value: the {'scores' if run.is_scored else 'labels'} were not "
            "permuted. The best of many models looks good by chance alone (see "
            f"{option})."
        )
    elif p > SIGNIFICANT and (reached := count_reached(run)):
        yield (
            f"{reached} of {n} searches with shuffled {run.shuffled} reach this "
            "accuracy, too: it may be chance."
        )
    if 0 < n < FEWEST:
        yield f"With {n} permutations p cannot be below {1 / (n + 1):.2g}."


def _doubt_model(run: SearchRun) -> Iterator[str]:
    distance = get_distance(run, run.best)
    if distance is not None and distance < NEAR_BP:
        yield (
            f"Two of its variants are only {format_distance(distance)} apart: linkage "
            "disequilibrium can pass for interaction (see --min-distance-bp)."
        )
    r2 = float(run.models["r2"][run.best]) if "r2" in run.models else 0.0
    if r2 > LINKED_R2:
        yield (
            f"Two of its variants are much the same, with r² of {r2:.2f}: linkage "
            "disequilibrium can pass for interaction (see --ld-prune)."
        )
    alone = get_alone(run, run.best)
    if run.models["balanced_accuracy"][run.best] - max(alone) < 0.01:
        name = shorten(run.get_ids(run.best)[int(np.argmax(alone))])
        yield f"Nearly all of its accuracy is the effect of {name} alone."
    if not run.has_tables:
        return
    sizes = run.models["cases"][run.best] + run.models["controls"][run.best]
    few = int((sizes < FEW).sum())
    if few:
        yield (
            f"{few} of its {len(sizes)} genotype combinations hold fewer than {FEW} "
            "individuals: their risk is uncertain."
        )


def list_tiles(run: SearchRun) -> list[Tile]:
    """Return the figures of the best model."""
    m, models = run.best, run.models
    score = "test balanced accuracy" if run.folds > 1 else "balanced accuracy, all data"
    tiles = [Tile(f"{run.score[m]:.3f}", score)]
    if run.has_consistency:
        consistency = str(models["cv_consistency"][m])
        tiles.append(Tile(consistency, "folds that choose it (CVC)", str(run.folds)))
    if not np.isnan(p := get_p_value(run)):
        within = "" if "p_value" in models else " within sites"
        said = f"p, {run.n_permutations:,} permutations{within}"
        tiles.append(Tile(f"{p:.2g}", said))
    if run.is_scored:
        tiles.append(Tile(*trait.say_effect(run, m)))
    elif "odds_ratio" in models:
        limits = get_interval(run, m)
        interval = (
            "" if np.isnan(limits).any() else ", {:.2f} to {:.2f}".format(*limits)
        )
        tiles.append(Tile(f"{models['odds_ratio'][m]:.2f}", f"odds ratio{interval}"))
    return tiles


def get_interval(run: SearchRun, model: int) -> tuple[float, float]:
    """Return the 95 % interval of the odds ratio of a model, NaN if not known."""
    low, high = (
        float(run.models[name][model]) if name in run.models else np.nan
        for name in ("odds_ratio_low", "odds_ratio_high")
    )
    return low, high
