"""Text as people's programs write it: its encoding, its lines, its fields."""

import codecs
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput

MARKS = {  # that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
PACKED = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"(\xb5/\xfd": "packed by zstd",
}
WESTERN = "Windows-1252"  # what Excel and R write in Western Europe
BLANKS = re.compile("[ \t]+")


def find_encoding(data: bytes, name: str) -> str:
    """Return the encoding of a text.

    By its byte order mark, by the zeros of UTF-16 without one, else UTF-8, else
    Windows-1252, in which any byte is a letter.

    Raises
    ------
    BadInput
        Bytes that are no text.
    """
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return encoding
    for start, kind in PACKED.items():
        if data.startswith(start):
            raise BadInput(f"{name} is {kind}: expected text, plain or gzip")
    if b"\0" in data:
        return _find_half(data, name)
    try:
        data.decode()
    except UnicodeDecodeError:
        return WESTERN
    return "utf-8"


def _find_half(data: bytes, name: str) -> str:
    """Return the UTF-16 of a text without a mark: every other byte is zero, mostly."""
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        n_zeros = data[first::2].count(0)
        if 2 * n_zeros > len(data[first::2]) and 0 not in data[1 - first :: 2]:
            return encoding
    at = data.index(0)
    raise BadInput(f"{name}, byte {at}: found 0x00, expected text")


def decode_text(data: bytes, name: str) -> tuple[str, str]:
    """Return a text and its encoding.

    Raises
    ------
    BadInput
        Bytes that are no text, or that break off in the middle of a letter.
    """
    encoding = find_encoding(data, name)
    try:
        text = data.decode("cp1252" if encoding == WESTERN else encoding)
    except UnicodeDecodeError as error:
        if encoding == WESTERN:  # five bytes are no letter of it
            return data.decode("latin-1"), encoding
        raise BadInput(
            f"{name}, byte {error.start}: expected {encoding.upper()} text"
        ) from None
    return text, encoding


def split_lines(text: str) -> list[str]:
    r"""Return the lines of a text, which end at \n, \r\n or \r and nowhere else.

    Examples
    --------
    >>> split_lines("a\u2028b\r\nc\rd\n")
    ['a\u2028b', 'c', 'd', '']
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def split_blanks(line: str) -> list[str]:
    """Return the fields of a line between blanks and tabs, and nothing else."""
    line = line.strip(" \t")
    return BLANKS.split(line) if line else []


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises
    ------
    BadInput
        A file that is none, or cannot be read.
    """
    try:
        return tomllib.loads(decode_text(path.read_bytes(), str(path))[0])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as TOML: {error}") from None


def pack_json(value: Any) -> bytes:
    """Return canonical JSON, as it is signed: sorted keys, no blanks, UTF-8."""
    words = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return words.encode()
