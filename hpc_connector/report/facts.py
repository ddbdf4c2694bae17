"""The facts of a run: what its manifest records, part by part."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Facts = list[tuple[str, str]]  # name and value, as one writes them
NO_WORDS: Mapping[str, str] = MappingProxyType({})


Words = Mapping[str, str]  # of keys of a manifest, for those that are no words


def list_facts(
    record: Mapping[str, Any], names: tuple[str, ...], words: Words = NO_WORDS
) -> dict[str, Facts]:
    """Return the facts of a manifest by the title of its part, none of them empty.

    Parameters
    ----------
    names
        Of the parts, after what stands in the manifest itself.
    words
        For keys that a reader would not know.
    """
    plain = {
        k: v
        for k, v in record.items()
        if k != "format_version" and not isinstance(v, dict | list)
    }
    parts = {"run": plain} | {name: record.get(name) for name in names}
    if isinstance(outputs := record.get("outputs"), list) and outputs:
        parts["outputs"] = {"files": outputs}
    return {
        title.capitalize(): _format_part(part, words)
        for title, part in parts.items()
        if isinstance(part, dict) and part
    }


def _format_part(part: dict[str, Any], words: Words) -> Facts:
    """Return name and value of what is known."""
    return [
        (words.get(key) or _format_key(key), format_fact(key, value, words))
        for key, value in part.items()
        if value is not None
    ]


def _format_key(key: str) -> str:
    """Return the name of a fact; its unit stands with its value."""
    return key.removesuffix("_s").removesuffix("_bytes").replace("_", " ")


def format_fact(key: str, value: Any, words: Words = NO_WORDS) -> str:
    """Return a value of the manifest as one would write it, with its unit.

    Examples
    --------
    >>> format_fact("wall_s", 7384.2), format_fact("max_rss_bytes", 3 * 2**30)
    ('2 h 3 min', '3.00 GiB')
    """
    if value in (None, [], {}):
        return "–"  # noqa: RUF001
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(
            f"{words.get(k, k)}: {format_fact(k, v, words)}" for k, v in value.items()
        )
    if isinstance(value, list):
        return "; ".join(format_fact("", v, words) for v in value)
    if not isinstance(value, int | float) or not abs(value) < 1e18 or key == "seed":
        return str(value)
    if key.endswith("_s"):
        return format_duration(value)
    if key.endswith("bytes"):
        return format_bytes(value)
    return f"{value:,}"


def format_duration(seconds: float) -> str:
    """Return a time in the two units that matter."""
    if not seconds >= 60:
        return f"{seconds:.3g} s"
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 60:
        return f"{int(minutes)} min {int(seconds % 60)} s"
    return f"{int(hours)} h {int(minutes % 60)} min"


def format_bytes(size: float) -> str:
    """Return a size with a binary unit."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 2**power:
            return f"{size / 2**power:,.2f} {unit}"
    return f"{size:,.0f} bytes"


def list_inputs(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return path, size and SHA-256 of each file that a run read."""
    inputs = record.get("inputs", [])
    return [
        (
            str(source.get("path", "")),
            format_fact("bytes", source.get("bytes")),
            str(source.get("sha256", "–")),  # noqa: RUF001
        )
        for source in (inputs if isinstance(inputs, list) else [])
        if isinstance(source, dict)
    ]
