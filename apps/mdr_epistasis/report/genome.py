"""Where the variants of the best models lie: chromosomes end to end, and arcs."""

from itertools import pairwise

import numpy as np
from markupsafe import Markup

from hpc_connector.loader.genotypes.chromosomes import unify
from hpc_connector.report.svg import (
    CHARACTER,
    Scale,
    draw_circle,
    draw_line,
    draw_path,
    draw_rect,
    draw_text,
    get_ticks,
    make_scale,
    make_svg,
)
from hpc_connector.report.text import shorten
from mdr_epistasis.report.run_file import SearchRun

WIDTH, EDGE, SKY, BASE = 1040, 12, 20, 250  # the picture, the top of arcs, the axis
PAD = 5  # of a chromosome beyond its first and last variant
LABEL_ROWS, ROW = 4, 17
MOST_CHROMOSOMES = 40
UNKNOWN = ("", "0", ".")

Spans = dict[str, tuple[float, float]]  # first and last position


def get_placed(run: SearchRun, most: int) -> list[int]:
    """Return the best models whose variants all have a position, `most` of them."""
    position, chromosome = run.variants["position"], unify(run.variants["chromosome"])
    variant = run.models["variant"]
    is_placed = (position[variant] > 0) & ~np.isin(chromosome[variant], UNKNOWN)
    return np.flatnonzero(is_placed.all(axis=1))[:most].tolist()


def draw_genome(run: SearchRun, models: list[int]) -> Markup:
    """Draw arcs between the variants of some models, all of them placed."""
    spans = get_spans(run, models)
    scales = get_scales(spans)
    chromosome, position = unify(run.variants["chromosome"]), run.variants["position"]

    def get_x(variant: int) -> float:
        return scales[chromosome[variant]](float(position[variant]))

    parts = [_draw_chromosomes(spans, scales)]
    width = get_widths(run, models)
    for m in reversed(models):
        x = sorted(get_x(v) for v in run.models["variant"][m].tolist())
        kind = "arc best" if m == run.best else "arc"
        said = f"{shorten(run.get_name(m), 60)}: {run.score[m]:.4f}"
        parts += [_draw_arc(*ends, kind, said, width[m]) for ends in pairwise(x)]
    names: dict[float, str] = {}
    for m in sorted(models, key=lambda m: m != run.best):
        for v, name in zip(
            run.models["variant"][m].tolist(), run.get_ids(m), strict=True
        ):
            names.setdefault(get_x(v), name)
    parts.append(_draw_names(names))
    height = BASE + 34 + LABEL_ROWS * ROW
    return make_svg(WIDTH, height, "Models along the genome", "".join(parts), "wide")


def get_widths(run: SearchRun, models: list[int]) -> dict[int, float]:
    """Return the width of the line of each model, 1.2 to 5 pixels by accuracy."""
    score = np.nan_to_num(run.score[models], nan=0.5)
    excess = np.clip(score - min(score.min(), 0.5), 0, None)
    width = 1.2 + 3.8 * excess / (excess.max() or 1.0)
    return dict(zip(models, width.tolist(), strict=True))


def get_spans(run: SearchRun, models: list[int]) -> Spans:
    """Return the positions that variants span on each chromosome, in their order.

    Of an assembly in very many pieces, only those that the models touch.
    """
    chromosome, position = unify(run.variants["chromosome"]), run.variants["position"]
    codes: dict[str, int] = {}
    code = np.array([codes.setdefault(c, len(codes)) for c in chromosome.tolist()])
    first = np.full(len(codes), np.iinfo(np.int64).max)
    last = np.zeros(len(codes), np.int64)
    is_placed = position > 0
    np.minimum.at(first, code[is_placed], position[is_placed])
    np.maximum.at(last, code[is_placed], position[is_placed])
    shown = [c for c in codes if c not in UNKNOWN and last[codes[c]] > 0]
    if len(shown) > MOST_CHROMOSOMES:
        touched = set(chromosome[run.models["variant"][models]].ravel())
        shown = [c for c in shown if c in touched]
    shown.sort(key=get_chromosome_order)
    return {c: (float(first[codes[c]]), float(last[codes[c]])) for c in shown}


