"""Text of a report: without what must not reach a page, and short."""

import re

from markupsafe import Markup, escape

OPTION = re.compile(r"--[a-z][a-z-]*[a-z]")
# Control characters, and those that turn the direction of writing
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def clean(text: str) -> str:
    r"""Return text with what must not reach a page replaced, so that it shows.

    Examples
    --------
    >>> clean("rs1\u202egnp")
    'rs1�gnp'
    """
    if text.isprintable():  # none of UNSEEN is, and this is ten times as fast
        return text
    return UNSEEN.sub("\ufffd", text)


def keep_options(text: str) -> Markup:
    """Return text whose options a line does not break: ``--pixel-size``.

    Examples
    --------
    >>> keep_options("<--ppm>")
    Markup('&lt;<span class="option">--ppm</span>&gt;')
    """
    escaped = str(escape(clean(text)))
    return Markup(OPTION.sub(r'<span class="option">\g<0></span>', escaped))


def shorten(name: str, most: int = 22) -> str:
    """Return a name that fits, its middle left out: ids differ at both ends."""
    tail = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - tail]}…{name[-tail:]}"


def say_count(number: int, name: str) -> str:
    """Return a number with the name of what it counts: 1 rank, 2 ranks."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"
