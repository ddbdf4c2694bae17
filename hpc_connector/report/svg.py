"""Elements of a picture. Colours and fonts are classes of the style sheets.

They are made of numbers, of classes, and of text, which is escaped here.
"""

from collections.abc import Callable, Iterable
from html import escape

import numpy as np
from markupsafe import Markup

from hpc_connector.report.text import clean

CHARACTER = 6.6  # mean width of a letter of a label, pixels: labels are 11 px

Scale = Callable[[float], float]

# Of a picture that stands alone; on a page common.css says the same
STYLE = """text { font: 12px system-ui, "Segoe UI", Roboto, Arial, sans-serif;
  fill: #1c2630; font-variant-numeric: tabular-nums; }
.title { font-size: 16px; font-weight: 650; } .soft { fill: #5a6773; }
.end { text-anchor: end; } .middle { text-anchor: middle; }
path { fill: none; } .sheet { fill: #fff; }
.grid { stroke: #dfe4e9; } .axis { stroke: #8a96a1; }
"""


def make_svg(
    width: float, height: float, label: str, body: str, kind: str = ""
) -> Markup:
    """Return a picture of a page.

    Parameters
    ----------
    width, height
        Pixels.
    label
        Says to who cannot see it what it shows.
    body
        Elements that functions of this module made: markup.
    """
    return Markup(
        f'<svg class="{kind}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" aria-label="{_escape(label)}">'
        f"{body}</svg>"
    )


def make_picture(width: float, height: float, label: str, body: str, style: str) -> str:
    """Return a picture that stands alone, as a file, on a white sheet.

    Parameters
    ----------
    style
        What it adds to the style that all such pictures share.
    """
    sheet = draw_rect(0, 0, width, height, "sheet")
    whole = f"<style>{STYLE}{style}</style>{sheet}{body}"
    picture = str(make_svg(width, height, label, whole))
    return picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def draw_text(
    x: float, y: float, words: str, kind: str = "", *, turned: bool = False
) -> str:
    """Return text; `kind` may be middle, start or end, and how it looks."""
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}"{turn}>{_escape(words)}</text>'


def draw_rect(
    x: float, y: float, width: float, height: float, kind: str, title: str = ""
) -> str:
    """Return a rectangle; `title` appears under the pointer."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'class="{kind}">{_make_title(title)}</rect>'
    )


def draw_circle(x: float, y: float, radius: float, kind: str, title: str = "") -> str:
    """Return a dot; `title` appears under the pointer."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="{kind}">'
        f"{_make_title(title)}</circle>"
    )


def draw_path(steps: str, kind: str, title: str = "", width: float = 0) -> str:
    """Return a path; `width` of the line, where the class does not give it."""
    style = f' style="stroke-width:{width:.1f}"' if width else ""
    return f'<path d="{steps}" class="{kind}"{style}>{_make_title(title)}</path>'


def draw_line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    """Return a straight line."""
    return draw_path(f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}", kind)


def join_points(
    x: Scale, y: Scale, at: Iterable[float], values: Iterable[float]
) -> str:
    """Return the steps of a path from point to point."""
    points = zip(at, values, strict=True)
    return "M" + "L".join(f"{x(a):.1f} {y(value):.1f}" for a, value in points)


def join_steps(
    x: Scale, y: Scale, begins: Iterable[float], width: float, values: Iterable[float]
) -> str:
    """Return the steps of a path that is level over each window.

    It is broken where a value is NaN, or windows do not follow one another.
    """
    steps, end = "", -np.inf
    for begin, value in zip(begins, values, strict=True):
        if np.isfinite(value):
            follows = abs(begin - end) <= 1e-6 * width
            steps += f"{'L' if follows else 'M'}{x(begin):.1f} {y(value):.1f}"
            end = begin + width
            steps += f"H{x(end):.1f}"
    return steps


def _make_title(title: str) -> str:
    return f"<title>{_escape(title)}</title>" if title else ""


def _escape(text: str) -> str:
    """Return text that an element or an attribute may hold."""
    return escape(clean(text))


def make_scale(low: float, high: float, start: float, end: float) -> Scale:
    """Return the function that takes low..high to start..end, in pixels."""
    per_unit = (end - start) / (high - low if high > low else 1.0)
    return lambda value: start + (value - low) * per_unit


def get_ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Return round numbers between two, their steps 1, 2 or 5 times a power of ten.

    Examples
    --------
    >>> get_ticks(0.49, 0.63)
    [0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.62]
    """
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda k: abs(k * power - rough))
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    ticks = np.arange(first, last + 1) * step + 0.0  # 0.0 turns -0.0 into 0
    return [float(tick) for tick in ticks.round(12)]
