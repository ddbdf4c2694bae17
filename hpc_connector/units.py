"""Times and sizes as text, as Slurm and people write them."""

import re

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "": 1}


def format_time(time_s: float) -> str:
    """Return a time as Slurm writes it, in whole minutes, rounded up."""
    hours, minutes = divmod(-(-int(time_s) // 60), 60)
    return f"{hours // 24}-{hours % 24:02}:{minutes:02}:00"


def parse_time(text: str) -> float:
    """Return the seconds of a time of Slurm's, such as 1-02:03:04.5 or 03:04."""
    days, _, clock = text.rpartition("-")
    parts = [float(part) for part in clock.split(":")]
    if days and len(parts) < 3:  # days-hours and days-hours:minutes
        parts += [0.0] * (3 - len(parts))
    seconds = sum(part * 60**k for k, part in enumerate(reversed(parts)))
    return seconds + 86400 * int(days or 0)


def parse_bytes(text: str) -> int:
    """Return the bytes of a size of Slurm's, such as 1234K."""
    found = re.fullmatch(r"([\d.]+)([KMGT]?)", text)
    return round(float(found[1]) * UNITS[found[2]]) if found else 0
