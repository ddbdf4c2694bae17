"""Pictures of one model: its genotype combinations and its folds."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from hpc_connector.report.svg import (
    draw_circle,
    draw_line,
    draw_rect,
    draw_text,
    make_scale,
    make_svg,
)
from hpc_connector.report.text import shorten
from mdr_epistasis.report.run_file import SearchRun

CELL, LEFT, TOP = 84, 66, 40  # a cell; the margins of its table, pixels
BAR_WIDTH, BAR_HEIGHT = 26, 50
FOLD_WIDTH, FOLD_HEIGHT = 84, 18


def get_genotype_names(run: SearchRun, variant: int) -> list[str]:
    """Return the genotypes of a variant, written with its alleles."""
    other, counted = (run.variants[k][variant] for k in ("other", "counted"))
    is_named = {other, counted}.isdisjoint(("", "0", ".")) and other != counted
    if not is_named or max(len(other), len(counted)) > 2:
        return ["0 copies", "1 copy", "2 copies", "missing"][: run.levels]
    names = [f"{other}/{other}", f"{other}/{counted}", f"{counted}/{counted}"]
    return [*names, "missing"][: run.levels]


def draw_cells(run: SearchRun, model: int) -> list[Markup]:
    """Draw the genotype combinations of a model, a panel a genotype of a third.

    Bars are shares of all cases and of all controls of the model, so that the higher
    of the two says the risk, whatever the numbers of cases and controls.
    """
    tables = [run.models[n][model] for n in ("cases", "controls", "high_risk")]
    cases, controls, high_risk = (t.reshape(-1, run.levels, run.levels) for t in tables)
    shares = np.stack([n / max(n.sum(), 1) for n in (cases, controls)], axis=-1)
    bars = shares * (BAR_HEIGHT / (shares.max() or 1.0))
    counts = np.stack([cases, controls], axis=-1)
    ids = run.get_ids(model)
    genotypes = [get_genotype_names(run, v) for v in run.models["variant"][model]]
    panels = []
    for k in range(len(cases)):
        parts = [_draw_axes(ids, genotypes)]
        for i, j in np.ndindex(run.levels, run.levels):
            name = f"{genotypes[-2][i]}, {genotypes[-1][j]}"
            parts.append(
                _draw_cell(
                    i, j, counts[k, i, j], bars[k, i, j], high_risk[k, i, j], name
                )
            )
        title = f"{shorten(ids[0])} {genotypes[0][k]}" if run.order == 3 else ""
        panels.append(_make_panel(title, run.levels, "".join(parts), " and ".join(ids)))
    return panels


def format_size(n: int) -> str:
    """Return a number of individuals that fits over a bar."""
    return str(n) if n < 10_000 else f"{n / 1000:.3g}k"


def _make_panel(title: str, levels: int, body: str, name: str) -> Markup:
    """Return a table of cells as a picture, under a title if there is one."""
    width, height = LEFT + levels * CELL, TOP + levels * CELL
    label = f"Cases and controls of the genotypes of {name}. {title}"
    if title:
        words = draw_text(LEFT + levels * CELL / 2, 14, title, "middle strong")
        body = f'{words}<g transform="translate(0 20)">{body}</g>'
        height += 20
    return make_svg(width, height, label, body)


def _draw_axes(ids: Sequence[str], genotypes: Sequence[Sequence[str]]) -> str:
    """Return the last variant over the columns, the one before beside the rows."""
    middle = CELL * len(genotypes[-1]) / 2
    parts = [
        draw_text(LEFT + middle, 13, shorten(ids[-1], 34), "middle strong"),
        draw_text(12, TOP + middle, shorten(ids[-2], 34), "middle strong", turned=True),
    ]
    for k, (row, column) in enumerate(zip(*genotypes[-2:], strict=True)):
        parts.append(draw_text(LEFT + (k + 0.5) * CELL, TOP - 8, column, "middle"))
        parts.append(draw_text(LEFT - 6, TOP + (k + 0.5) * CELL + 4, row, "end"))
    return "".join(parts)


def _draw_cell(
    row: int,
    column: int,
    counts: np.ndarray,
    bars: np.ndarray,
    is_high: np.bool_,
    name: str,
) -> str:
    """Return one cell; counts and heights of bars are those of cases, controls."""
    x, y = LEFT + column * CELL, TOP + row * CELL
    risk = "empty" if not counts.any() else "high" if is_high else "low"
    said = f"{name}: {counts[0]} cases, {counts[1]} controls, {risk}"
    if risk == "empty":
        return draw_rect(x + 2, y + 2, CELL - 4, CELL - 4, "cell empty", said)
    parts = [draw_rect(x + 2, y + 2, CELL - 4, CELL - 4, f"cell {risk}", said)]
    for kind, left, n, bar in zip(
        ("case", "control"), (13, 45), counts, bars, strict=True
    ):
        base = y + CELL - 8
        parts.append(draw_rect(x + left, base - bar, BAR_WIDTH, bar, kind, said))
        words = draw_text(
            x + left + BAR_WIDTH / 2, base - bar - 4, format_size(n), "middle"
        )
        parts.append(words)
    return "".join(parts)


def draw_folds(values: np.ndarray, low: float, high: float) -> Markup:
    """Draw the test accuracy of each fold as a tick, chance as a line.

    Parameters
    ----------
    values
        Balanced accuracy of each fold, NaN where it has none.
    low, high
        Limits of the axis, the same for all models.
    """
    x = make_scale(low, high, 4, FOLD_WIDTH - 4)
    known = values[~np.isnan(values)]
    parts = [draw_line(4, FOLD_HEIGHT / 2, FOLD_WIDTH - 4, FOLD_HEIGHT / 2, "grid")]
    parts.append(draw_line(x(0.5), 1, x(0.5), FOLD_HEIGHT - 1, "marked"))
    parts += [draw_circle(x(v), FOLD_HEIGHT / 2, 2.6, "fold") for v in known]
    said = ", ".join(f"{v:.3f}" for v in known)
    return make_svg(FOLD_WIDTH, FOLD_HEIGHT, f"Folds: {said}", "".join(parts))
