"""What a run found, in plain words, and what its reader must not overlook."""

from collections.abc import Iterator
from html import escape
from math import comb
from typing import Any

import numpy as np

from hpc_connector.loader.genotypes.chromosomes import get_codes
from hpc_connector.notes import list_notes
from hpc_connector.report.text import clean, shorten
from mdr_epistasis.report.charts import FEWEST, WORDS
from mdr_epistasis.report.run_file import NEAR_BP, Run

CHANCE_BA = 0.55  # test accuracy below is close to guessing
SIGNIFICANT = 0.05
FEW = 5  # individuals of a genotype combination


def make_name(run: Run, model: int, most: int = 40) -> str:
    """Return the name of a model as HTML, each id in a piece that stays whole."""
    ids = [f"<b>{escape(shorten(name, most))}</b>" for name in run.get_ids(model)]
    return " × ".join(ids)  # noqa: RUF001


def get_kind(run: Run) -> str:
    """Return what a model is called in words."""
    return "pair" if run.order == 2 else "triple"


def stands_out(run: Run) -> bool:
    """Return whether nothing speaks against the best model."""
    if run.folds > 1 and not run.score[run.best] >= CHANCE_BA:
        return False
    return not (get_p_value(run) > SIGNIFICANT and count_reached(run))


def get_p_value(run: Run) -> float:
    """Return the p-value of the best model, NaN where there is none."""
    return float(run.models["p_value"][run.best]) if "p_value" in run.models else np.nan


def count_reached(run: Run) -> int:
    """Return how many permutations reach what the best model does."""
    return int((run.maximum >= run.models[run.rank_by][run.best]).sum())


def get_alone(run: Run, model: int) -> list[float]:
    """Return the balanced accuracy that each variant of a model reaches alone.

    On the individuals of the model, all data: from the margins of its table.
    """
    shape = (run.levels,) * run.order
    cases, controls = (
        run.models[name][model].reshape(shape) for name in ("cases", "controls")
    )
    total = float(cases.sum()) * float(controls.sum())
    alone = []
    for axis in range(run.order):
        others = tuple(k for k in range(run.order) if k != axis)
        a, u = cases.sum(axis=others), controls.sum(axis=others)
        excess = np.maximum(0.0, a * float(u.sum()) - u * float(a.sum())).sum()
        alone.append(0.5 + 0.5 * float(excess) / total if total else np.nan)
    return alone


def get_distance(run: Run, model: int) -> int | None:
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


def make_heading(run: Run) -> str:
    """Return the finding in one line."""
    if stands_out(run):
        return make_name(run, run.best)
    return f"No {get_kind(run)} stands out"


def make_summary(run: Run) -> str:
    """Return what was searched and found, as paragraphs."""
    return "".join(f"<p>{p}</p>" for p in [_say_search(run), _say_best(run)])


def _say_search(run: Run) -> str:
    cohort, search = run.get_part("cohort"), run.get_part("search")
    n_variants = len(run.variants["id"])
    n_models = search.get("models", comb(n_variants, run.order))
    cases = cohort.get("cases", int(run.models["cases"][run.best].sum()))
    controls = cohort.get("controls", int(run.models["controls"][run.best].sum()))
    counts = [format_count(n) for n in (n_models, n_variants, cases, controls)]
    models, variants, cases, controls = (escape(clean(n)) for n in counts)
    kind = get_kind(run) + ("" if n_models == 1 else "s")
    are = "was" if n_models == 1 else "were"
    return (
        f"{models} {kind} of {variants} variants {are} searched for "
        f"interaction in {cases} cases and {controls} controls."
    )


def _say_best(run: Run) -> str:
    """Return what is known of the best model."""
    m, kind = run.best, get_kind(run)
    name, score = make_name(run, m), run.score[m]
    if run.folds == 1:
        text = (
            f"{name} separates cases from controls best: balanced accuracy "
            f"<b>{score:.3f}</b> on the data it was chosen on (0.5 is guessing, 1 is "
            "perfect)."
        )
    else:
        text = (
            f"{name} is the best {kind}: it predicts individuals it was not trained on "
            f"with a balanced accuracy of <b>{score:.3f}</b> (0.5 is guessing, 1 is "
            f"perfect), and was the best {kind} in "
            f"<b>{run.models['cv_consistency'][m]} of {run.folds}</b> folds."
        )
    return " ".join([text, *_say_permutations(run), *_say_alone(run), *_say_first(run)])


def _say_permutations(run: Run) -> Iterator[str]:
    if np.isnan(p := get_p_value(run)):
        return
    count = str(count_reached(run) or "none")
    yield (
        f"Of {len(run.maximum):,} searches with shuffled {run.shuffled}, {count} "
        f"reached what it reaches: <b>p = {p:.2g}</b>, corrected for the whole search."
    )


