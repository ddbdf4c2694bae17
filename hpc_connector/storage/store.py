"""What clients of stores have in common, and what goes wrong with an object."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

Range = tuple[int, int]  # first byte, last + 1
MODIFIED = "modified "  # in a tag: there is no strong ETag, but a time of change


@dataclass(frozen=True)
class Version:
    """Size and entity tag of an object: another object has others."""

    size: int
    etag: str


class Response(NamedTuple):
    """Bytes of an object, which they are of it, and its tag; "" where none came."""

    data: bytes | memoryview
    span: Range
    tag: str


class Store(Protocol):
    """Objects by their keys, in one place; ``tag`` is as ``make_tag`` makes it."""

    def look(self, key: str) -> Version:
        """Return size and tag of an object."""

    def read(self, key: str, wanted: Range | None = None, tag: str = "") -> Response:
        """Return bytes of an object, all if no range is given; of one tag only."""

    def write(self, key: str, data: bytes | memoryview, *, only_new: bool) -> str:
        """Write an object; return its tag, "" if it is not said."""

    def list(self, folder: str) -> list[str]:
        """Return the names of the objects in a folder, the folder left out."""

    def remove(self, key: str) -> None:
        """Remove an object."""


WHOLE = "its server gave the whole object for a range"


class StoreError(Exception):
    """What is wrong with an object, or its store."""


class Missing(StoreError):
    """There is no such object."""


class Denied(StoreError):
    """It may not be read, or not written."""


class Changed(StoreError):
    """It is not of the tag that was asked for, or there is one already."""


class Broken(StoreError):
    """The answer is not what was asked for; another may be."""


def make_tag(etag: str | None, modified: datetime | None) -> str:
    """Return the tag that tells the versions of an object apart, "" without any.

    A strong ETag does. A weak one stays the same while bytes change, so that it counts
    only with a time of change, as far as the server says one.

    Examples
    --------
    >>> make_tag('"v1"', None), make_tag('W/"v1"', None)
    ('"v1"', '')
    >>> make_tag(None, datetime(2026, 11, 29, tzinfo=UTC))
    'modified 2026-11-29T00:00:00+00:00'
    """
    if etag and not is_weak(etag):
        return etag
    if modified is None or modified.timestamp() <= 0:
        return ""
    said = f"{MODIFIED}{modified.astimezone(UTC).isoformat(timespec='seconds')}"
    return f"{etag} {said}" if etag else said


def is_weak(etag: str) -> bool:
    """Return whether an ETag is the same for bytes that differ."""
    return etag.startswith(("W/", "w/"))


def is_strong(tag: str) -> bool:
    """Return whether a server can be asked for the very bytes of a tag."""
    return bool(tag) and MODIFIED not in tag
