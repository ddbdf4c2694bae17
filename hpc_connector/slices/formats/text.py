"""Text cut at lines, or at words, when it is read: no index says where lines begin.

A slice has the lines that begin among its bytes. It reads one byte before them, to see
whether a line begins with the first, and some beyond, to finish the last line; a line
that is longer than that costs a request more. Lines end with a line feed, or with a
carriage return where the first bytes have those alone. So the text may be in any
encoding that keeps these bytes for them: all but UTF-16 and UTF-32.
"""

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks
from hpc_connector.slices.formats.plain import (
    ANY,
    SPACE,
    PlainText,
    find_names,
    find_unmarked,
)
from hpc_connector.slices.index import Index
from hpc_connector.slices.strategies import check_count, count_slices, cuts
from hpc_connector.storage.address import Source
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.store import Version

HEAD_BYTES = 1 << 16  # of an object, read to index it
MIN_PADDING, MAX_PADDING = 1 << 8, 1 << 16  # bytes beyond a slice
DELIMITERS = ",;\t|"
OURS = "CSV, Lines, UTF8Text and VCF"
LINES, RETURNS, WORDS = "lines", "returns", "words"
ENDS = {
    LINES: re.compile(rb"\n"),
    RETURNS: re.compile(rb"\r(?!\n)|\n"),  # a line feed may come after all
    WORDS: re.compile(rb"[ \t\n\r\v\f]"),
}
LINE = re.compile(rb"[^\r\n]*(\r\n|\r|\n)")
SEPARATOR = re.compile(rb'"?sep=.{0,2}', re.IGNORECASE)  # as spreadsheets write it
MARK = b"\xef\xbb\xbf"  # of UTF-8
OTHERS = {
    rb"\xff\xfe|\xfe\xff|(?s:.*)(\n\0|\0\n)": "UTF-16 or UTF-32",
    rb"\x1f\x8b": "gzip",
    rb"BZh[1-9]1AY&SY": "bzip2",
    rb"\xfd7zXZ\0": "xz",
    rb"\x28\xb5\x2f\xfd": "zstd",
    rb"PK\x03\x04": "zip, as spreadsheets are",
}

FindHeader = Callable[[bytes], int | None]


def read_head(
    source: Source, version: Version, find_header: FindHeader
) -> tuple[bytes, int]:
    """Return the begin of an object with all of its header, and where that ends."""
    n_bytes = HEAD_BYTES
    while True:
        n_bytes = min(n_bytes, version.size)
        (data,) = fetch(source, version, [(0, n_bytes)])
        refuse_others(data, source.uri)
        body = find_header(data)
        if body is None and n_bytes == version.size:
            body = find_header(data + b"\n")  # its last line may have no end
            body = n_bytes if body is None else min(body, n_bytes)
        if body is not None:
            return data, body
        n_bytes *= 8


def refuse_others(data: bytes, name: str) -> None:
    """Refuse what begins as text that is packed, or that has other bytes for its ends.

    Raises
    ------
    BadInput
        With what it is.
    """
    for pattern, kind in OTHERS.items():
        if re.match(pattern, data):
            raise BadInput(f"{name} is {kind}: expected plain text, UTF-8")


def find_line_ends(head: bytes) -> str:
    """Return the line ending of an object, from its first bytes."""
    return RETURNS if b"\r" in head and b"\n" not in head else LINES


def describe_lines(body: int, head: bytes) -> dict[str, Any]:
    """Return the facts by which text is cut.

    Parameters
    ----------
    body
        Where the header ends.
    """
    unit = find_line_ends(head)
    longest = max(len(line) for line in ENDS[unit].split(head[body:]))
    padding = min(max(2 * longest, MIN_PADDING), MAX_PADDING)  # finishes a line
    return {"body": body, "unit": unit, "padding": padding}


def index_text(source: Source, version: Version, _: MapChunks) -> Index:
    """Return the index of text that has no header."""
    head, _end = read_head(source, version, lambda data: 0)
    return Index(describe_lines(0, head))


def index_csv(source: Source, version: Version, _: MapChunks) -> Index:
    """Return where the header of a table ends, its delimiter and columns."""
    head, body = read_head(source, version, find_csv_header)
    facts = describe_lines(body, head)
    refuse_quoted_ends(head[:body], facts["unit"], source.uri)
    names = decode(get_names(head[:body]), source.uri)
    delimiter = get_delimiter(names)
    try:
        columns = split_row(names, delimiter)
    except BadInput as error:
        raise BadInput(f"{source.uri}: {error}") from None
    notes = describe_header(head[:body], names)
    found = {"delimiter": delimiter, "columns": columns, "notes": notes}
    return Index(facts | found)


def describe_header(header: bytes, names: str) -> list[str]:
    """Return the assumptions about the lines of a header that begin with #."""
    lines = header.removeprefix(MARK).splitlines()
    n_comments = sum(line.startswith(b"#") for line in lines) - names.startswith("#")
    notes = []
    if n_comments:
        notes += [f"lines taken as comments before the names of columns: {n_comments}"]
    if names.startswith("# "):
        notes += [f"{names[:40]!r} is taken as the names of columns, not a comment"]
    return notes


