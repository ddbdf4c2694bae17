"""The peaks of an imzML dataset, which lie in its .ibd file."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import get_size, read_array
from hpc_connector.loader.spectra import _imzml_kernels as kernels
from hpc_connector.loader.spectra.identity import is_same_uuid
from hpc_connector.loader.spectra.imzml import Imzml
from hpc_connector.storage.address import is_object
from hpc_connector.storage.checksums import hash_path

UUID_BYTES = 16
GAP_BYTES = 1 << 16  # read along rather than skipped


class Peaks(NamedTuple):
    """The peaks of some spectra, and how many were left out.

    ``mz`` is as in the file (integers become float64), ``intensity`` float32, and
    ``n_kept`` the number of peaks of each spectrum. Left out are those without a number
    (or whose m/z is not above 0), of negative and of zero intensity. ``n_unsorted``
    spectra are not in order of m/z.
    """

    mz: NDArray[np.floating[Any]]
    intensity: NDArray[np.float32]
    n_kept: NDArray[np.int64]
    n_nan: int
    n_negative: int
    n_zero: int
    n_unsorted: int


def check_ibd(imzml: Imzml, *, uuid: bool = True, checksum: bool = True) -> None:
    """Make sure that the .ibd file is the one the imzML was written with, and whole.

    Raises
    ------
    BadInput
        Another UUID, an array that ends after the file, another checksum.
    """
    path = imzml.ibd_path
    found = read_bytes(path, 0, UUID_BYTES).tobytes()
    if uuid and not is_same_uuid(imzml.uuid, found):
        raise BadInput(
            f"{path} has the UUID {found.hex()}, but {imzml.path} was written with "
            f"{imzml.uuid or 'none'}: expected files of one dataset (--no-check takes "
            "them)"
        )
    n_bytes = get_size(path)
    first = np.minimum(imzml.mz_offset, imzml.intensity_offset)
    if uuid and ((first < UUID_BYTES) & (imzml.n_peaks > 0)).any():
        at = np.flatnonzero((first < UUID_BYTES) & (imzml.n_peaks > 0))[0]
        raise BadInput(
            f"{imzml.path}: {name_spectrum(imzml, at)} begins at byte {first[at]} of "
            f"{path}, in its UUID: expected offsets from the begin of the file"
        )
    last = np.maximum(
        imzml.mz_offset + imzml.mz_bytes, imzml.intensity_offset + imzml.intensity_bytes
    )
    if (last > n_bytes).any():
        at = np.flatnonzero(last > n_bytes)[0]
        raise BadInput(
            f"{path} is cut: {name_spectrum(imzml, at)} ends at byte {last[at]}, and "
            f"the file at {n_bytes}"
        )
    if checksum:
        check_checksum(imzml)


def check_checksum(imzml: Imzml, found: Mapping[str, str] | None = None) -> None:
    """Make sure that the .ibd file has the checksum that the imzML gives, if any.

    An object is not fetched for that; of an encrypted one each segment has its own.

    Parameters
    ----------
    found
        Checksums of the file by algorithm; it is read if that one is not among them.

    Raises
    ------
    BadInput
        Another checksum.
    """
    path = imzml.ibd_path
    if imzml.checksum is None or is_object(path):
        return
    algorithm, expected = imzml.checksum
    digits = (found or {}).get(algorithm) or hash_path(path, [algorithm])[algorithm]
    if digits != expected:
        raise BadInput(
            f"{path} is damaged: its {algorithm} is {digits}, expected {expected} "
            "(--no-check takes it)"
        )


def name_spectrum(imzml: Imzml, number: int) -> str:
    """Return number and place of a spectrum."""
    return f"spectrum {number + 1} (x {imzml.x[number]}, y {imzml.y[number]})"


def get_spectrum_bytes(imzml: Imzml) -> NDArray[np.int64]:
    """Return the bytes that the peaks of each spectrum take, int64 (spectra,)."""
    own_mz = imzml.mz_bytes if imzml.mode == "processed" else 0
    return imzml.intensity_bytes + own_mz


def read_bytes(path: str, first: int, n_bytes: int) -> NDArray[np.uint8]:
    """Return a stretch of a file, uint8.

    Raises
    ------
    BadInput
        The file cannot be read, or ends before.
    """
    try:
        if is_object(path):
            last = min(first + n_bytes, get_size(path))
            data = read_array(path, min(first, last), last)
        else:
            data = _read_local(path, first, n_bytes)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) < n_bytes:
        raise BadInput(
            f"{path} is cut: expected {n_bytes} bytes from {first}, found {len(data)}"
        )
    return data


def _read_local(path: str, first: int, n_bytes: int) -> NDArray[np.uint8]:
    """Return a stretch of a local file, as much of it as there is."""
    data = np.empty(n_bytes, np.uint8)
    with open(path, "rb", buffering=0) as stream:
        stream.seek(first)
        n_read = 0
        while n_read < n_bytes and (n := stream.readinto(data[n_read:].data)):
            n_read += n
    return data[:n_read]


def read_ranges(
    path: str, first: NDArray[np.int64], n_bytes: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read stretches of a file; neighbours, and those read twice, are read at once.

    Returns
    -------
    The bytes, and where each stretch begins in them.
    """
    order = np.argsort(first, kind="stable")
    begin, end = first[order], np.maximum.accumulate((first + n_bytes)[order])
    is_apart = begin[1:] > end[:-1] + GAP_BYTES
    starts = np.concatenate([[0], 1 + np.flatnonzero(is_apart)])
    ends = np.append(starts[1:], len(order)) - 1
    parts = [
        read_bytes(path, int(begin[a]), int(end[b] - begin[a]))
        for a, b in zip(starts, ends, strict=True)
    ]
    sizes = np.cumsum([0, *(len(part) for part in parts)])
    part = np.searchsorted(begin[starts], first, side="right") - 1
    place = first - begin[starts][part] + sizes[part]
    return parts[0] if len(parts) == 1 else np.concatenate(parts), place