def _say_alone(run: Run) -> Iterator[str]:
    alone = get_alone(run, run.best)
    if np.isnan(alone).any():
        return
    parts = [
        f"{escape(shorten(name))} reaches {value:.3f}"
        for name, value in zip(run.get_ids(run.best), alone, strict=True)
    ]
    whole = run.models["balanced_accuracy"][run.best]
    yield f"Alone, on all data, {format_list(parts)}; together {whole:.3f}."


def _say_first(run: Run) -> Iterator[str]:
    """Say why the best model is not the first of the list."""
    if run.best == 0 or run.folds == 1:
        return
    yield (
        f"The list is ordered by {WORDS[run.rank_by]}, and starts with "
        f"{make_name(run, 0)} ({run.score[0]:.3f} in test); the best model is the one "
        "that most folds choose, then the one with the highest test accuracy."
    )


def make_cautions(run: Run) -> str:
    """Return what speaks against the finding, as a list."""
    found = [clean(text) for text in list_notes(run.record)]
    found += [*_doubt_accuracy(run), *_doubt_p_value(run), *_doubt_model(run)]
    items = "".join(f"<li>{escape(text)}</li>" for text in found)
    return f'<ul class="cautions" aria-label="Cautions">{items}</ul>' if found else ""


def _doubt_accuracy(run: Run) -> Iterator[str]:
    if run.record.get("status", "done") != "done":
        status = clean(str(run.record["status"]))
        yield f"The run's record says “{status}”: these may be older results."
    if run.folds == 1:
        yield (
            "There was no cross-validation: accuracy is measured on the data that "
            "chose the model, so noise, too, is above one half (see --folds)."
        )
        return
    if not run.score[run.best] >= CHANCE_BA:
        yield "Test accuracy is close to 0.5: the best model hardly predicts."
    agreeing = int(run.models["cv_consistency"][run.best])
    if 2 * agreeing <= run.folds:
        yield (
            f"The folds disagree: only {agreeing} of {run.folds} choose this model. A "
            "real effect is mostly chosen by nearly all."
        )


def _doubt_p_value(run: Run) -> Iterator[str]:
    p, n = get_p_value(run), len(run.maximum)
    if np.isnan(p):
        yield (
            "No p-value: the labels were not permuted. The best of many models looks "
            "good by chance alone (see --permutations)."
        )
    elif p > SIGNIFICANT and (reached := count_reached(run)):
        yield (
            f"{reached} of {n} searches with shuffled {run.shuffled} reach this "
            "accuracy, too: it may be chance."
        )
    if 0 < n < FEWEST:
        yield f"With {n} permutations p cannot be below {1 / (n + 1):.2g}."


def _doubt_model(run: Run) -> Iterator[str]:
    distance = get_distance(run, run.best)
    if distance is not None and distance < NEAR_BP:
        yield (
            f"Two of its variants are only {format_distance(distance)} apart: linkage "
            "disequilibrium can pass for interaction (see --min-distance-bp)."
        )
    alone = get_alone(run, run.best)
    if run.models["balanced_accuracy"][run.best] - max(alone) < 0.01:
        name = shorten(run.get_ids(run.best)[int(np.argmax(alone))])
        yield f"Nearly all of its accuracy is the effect of {name} alone."
    sizes = run.models["cases"][run.best] + run.models["controls"][run.best]
    few = int((sizes < FEW).sum())
    if few:
        yield (
            f"{few} of its {len(sizes)} genotype combinations hold fewer than {FEW} "
            "individuals: their risk is uncertain."
        )


def make_tiles(run: Run) -> str:
    """Return the figures of the best model, large."""
    m, models = run.best, run.models
    score = "test balanced accuracy" if run.folds > 1 else "balanced accuracy, all data"
    tiles = [(f"{run.score[m]:.3f}", score)]
    if run.folds > 1:
        consistency = f"{models['cv_consistency'][m]}<small>/{run.folds}</small>"
        tiles.append((consistency, "folds that choose it (CVC)"))
    if not np.isnan(p := get_p_value(run)):
        tiles.append((f"{p:.2g}", f"p, {len(run.maximum):,} permutations"))
    if "odds_ratio" in models:
        limits = [
            models.get(f"odds_ratio_{end}", [np.nan] * (m + 1))[m]
            for end in ("low", "high")
        ]
        interval = (
            "" if np.isnan(limits).any() else f", {limits[0]:.2f} to {limits[1]:.2f}"
        )
        tiles.append((f"{models['odds_ratio'][m]:.2f}", f"odds ratio{interval}"))
    return "".join(f"<div><dd>{n}</dd><dt>{what}</dt></div>" for n, what in tiles)
