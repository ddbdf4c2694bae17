"""The network of the best models: variants, joined where a model has both."""

from itertools import combinations

import numpy as np
from markupsafe import Markup

from hpc_connector.report.svg import (
    CHARACTER,
    draw_circle,
    draw_path,
    draw_text,
    make_svg,
)
from hpc_connector.report.text import shorten
from mdr_epistasis.report.genome import get_widths
from mdr_epistasis.report.run_file import SearchRun

WIDTH, EDGE = 1040, 24
ROOM = 840, 500  # of nodes, where there is a crowd of them
CROWD = 16
LABEL_HEIGHT = 19
STEPS = 400


def draw_network(run: SearchRun, models: list[int]) -> Markup:
    """Draw the variants of some models, each model a line or a triangle."""
    variants = list(dict.fromkeys(run.models["variant"][models].ravel().tolist()))
    place = {v: k for k, v in enumerate(variants)}
    of_model = [[place[v] for v in run.models["variant"][m].tolist()] for m in models]
    names = dict(
        pair
        for m, nodes in zip(models, of_model, strict=True)
        for pair in zip(nodes, run.get_ids(m), strict=True)
    )
    short = [shorten(names[k]) for k in range(len(variants))]
    edges = np.array([e for nodes in of_model for e in combinations(nodes, 2)])
    size = min(1.0, np.sqrt(len(variants) / CROWD)) * np.array(ROOM)
    points = EDGE + size * get_layout(len(variants), edges)
    points = spread_labels(points, np.array([len(s) * CHARACTER for s in short]))
    width, degree = get_widths(run, models), np.bincount(edges.ravel())
    parts = []
    for m, nodes in reversed(list(zip(models, of_model, strict=True))):
        kind = "edge best" if m == run.best else "edge"
        steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points[nodes])
        said = f"{shorten(run.get_name(m), 60)}: {run.score[m]:.4f}"
        parts.append(draw_path(f"M{steps}Z", kind, said, width[m]))
    best = set(run.models["variant"][run.best].tolist())
    for k, (x, y) in enumerate(points):
        is_best = variants[k] in best
        radius = 4 + min(float(np.sqrt(degree[k])), 5)
        kind = "node best" if is_best else "node"
        parts.append(draw_circle(x, y, radius, kind, names[k]))
        kind = "start halo strong" if is_best else "start halo"
        parts.append(draw_text(x + radius + 3, y + 4, short[k], kind))
    height = points[:, 1].max() + EDGE
    return make_svg(WIDTH, height, "Interaction network", "".join(parts), "wide")


def get_layout(n: int, edges: np.ndarray) -> np.ndarray:
    """Return places of nodes by springs on edges and repulsion between all.

    Fruchterman and Reingold, Software: Practice and Experience 21 (1991) 1129, from a
    spiral rather than at random, so that a run always looks the same, and with a
    pull to the middle, which holds apart networks together.

    Parameters
    ----------
    edges
        Pairs of nodes, (edges, 2).

    Returns
    -------
    Places from 0 to 1, float64 (n, 2).
    """
    turn = np.arange(n) * 2.399963  # the golden angle, in radians
    at = np.sqrt((np.arange(n) + 0.5) / n)[:, None] * np.stack(
        [np.cos(turn), np.sin(turn)], axis=1
    )
    ideal = 1.2 / np.sqrt(n)
    first, second = edges.T
    for step in range(STEPS):
        apart = at[:, None] - at
        distance = np.maximum(np.hypot(apart[..., 0], apart[..., 1]), 1e-3)[..., None]
        move = (apart * (ideal / distance) ** 2).sum(axis=1) - 0.5 * at
        pull = (at[first] - at[second]) / ideal
        pull *= get_length(pull) * ideal
        np.add.at(move, first, -pull)
        np.add.at(move, second, pull)
        length = np.maximum(get_length(move), 1e-9)
        at += move / length * np.minimum(length, 0.15 * (1 - step / STEPS))
    return (at - at.min(axis=0)) / np.maximum(np.ptp(at, axis=0), 1e-9)


def get_length(vectors: np.ndarray) -> np.ndarray:
    """Compute the length of each vector, (n, 1), of vectors (n, 2)."""
    return np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))


def spread_labels(points: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Push nodes up and down until no label lies on another.

    Parameters
    ----------
    points
        Nodes, float64 (n, 2), pixels.
    widths
        Of the labels, which stand to the right of their nodes.
    """
    x, y = points.T.tolist()
    length = (widths + 24).tolist()
    for _ in range(200):
        is_apart = True
        for a, b in combinations(range(len(x)), 2):
            left, last = (a, b) if x[a] <= x[b] else (b, a)
            overlap = LABEL_HEIGHT - abs(y[a] - y[b])
            if x[left] + length[left] > x[last] and overlap > 0.5:
                lower, upper = (a, b) if y[a] >= y[b] else (b, a)
                y[lower] += overlap / 2
                y[upper] -= overlap / 2
                is_apart = False
        if is_apart:
            break
    right = WIDTH - EDGE - widths
    top = EDGE - min(*y, EDGE)
    x = np.clip(x, EDGE, np.maximum(right, EDGE))
    return np.stack([x, np.array(y) + top], axis=1)
