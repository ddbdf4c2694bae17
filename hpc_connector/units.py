"""Times, sizes and tables as text, as Slurm and people write them."""

import math
import re
from collections.abc import Sequence

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "": 1}
NO_LIMIT = ("infinite", "unlimited")
TIME = "such as 2h, 1:30:00 or 1-12:00:00"
SIZE = "such as 20G or 1536M (K, M, G, T; megabytes without a letter)"


def format_time(time_s: float) -> str:
    """Return a time as Slurm writes it, in whole minutes, rounded up."""
    if math.isinf(time_s):
        return "UNLIMITED"
    hours, minutes = divmod(-(-int(time_s) // 60), 60)
    return f"{hours // 24}-{hours % 24:02}:{minutes:02}:00"


def parse_time(text: str) -> float:
    """Return the seconds of a time of Slurm's, such as 1-02:03:04.5 or 03:04."""
    days, _, clock = text.rpartition("-")
    parts = [float(part) for part in clock.split(":")]
    if days and len(parts) < 3:  # days-hours and days-hours:minutes
        parts += [0.0] * (3 - len(parts))
    seconds: float = sum(part * 60**k for k, part in enumerate(reversed(parts)))
    return seconds + 86400 * int(days or 0)


def parse_bytes(text: str) -> int:
    """Return the bytes of a size, such as Slurm's 1234K; 0 of what is none."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?)(?:([KMGT])B?)?", text, re.I | re.A)
    if not found:
        return 0
    number = float(found[1]) if "." in found[1] else int(found[1])
    return round(number * UNITS[(found[2] or "").upper()])


def parse_duration(text: str, unit_s: int = 60) -> float:
    """Return the seconds of a time as sbatch takes it, or as people write it.

    Parameters
    ----------
    unit_s
        Seconds of a bare number, which is minutes to sbatch.

    Raises
    ------
    ValueError
        It is no time; the message says what was expected.

    Examples
    --------
    >>> [parse_duration(text) for text in ("90", "2h", "1-12", "1:30:00", "UNLIMITED")]
    [5400, 7200.0, 129600.0, 5400.0, inf]
    """
    if text.lower() in NO_LIMIT:
        return math.inf
    if re.fullmatch(r"\d+", text, re.A):
        return int(text) * unit_s
    if re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", text, re.A):
        return parse_time(text)
    number = r"(?:(\d+(?:\.\d+)?)"
    words = re.fullmatch("".join(f"{number}{u})?" for u in "dhms"), text, re.A | re.I)
    if not text or not words:
        bare = {60: "minutes", 1: "seconds"}[unit_s]
        raise ValueError(f"{text or repr(text)}: expected {bare}, or a time {TIME}")
    seconds = (86400, 3600, 60, 1)
    pairs = zip(words.groups(), seconds, strict=True)
    return sum(float(word) * unit for word, unit in pairs if word)


def parse_size(text: str) -> int:
    """Return the bytes of a size as sbatch takes it, which is whole.

    Raises
    ------
    ValueError
        It is no size; the message says what was expected.

    Examples
    --------
    >>> [parse_size(text) >> 20 for text in ("20480", "20g", "20GB", "0")]
    [20480, 20480, 20480, 0]
    """
    found = re.fullmatch(r"(\d+)(?:([KMGT])B?)?", text, re.I | re.A)
    if not found:
        raise ValueError(f"{text or repr(text)}: expected a size {SIZE}")
    return int(found[1]) * UNITS[(found[2] or "M").upper()]


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of texts in columns: the first to the left, the others to the right.

    Examples
    --------
    >>> print(format_table([("file", "rows"), ("hmdb.tsv", "12")]))
    file      rows
    hmdb.tsv    12
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in rows
    )
