"""imzML in plain form: what any XML parser reads, in the form that the scanner knows.

That is UTF-8 without namespaces, entities, comments, CDATA and text; values have no
white space around them. Lines keep their numbers, for messages.
"""

import codecs
import mmap
import re
from collections.abc import Iterator
from xml.parsers import expat

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.header import clean_value
from hpc_connector.text import MARKS

PIECE_BYTES = 1 << 20
DECLARED = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([\w.:-]+)")
WIDE = MARKS | {  # how a file begins in the encodings that are not ASCII and more
    "<".encode("utf-32-le"): "utf-32-le",
    "<".encode("utf-32-be"): "utf-32-be",
    "<".encode("utf-16-le"): "utf-16-le",
    "<".encode("utf-16-be"): "utf-16-be",
}
TERMS = {
    "position x": "IMS:1000050",
    "position y": "IMS:1000051",
    "external array length": "IMS:1000103",
    "external encoded length": "IMS:1000104",
    "external offset": "IMS:1000102",
    "m/z array": "MS:1000514",
    "intensity array": "MS:1000515",
}


ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}  # & first


def make_plain(path: str, data: mmap.mmap | bytes, *, by_name: bool = False) -> bytes:
    """Return the same elements and attributes in plain form.

    With `by_name`, what names one of ``TERMS`` has its accession, whatever it had.
    External entities are not fetched, and expat bounds what internal ones grow to.

    Raises
    ------
    BadInput
        Malformed XML, or bytes that are not of the encoding.
    """
    parser = expat.ParserCreate("utf-8", "}")  # whatever the declaration says
    parser.ordered_attributes = True
    tags: list[str] = []
    plain, n_lines = bytearray(), 1

    def add(tag: str) -> None:
        nonlocal n_lines
        line = parser.CurrentLineNumber
        tags.append("\n" * (line - n_lines) + tag)
        n_lines = line

    def begin(name: str, attributes: list[str]) -> None:
        names = map(get_local, attributes[::2])
        pairs = dict(zip(names, attributes[1::2], strict=True))
        if by_name and pairs.get("name", "").strip().lower() in TERMS:
            pairs["accession"] = TERMS[pairs["name"].strip().lower()]
        said = [f' {n}="{escape_value(clean_value(n, v))}"' for n, v in pairs.items()]
        add(f"<{get_local(name)}{''.join(said)}>")

    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda name: add(f"</{get_local(name)}>")
    try:
        for text in decode(path, data):
            parser.Parse(text.encode(), not text)
            plain += "".join(tags).encode()
            tags.clear()
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        at = f"{path}, line {error.lineno}"
        raise BadInput(f"{at}: malformed XML: {reason}") from None
    return bytes(plain)


def get_local(name: str) -> str:
    """Return a name without its namespace, as expat gives both."""
    return name.rpartition("}")[2]


def escape_value(value: str) -> str:
    """Return a value as an attribute has it in plain form.

    Examples
    --------
    >>> escape_value('a "b" & <c>')
    'a &quot;b&quot; &amp; &lt;c&gt;'
    """
    for character, entity in ENTITIES.items():
        value = value.replace(character, entity)
    return value


def decode(path: str, data: mmap.mmap | bytes) -> Iterator[str]:
    """Yield the text of a file in pieces, and nothing at its end.

    Raises
    ------
    BadInput
        An encoding that is not known, or bytes that are none of it.
    """
    name = find_encoding(data[:1024])
    try:
        "".encode(name)  # refuses codecs that are not of text
        decoder = codecs.getincrementaldecoder(name)()
    except LookupError as error:
        raise BadInput(f"{path}: malformed XML: {error}") from None
    for at in range(0, len(data), PIECE_BYTES):
        piece = data[at : at + PIECE_BYTES]
        try:
            text = decoder.decode(piece, at + PIECE_BYTES >= len(data))
        except UnicodeError as error:
            line = data[: at + getattr(error, "start", 0)].count(b"\n") + 1
            raise BadInput(
                f"{path}, line {line}: malformed XML: {error}: expected the encoding "
                "that the file declares, or else UTF-8"
            ) from None
        if text:
            yield text
    yield ""


def find_encoding(head: bytes) -> str:
    """Return the encoding of XML by its first bytes, or else what they declare.

    Examples
    --------
    >>> find_encoding(b'<?xml version="1.0" encoding="ISO-8859-1"?>')
    'ISO-8859-1'
    """
    for mark, name in WIDE.items():
        if head.startswith(mark):
            return name
    declared = DECLARED.match(head)
    name = declared[1].decode() if declared else "utf-8"
    is_wide = name.lower().replace("_", "-").startswith(("utf-16", "utf-32", "ucs-"))
    return "utf-8" if is_wide else name  # as the bytes are not wide
