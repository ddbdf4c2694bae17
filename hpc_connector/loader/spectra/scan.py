"""The XML of imzML to arrays: a compiled scanner, or an XML parser before it.

The scanner knows what exporters write. Where it meets what it does not know, the file
is brought to plain form first, see ``imzml_plain.py``: so both give the same arrays.
"""

import contextlib
import mmap
import re
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra import _imzml_kernels as kernels
from hpc_connector.loader.spectra.header import parse_header
from hpc_connector.loader.spectra.plain import escape_value, make_plain
from hpc_connector.notes import Assumption

SPECTRUM = re.compile(rb"<(spectrum)[\s>/]")
OR_COMMENT = re.compile(rb"<(?:!--.*?(?:-->|\Z)|(spectrum)[\s>/])", re.DOTALL)
FAULTS = {
    kernels.MALFORMED: "malformed XML",
    kernels.NOT_A_NUMBER: "place or length of an array is no number",
    kernels.TOO_MANY: "malformed XML",
    kernels.MIXED: "arrays of several types: expected one for all spectra",
    kernels.UNUSUAL: "unusual XML",
}


class Scan(NamedTuple):
    """What an imzML file says.

    ``root`` holds the elements before the second spectrum. ``columns``, shape (spectra,
    7), ``places``, shape (spectra, 2, 3), and ``common``, shape (2, 4), are as in
    ``_imzml_kernels``: NaN and 0 where nothing is said. ``text`` is the whole file,
    brought to plain form where that was needed.
    """

    root: Element
    columns: NDArray[np.float64]
    places: NDArray[np.float64]
    common: NDArray[np.int64]
    text: mmap.mmap | bytes
    assumed: tuple[Assumption, ...] = ()


def scan(path: str, data: mmap.mmap | bytes) -> Scan:
    """Return the facts of the bytes of a file; the path is for messages.

    Raises
    ------
    BadInput
        Malformed XML, by its line, or what is not read.
    """
    with contextlib.suppress(BadInput):
        found = scan_spectra(path, data, is_plain=False)
        if is_whole(found):
            return found
    plain = make_plain(path, data)
    with contextlib.suppress(BadInput):
        found = scan_spectra(path, plain, is_plain=True)
        if is_whole(found):
            return found
    return scan_by_name(path, data) or scan_spectra(path, plain, is_plain=True)


def scan_by_name(path: str, data: mmap.mmap | bytes) -> Scan | None:
    """Return the meaning of parameters by name; None where that lacks anything."""
    try:
        found = scan_spectra(path, make_plain(path, data, by_name=True), is_plain=True)
    except BadInput:
        return None
    because = f"accessions in {path} give some spectra no place or no array"
    taken = Assumption("meaning of parameters", "by their names", because)
    return found._replace(assumed=(taken,)) if is_whole(found) else None


def is_whole(scan: Scan) -> bool:
    """Return whether nothing is lacking that an XML parser may find."""
    return (
        len(scan.columns) > 0
        and not np.isnan(scan.columns[:, [kernels.X, kernels.Y]]).any()
        and not np.isnan(scan.places).all()
        and not np.isnan(scan.places[~is_bare(scan.places)]).any()
        and bool((scan.common[:, kernels.TYPE] > 0).all())
    )


def is_bare(places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which spectra say nothing of arrays, and so have no peaks."""
    return np.asarray(np.isnan(places).all(axis=(1, 2)))


def scan_spectra(path: str, data: mmap.mmap | bytes, *, is_plain: bool) -> Scan:
    """Walk over a file; one that is not in plain form may be refused.

    Raises
    ------
    BadInput
        Malformed XML, by its line, or what is not read.
    """
    pattern = SPECTRUM if data.find(b"!") < 0 else OR_COMMENT
    begins = [match.start() for match in pattern.finditer(data) if match[1]]
    n = len(begins)
    if not is_plain and (n == 0 or data.find(b"&", begins[0]) >= 0):
        raise BadInput(f"{path}: {FAULTS[kernels.UNUSUAL]}")
    root = parse_header(path, data[: begins[1] if n > 1 else len(data)])
    columns = np.full((n, kernels.N_COLUMNS), np.nan)
    places = np.full((n, 2, kernels.N_PLACES), np.nan)
    common = np.zeros((2, kernels.N_COMMON), np.int64)
    array, (words, groups) = np.frombuffer(data, np.uint8), get_groups(root)
    room = kernels.make_room()
    fault, at = kernels.scan(
        array, words, groups, columns, places, common, room, is_plain
    )
    if fault != kernels.DONE:
        line = data[:at].count(b"\n") + 1
        raise BadInput(f"{path}, line {line}: {FAULTS[fault]}")
    return Scan(root, columns, places, common, data)


def get_groups(root: Element) -> tuple[kernels.Words, kernels.Groups]:
    """Return the groups of parameters as the kernels take them, which read them."""
    groups = {
        group.get("id", ""): [param for param in group if param.tag == "cvParam"]
        for group in root.iter("referenceableParamGroup")
    }
    names = [kernels.get_hash(escape_value(name).encode()) for name in groups]
    words = [
        param.get(name, "").strip().encode()
        for group in groups.values()
        for param in group
        for name in ("accession", "value")
    ]
    n_params = len(words) // 2
    ends = np.cumsum([0, *map(len, words)])
    return (np.frombuffer(bytearray().join(words), np.uint8), ends), (
        np.array(names, np.uint64),
        np.cumsum([0, *map(len, groups.values())]),
        np.zeros(n_params, np.int64),
        np.zeros(n_params),
    )
