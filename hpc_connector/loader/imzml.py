"""What an imzML file says of its spectra: where they are, and in which form.

imzML 1.1: Schramm et al., Journal of Proteomics 75 (2012). The XML is walked over once
by a compiled scanner; peaks lie in the .ibd file, see ``ibd.py``.
"""

import mmap
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from hpc_connector import address
from hpc_connector.errors import BadInput
from hpc_connector.loader import _imzml_kernels as kernels
from hpc_connector.loader.files import exists, read_file
from hpc_connector.loader.imzml_header import list_params
from hpc_connector.loader.imzml_scan import scan
from hpc_connector.notes import Assumption
from hpc_connector.storage import is_remote

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
MODES = {"IMS:1000030": "continuous", "IMS:1000031": "processed"}
CHECKSUMS = {"IMS:1000090": "md5", "IMS:1000091": "sha1", "IMS:1000092": "sha256"}
UUID = "IMS:1000080"
ARRAYS = ("m/z", "intensities")
MOST = 2**53  # a place or length; up to it floats are exact, and bytes do not overflow


@dataclass(frozen=True)
class Imzml:
    """The metadata of a dataset.

    Arrays have a value a spectrum: ``x`` and ``y`` as in the file, from 1; ``n_peaks``;
    place and size in the .ibd file, bytes; ``tic``, ``lowest_mz`` and ``highest_mz``,
    NaN where they are not given. ``assumed`` and ``counted`` are as in
    :mod:`hpc_connector.notes`.
    """

    path: str
    ibd_path: str
    uuid: str
    checksum: tuple[str, str] | None
    mode: str
    polarity: str
    analyzer: str
    mz_dtype: np.dtype
    intensity_dtype: np.dtype
    mz_is_zlib: bool
    intensity_is_zlib: bool
    x: np.ndarray
    y: np.ndarray
    n_peaks: np.ndarray
    mz_offset: np.ndarray
    mz_bytes: np.ndarray
    intensity_offset: np.ndarray
    intensity_bytes: np.ndarray
    tic: np.ndarray
    lowest_mz: np.ndarray
    highest_mz: np.ndarray
    assumed: tuple[Assumption, ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)


def read_imzml(path: str) -> Imzml:
    """Read the metadata of a dataset.

    Raises
    ------
    BadInput
        A file that cannot be read, malformed XML, no .ibd beside it, a spectrum without
        coordinates or arrays, or a form that is not read.
    """
    ibd_path = find_ibd(path)
    if is_remote(path):
        return parse_imzml(path, ibd_path, read_file(path))
    try:
        with open(path, "rb") as stream:
            n_bytes = os.fstat(stream.fileno()).st_size
            if n_bytes == 0:
                raise BadInput(f"{path} is empty: expected imzML")
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    return parse_imzml(path, ibd_path, data)


def find_ibd(path: str) -> str:
    """Return the file of the peaks, which stands beside the imzML."""
    own = address.get_ending(path)
    names = [address.beside(path, e, without=own) for e in (".ibd", ".IBD")]
    for name in names:
        if exists(name):
            return name
    if not exists(path):
        raise BadInput(f"{path}: cannot be read: no such file")
    signed = "; what signs a URL may be for one object: there are two"
    raise BadInput(
        f"{names[0]} is missing: expected the peaks of {path} beside it"
        + (signed if address.has_secrets(path) else "")
    )


