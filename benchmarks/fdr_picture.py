"""The picture of fdr_simulations.py: shares of false annotations, a dot a dataset."""

from hpc_connector.report.svg import (
    draw_circle,
    draw_line,
    draw_text,
    get_ticks,
    make_picture,
    make_scale,
)

WIDTH, LEFT, RIGHT, TOP, ROW = 640, 200, 24, 64, 46
STYLE = """circle { stroke: none } .false { fill: #c8541b; fill-opacity: .55 }
.isobars { fill: #8a96a1; fill-opacity: .55 }
.mean { stroke: #1c2630; stroke-width: 2px }
.asked { stroke: #2f6f9f; stroke-dasharray: 6 4; stroke-width: 1.6px }
"""


def draw_shares(found, level, get_interval):
    """Return the picture.

    Parameters
    ----------
    found
        Shares of each dataset, by the name of the setting.
    level
        The rate that was asked for.
    get_interval
        Returns mean and half the interval of values.
    """
    rows = []
    for name, shares in found.items():
        rows.append((name, "false", "false", [one.false for one in shares]))
        both = [one.false + one.isobaric for one in shares]
        rows.append(("", "false or isobaric", "isobars", both))
    most = max(max(values) for *_, values in rows)
    high = max(2 * level, most) * 1.05
    x = make_scale(0, high, LEFT, WIDTH - RIGHT)
    bottom = TOP + ROW * len(rows)
    title = f"True shares of what is annotated at {100 * level:g} % FDR"
    parts = [draw_text(16, 26, title, "title")]
    for tick in get_ticks(0, high):
        parts.append(draw_line(x(tick), TOP, x(tick), bottom, "grid"))
        parts.append(
            draw_text(x(tick), bottom + 18, f"{100 * tick:g} %", "middle soft")
        )
    for k, (name, kind, style, values) in enumerate(rows):
        parts += draw_row(x, TOP + ROW * (k + 0.5), name, kind, style, values)
        mean, half = get_interval(values)
        y = TOP + ROW * (k + 0.5)
        ends = x(max(0, mean - half)), x(mean + half)
        parts.append(draw_line(ends[0], y + 13, ends[1], y + 13, "mean"))
        parts.append(draw_line(x(mean), y + 8, x(mean), y + 18, "mean"))
    parts.append(draw_line(x(level), TOP - 6, x(level), bottom, "asked"))
    parts.append(draw_text(x(level), TOP - 10, "what was asked for", "middle soft"))
    said = "a dot a dataset; below, their mean and its 95 % interval"
    parts.append(draw_text(LEFT, bottom + 40, said, "soft"))
    return make_picture(WIDTH, bottom + 54, title, "".join(parts), STYLE) + "\n"


def draw_row(x, y, name, kind, style, values):
    """Return the dots of a setting, and what they are."""
    parts = [draw_text(16, y - 6, name)] if name else []
    parts.append(draw_text(LEFT - 10, y + 10, kind, "end soft"))
    return parts + [
        draw_circle(x(v), y, 3.6, style, f"{100 * v:.1f} %") for v in values
    ]
