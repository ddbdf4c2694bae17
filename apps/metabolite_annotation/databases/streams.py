"""Files of sources as bytes, block by block: plain, gzip, or in a zip archive.

No more than a block is in memory, however large the file is.
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_blocks
from hpc_connector.loader.files import open_file

BLOCK_BYTES = 1 << 20
ENDINGS = (".xml", ".sdf", ".sd", ".tsv", ".txt", ".csv")
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def read_stream(path: str) -> Iterator[bytes]:
    """Yield the content of a file; of a zip archive, of the one file of data in it.

    Raises
    ------
    BadInput
        A file that cannot be read, is cut or corrupt; an archive of several.
    """
    if is_zip(path):
        yield from _read_zip(path)
    else:
        yield from (block for _, block in read_blocks(path) if block)


def is_zip(path: str) -> bool:
    """Return whether a file is a zip archive, by its first bytes.

    Raises
    ------
    BadInput
        A file that cannot be read.
    """
    try:
        with open_file(path) as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error


def _read_zip(path: str) -> Iterator[bytes]:
    try:
        with (
            open_file(path) as file,
            zipfile.ZipFile(file) as archive,
            archive.open(_choose_member(path, archive)) as member,
        ):
            while block := member.read(BLOCK_BYTES):
                yield block
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    except DAMAGE as error:
        raise BadInput(f"{path} is no zip archive that can be read: {error}") from None


def _choose_member(path: str, archive: zipfile.ZipFile) -> str:
    """Return the name of the one file of data in an archive."""
    names = [one.filename for one in archive.infolist() if not one.is_dir()]
    known = [name for name in names if name.lower().endswith(ENDINGS)]
    known = [name for name in known if not name.startswith("__MACOSX/")]
    if len(known) != 1:
        found = ", ".join(known[:4]) or ", ".join(names[:4]) or "nothing"
        raise BadInput(
            f"{path}: expected one XML, SDF or TSV file in it, found {found}"
        )
    return known[0]


def split_lines(blocks: Iterable[bytes]) -> Iterator[str]:
    r"""Yield the lines of blocks, without their ends, ``\n`` or ``\r\n``."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from (decode(line.removesuffix(b"\r")) for line in lines)
    if rest:
        yield decode(rest.removesuffix(b"\r"))


def decode(data: bytes) -> str:
    """Return text of UTF-8, or where it is none, of Windows-1252."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
