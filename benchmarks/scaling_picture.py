"""The picture of scaling.py: efficiency over nodes, one panel for each job."""

import math

from hpc_connector.report.svg import (
    draw_circle,
    draw_line,
    draw_path,
    draw_text,
    make_scale,
    make_svg,
)

PANEL, HEIGHT, LEFT, TOP, BOTTOM, GAP = 290, 372, 62, 96, 56, 40
MARKED = (0.95, 128)  # what is asked of the scheduler, and on how many nodes
KINDS = ("blue", "orange", "grey")
STYLE = """<style>
text { font: 12px system-ui, "Segoe UI", Roboto, Arial, sans-serif; fill: #1c2630 }
.soft { fill: #5a6773 } .title { font-weight: 650; font-size: 13px }
.middle { text-anchor: middle } .end { text-anchor: end }
path { fill: none; stroke-linejoin: round }
.page { fill: #fff } .grid { stroke: #dfe4e9 } .axis { stroke: #8a96a1 }
.marked { stroke: #1c2630; stroke-dasharray: 2 3 }
.blue, .dashed { stroke: #2f6f9f; stroke-width: 2.5px }
.dashed { stroke-width: 1.8px; stroke-dasharray: 7 4 }
.orange { stroke: #c8541b; stroke-width: 1.8px }
.grey { stroke: #8a96a1; stroke-width: 1.8px }
circle { stroke: none !important } circle.blue, circle.dashed { fill: #2f6f9f }
circle.orange { fill: #c8541b } circle.grey { fill: #8a96a1 }
</style>"""


def draw_scaling(found, nodes, permutations, names):
    """Return the picture.

    Parameters
    ----------
    found
        Efficiency of the search and of the whole job, and the seconds of the search, by
        permutations, nodes and name.
    names
        Ways to hand out tasks; the program's first.
    """
    width = LEFT + len(permutations) * (PANEL + GAP) - GAP + 24
    body = STYLE + f'<rect class="page" width="{width}" height="{HEIGHT}"/>'
    body += draw_legend(names)
    for k, n in enumerate(permutations):
        left = LEFT + k * (PANEL + GAP)
        lines = {
            kind: [found[n, node, name][0] for node in nodes]
            for kind, name in zip(KINDS, names, strict=True)
        }
        whole = {"dashed": [found[n, node, names[0]][1] for node in nodes]}
        wall_s = found[n, MARKED[1], names[0]][2]
        job = f"{n:,} permutations" if n else "One pass"
        title = f"{job}: {wall_s:.{int(wall_s < 10)}f} s on {MARKED[1]} nodes"
        body += draw_panel(left, title, nodes, whole | lines, is_first=k == 0)
    label = "Parallel efficiency over nodes, simulated"
    svg = str(make_svg(width, HEIGHT, label, body))
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def draw_legend(names):
    """Return what the lines are."""
    words = [f"{names[0]} (this program)", *names[1:], "whole job, this program"]
    parts, x = [], LEFT
    for kind, name in zip((*KINDS, "dashed"), words, strict=True):
        parts.append(draw_line(x, 22, x + 26, 22, kind))
        parts.append(draw_text(x + 32, 26, name))
        x += 58 + 6.4 * len(name)
    said = "Simulated: the 500 billion pairs of 1 M variants in 5,000 individuals"
    return "".join(parts) + draw_text(LEFT, 50, said, "soft")


def draw_panel(left, title, nodes, lines, *, is_first):
    """Return one chart; the number of nodes doubles in equal steps."""
    x = make_scale(math.log2(nodes[0]), math.log2(nodes[-1]), left, left + PANEL)
    y = make_scale(0, 1, HEIGHT - BOTTOM, TOP)
    parts = [draw_text(left, TOP - 14, title, "title")]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        kind = "grid" if tick else "axis"
        parts.append(draw_line(left, y(tick), left + PANEL, y(tick), kind))
        if is_first:
            parts.append(draw_text(left - 8, y(tick) + 4, f"{tick:.0%}", "end soft"))
    parts += draw_mark(x, y, left)
    for node in (1, 4, 16, 64, 256, 1024):
        at = x(math.log2(node))
        parts.append(draw_text(at, HEIGHT - BOTTOM + 18, f"{node:,}", "middle soft"))
    parts.append(
        draw_text(left + PANEL / 2, HEIGHT - 14, "nodes of 112 ranks", "middle")
    )
    if is_first:
        middle = (TOP + HEIGHT - BOTTOM) / 2
        parts.append(draw_text(16, middle, "efficiency", "middle", turned=True))
    for kind, values in reversed(lines.items()):
        at = [(x(math.log2(n)), y(v)) for n, v in zip(nodes, values, strict=True)]
        parts.append(draw_path("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in at), kind))
        for (a, b), n, v in zip(at, nodes, values, strict=True):
            parts.append(draw_circle(a, b, 2.6, kind, f"{n:,} nodes: {v:.1%}"))
    return "".join(parts)


def draw_mark(x, y, left):
    """Return what is asked for: so much efficiency on so many nodes."""
    efficiency, nodes = MARKED
    at = x(math.log2(nodes))
    return [
        draw_line(left, y(efficiency), at, y(efficiency), "marked"),
        draw_line(at, y(efficiency), at, y(0), "marked"),
        draw_text(at, y(0) + 18, f"{nodes}", "middle"),
    ]