def parse_imzml(path: str, ibd_path: str, data: mmap.mmap | bytes) -> Imzml:
    """Return the metadata in the bytes of a file; the paths are for messages."""
    root, columns, places, common = scan(path, data)
    if len(columns) == 0:
        raise BadInput(f"{path} has no spectrum: expected one or more")
    check_spectra(path, columns, places)
    dtypes = [get_type(path, int(common[k, kernels.TYPE]), ARRAYS[k]) for k in range(2)]
    is_zlib = (common[:, kernels.PACKED] == kernels.ZLIB).tolist()
    (n_peaks, mz_bytes, mz_offset), (n_values, *of_intensity) = (
        places.astype(np.int64).transpose(1, 2, 0).copy()
    )
    for array, n, n_bytes, dtype, packed in zip(
        ARRAYS,
        (n_peaks, n_values),
        (mz_bytes, of_intensity[0]),
        dtypes,
        is_zlib,
        strict=True,
    ):
        wrong = (n != n_peaks) | ((n_bytes != n * dtype.itemsize) & (not packed))
        if wrong.any():
            raise BadInput(
                f"{path}: {name_spectrum(columns, wrong)} has {array} of "
                f"{n[wrong][0]} values in {n_bytes[wrong][0]} bytes: expected "
                f"{n_peaks[wrong][0]} of {dtype.itemsize} bytes"
            )
    return Imzml(
        path=path,
        ibd_path=ibd_path,
        polarity=get_polarity(path, *common[0, kernels.POSITIVE :].tolist()),
        mz_dtype=dtypes[0],
        intensity_dtype=dtypes[1],
        mz_is_zlib=is_zlib[0],
        intensity_is_zlib=is_zlib[1],
        x=columns[:, kernels.X].astype(np.int32),
        y=columns[:, kernels.Y].astype(np.int32),
        n_peaks=n_peaks,
        mz_offset=mz_offset,
        mz_bytes=mz_bytes,
        intensity_offset=of_intensity[1],
        intensity_bytes=of_intensity[0],
        tic=columns[:, kernels.TIC].copy(),
        lowest_mz=columns[:, kernels.LOWEST].copy(),
        highest_mz=columns[:, kernels.HIGHEST].copy(),
        **get_facts(path, root),
    )


def get_facts(path: str, root: Element) -> dict[str, Any]:
    """Return the mode, UUID, checksum and analyzer as ``Imzml`` has them."""
    content = {
        p.get("accession"): p.get("value", "") for p in list_params(root, "fileContent")
    }
    modes = {MODES[a] for a in content if a in MODES}
    if len(modes) != 1:
        raise BadInput(f"{path} is no imzML: expected it to be continuous or processed")
    sums = [(CHECKSUMS[a], v.lower()) for a, v in content.items() if a in CHECKSUMS]
    words = [
        f"{p.get('name')} {p.get('value', '')}".strip()
        for p in list_params(root, "instrumentConfiguration", "analyzer")
        if p.tag == "cvParam"
    ]
    return {
        "mode": modes.pop(),
        "uuid": re.sub("[^0-9a-f]", "", content.get(UUID, "").lower()),
        "checksum": sums[0] if sums else None,
        "analyzer": "; ".join(words),
    }


def check_spectra(path: str, columns: np.ndarray, places: np.ndarray) -> None:
    """Refuse spectra without coordinates or arrays, and several sections.

    Raises
    ------
    BadInput
        The first such spectrum.
    """
    position = columns[:, [kernels.X, kernels.Y]]
    is_lost = ~((position >= 1) & (position < 2**31) & (position % 1 == 0)).all(axis=1)
    if is_lost.any():
        at = np.flatnonzero(is_lost)[0]
        raise BadInput(
            f"{path}: spectrum {at + 1} has no coordinates: expected position x and y, "
            "whole numbers from 1"
        )
    sections = np.unique(columns[~np.isnan(columns[:, kernels.Z]), kernels.Z])
    if len(sections) > 1:
        raise BadInput(
            f"{path} has {len(sections)} sections (position z): expected one"
        )
    is_open = ~((places >= 0) & (places < MOST) & (places % 1 == 0)).all(axis=(1, 2))
    if is_open.any():
        raise BadInput(
            f"{path}: {name_spectrum(columns, is_open)} lacks an array: expected "
            "length, encoded length and offset of m/z and intensities in the .ibd file"
        )


def name_spectrum(columns: np.ndarray, chosen: np.ndarray) -> str:
    """Return number and place of the first of some spectra."""
    at = np.flatnonzero(chosen)[0]
    x, y = columns[at, [kernels.X, kernels.Y]]
    return f"spectrum {at + 1} (x {x:.0f}, y {y:.0f})"


def get_type(path: str, code: int, array: str) -> np.dtype:
    """Return the type of an array by its accession."""
    if code not in TYPES:
        raise BadInput(
            f"{path} has {array} of an unknown type: expected floats of 32 or 64 bits, "
            "or integers of 8 to 64 bits"
        )
    return np.dtype(TYPES[code])


def get_polarity(path: str, n_positive: int, n_negative: int) -> str:
    """Return the polarity of all spectra, nothing where none is given."""
    if n_positive and n_negative:
        raise BadInput(
            f"{path} has {n_positive} positive and {n_negative} negative scans: "
            "expected one polarity"
        )
    return "positive" if n_positive else "negative" if n_negative else ""
