"""Pictures of the report, as SVG."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np

CASE, CONTROL, LINE, SOFT = "#c8553d", "#3a7ca5", "#d9dfe5", "#5b6876"
HIGH, LOW = "#fbeee6", "#eef4f8"
CELL, BAR = 84, 56  # sizes of a cell and of its longest bar, pixels


def _svg(width: float, height: float, title: str, body: str) -> str:
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" role="img" '
        f'viewBox="0 0 {width:.0f} {height:.0f}"><title>{escape(title)}</title>'
        f"{body}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str = "middle", more: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>'
        f"{escape(text)}</text>"
    )


def _rect(x: float, y: float, w: float, h: float, fill: str, title: str = "") -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" '
        f'fill="{fill}"><title>{escape(title)}</title></rect>'
    )


def draw_cells(
    cases: np.ndarray,
    controls: np.ndarray,
    high_risk: np.ndarray,
    name: str,
    genotypes: Sequence[Sequence[str]],
) -> str:
    """Draw the cells of a model: rows of one variant, columns of another.

    A third variant gives a panel for each of its genotypes.

    Parameters
    ----------
    cases, controls, high_risk
        Flat tables, (levels ** order,).
    genotypes
        Names of the genotypes of each variant.
    """
    levels = len(genotypes[0])
    shape = (-1, levels, levels)
    tables = [np.reshape(t, shape) for t in (cases, controls, high_risk)]
    top = max(int(cases.max()), int(controls.max()), 1)
    panels = []
    for k in range(len(tables[0])):
        a, u, risk = (t[k] for t in tables)
        body = _draw_panel(a, u, risk, top, genotypes[-2], genotypes[-1])
        title = name if len(genotypes) == 2 else f"{name}, first is {genotypes[0][k]}"
        side = 60 + levels * CELL
        panels.append(
            f"<figure>{_svg(side, side - 20, title, body)}"
            f"<figcaption>{escape(title)}</figcaption></figure>"
        )
    return "".join(panels)


def _draw_panel(
    cases: np.ndarray,
    controls: np.ndarray,
    high_risk: np.ndarray,
    top: int,
    row_names: Sequence[str],
    column_names: Sequence[str],
) -> str:
    """Draw one table of cells."""
    parts = []
    for i, row_name in enumerate(row_names):
        parts.append(_text(54, 18 + (i + 0.55) * CELL, row_name, "end"))
        for j, column_name in enumerate(column_names):
            x, y = 60 + j * CELL, 18 + i * CELL
            if i == 0:
                parts.append(_text(x + CELL / 2, 12, column_name))
            said = (
                f"{row_name}, {column_name}: {cases[i, j]} cases, "
                f"{controls[i, j]} controls, "
                f"{'high' if high_risk[i, j] else 'low'} risk"
            )
            fill = HIGH if high_risk[i, j] else LOW
            parts.append(_rect(x + 1, y + 1, CELL - 2, CELL - 2, fill, said))
            for n, color, left in ((cases, CASE, 14), (controls, CONTROL, 46)):
                height = BAR * n[i, j] / top
                base = y + CELL - 6
                parts.append(_rect(x + left, base - height, 24, height, color, said))
                parts.append(_text(x + left + 12, base - height - 3, str(n[i, j])))
    return "".join(parts)


def draw_scatter(
    train: np.ndarray,
    test: np.ndarray,
    names: Sequence[str],
    is_best: np.ndarray,
    line: float | None,
) -> str:
    """Draw test against training balanced accuracy of models."""
    width, height, edge = 640, 420, 48
    known = np.concatenate([train, test, [0.5], [] if line is None else [line]])
    low, high = np.nanmin(known) - 0.01, np.nanmax(known) + 0.01

    def x(value: float) -> float:
        return edge + (value - low) / (high - low) * (width - edge - 12)

    def y(value: float) -> float:
        return height - edge - (value - low) / (high - low) * (height - edge - 12)

    parts = []
    for tick in np.arange(np.ceil(low * 20) / 20, high, 0.05):
        parts.append(_path(x(low), y(tick), x(high), y(tick)))
        parts.append(_text(edge - 6, y(tick) + 4, f"{tick:.2f}", "end"))
        parts.append(_text(x(tick), height - edge + 16, f"{tick:.2f}"))
    parts.append(_path(x(low), y(low), x(high), y(high), SOFT))
    if line is not None:
        parts.append(_path(x(low), y(line), x(high), y(line), CASE, "6 4"))
    for m in np.argsort(is_best, kind="stable"):
        if np.isnan(test[m]) or np.isnan(train[m]):
            continue
        color, radius = (CASE, 6) if is_best[m] else (CONTROL, 3)
        parts.append(
            f'<circle cx="{x(train[m]):.1f}" cy="{y(test[m]):.1f}" r="{radius}" '
            f'fill="{color}" fill-opacity="0.7"><title>{escape(names[m])}</title>'
            "</circle>"
        )
    parts.append(_text(width / 2, height - 8, "training balanced accuracy"))
    turn = f'transform="rotate(-90 12 {height / 2})"'
    parts.append(_text(12, height / 2, "test balanced accuracy", more=turn))
    return _svg(width, height, "Test against training accuracy", "".join(parts))


def _path(
    x0: float, y0: float, x1: float, y1: float, color: str = LINE, dash: str = ""
) -> str:
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" '
        f'stroke="{color}" stroke-dasharray="{dash}"/>'
    )


def draw_genome(
    chromosome: np.ndarray,
    position: np.ndarray,
    models: np.ndarray,
    ids: np.ndarray,
    score: np.ndarray,
) -> str:
    """Draw arcs between the variants of models, along the genome."""
    if not np.any(position):
        return "<p>The genotypes carry no positions.</p>"
    width, height, edge = 1000, 300, 20
    names = list(dict.fromkeys(chromosome.tolist()))
    lengths = [max(int(position[chromosome == name].max()), 1) for name in names]
    gap = 0.01 * sum(lengths)
    start = dict(
        zip(names, np.cumsum([0, *(n + gap for n in lengths[:-1])]), strict=True)
    )
    scale = (width - 2 * edge) / (sum(lengths) + gap * len(lengths))
    base = height - 44
    parts = []
    for k, (name, length) in enumerate(zip(names, lengths, strict=True)):
        x0 = edge + start[name] * scale
        shade = SOFT if k % 2 else "#9aa5b1"
        parts.append(_rect(x0, base, length * scale, 8, shade, f"chromosome {name}"))
        parts.append(_text(x0 + length * scale / 2, base + 22, name))
    x = [
        edge + (start[c] + p) * scale for c, p in zip(chromosome, position, strict=True)
    ]
    strength = _get_strength(score)
    for m, model in enumerate(models):
        title = escape(" x ".join(ids[model]))
        for a, b in pairwise(model):
            left, right = sorted((x[a], x[b]))
            rise = min(base - 10, 20 + (right - left) / 2)
            parts.append(
                f'<path d="M{left:.1f} {base} C{left:.1f} {base - rise:.1f} '
                f'{right:.1f} {base - rise:.1f} {right:.1f} {base}" fill="none" '
                f'stroke="{CASE}" stroke-opacity="0.6" '
                f'stroke-width="{strength[m]:.1f}"><title>{title}</title></path>'
            )
    return _svg(width, height, "Models along the genome", "".join(parts))


def _get_strength(score: np.ndarray) -> np.ndarray:
    """Return line widths, 1 to 5 pixels, of scores."""
    spread = float(np.ptp(score))
    return 1 + 4 * (score - score.min()) / (spread if spread > 0 else 1.0)


def draw_network(models: np.ndarray, ids: np.ndarray, score: np.ndarray) -> str:
    """Draw the variants of models on a circle, those of one model joined."""
    variants = list(dict.fromkeys(models.ravel().tolist()))
    width, height = 760, 460
    angle = 2 * np.pi * np.arange(len(variants)) / len(variants)
    x = dict(zip(variants, width / 2 + 170 * np.cos(angle), strict=True))
    y = dict(zip(variants, height / 2 + 170 * np.sin(angle), strict=True))
    strength = _get_strength(score)
    parts = []
    for m, model in reversed(list(enumerate(models))):
        title = escape(f"{' x '.join(ids[model])}: {score[m]:.4f}")
        points = " ".join(f"{x[v]:.1f},{y[v]:.1f}" for v in model)
        parts.append(
            f'<polygon points="{points}" fill="{CONTROL}" fill-opacity="0.06" '
            f'stroke="{CONTROL}" stroke-opacity="0.7" '
            f'stroke-width="{strength[m]:.1f}"><title>{title}</title></polygon>'
        )
    for variant, turn in zip(variants, angle, strict=True):
        degree = int((models == variant).sum())
        parts.append(
            f'<circle cx="{x[variant]:.1f}" cy="{y[variant]:.1f}" '
            f'r="{4 + min(degree, 8)}" fill="{CASE}"/>'
        )
        is_right = np.cos(turn) >= 0
        reach = 18 if is_right else -18
        at = y[variant] + 14 * np.sin(turn) + 4
        anchor = "start" if is_right else "end"
        parts.append(_text(x[variant] + reach, at, str(ids[variant]), anchor))
    return _svg(width, height, "Interaction network", "".join(parts))
