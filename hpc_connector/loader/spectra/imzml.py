"""What an imzML file says of its spectra: where they are, and in which form.

imzML 1.1: Schramm et al., Journal of Proteomics 75 (2012). This is the whole of what is
read, each part of which has a file: ``imzml_scan.py``, from XML to arrays, and what is
made of these, ``imzml_pixels.py``, ``imzml_arrays.py`` and ``imzml_identity.py``. Peaks
lie in the .ibd file, see ``ibd.py``.
"""

import contextlib
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import exists, find_beside, read_file, read_part
from hpc_connector.loader.spectra import _imzml_kernels as kernels
from hpc_connector.loader.spectra.acquisition import Acquisition, read_acquisition
from hpc_connector.loader.spectra.arrays import get_arrays
from hpc_connector.loader.spectra.header import list_params, parse_header
from hpc_connector.loader.spectra.identity import (
    CHECKSUMS,
    UUID,
    get_checksum,
    get_uuid,
)
from hpc_connector.loader.spectra.pixel_size import Size, get_pixel_size
from hpc_connector.loader.spectra.pixels import choose_section, get_pixels
from hpc_connector.loader.spectra.scan import scan
from hpc_connector.loader.spectra.scan_order import get_scan_order
from hpc_connector.loader.spectra.value_types import Array, Read
from hpc_connector.notes import Assumption
from hpc_connector.storage import address
from hpc_connector.storage.address import is_object, is_remote

MODES = {
    "IMS:1000030": "continuous",
    "IMS:1000031": "processed",
    "continuous": "continuous",
    "processed": "processed",
}
HEAD_BYTES = 1 << 16  # in which the content of a file is described
IBD_ENDINGS = (".ibd", ".IBD", ".Ibd")
PACKED = {  # what unpacks files that begin so
    b"\x1f\x8b": "gunzip",
    b"PK\x03\x04": "unzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"\x28\xb5\x2f\xfd": "unzstd",
}


@dataclass(frozen=True)
class Imzml:
    """The metadata of a dataset.

    Arrays have a value a spectrum: ``x`` and ``y``, pixels counted as the file does, or
    from 1 where it has positions of a stage; ``n_peaks``; place and size in the .ibd
    file, bytes; ``tic``, ``lowest_mz`` and ``highest_mz``, NaN where they are not
    given. ``assumed`` and ``counted`` are as in :mod:`hpc_connector.notes`.
    ``pixel_size_um``, along x and y, is None where the file does not give it. ``box``,
    least and greatest x and y, is that of images of which a part is there so far; None
    where all is there.
    """

    path: str
    ibd_path: str
    uuid: str
    checksum: tuple[str, str] | None
    mode: str
    acquisition: Acquisition
    is_profile: NDArray[np.bool_]
    mz_dtype: np.dtype
    intensity_dtype: np.dtype
    mz_is_zlib: bool
    intensity_is_zlib: bool
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    n_peaks: NDArray[np.int64]
    mz_offset: NDArray[np.int64]
    mz_bytes: NDArray[np.int64]
    intensity_offset: NDArray[np.int64]
    intensity_bytes: NDArray[np.int64]
    tic: NDArray[np.float64]
    lowest_mz: NDArray[np.float64]
    highest_mz: NDArray[np.float64]
    scan_order: Mapping[str, str]
    assumed: tuple[Assumption, ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)
    pixel_size_um: Size | None = None
    box: tuple[tuple[int, int], tuple[int, int]] | None = None

    @property
    def polarity(self) -> str:
        """Return the polarity that all places name, nothing where there is none."""
        return self.acquisition.polarity


