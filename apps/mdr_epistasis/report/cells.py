"""Pictures of one model: its genotype combinations and its folds."""

from collections.abc import Callable, Sequence
from math import floor, isnan, log10

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
from mdr_epistasis.report.trait import Z95

CELL, LEFT, TOP = 84, 66, 40  # a cell; the margins of its table, pixels
FEW = 5  # individuals, whose mean says little
BAR_WIDTH, BAR_HEIGHT = 26, 50
FOLD_WIDTH, FOLD_HEIGHT = 84, 18

Draw = Callable[[tuple[int, int, int], str], str]  # a cell at its place, by its name


def get_genotype_names(run: SearchRun, variant: int) -> list[str]:
    """Return the genotypes of a variant, written with its alleles."""
    other, counted = (run.variants[k][variant] for k in ("other", "counted"))
    is_named = {other, counted}.isdisjoint(("", "0", ".")) and other != counted
    if not is_named or max(len(other), len(counted)) > 2:
        return ["0 copies", "1 copy", "2 copies", "missing"][: run.levels]
    names = [f"{other}/{other}", f"{other}/{counted}", f"{counted}/{counted}"]
    return [*names, "missing"][: run.levels]


def draw_cells(run: SearchRun, model: int) -> list[Markup]:
    """Draw the genotype combinations of a model, a panel a genotype of a third."""
    ids = run.get_ids(model)
    genotypes = [get_genotype_names(run, v) for v in run.models["variant"][model]]
    draw, what = bind_risks(run, model), "Risks"
    if run.has_tables:
        draw = bind_means(run, model) if run.is_scored else bind_bars(run, model)
        what = "Mean scores" if run.is_scored else "Cases and controls"
    label = f"{what} of the genotypes of {' and '.join(ids)}"
    panels = []
    for k in range(run.levels ** (run.order - 2)):
        parts = [_draw_axes(ids, genotypes)]
        for i, j in np.ndindex(run.levels, run.levels):
            name = f"{genotypes[-2][i]}, {genotypes[-1][j]}"
            parts.append(draw((k, i, j), name))
        title = f"{shorten(ids[0])} {genotypes[0][k]}" if run.order == 3 else ""
        panels.append(_make_panel(title, run.levels, "".join(parts), label))
    return panels


def bind_risks(run: SearchRun, model: int) -> Draw:
    """Return what draws the risk of a cell alone, given its place and name."""
    (high_risk,) = get_tables(run, model)

    def draw(at: tuple[int, int, int], name: str) -> str:
        risk = "high" if high_risk[at] else "low"
        x, y = LEFT + at[2] * CELL, TOP + at[1] * CELL
        shape = draw_rect(x + 2, y + 2, CELL - 4, CELL - 4, f"cell {risk}", name)
        return shape + draw_text(x + CELL / 2, y + CELL / 2 + 4, risk, "middle")

    return draw


def bind_bars(run: SearchRun, model: int) -> Draw:
    """Return what draws the cases and controls of a cell, given its place and name.

    Bars are shares of all cases and of all controls of the model, so that the higher
    of the two says the risk, whatever the numbers of cases and controls.
    """
    cases, controls, high_risk = get_tables(run, model, "cases", "controls")
    shares = np.stack([n / max(n.sum(), 1) for n in (cases, controls)], axis=-1)
    bars = shares * (BAR_HEIGHT / (shares.max() or 1.0))
    counts = np.stack([cases, controls], axis=-1)
    return lambda at, name: _draw_cell(
        *at[1:], counts[at], bars[at], high_risk[at], name
    )


def bind_means(run: SearchRun, model: int) -> Draw:
    """Return what draws the mean score of a cell, given its place and name.

    The axis has all means; the intervals of cells that are nearly empty are cut off.
    """
    mean, error, high_risk = get_tables(
        run, model, "cell_mean_score", "cell_standard_error"
    )
    cases, controls, _ = get_tables(run, model, "cases", "controls")
    n = cases + controls
    ends = np.abs(mean) + np.where(n >= FEW, Z95 * np.nan_to_num(error), 0.0)
    limit = float(ends[n > 0].max(initial=0.0)) or 1.0
    return lambda at, name: _draw_mean(
        *at[1:],
        float(mean[at]),
        float(error[at]),
        int(n[at]),
        high_risk[at],
        limit,
        name,
    )


def get_tables(run: SearchRun, model: int, *names: str) -> list[np.ndarray]:
    """Return tables of a model, and its high risk last, (thirds, levels, levels)."""
    shape = (-1, run.levels, run.levels)
    return [run.models[name][model].reshape(shape) for name in (*names, "high_risk")]


def format_size(n: int) -> str:
    """Return a number of individuals that fits over a bar."""
    return str(n) if n < 10_000 else f"{n / 1000:.3g}k"


def _make_panel(title: str, levels: int, body: str, label: str) -> Markup:
    """Return a table of cells as a picture, under a title if there is one."""
    width, height = LEFT + levels * CELL, TOP + levels * CELL
    label = f"{label}. {title}"
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


def _draw_mean(
    row: int,
    column: int,
    mean: float,
    error: float,
    n: int,
    is_high: np.bool_,
    limit: float,
    name: str,
) -> str:
    """Return one cell: the mean of its scores, with a 95 % interval, about 0.

    Parameters
    ----------
    error
        Standard error of the mean, NaN if not known.
    limit
        Of the axis, above and below 0.
    """
    x, y = LEFT + column * CELL, TOP + row * CELL
    if n == 0:
        return draw_rect(
            x + 2, y + 2, CELL - 4, CELL - 4, "cell empty", f"{name}: empty"
        )
    risk = "high" if is_high else "low"
    ends = [mean, mean] if isnan(error) else [mean - Z95 * error, mean + Z95 * error]
    interval = "" if isnan(error) else " ({:.3g} to {:.3g})".format(*ends)
    said = f"{name}: mean {mean:.3g}{interval}, {n} individuals, {risk}"
    scale = make_scale(-limit, limit, y + 61, y + 25)
    low, high = (scale(min(max(end, -limit), limit)) for end in ends)
    middle, at = x + CELL / 2, scale(min(max(mean, -limit), limit))
    words = format_mean(mean, limit)
    return "".join([
        draw_rect(x + 2, y + 2, CELL - 4, CELL - 4, f"cell {risk}", said),
        draw_line(x + 10, scale(0), x + CELL - 10, scale(0), "zero"),
        draw_line(middle, low, middle, high, "whisker"),
        draw_circle(middle, at, 4.2, "case" if is_high else "control", said),
        draw_text(middle, y + 17, words, "middle"),
        draw_text(middle, y + CELL - 7, f"n {format_size(n)}", "middle soft"),
    ])  # fmt: skip


def format_mean(mean: float, limit: float) -> str:
    """Return a mean with a sign, in as many digits as its axis needs.

    Examples
    --------
    >>> format_mean(0.1234, 0.5), format_mean(-12.3, 40.0), format_mean(1e-7, 3e-7)
    ('+0.12', '-12', '+1.0e-07')
    """
    digits = 1 - floor(log10(limit))
    if abs(digits) > 5:
        return f"{mean:+.1e}"
    return f"{round(mean, max(digits, 0)) + 0.0:+.{max(digits, 0)}f}"  # -0.0 is 0.0


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