def get_chromosome_order(name: str) -> tuple[int, str]:
    """Return the place of a chromosome: numbers, then X, Y, MT, then others.

    Examples
    --------
    >>> sorted(["chrX", "chr10", "chr2"], key=get_chromosome_order)
    ['chr2', 'chr10', 'chrX']
    """
    short = name.lower().removeprefix("chr")
    if short.isascii() and short.isdigit():
        return int(short[:9]), name
    others = ("x", "y", "xy", "m", "mt")
    place = others.index(short) if short in others else len(others)
    return 10**9 + place, name


def get_scales(spans: Spans) -> dict[str, Scale]:
    """Return the scale of each chromosome, from positions to pixels."""
    lengths = np.array([last - first for first, last in spans.values()])
    room = WIDTH - 2 * EDGE - 2 * PAD * len(spans)
    if not lengths.any():  # a variant each: in the middle of equal parts
        ends = EDGE + (np.arange(len(spans)) + 0.5) * (WIDTH - 2 * EDGE) / len(spans)
        return dict(zip(spans, [make_scale(0, 1, x, x) for x in ends], strict=True))
    shares = lengths / lengths.sum()
    starts = EDGE + PAD + np.cumsum([0, *(shares * room + 2 * PAD)])
    return {
        name: make_scale(first, last, start, start + share * room)
        for (name, (first, last)), start, share in zip(
            spans.items(), starts, shares, strict=False
        )
    }


def _draw_chromosomes(spans: Spans, scales: dict[str, Scale]) -> str:
    """Return the chromosomes and their names; of a single one, its positions."""
    parts = []
    for k, (chromosome, ends) in enumerate(spans.items()):
        name = shorten(chromosome, 12)
        left, right = (scales[chromosome](end) for end in ends)
        width = right - left + 2 * PAD - 2
        kind = f"chromosome{' odd' if k % 2 else ''}"
        parts.append(draw_rect(left - PAD + 1, BASE, width, 7, kind, name))
        short = name.removeprefix("chr")
        if len(spans) > 1 and len(short) * CHARACTER < width + 6:
            words = draw_text((left + right) / 2, BASE + 22, short, "middle soft")
            parts.append(words)
    if len(spans) == 1:
        parts.append(_draw_positions(chromosome, ends, scales[chromosome]))
    return "".join(parts)


def _draw_positions(chromosome: str, ends: tuple[float, float], x: Scale) -> str:
    """Return positions under a single chromosome, in Mb or kb."""
    unit, size = ("Mb", 1e6) if ends[1] - ends[0] > 2e6 else ("kb", 1e3)
    name = shorten(chromosome, 12)
    parts = []
    for tick in get_ticks(ends[0] / size, ends[1] / size):
        at = x(tick * size)
        words = f"{name}:{tick:,.10g} {unit}"
        parts.append(draw_line(at, BASE + 7, at, BASE + 11, "axis"))
        parts.append(draw_text(at, BASE + 22, words, "middle soft"))
    return "".join(parts)


def _draw_arc(x0: float, x1: float, kind: str, said: str, width: float) -> str:
    """Return half an ellipse; short arcs are drawn higher than long ones in ratio."""
    across = max((x1 - x0) / 2, 1.5)
    rise = 24 + (BASE - SKY - 24) * np.sqrt(min((x1 - x0) / (WIDTH - 2 * EDGE), 1.0))
    middle = (x0 + x1) / 2
    steps = (
        f"M{middle - across:.1f} {BASE}A{across:.1f} {rise:.1f} 0 0 1 "
        f"{middle + across:.1f} {BASE}"
    )
    return draw_path(steps, kind, said, width)


def _draw_names(names: dict[float, str]) -> str:
    """Return names under the axis, in rows so that they do not meet; earlier first."""
    taken: list[list[tuple[float, float]]] = [[] for _ in range(LABEL_ROWS)]
    parts = []
    for x, name in names.items():
        short = shorten(name)
        half = len(short) * CHARACTER / 2 + 4
        at = min(max(x, half), WIDTH - half)
        for row, spans in enumerate(taken):
            if all(at + half < left or at - half > right for left, right in spans):
                spans.append((at - half, at + half))
                y = BASE + 44 + row * ROW
                parts.append(draw_line(x, BASE + 7, at, y - 11, "leader"))
                parts.append(draw_text(at, y, short, "middle halo"))
                parts.append(draw_circle(x, BASE + 3.5, 3, "dot", name))
                break
    return "".join(parts)
