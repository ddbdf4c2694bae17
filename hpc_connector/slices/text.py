"""Text cut at lines, or at words, when it is read: no index says where lines begin.

A slice has the lines that begin among its bytes. It reads one byte before them, to see
whether a line begins with the first, and some beyond, to finish the last line; a line
that is longer than that costs a request more. Lines end with a line feed, so the text
may be in any encoding that keeps this byte for it: all but UTF-16 and UTF-32.
"""

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hpc_connector import storage
from hpc_connector.errors import BadInput
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks
from hpc_connector.slices.index import Index
from hpc_connector.storage import Source, Version

HEAD_BYTES = 1 << 16  # of an object, read to index it
MIN_PADDING, MAX_PADDING = 1 << 8, 1 << 16  # bytes beyond a slice
DELIMITERS = ",;\t|"
ENDS = {"lines": re.compile(rb"\n"), "words": re.compile(rb"[ \t\n\r\v\f]")}
OTHERS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x1f\x8b": "gzip"}

FindHeader = Callable[[bytes], int | None]


def read_head(
    source: Source, version: Version, find_header: FindHeader
) -> tuple[bytes, int]:
    """Return the begin of an object with all of its header, and where that ends."""
    n_bytes = HEAD_BYTES
    while True:
        n_bytes = min(n_bytes, version.size)
        (data,) = storage.fetch(source, version, [(0, n_bytes)])
        for magic, kind in OTHERS.items():
            if data.startswith(magic):
                raise BadInput(f"{source.uri} is {kind}: expected plain text")
        body = find_header(data)
        if body is not None or n_bytes == version.size:
            return data, n_bytes if body is None else body
        n_bytes *= 8


def get_padding(head: bytes) -> int:
    """Return how many bytes finish a line: twice the longest that was seen."""
    longest = max(len(line) for line in head.split(b"\n"))
    return min(max(2 * longest, MIN_PADDING), MAX_PADDING)


def index_text(source: Source, version: Version, _: MapChunks) -> Index:
    """Return the index of text that has no header."""
    head, _end = read_head(source, version, lambda data: 0)
    return Index({"body": 0, "padding": get_padding(head)})


def index_csv(source: Source, version: Version, _: MapChunks) -> Index:
    """Return where the header of a table ends, its delimiter and columns."""
    head, body = read_head(source, version, find_csv_header)
    refuse_quoted_ends(head[:body], source.uri)
    lines = decode(head[:body], source.uri).removeprefix("\ufeff").splitlines()
    delimiter = get_delimiter(lines)
    columns = next(csv.reader(lines[-1:], delimiter=delimiter), [])
    facts = {"body": body, "delimiter": delimiter, "columns": columns}
    return Index(facts | {"padding": get_padding(head[body:])})


def get_delimiter(header: list[str]) -> str:
    """Return what is most often between the names of columns."""
    return max(DELIMITERS, key="".join(header[-1:]).count)


def find_csv_header(data: bytes) -> int | None:
    """Return where the first line ends that does not begin with ``##``."""
    at = 0
    while (end := data.find(b"\n", at) + 1) and data.startswith(b"##", at):
        at = end
    return end or None


def index_vcf(source: Source, version: Version, _: MapChunks) -> Index:
    """Return where the header of a VCF ends."""
    head, body = read_head(source, version, find_vcf_header)
    check_vcf_header(head[:body], source.uri)
    return Index({"body": body, "padding": get_padding(head[body:])})


def find_vcf_header(data: bytes) -> int | None:
    """Return where the first line begins that does not begin with ``#``."""
    at = 0
    while data.startswith(b"#", at):
        at = data.find(b"\n", at) + 1 or len(data)
    return at if at < len(data) else None


def check_vcf_header(header: bytes, name: str) -> None:
    """Refuse what is no header of a VCF.

    Raises
    ------
    BadInput
        It does not end with the line of the columns.
    """
    last_line = header[header.rfind(b"\n", 0, -1) + 1 :]
    if not last_line.startswith(b"#CHROM"):
        raise BadInput(
            f"{name}, byte 0: expected the header of a VCF, up to #CHROM; its index "
            "may be that of another file"
        )


