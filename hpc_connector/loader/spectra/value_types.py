"""Of which type the arrays of imzML are, where accession, name and bytes disagree.

Exporters have written "32-bit float" under the accession of 64 bits, and lengths in
values for lengths in bytes. The bytes decide: each statement, and where the next array
begins, is a vote for a number of bytes a value.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra import _imzml_kernels as kernels
from hpc_connector.loader.spectra.header import PARAMS
from hpc_connector.notes import Assumption

TYPES = {
    1000518: "<i2",
    1000519: "<i4",
    1000521: "<f4",
    1000522: "<i8",
    1000523: "<f8",
    kernels.IMS + 1000141: "<i4",
    kernels.IMS + 1000142: "<i8",
    kernels.IMS + 1100000: "<i1",
    kernels.IMS + 1100001: "<i2",
}
NAMES = {
    "32-bit float": "<f4",
    "64-bit float": "<f8",
    "8-bit integer": "<i1",
    "16-bit integer": "<i2",
    "32-bit integer": "<i4",
    "64-bit integer": "<i8",
}
COMPRESSIONS = ("no compression", "zlib compression")
KINDS = ("MS:1000514", "MS:1000515")
SIZES = (1, 2, 4, 8)  # bytes a value
MOST_BYTES = 1 << 24  # looked at
SMALLEST, GREATEST = 1e-20, 1e20  # of measured floats; integers are none of these

Read = Callable[[int, int], bytes]  # first byte of the .ibd file, and last + 1


class Array(NamedTuple):
    """The m/z, or the intensities, of all spectra.

    ``n``, ``n_bytes`` and ``offset`` have a value a spectrum.
    """

    name: str
    dtype: np.dtype
    is_zlib: bool
    n: NDArray[np.int64]
    n_bytes: NDArray[np.int64]
    offset: NDArray[np.int64]


def find_names(path: str, root: Element) -> list[str]:
    """Return the types that the first spectrum names for m/z and for intensities.

    Raises
    ------
    BadInput
        It names a compression that is not read.
    """
    found = ["", ""]
    for array in root.iter("binaryDataArray"):
        params = [child for child in array if child.tag in PARAMS]
        check_compression(path, params)
        accessions = [param.get("accession") for param in params]
        names = [n for p in params if (n := p.get("name", "").lower()) in NAMES]
        for k, kind in enumerate(KINDS):
            if kind in accessions and names:
                found[k] = NAMES[names[-1]]
    return found


def check_compression(path: str, params: list[Element]) -> None:
    """Refuse what is neither zlib nor none, such as MS-Numpress, by its name."""
    for param in params:
        name = param.get("name", "").lower()
        if ("compression" in name or "numpress" in name) and name not in COMPRESSIONS:
            raise BadInput(
                f"{path} has arrays of {param.get('name')!r}: expected no compression "
                "or zlib"
            )


def get_type(
    path: str, code: int, named: str, array: str
) -> tuple[np.dtype, tuple[Assumption, ...]]:
    """Return the type of an array by its accession, or else by its name.

    Parameters
    ----------
    path, array
        For messages: the file, and what the array has.
    code
        Of the accession, as the kernels count them.
    named
        Type by the name of the parameter, empty where that names none.
    """
    if code in TYPES:
        return np.dtype(TYPES[code]), ()
    if not named:
        raise BadInput(
            f"{path} has {array} of an unknown type: expected floats of 32 or 64 bits, "
            "or integers of 8 to 64 bits"
        )
    because = f"{path} has that name under an accession of another kind"
    dtype = np.dtype(named)
    return dtype, (Assumption(f"type of {array}", _name(dtype), because),)


def settle(
    path: str, array: Array, named: str, both: Sequence[Array], read: Read
) -> tuple[Array, tuple[Assumption, ...]]:
    """Return arrays as their bytes are, and what is assumed of them.

    Parameters
    ----------
    named
        The type that the name says, nothing for none.
    both
        Arrays of both kinds, for where the next one begins.
    """
    named_type = np.dtype(named) if named else array.dtype
    is_plain = not array.is_zlib and is_of_size(array, array.dtype.itemsize)
    if is_plain and named_type == array.dtype:
        return array, ()
    n, stored = read_first(array, read)
    unpacked = unpack(stored, n)
    is_regular = n > 0 and any(is_of_size(array, size) for size in SIZES)
    found = array._replace(
        is_zlib=len(unpacked) > 0 or (array.is_zlib and not is_regular)
    )
    if found.is_zlib:
        size = len(unpacked) // n if unpacked else array.dtype.itemsize
    else:
        size = count_votes(found, named_type, both)
    values = unpacked or stored[: n * size]
    found = found._replace(dtype=choose_type(array.dtype, named_type, size, values))
    if size and not found.is_zlib:
        found = found._replace(n_bytes=array.n * size)
    return found, _say(path, array, named_type, found)


def is_of_size(array: Array, size: int) -> bool:
    """Return whether the lengths are those of values of some bytes."""
    return bool((array.n_bytes == array.n * size).all())


def read_first(array: Array, read: Read) -> tuple[int, bytes]:
    """Return number of values and bytes of the first array that has any."""
    having = np.flatnonzero((array.n > 0) & (array.n_bytes > 0))
    if len(having) == 0:
        return 0, b""
    n, n_bytes, at = (int(v[having[0]]) for v in (array.n, array.n_bytes, array.offset))
    return n, read(at, at + min(n_bytes, MOST_BYTES))


def unpack(stored: bytes, n: int) -> bytes:
    """Return n unpacked values of one size; empty where zlib unpacks to none such."""
    try:
        data = isal_zlib.decompressobj().decompress(stored, n * SIZES[-1] + 1)
    except isal_zlib.error:  # type: ignore[misc]
        return b""
    return data if n and len(data) in [n * size for size in SIZES] else b""


def count_votes(array: Array, named: np.dtype, both: Sequence[Array]) -> int:
    """Return the bytes a value that most speaks for; 0 where arrays would overlap."""
    starts = np.unique(np.concatenate([one.offset[one.n > 0] for one in both]))
    after = np.searchsorted(starts, array.offset, side="right")
    room = np.append(starts, np.inf)[after] - array.offset
    votes = {}
    for size in SIZES:
        said = (array.dtype.itemsize == size, named.itemsize == size)
        n_bytes = array.n * size
        seen = np.isfinite(room) & (array.n > 0)
        is_filled = seen.any() and (n_bytes == room)[seen].mean() > 0.5
        n_votes = sum(said) + is_of_size(array, size)
        if n_votes and (n_bytes <= room).all():
            votes[size] = n_votes + 2 * is_filled
    return max(votes, key=lambda size: votes[size], default=0)


def choose_type(
    declared: np.dtype, named: np.dtype, size: int, values: bytes
) -> np.dtype:
    """Return the one of two types, or another, that has some bytes a value.

    Floats and integers are told apart by their values: the bits of one, taken for the
    other, are extremely small or large. With 0 bytes it is the declared type.
    """
    fitting = [one for one in (declared, named) if one.itemsize == size]
    if size == 0 or len({one.kind for one in fitting}) == 1:
        return fitting[0] if fitting else declared
    if not fitting:
        kind = "f" if size >= 4 and "f" in declared.kind + named.kind else "i"
        return np.dtype(f"<{kind}{size}")
    some = np.abs(np.frombuffer(values[: len(values) // size * size], f"<f{size}"))
    n_floats = ((some > SMALLEST) & (some < GREATEST)).sum()
    is_float = n_floats > (some != 0).sum() / 2 if some.any() else declared.kind == "f"
    return next(one for one in fitting if (one.kind == "f") == is_float)


def _say(
    path: str, array: Array, named: np.dtype, found: Array
) -> tuple[Assumption, ...]:
    """Return the assumption where arrays were found to be other than they are said."""
    said = []
    if {array.dtype, named} != {found.dtype}:
        because = f"{path} has accessions of {_name(array.dtype)}"
        because += (
            ", but lengths of others"
            if named == array.dtype
            else f" under the name of {_name(named)}"
        )
        said.append(Assumption(f"type of {array.name}", _name(found.dtype), because))
    if array.is_zlib != found.is_zlib:
        taken = "by zlib" if found.is_zlib else "none"
        because = f"the bytes are so, whatever {path} says"
        said.append(Assumption(f"compression of {array.name}", taken, because))
    elif (array.n_bytes != found.n_bytes).any():
        taken = f"of {found.dtype.itemsize} bytes a value"
        because = f"{path} gives others or none"
        said.append(Assumption(f"encoded length of {array.name}", taken, because))
    return tuple(said)


def _name(dtype: np.dtype) -> str:
    """Return the name of a type in the ontology."""
    return next(name for name, code in NAMES.items() if np.dtype(code) == dtype)