def read_imzml(path: str, *, section: float | None = None) -> Imzml:
    """Read the metadata of a dataset, or of one of its sections.

    Raises
    ------
    BadInput
        A file that cannot be read, malformed XML, no .ibd beside it, a spectrum without
        coordinates or arrays, or a form that is not read.
    """
    ibd_path = find_ibd(path)
    data: mmap.mmap | bytes
    if is_object(path):
        data = read_file(path)
    else:
        with open(path, "rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    return parse_imzml(path, ibd_path, data, section=section)


def check_packed(path: str, head: bytes) -> None:
    """Refuse what is empty or compressed, by its first bytes, and the .ibd file itself.

    Raises
    ------
    BadInput
        With what to do.
    """
    if not head:
        raise BadInput(f"{path} is empty: expected imzML")
    if address.get_ending(path).lower() == ".ibd":
        raise BadInput(f"{path} holds the peaks: expected the .imzML beside it")
    for mark, name in PACKED.items():
        if head.startswith(mark):
            raise BadInput(
                f"{path} is compressed: expected it unpacked, by {name}, beside its "
                ".ibd file"
            )


def find_ibd(path: str) -> str:
    """Return the file of the peaks, which stands beside the imzML.

    Raises
    ------
    BadInput
        There is none, or the imzML cannot be read.
    """
    try:
        check_packed(path, read_part(path, 0, 8))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    own = address.get_ending(path)
    names = [find_beside(path, ending, without=own) for ending in IBD_ENDINGS]
    for name in names:
        if exists(name):
            return name
    found = [] if is_remote(path) else list_in_any_case(names[0])
    if len(found) == 1:
        return found[0]
    signed = "; what signs a URL may be for one object: there are two"
    raise BadInput(
        f"{names[0]} is missing: expected the peaks of {path} beside it"
        + (signed if address.has_secrets(path) else "")
    )


def list_in_any_case(path: str) -> list[str]:
    """Return the files of a folder that differ from a name in capitals only."""
    folder, name = os.path.split(path)
    found = [f for f in os.listdir(folder or ".") if f.casefold() == name.casefold()]
    return [os.path.join(folder, f) for f in found]


def parse_imzml(
    path: str,
    ibd_path: str,
    data: mmap.mmap | bytes,
    *,
    section: float | None = None,
    in_steps: bool = True,
    read: Read | None = None,
) -> Imzml:
    """Return the metadata in the bytes of a file; the paths are for messages.

    Parameters
    ----------
    section
        Position z of the spectra to take, None where there is one only.
    in_steps
        Divide positions by their common step; else they are as in the file.
    read
        Reads of the .ibd file, to see of which type arrays are that are said to be of
        two; else that is done by its path.
    """
    found = scan(path, data)
    columns = found.columns
    if len(columns) == 0:
        raise BadInput(f"{path} has no spectrum: expected one or more")
    whole = check_count(path, found.root, len(columns))
    check_coordinates(path, columns)
    chosen = choose_section(path, columns[:, kernels.Z], section)
    found = found._replace(columns=columns[chosen], places=found.places[chosen])
    columns = found.columns
    pixel, in_pixels = get_pixels(path, columns[:, : kernels.Z], in_steps=in_steps)
    (mz, intensity), of_arrays = get_arrays(
        path, found, read or partial(read_part, ibd_path)
    )
    facts, of_facts = get_facts(path, found.root)
    acquisition, is_profile = read_acquisition(path, found)
    size, of_size = get_pixel_size(path, found.root)
    return Imzml(
        path=path,
        ibd_path=ibd_path,
        acquisition=acquisition,
        is_profile=is_profile,
        x=pixel[:, 0],
        y=pixel[:, 1],
        tic=columns[:, kernels.TIC].copy(),
        lowest_mz=columns[:, kernels.LOWEST].copy(),
        highest_mz=columns[:, kernels.HIGHEST].copy(),
        pixel_size_um=size,
        scan_order=get_scan_order(found.root),
        assumed=(*found.assumed, *whole, *in_pixels, *of_arrays, *of_facts, *of_size),
        counted={"spectra of other sections were left out": int((~chosen).sum())},
        **facts,
        **name_arrays(mz, intensity),
    )


def name_arrays(mz: Array, intensity: Array) -> dict[str, Any]:
    """Return the facts of both arrays of the spectra as ``Imzml`` has them."""
    return {
        "n_peaks": mz.n,
        "mz_dtype": mz.dtype,
        "mz_is_zlib": mz.is_zlib,
        "mz_offset": mz.offset,
        "mz_bytes": mz.n_bytes,
        "intensity_dtype": intensity.dtype,
        "intensity_is_zlib": intensity.is_zlib,
        "intensity_offset": intensity.offset,
        "intensity_bytes": intensity.n_bytes,
    }


def check_count(path: str, root: Element, n: int) -> tuple[Assumption, ...]:
    """Return the assumption where a file has not as many spectra as it counts."""
    counts = [one.get("count", "") for one in root.iter("spectrumList")]
    if len(counts) != 1 or not counts[0].isdecimal() or int(counts[0]) == n:
        return ()
    because = f"{path} has {n} of {int(counts[0])} spectra that its spectrumList counts"
    return (Assumption("number of spectra", str(n), because),)


def get_facts(
    path: str, root: Element
) -> tuple[dict[str, Any], tuple[Assumption, ...]]:
    """Return the mode, UUID and checksum as ``Imzml`` has them."""
    modes = {MODES[term] for term, _ in find_terms(root, MODES)}
    if len(modes) != 1:
        raise BadInput(f"{path} is no imzML: expected it to be continuous or processed")
    checksum, assumed = get_checksum(path, find_terms(root, CHECKSUMS))
    facts = {
        "mode": modes.pop(),
        "uuid": get_uuid(find_terms(root, UUID)),
        "checksum": checksum,
    }
    return facts, assumed


def guess_algorithm(path: str) -> str | None:
    """Return of which algorithm the checksum of the .ibd file is, by the first bytes.

    None where they give none; :func:`read_imzml` knows.
    """
    with contextlib.suppress(BadInput, OSError):
        root = parse_header(path, read_part(path, 0, HEAD_BYTES))
        checksum, _ = get_checksum(path, find_terms(root, CHECKSUMS))
        return checksum[0] if checksum else None
    return None


def find_terms(root: Element, terms: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return terms and values of parameters of the content, or else of anything.

    Names count where no parameter has one of the accessions.
    """
    content, anything = list_params(root, "fileContent"), list(root.iter("cvParam"))
    for key in ("accession", "name"):
        for params in (content, anything):
            pairs = ((p.get(key, "").lower(), p.get("value", "")) for p in params)
            by_term = {term.lower(): term for term in terms}
            if found := [(by_term[t], v) for t, v in pairs if t in by_term]:
                return found
    return []


def check_coordinates(path: str, columns: NDArray[np.float64]) -> None:
    """Refuse spectra without coordinates.

    Raises
    ------
    BadInput
        The first such spectrum.
    """
    position = columns[:, : kernels.Z]
    is_lost = ~(np.abs(position) < 2**31).all(axis=1)
    if is_lost.any():
        at = np.flatnonzero(is_lost)[0]
        x, y = position[at]
        found = (
            "no coordinates that can be read"
            if np.isnan(position[at]).any()
            else f"coordinates x {x:.15g}, y {y:.15g}"
        )
        raise BadInput(
            f"{path}: spectrum {at + 1} has {found}: expected position x and y, whole "
            "numbers of at most 31 bits"
        )