def partition_num_chunks(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut text at lines to slices of about as many bytes; some may be empty."""
    return cut(co, num_chunks, "lines")


def partition_chunk_size(co: CloudObject, chunk_size: int) -> list[DataSlice]:
    """Cut text at lines to slices of about so many bytes, the last one shorter."""
    if chunk_size < 1:
        raise BadInput(f"chunk_size: {chunk_size}: expected 1 or more")
    body = co.index.facts["body"]
    ends = [*range(body, max(co.size, body + 1), chunk_size), co.size]
    return [make_slice(co, a, b, "lines") for a, b in itertools.pairwise(ends)]


def whole_words_strategy(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut text at ASCII white space, so that no word is in two slices."""
    return cut(co, num_chunks, "words")


def cut(co: CloudObject, num_chunks: int, unit: str) -> list[DataSlice]:
    """Cut text to slices of about as many bytes."""
    if num_chunks < 1:
        raise BadInput(f"num_chunks: {num_chunks}: expected 1 or more")
    body = co.index.facts["body"]
    n_bytes = co.size - body
    ends = [body + n_bytes * n // num_chunks for n in range(num_chunks + 1)]
    return [make_slice(co, a, b, unit) for a, b in itertools.pairwise(ends)]


def make_slice(co: CloudObject, first: int, last: int, unit: str) -> DataSlice:
    """Return the slice of what begins in some bytes."""
    body = co.index.facts["body"]
    padding = co.index.facts["padding"] if unit == "lines" else MIN_PADDING
    around = (max(first - 1, body), min(last + padding, co.size))
    ranges = [(0, body), around if first < last else (0, 0)]
    return co.make_slice(ranges, first=first, last=last, unit=unit)


def read_body(part: DataSlice, data: bytes) -> bytes:
    """Return the lines, or words, of a slice, all of the last one."""
    at, ends = part.ranges[1][0], ENDS[part.facts["unit"]]
    first, last = part.facts["first"], part.facts["last"]
    before = ends.search(data, 0, last - at - 1) if at < first else None
    if first == last or (at < first and not before):
        return b""  # empty, or within a line that began earlier
    data, end = finish(part, data, last - at - 1)
    return data[before.end() if before else 0 : end]


def finish(part: DataSlice, data: bytes, seen: int) -> tuple[bytes, int]:
    """Return the bytes of a slice, and where the line ends that its last byte is of."""
    n_more = 16 * MAX_PADDING
    while not (found := ENDS[part.facts["unit"]].search(data, seen)):
        seen, place = len(data), part.ranges[1][0] + len(data)
        if place == part.version.size:
            return data, seen
        more = (place, min(place + n_more, part.version.size))
        data += storage.fetch(part.source, part.version, [more])[0]
        n_more *= 4
    return data, found.end()


def decode(data: bytes, name: str) -> str:
    """Return bytes as text.

    Raises
    ------
    BadInput
        They are no UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        near = data[max(error.start - 20, 0) : error.end]
        raise BadInput(f"{name}: found {near!r}, expected UTF-8") from None


def refuse_quoted_ends(data: bytes, name: str) -> None:
    """Refuse tables with the end of a line within quotes.

    Where one is, the line before it has an odd number of quotes. So have lines with a
    lone quote that quotes nothing: they are refused as well. A slice whose bytes are
    all within one field has none and cannot be refused; the one before it is.

    Raises
    ------
    BadInput
        There is such a line.
    """
    if b'"' in data:
        for line in data.split(b"\n"):
            if line.count(b'"') % 2:
                raise BadInput(
                    f"{name}: found {line[:60]!r}, expected an even number of quotes: "
                    "rows of several lines cannot be cut"
                )


def read_bytes(part: DataSlice, pieces: list[bytes]) -> bytes:
    """Return the header and the lines of a slice."""
    return pieces[0] + read_body(part, pieces[1])


def read_str(part: DataSlice, pieces: list[bytes]) -> str:
    """Return the header and the lines of a slice, as text."""
    return decode(read_bytes(part, pieces), part.source.uri)


def read_csv(part: DataSlice, pieces: list[bytes]) -> str:
    """Return the header and the rows of a slice, as text."""
    body = read_body(part, pieces[1])
    refuse_quoted_ends(body, part.source.uri)
    return decode(pieces[0] + body, part.source.uri)


def get_as_pandas(part: DataSlice, **options: Any) -> Any:
    """Return the rows of a slice of a CSV as a table; options as ``pandas.read_csv``.

    Types are guessed for each slice, where ``dtype`` does not say them.
    """
    import pandas

    text = part.get()
    data = text.encode()
    lines = data[: find_csv_header(data)].decode().splitlines()
    found = {"sep": get_delimiter(lines), "skiprows": len(lines) - 1}
    return pandas.read_csv(io.StringIO(text), **(found | options))


def iter_table(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield a table from what its slices gave."""
    return cut_headers(texts, find_csv_header)


def iter_vcf(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield a VCF from what its slices gave."""
    return cut_headers(texts, find_vcf_header)


def cut_headers(texts: Iterable[str], find_header: FindHeader) -> Iterator[bytes]:
    """Yield texts as bytes, all but the first without the header."""
    for n, text in enumerate(texts):
        data = text.encode()
        header = find_header(data)
        yield data[header:] if n and header is not None else b"" if n else data


def iter_text(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield text from what its slices gave."""
    return map(str.encode, texts)


Lines = Format(f"{__name__}:Lines", 1, index_text, read_bytes, iter)
UTF8Text = Format(f"{__name__}:UTF8Text", 1, index_text, read_str, iter_text)
CSV = Format(f"{__name__}:CSV", 1, index_csv, read_csv, iter_table)
VCF = Format(f"{__name__}:VCF", 1, index_vcf, read_str, iter_vcf)