def read_spectra(imzml: Imzml, first: int, last: int) -> Peaks:
    """Read the peaks of spectra first .. last - 1 that count.

    Raises
    ------
    BadInput
        The .ibd file ends before, or a compressed array is damaged.
    """
    chosen = slice(first, last)
    n_peaks = np.ascontiguousarray(imzml.n_peaks[chosen])  # one type for the kernel
    offsets = np.concatenate([imzml.mz_offset[chosen], imzml.intensity_offset[chosen]])
    sizes = np.concatenate([imzml.mz_bytes[chosen], imzml.intensity_bytes[chosen]])
    types = imzml.mz_dtype, imzml.intensity_dtype
    if len(n_peaks) == 0:
        data, place = np.zeros(0, np.uint8), offsets
    else:
        data, place = read_ranges(imzml.ibd_path, offsets, sizes)
    for k, is_zlib in enumerate((imzml.mz_is_zlib, imzml.intensity_is_zlib)):
        if is_zlib:
            own = slice(k * len(n_peaks), (k + 1) * len(n_peaks))
            expected = n_peaks * types[k].itemsize
            unpacked = unpack(imzml, first, data, place[own], sizes[own], expected)
            place[own] = len(data) + np.cumsum(expected) - expected
            data = np.concatenate([data, unpacked])
    n_total = int(n_peaks.sum())
    mz_type = types[0] if types[0].kind == "f" else np.dtype(np.float64)
    mz, intensity = np.empty(n_total, mz_type), np.empty(n_total, np.float32)
    n_kept, counts = np.zeros(len(n_peaks), np.int64), np.zeros(4, np.int64)
    samples = np.zeros(1, types[0]), np.zeros(1, types[1])
    mz_at, intensity_at = place.reshape(2, -1)
    n = kernels.keep_peaks(
        data, mz_at, intensity_at, n_peaks, samples, mz, intensity, n_kept, counts
    )
    return Peaks(mz[:n], intensity[:n], n_kept, *counts.tolist())


def unpack(
    imzml: Imzml,
    first: int,
    data: NDArray[np.uint8],
    place: NDArray[np.int64],
    n_bytes: NDArray[np.int64],
    expected: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Return arrays that were compressed with zlib, one after the other.

    Parameters
    ----------
    first
        Number of the first spectrum, for messages.
    data
        Bytes, uint8.
    place, n_bytes
        Where in them each array begins, and its bytes.
    expected
        Bytes of each array, unpacked.

    Raises
    ------
    BadInput
        One that is damaged, or of another length.
    """
    arrays = []
    for k, (a, n, size) in enumerate(zip(place, n_bytes, expected, strict=True)):
        try:
            array = isal_zlib.decompress(data[a : a + n].data) if size else b""
        except isal_zlib.error as error:  # type: ignore[misc]
            found = str(error)
        else:
            found = f"{len(array)} bytes"
            arrays.append(array)
        if len(arrays) == k or len(array) != size:
            raise BadInput(
                f"{imzml.ibd_path}: {name_spectrum(imzml, first + k)} is damaged: "
                f"expected {size} bytes of a compressed array, found {found}"
            )
    return np.frombuffer(b"".join(arrays), np.uint8)
