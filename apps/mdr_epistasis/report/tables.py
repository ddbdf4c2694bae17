"""Tables of the report: its models, and the facts of the run."""

from html import escape

import numpy as np

from hpc_connector.report.text import clean, shorten
from mdr_epistasis.report.cells import draw_folds
from mdr_epistasis.report.run_file import NEAR_BP, Run
from mdr_epistasis.report.summary import format_distance, get_distance

MOST_ROWS = 100
HEADS = {
    "rank": ("Rank", "Place in models.tsv; – where only a fold's choice put it here"),  # noqa: RUF001
    "model": ("Model", "The variants, and where they lie"),
    "test_balanced_accuracy": ("Test BA", "Mean over folds, on held-out individuals"),
    "folds": ("Folds", "Test BA of each fold; the line is chance, 0.5"),
    "train_balanced_accuracy": ("Train BA", "Mean over folds, on the rest"),
    "cv_consistency": ("CVC", "Folds in which the model is the best of all"),
    "p_value": ("p", "By permutation, corrected for the whole search"),
    "balanced_accuracy": ("Whole BA", "On all individuals"),
    "sensitivity": ("Sens.", "Cases of high-risk genotypes, of all cases"),
    "specificity": ("Spec.", "Controls of low-risk genotypes, of all controls"),
    "odds_ratio": ("Odds ratio", "High against low risk, all data; 95 % interval"),
    "n": ("n", "Individuals counted: called at all variants of the model"),
}


def make_models_table(run: Run) -> str:
    """Return the table of the best models."""
    absent = {"folds", "test_balanced_accuracy", "cv_consistency"}
    shown = [
        name
        for name in HEADS
        if (name in run.models or name in ("model", "folds"))
        and (run.folds > 1 or name not in absent)
        and (name != "folds" or "fold_test_balanced_accuracy" in run.models)
    ]
    heads = "".join(
        f'<th scope="col" class="{name}"><button title="{escape(HEADS[name][1])}">'
        f"{HEADS[name][0]}</button></th>"
        if name != "folds"
        else f'<th scope="col" class="folds" title="{HEADS[name][1]}">Folds</th>'
        for name in shown
    )
    models = sorted({*range(min(MOST_ROWS, len(run.score))), run.best})
    limits = get_fold_limits(run, models)
    rows = []
    for m in models:
        cells = "".join(_make_cell(run, name, m, limits) for name in shown)
        rows.append(f"<tr{' class=best' if m == run.best else ''}>{cells}</tr>")
    return (
        f'<table class="models"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def get_fold_limits(run: Run, models: list[int]) -> tuple[float, float]:
    """Return the ends of the axis of folds, the same in all rows."""
    none = np.zeros((len(run.score), 0))
    folds = run.models.get("fold_test_balanced_accuracy", none)[models]
    known = np.append(folds[~np.isnan(folds)], 0.5)
    return float(known.min()) - 0.01, float(known.max()) + 0.01


def _make_cell(run: Run, name: str, m: int, limits: tuple[float, float]) -> str:
    if name == "model":
        return _make_model_cell(run, m)
    if name == "folds":
        drawn = draw_folds(run.models["fold_test_balanced_accuracy"][m], *limits)
        return f'<td class="folds">{drawn}</td>'
    value = run.models[name][m]
    if name == "rank" and value == 0:
        return '<td data-value="1e9">–</td>'  # noqa: RUF001
    if np.isnan(value):
        return '<td data-value="-1">–</td>'  # noqa: RUF001
    return f'<td data-value="{value!s}">{_format_statistic(run, name, m)}</td>'


def _format_statistic(run: Run, name: str, m: int) -> str:
    value = run.models[name][m]
    if name in ("rank", "n", "cv_consistency"):
        return f"{value:,}"
    if name == "odds_ratio" and "odds_ratio_low" in run.models:
        low, high = (run.models[f"odds_ratio_{end}"][m] for end in ("low", "high"))
        return f"{value:.2f} <small>({low:.2f}–{high:.2f})</small>"  # noqa: RUF001
    digits = {"p_value": ".2g", "odds_ratio": ".2f"}
    return f"{value:{digits.get(name, '.4f')}}"


def _make_model_cell(run: Run, m: int) -> str:
    """Return the names of the variants, and under them where they lie."""
    ids = run.get_ids(m)
    names = " × ".join(  # noqa: RUF001
        f'<span title="{escape(name)}">{escape(shorten(name, 28))}</span>'
        for name in ids
    )
    mark = ' <span class="mark">best</span>' if m == run.best else ""
    place = _format_places(run, m)
    below = f"<small>{place}</small>" if place else ""
    return f'<th scope="row">{names}{mark}{below}</th>'


def _format_places(run: Run, m: int) -> str:
    """Return chromosomes and positions, and the distance where it is small."""
    variants = run.models["variant"][m]
    position = run.variants["position"][variants].tolist()
    if min(position) <= 0:
        return ""
    chromosome = run.variants["chromosome"][variants]
    places = " · ".join(
        f"{escape(shorten(clean(c), 12))}:{p:,}"
        for c, p in zip(chromosome, position, strict=True)
    )
    distance = get_distance(run, m)
    if distance is None or distance >= NEAR_BP:
        return places
    return f'{places} <span class="near">{format_distance(distance)} apart</span>'
