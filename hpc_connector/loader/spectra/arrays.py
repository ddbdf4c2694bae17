"""Where the arrays of the spectra of imzML lie, and that they can lie there."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra import _imzml_kernels as kernels
from hpc_connector.loader.spectra.scan import Scan, is_bare
from hpc_connector.loader.spectra.value_types import (
    Array,
    Read,
    find_names,
    get_type,
    settle,
)
from hpc_connector.notes import Assumption

ARRAYS = ("m/z", "intensities")
MOST = 2**53  # a place or length; up to it floats are exact, and bytes do not overflow
TURN = 2.0**32  # what a place lost that was written as a number of 32 bits


def get_arrays(
    path: str, found: Scan, read: Read
) -> tuple[list[Array], list[Assumption]]:
    """Return m/z and intensities of all spectra, and what is assumed of them.

    Raises
    ------
    BadInput
        A spectrum that lacks one of them, lengths that cannot be, or an unknown type.
    """
    names = find_names(path, found.root)
    codes, packed = found.common[:, [kernels.TYPE, kernels.PACKED]].T.tolist()
    is_zlib = [code == kernels.ZLIB for code in packed]
    places, assumed = complete(path, found.places, is_zlib)
    check_places(path, found.columns, places)
    arrays = []
    for k in range(2):
        dtype, said = get_type(path, codes[k], names[k], ARRAYS[k])
        whole = places[:, k].T.astype(np.int64)
        arrays.append(Array(ARRAYS[k], dtype, is_zlib[k], *whole))
        assumed += said
    both = tuple(arrays)
    for k in range(2):
        arrays[k], said = settle(path, arrays[k], names[k], both, read)
        assumed += said
        check_lengths(path, found.columns, arrays[k], arrays[0].n)
    return arrays, assumed


def complete(
    path: str, places: NDArray[np.float64], is_zlib: list[bool]
) -> tuple[NDArray[np.float64], list[Assumption]]:
    """Return places, shape (spectra, 2, 3), with 0 for what a spectrum need not say.

    One without values needs no place, values that are not compressed need no length in
    bytes, and one array is as long as the other. What was above 31 bits and became
    negative is turned back.
    """
    places, assumed = places.copy(), []
    length = places[:, :, kernels.LENGTH]
    length[...] = np.where(np.isnan(length), length[:, ::-1], length)
    is_empty = is_bare(places) | (places[:, :, kernels.LENGTH] == 0).all(axis=1)
    places[is_empty] = np.where(places[is_empty] >= 0, places[is_empty], 0)
    for k in range(2):
        if not is_zlib[k]:
            np.nan_to_num(places[:, k, kernels.BYTES], copy=False)
        offset = places[:, k, kernels.OFFSET]
        if (offset < 0).any():
            is_turn = (offset < 0) & (np.append(0, offset[:-1]) >= 0)
            offset += TURN * np.cumsum(is_turn)
            because = f"{path} has negative ones, as of 32 bits with a sign"
            assumed.append(Assumption(f"offset of {ARRAYS[k]}", "unsigned", because))
    return places, assumed


def check_places(
    path: str, columns: NDArray[np.float64], places: NDArray[np.float64]
) -> None:
    """Refuse spectra without arrays.

    Raises
    ------
    BadInput
        The first such spectrum.
    """
    is_open = ~((places >= 0) & (places < MOST) & (places % 1 == 0)).all(axis=(1, 2))
    if is_open.any():
        raise BadInput(
            f"{path}: {name_spectrum(columns, is_open)} lacks an array: expected "
            "length, encoded length and offset of m/z and intensities in the .ibd file"
        )


def check_lengths(
    path: str, columns: NDArray[np.float64], array: Array, n_peaks: NDArray[np.int64]
) -> None:
    """Refuse spectra with more or fewer values of one array, and bytes of no type.

    Parameters
    ----------
    path
        For messages.
    columns
        Of the spectra, for their places.
    array
        m/z or intensities.
    n_peaks
        Of each spectrum, int64 (spectra,).

    Raises
    ------
    BadInput
        The first such spectrum.
    """
    size = array.dtype.itemsize
    wrong = array.n != n_peaks
    if not array.is_zlib:
        wrong |= array.n_bytes != array.n * size
    if wrong.any():
        raise BadInput(
            f"{path}: {name_spectrum(columns, wrong)} has {array.name} of "
            f"{array.n[wrong][0]} values in {array.n_bytes[wrong][0]} bytes: expected "
            f"{n_peaks[wrong][0]} of {size} bytes"
        )


def name_spectrum(columns: NDArray[np.float64], chosen: NDArray[np.bool_]) -> str:
    """Return number and place of the first of some spectra."""
    at = np.flatnonzero(chosen)[0]
    x, y = columns[at, [kernels.X, kernels.Y]]
    return f"spectrum {at + 1} (x {x:.15g}, y {y:.15g})"