def get_names(header: bytes) -> bytes:
    """Return the line of the names of columns, the last of a header."""
    lines = header.removeprefix(MARK).rstrip(b"\r\n")
    return lines[max(lines.rfind(b"\n"), lines.rfind(b"\r")) + 1 :]


def get_delimiter(names: str) -> str:
    """Return the delimiter that is most often between the names of columns."""
    return max(DELIMITERS, key=names.count)


def split_row(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line of a table.

    Raises
    ------
    BadInput
        One is longer than the module ``csv`` takes.
    """
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise BadInput(f"{line[:40]!r}: {error}: expected a row") from None


def find_csv_header(data: bytes) -> int | None:
    """Return where the line of the names of columns ends, None if there may be more.

    It is the first that is not blank, nor a comment, nor what spreadsheets read before
    it (``sep=;``). ``##`` begins a comment, and ``#`` one if the first line without has
    not as many fields; otherwise it is of a name.
    """
    marked, after = [], None
    for line in find_lines(data):
        text = get_text(line)
        if not text.startswith(b"#") and text and not SEPARATOR.fullmatch(text):
            after = line
            break
        if text.startswith(b"#") and not text.startswith(b"##"):
            marked.append(line)
    for line in marked:
        other = after or next((one for one in marked if one is not line), None)
        if other and is_names(get_text(line), get_text(other)):
            return line.end()
    if after is None:
        return None
    is_sure = after.end() < len(data) or data.endswith(b"\n")  # one may come behind \r
    return after.end() if is_sure else None


def find_lines(data: bytes) -> Iterator[re.Match[bytes]]:
    """Yield the lines that have an end.

    ``finditer`` would look for the end of an open line from each of its bytes.
    """
    at = 0
    while line := LINE.match(data, at):
        yield line
        at = line.end()


def get_text(line: re.Match[bytes]) -> bytes:
    """Return a line without what is around its text."""
    return line[0].removeprefix(MARK).strip()


def is_names(line: bytes, other: bytes) -> bool:
    """Return whether a line has as many fields as another, which is cut likewise."""
    text, row = line.decode("latin-1"), other.decode("latin-1")
    delimiter = get_delimiter(text)
    try:
        return len(split_row(text, delimiter)) == len(split_row(row, delimiter))
    except BadInput:  # of a comment too long for a field
        return False


def index_vcf(source: Source, version: Version, _: MapChunks) -> Index:
    """Return where the header of a VCF ends."""
    head, body = read_head(source, version, find_vcf_header)
    if find_line_ends(head) == RETURNS:
        raise BadInput(
            f"{source.uri}: its lines end with carriage returns alone: expected line "
            "feeds, as tr '\\r' '\\n' makes them"
        )
    check_vcf_header(head[:body], source.uri)
    return Index(describe_lines(body, head))


def find_vcf_header(data: bytes) -> int | None:
    """Return where the first line begins that is not blank nor begins with ``#``."""
    at = len(MARK) if data.startswith(MARK) else 0
    while data[at : at + 1] in (b"#", b"\r", b"\n"):
        at = data.find(b"\n", at) + 1 or len(data)
    return at if at < len(data) else None


def check_vcf_header(header: bytes, name: str) -> None:
    """Refuse what is no header of a VCF.

    Raises
    ------
    BadInput
        It has no line of the columns, or ends within a line that is not of it.
    """
    lines = header.removeprefix(MARK).rstrip(b"\r\n").split(b"\n")
    if not lines[-1].startswith(b"#") or not any(
        line.startswith(b"#CHROM") for line in reversed(lines)
    ):
        raise BadInput(
            f"{name}, byte 0: expected the header of a VCF, up to #CHROM; its index "
            "may be that of another file"
        )


@cuts(OURS, by="padding")
def partition_num_chunks(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut text at lines to slices of about as many bytes; some may be empty."""
    return cut(co, num_chunks, co.index.facts["unit"])


@cuts(OURS, by="padding")
def partition_chunk_size(co: CloudObject, chunk_size: int) -> list[DataSlice]:
    """Cut text at lines to slices of about so many bytes, the last one shorter."""
    body, unit = co.index.facts["body"], co.index.facts["unit"]
    n = count_slices("chunk_size", chunk_size, co.size - body)
    ends = [*(body + int(chunk_size) * k for k in range(n)), co.size]
    return [make_slice(co, a, b, unit) for a, b in itertools.pairwise(ends)]


@cuts(OURS, by="padding")
def whole_words_strategy(co: CloudObject, num_chunks: int) -> list[DataSlice]:
    """Cut text at ASCII white space, so that no word is in two slices.

    Raises
    ------
    BadInput
        Text with a header: its rows would be cut.
    """
    if co.index.facts["body"]:
        raise BadInput(f"{co.source.uri}: it has a header: rows are cut at lines only")
    return cut(co, num_chunks, WORDS)


def cut(co: CloudObject, num_chunks: int, unit: str) -> list[DataSlice]:
    """Cut text to slices of about as many bytes."""
    num_chunks = check_count("num_chunks", num_chunks)
    body = co.index.facts["body"]
    n_bytes = co.size - body
    ends = [body + n_bytes * n // num_chunks for n in range(num_chunks + 1)]
    return [make_slice(co, a, b, unit) for a, b in itertools.pairwise(ends)]


def make_slice(co: CloudObject, first: int, last: int, unit: str) -> DataSlice:
    """Return the slice of what begins in some bytes.

    Parameters
    ----------
    first, last
        Bytes of the object; a line that begins in them belongs to the slice.
    unit
        What it is cut by: "lines", "returns" or "words".
    """
    body = co.index.facts["body"]
    padding = MIN_PADDING if unit == WORDS else co.index.facts["padding"]
    around = (max(first - 1, body), min(last + padding, co.size))
    ranges = [(0, body), around if first < last else (0, 0)]
    return co.make_slice(ranges, first=first, last=last, unit=unit)


def read_body(part: DataSlice, data: bytes) -> bytes:
    """Return the lines, or words, of a slice, all of the last one."""
    at, ends = part.ranges[1][0], ENDS[part.facts["unit"]]
    first, last = part.facts["first"], part.facts["last"]
    before = ends.search(data) if at < first else None
    is_within = before is None or before.end() >= last - at
    if first == last or (at < first and is_within):
        return b""  # empty, or within a line that began earlier
    data, end = finish(part, data, last - at - 1)
    return data[before.end() if before else 0 : end]


def finish(part: DataSlice, data: bytes, seen: int) -> tuple[bytes, int]:
    """Return the bytes of a slice, and where the line ends that its last byte is of."""
    n_more, unit = 16 * MAX_PADDING, part.facts["unit"]
    while True:
        found = ENDS[unit].search(data, seen)
        place = part.ranges[1][0] + len(data)
        if place == part.version.size:
            return data, found.end() if found else len(data)
        # behind a carriage return may come a line feed that belongs to it
        is_sure = found and (found.end() < len(data) or found[0] != b"\r")
        if found and is_sure:
            return data, found.end()
        seen = len(data) - 1
        more = (place, min(place + n_more, part.version.size))
        data += fetch(part.source, part.version, [more])[0]
        n_more *= 4


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


def refuse_quoted_ends(data: bytes, unit: str, name: str) -> None:
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
        for line in ENDS[unit].split(data):
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
    refuse_quoted_ends(body, part.facts["unit"], part.source.uri)
    return decode(pieces[0] + body, part.source.uri)


def get_as_pandas(part: DataSlice, **options: Any) -> Any:
    """Return the rows of a slice of a CSV as a table; options as ``pandas.read_csv``.

    Types are guessed for each slice, where ``dtype`` does not say them.

    Raises
    ------
    BadInput
        Options that would take the names of each slice for a row, or leave rows out.
    """
    import pandas

    refuse_options(options)
    data = part.get().encode()
    header = data[: part.ranges[0][1]]
    names = get_names(header)
    table = data[header.rindex(names) :].decode()
    options = {"sep": get_delimiter(names.decode()), **options}
    return pandas.read_csv(io.StringIO(table), **options)


def refuse_options(options: dict[str, Any]) -> None:
    """Refuse options of pandas that go by the first lines of a file.

    Raises
    ------
    BadInput
        With what is expected.
    """
    for name in ("skiprows", "skipfooter"):
        if options.get(name):
            raise BadInput(f"{name}: expected none, for each slice would lose rows")
    header = options.get("header", "infer")
    if header == "infer" and options.get("names") is None:
        return
    if isinstance(header, bool) or header != 0:
        raise BadInput(
            f"header: {header!r}: expected 0 (beside names too), for each slice begins "
            "with the names of columns; a table without names is read as Lines"
        )


def iter_table(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield a table from what its slices gave."""
    return cut_headers(texts, find_csv_header)


def iter_vcf(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield a VCF from what its slices gave."""
    return cut_headers(texts, find_vcf_header)


def cut_headers(texts: Iterable[str], find_header: FindHeader) -> Iterator[bytes]:
    """Yield texts as bytes, all but the first without its header."""
    header = b""
    for n, text in enumerate(texts):
        data = text.encode()
        yield data.removeprefix(header) if n else data
        header = header if n else data[: find_header(data)]


def iter_text(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield text from what its slices gave."""
    return map(str.encode, texts)


LINES_PLAIN = PlainText("lines")
VCF_PLAIN = PlainText("lines", find_unmarked)
WORDS_PLAIN = PlainText("words", ends=SPACE, begins=bytes(set(ANY) - set(SPACE)))
Lines = Format(f"{__name__}:Lines", 2, index_text, read_bytes, iter, LINES_PLAIN)
UTF8Text = Format(
    f"{__name__}:UTF8Text", 2, index_text, read_str, iter_text, WORDS_PLAIN
)
CSV = Format(
    f"{__name__}:CSV", 3, index_csv, read_csv, iter_table, PlainText("rows", find_names)
)
VCF = Format(f"{__name__}:VCF", 2, index_vcf, read_str, iter_vcf, VCF_PLAIN)
