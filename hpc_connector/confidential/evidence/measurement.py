"""The measurement: one digest of all the code that a run consists of.

SHA-256 over lines ``PATH NUL SHA256HEX LF``: the files of the packages, sorted by PATH
as bytes, which is relative to where packages are installed; then ``python``, the file
of the interpreter; then, in a container, ``image``, its file.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from hpc_connector.errors import BadInput

DISTRIBUTION = "hpc_connector"
ENDINGS = (".py", ".so", ".html", ".css", ".js")
IMAGE = "CONNECTOR_IMAGE"  # as job scripts name the image they start


def measure() -> str:
    """Return the measurement of the code that runs here, 64 hex digits.

    Raises
    ------
    BadInput
        A file of it cannot be read.
    """
    return join_digests(hash_files(list_files()))


def list_files() -> list[tuple[bytes, Path]]:
    """Return each file that is measured, with the name it has in the measurement."""
    found = [pair for root in find_packages() for pair in list_package(root)]
    found.sort()
    found.append((b"python", Path(os.path.realpath(sys.executable))))
    if image := os.environ.get(IMAGE):
        found.append((b"image", Path(image)))
    return found


def find_packages() -> list[Path]:
    """Return the folders of the packages that are installed together with this one."""
    names = importlib.metadata.distribution(DISTRIBUTION).read_text("top_level.txt")
    specs = [importlib.util.find_spec(name) for name in (names or "").split()]
    found = [Path(spec.origin).parent for spec in specs if spec and spec.origin]
    if not found:
        raise BadInput(f"{DISTRIBUTION} does not say of which packages it consists")
    return found


def list_package(root: Path) -> Iterator[tuple[bytes, Path]]:
    """Yield the files of a package whose content decides what it does."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            if name.endswith(ENDINGS):
                path = Path(folder, name)
                yield os.fsencode(path.relative_to(root.parent).as_posix()), path


def hash_files(files: list[tuple[bytes, Path]]) -> list[tuple[bytes, str]]:
    """Return the SHA-256 of each file, in hex, with its name.

    Raises
    ------
    BadInput
        One cannot be read.
    """
    found = []
    for name, path in files:
        try:
            with open(path, "rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise BadInput(
                f"{path}: {error.strerror}: expected to measure it"
            ) from None
        found.append((name, digest))
    return found


def join_digests(digests: list[tuple[bytes, str]]) -> str:
    """Return the digest of names and digests, in their order.

    Examples
    --------
    >>> join_digests([(b"python", "00" * 32)])[:16]
    '2a41edcd0a275655'
    """
    lines = (name + b"\0" + digest.encode() + b"\n" for name, digest in digests)
    return hashlib.sha256(b"".join(lines)).hexdigest()
