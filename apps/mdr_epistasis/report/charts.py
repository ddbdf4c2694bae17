"""Charts of all models of a report: accuracies, and the permutations."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from hpc_connector.report.axes import (
    CHART,
    EDGE,
    HEIGHT,
    WIDTH,
    draw_axis_names,
    draw_rows,
    draw_ticks,
    get_limits,
)
from hpc_connector.report.svg import (
    CHARACTER,
    Scale,
    draw_circle,
    draw_line,
    draw_rect,
    draw_text,
    make_svg,
)
from hpc_connector.report.text import shorten
from mdr_epistasis.report.run_file import SearchRun

FEWEST = 19  # permutations that can give p = 0.05
WORDS = {
    "test_balanced_accuracy": "test balanced accuracy",
    "train_balanced_accuracy": "training balanced accuracy",
    "balanced_accuracy": "balanced accuracy on all data",
}


def get_line(run: SearchRun) -> float | None:
    """Return the score that 5 % of the permutations exceed, None of too few of them."""
    is_known = len(run.maximum) >= FEWEST
    return float(np.quantile(run.maximum, 0.95)) if is_known else None


def draw_scatter(run: SearchRun) -> Markup:
    """Draw test against training accuracy of the models."""
    train = run.models["train_balanced_accuracy"]
    test = run.models["test_balanced_accuracy"]
    known = np.flatnonzero(~(np.isnan(train) | np.isnan(test)))
    line = get_line(run) if run.rank_by == "test_balanced_accuracy" else None
    across = get_limits(train[known])
    along = get_limits(np.append(test[known], [0.5] if line is None else [0.5, line]))
    x, y = CHART.make_x(*across), CHART.make_y(*along)
    parts = [draw_rows(y, along, marked=0.5), draw_ticks(x, across)]
    parts += _draw_diagonal(x, y, max(across[0], along[0]), min(across[1], along[1]))
    if line is not None:
        parts.append(draw_line(EDGE, y(line), WIDTH - 16, y(line), "limit"))
    for m in sorted(known[::-1].tolist(), key=lambda m: m == run.best):
        kind, radius = ("best", 6) if m == run.best else ("other", 3.2)
        name = shorten(run.get_name(m), 60)
        said = f"{name}: test {test[m]:.4f}, training {train[m]:.4f}"
        parts.append(draw_circle(x(train[m]), y(test[m]), radius, kind, said))
    if run.best in known:
        parts.append(_draw_name(run, x(train[run.best]), y(test[run.best])))
    if line is not None:
        said = "95 % of permutations stay below"
        parts.append(draw_text(WIDTH - 18, y(line) - 6, said, "end halo limit-text"))
    names = WORDS["train_balanced_accuracy"], WORDS["test_balanced_accuracy"]
    parts += draw_axis_names(*names)
    return make_svg(WIDTH, HEIGHT, "Test against training accuracy", "".join(parts))


def draw_permutations(run: SearchRun) -> Markup:
    """Draw the histogram of the maxima, the 95 % line, and where the best model is."""
    value, line = run.models[run.rank_by][run.best], get_line(run)
    spread = get_limits(np.append(run.maximum, [] if np.isnan(value) else value))
    bins = int(np.clip(np.sqrt(len(run.maximum)) * 1.5, 4, 40))
    counts, edges = np.histogram(run.maximum, bins)
    top = int(counts.max())
    x, y = CHART.make_x(*spread), CHART.make_y(0, top * 1.12)
    parts = [draw_rows(y, (0, top * 1.12), whole=True), draw_ticks(x, spread)]
    for count, left, right in zip(counts.tolist(), edges, edges[1:], strict=False):
        wide = max(x(right) - x(left) - 1.5, 1.0)
        said = f"{count} permutations reach {left:.4f} to {right:.4f}"
        parts.append(draw_rect(x(left), y(count), wide, y(0) - y(count), "bar", said))
    if line is not None:
        parts.append(draw_line(x(line), 16, x(line), y(0), "limit"))
        parts.append(draw_text(x(line), 12, "95 %", "middle soft"))
    if not np.isnan(value):
        parts.append(draw_line(x(value), 16, x(value), y(0), "best-line"))
        parts.append(_draw_name(run, x(value), 30))
    parts += draw_axis_names(f"highest {WORDS[run.rank_by]}", "permutations")
    return make_svg(WIDTH, HEIGHT, "Permutations", "".join(parts))


def draw_errors(counts: Sequence[int]) -> Markup:
    """Draw how many of all models have which error, on a scale of powers of ten.

    Parameters
    ----------
    counts
        Of bins as wide as another, from 0 to 1.
    """
    edges = np.linspace(0, 1, len(counts) + 1)
    (known,) = np.nonzero(np.asarray(counts))
    x = CHART.make_x(*(spread := get_limits(edges[[known[0], known[-1] + 1]])))
    tens = np.log10(np.maximum(counts, 1))
    top = 1.12 * float(tens.max() + 0.3)
    y = CHART.make_y(0, top)
    parts = [draw_ticks(x, spread)]
    for power in range(int(top) + 1):
        said = f"{10**power:,}" if power < 5 else f"1e{power}"
        parts.append(draw_text(EDGE - 8, y(power + 0.3) + 4, said, "end soft"))
    for k in known.tolist():
        wide = max(x(edges[k + 1]) - x(edges[k]) - 0.5, 0.5)
        high = y(0) - y(float(tens[k]) + 0.3)
        said = f"{counts[k]:,} models from {edges[k]:.3f} to {edges[k + 1]:.3f}"
        parts.append(draw_rect(x(edges[k]), y(0) - high, wide, high, "bar", said))
    parts += draw_axis_names("error", "models")
    return make_svg(WIDTH, HEIGHT, "Errors of all models", "".join(parts))


def _draw_diagonal(x: Scale, y: Scale, low: float, high: float) -> list[str]:
    """Return the line where both accuracies are equal, if it crosses the chart."""
    if low >= high:
        return []
    middle = (low + high) / 2  # few models are above the line
    words = draw_text(x(middle) - 8, y(middle) - 4, "test = training", "end soft halo")
    return [draw_line(x(low), y(low), x(high), y(high), "diagonal"), words]


def _draw_name(run: SearchRun, x: float, y: float) -> str:
    """Return the name of the best model beside a point, on the side with room."""
    name = shorten(run.get_name(run.best), 40)
    if x - len(name) * CHARACTER > EDGE + 12:
        return draw_text(x - 11, y + 4, name, "end strong halo")
    return draw_text(x + 11, y + 4, name, "start strong halo")
