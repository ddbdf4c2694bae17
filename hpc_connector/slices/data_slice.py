"""A slice: a few numbers that say which bytes of an object to read, and how."""

import importlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hpc_connector.publish import publish
from hpc_connector.slices.formats.plain import PlainRecords, PlainText
from hpc_connector.slices.index import Index
from hpc_connector.storage.address import Source, is_encrypted
from hpc_connector.storage.key_ring import get_body
from hpc_connector.storage.objects import get_version
from hpc_connector.storage.ranges import fetch_together
from hpc_connector.storage.store import Range, Version

MapChunks = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]


def encode(content: Any) -> bytes:
    """Return text, bytes or many of them as bytes."""
    if isinstance(content, str):
        return content.encode("utf-8", "surrogateescape")
    return content if isinstance(content, bytes) else b"".join(map(encode, content))


@dataclass(frozen=True)
class Format:
    """A format of objects: a few functions. Anybody may make one, in any module.

    Parameters
    ----------
    name
        ``module:name`` of this very object, by which slices find it elsewhere.
    index_version
        Changes when ``make_index`` makes another index of the same bytes.
    make_index
        Takes a source, its version, and what maps a function over chunks, in parallel;
        returns the index. What of an object is odd, but read, is its fact ``notes``.
    read
        Takes a slice and the bytes of its ranges; returns what ``get()`` gives.
    iter_body
        Takes what the slices of an object gave, one after the other, and yields the
        bytes they are cut from: those of the object, decompressed.
    plain
        How ``verify`` reads the object, from first to last; else by its bytes alone.
    encode
        Takes what ``get()`` gives; returns the bytes of a file.
    """

    name: str
    index_version: int
    make_index: Callable[[Source, Version, MapChunks], Index]
    read: Callable[["DataSlice", list[bytes]], Any]
    iter_body: Callable[[Iterable[Any]], Iterator[bytes]] | None = None
    plain: PlainText | PlainRecords | None = None
    encode: Callable[[Any], bytes] = encode

    @property
    def kind(self) -> str:
        """What the objects of its indexes are named by."""
        return f"{self.name.rpartition(':')[2]}-{self.index_version}"

    def join(self, contents: Iterable[Any]) -> bytes:
        """Return the whole from what all slices gave."""
        assert self.iter_body is not None
        return b"".join(self.iter_body(contents))


def find_format(name: str) -> Format:
    """Return the format of a name such as ``hpc_connector.slices.vcf:VCF``."""
    module, _, attribute = name.partition(":")
    found: Format = getattr(importlib.import_module(module), attribute)
    return found


@dataclass(frozen=True)
class DataSlice:
    """A part of an object, not read yet. It travels as a pickle or as JSON.

    Parameters
    ----------
    format
        Name of the format.
    ranges
        Bytes of the object, in the order in which ``read`` takes them.
    facts
        What else ``read`` needs, of JSON's types: a few numbers.
    index_ranges
        Bytes of the index that come after those of the object.
    """

    format: str
    source: Source
    version: Version
    ranges: tuple[Range, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    index: Source | None = None
    index_version: Version | None = None
    index_ranges: tuple[Range, ...] = ()

    @property
    def n_bytes(self) -> int:
        """Bytes of the object that it reads; where rows say which, as planned."""
        known = sum(last - first for first, last in self.ranges)
        of_rows: int = self.facts.get("n_bytes", 0)
        return known + of_rows

    @property
    def span(self) -> Range:
        """The first byte of the object that is the slice's own, and the last + 1."""
        ranges = (self.ranges[-1] if self.ranges else (0, 0),)
        first, last = self.facts.get("around", *ranges)
        return (first, last) if self.n_bytes else (0, 0)

    def get(self) -> Any:
        """Read the slice; what it gives depends on the format."""
        wanted = [(self.source, self.version, self.ranges)]
        if self.index is not None and self.index_version is not None:
            wanted.append((self.index, self.index_version, self.index_ranges))
        for source, _, _ in wanted:
            if is_encrypted(source.uri) and get_body(source.uri) is None:
                get_version(source)  # opens it
        return find_format(self.format).read(self, fetch_together(wanted))

    def to_file(self, path: str | Path) -> Path:
        """Write the slice to a file, published by rename; return its path."""
        with publish(Path(path)) as stream:
            stream.write(self.read_bytes())
        return Path(path)

    def open(self) -> io.BytesIO:
        """Return the bytes of the slice as a file."""
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """Read the slice, as the bytes of a file."""
        return find_format(self.format).encode(self.get())

    def to_json(self) -> str:
        """Return the slice as text."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> "DataSlice":
        """Return the slice that ``to_json`` wrote."""
        found = json.loads(text)
        found |= {"source": _make_source(found["source"])}
        found |= {"version": Version(**found["version"])}
        if found["index"]:
            found["index"] = _make_source(found["index"])
            found["index_version"] = Version(**found["index_version"])
        for name in ("ranges", "index_ranges"):
            found[name] = tuple((first, last) for first, last in found[name])
        return DataSlice(**found)


def _make_source(found: dict[str, Any]) -> Source:
    return Source(found["uri"], tuple((k, v) for k, v in found["config"]))
