"""Charts of all annotations of a report: FDR, targets and decoys."""

import numpy as np
from markupsafe import Markup

from hpc_connector.report.axes import (
    CHART,
    HEIGHT,
    WIDTH,
    Frame,
    draw_axis_names,
    draw_rows,
    draw_ticks,
)
from hpc_connector.report.svg import (
    Scale,
    draw_line,
    draw_path,
    draw_rect,
    draw_text,
    get_ticks,
    make_svg,
)
from metabolite_annotation.report.run_file import LEVELS, AnnotationRun

HUES = 6  # colours of adducts, as in page.css
BINS = 25
SMALL_WIDTH, SMALL_HEIGHT, SMALL_EDGE = 330, 210, 44
SMALL = Frame(SMALL_EDGE, 8, SMALL_WIDTH - 10, SMALL_HEIGHT - 36)


def get_level_class(level: float) -> str:
    """Return the class of the colour of an FDR level."""
    return f"level{round(100 * level)}"


def draw_curve(run: AnnotationRun, database: str, adducts: list[str]) -> Markup:
    """Draw how many annotations of each adduct have at most a given FDR."""
    is_here = run.rows["database"] == database
    fdr = {a: run.rows["fdr"][is_here & (run.rows["adduct"] == a)] for a in adducts}
    limit = 100 * get_curve_end(np.concatenate([*fdr.values()]))
    top = 1.08 * max((f <= limit / 100).sum() for f in fdr.values()) or 1.0
    x, y = CHART.make_x(0, limit), CHART.make_y(0, top)
    parts = [draw_rows(y, (0, top), whole=True), draw_ticks(x, (0, limit))]
    for level in LEVELS:
        if 100 * level < limit:
            at = x(100 * level)
            parts.append(draw_line(at, 16, at, y(0), "limit"))
            parts.append(draw_text(at, 12, f"{100 * level:g} %", "middle soft"))
    for k, values in enumerate(fdr.values()):
        steps = f"M{x(0):.1f} {y(0):.1f}"
        reached, n = np.unique(values[values <= limit / 100], return_counts=True)
        for at, count in zip(reached, n.cumsum(), strict=True):
            steps += f"H{x(100 * at):.1f}V{y(count):.1f}"
        parts.append(draw_path(f"{steps}H{x(limit):.1f}", f"curve hue{k % HUES}"))
    parts += draw_axis_names("FDR, %", "annotations at this FDR or less")
    return make_svg(WIDTH, HEIGHT, f"FDR, {database}", "".join(parts))


def get_curve_end(fdr: np.ndarray) -> float:
    """Return the end of the axis of FDR: a level at or above all, 0.5 at most."""
    above = [level for level in LEVELS[1:] if (fdr <= level).all()]
    return min(1.1 * above[0], LEVELS[-1]) if above else LEVELS[-1]


def draw_scores(targets: np.ndarray, decoys: np.ndarray, label: str) -> Markup:
    """Draw the scores of targets upwards and those of decoys downwards."""
    edges = np.linspace(0, 1, BINS + 1)
    up, down = (np.histogram(s, edges)[0] for s in (targets, decoys))
    x = SMALL.make_x(0, 1)
    high, low = int(up.max()), int(down.max())
    y = SMALL.make_y(-(low or 1) * 1.08, (high or 1) * 1.08)
    parts = [_draw_counts(y, tick) for tick in get_ticks(-low, high, 5)]
    for k, (a, b) in enumerate(zip(up.tolist(), down.tolist(), strict=True)):
        left, wide = x(edges[k]), x(edges[k + 1]) - x(edges[k]) - 1
        said = f"score {edges[k]:.2f} to {edges[k + 1]:.2f}: {a} targets, {b} decoys"
        if a:
            parts.append(draw_rect(left, y(a), wide, y(0) - y(a), "control", said))
        if b:
            parts.append(draw_rect(left, y(0), wide, y(-b) - y(0), "case", said))
    parts.append(draw_line(SMALL_EDGE, y(0), SMALL_WIDTH - 10, y(0), "axis"))
    for tick in (0, 0.5, 1):
        at = f"{tick:g}"
        parts.append(draw_text(x(tick), SMALL_HEIGHT - 20, at, "middle soft"))
    parts.append(draw_text(x(0.5), SMALL_HEIGHT - 5, "score", "middle"))
    return make_svg(SMALL_WIDTH, SMALL_HEIGHT, f"Scores, {label}", "".join(parts))


def _draw_counts(y: Scale, tick: float) -> str:
    """Return a line of the grid; below zero, too, ions are counted."""
    if tick != round(tick):
        return ""
    words = draw_text(SMALL_EDGE - 6, y(tick) + 4, f"{abs(tick):g}", "end soft")
    return draw_line(SMALL_EDGE, y(tick), SMALL_WIDTH - 10, y(tick), "grid") + words
