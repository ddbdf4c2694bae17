"""The first record of an acquisition: how its spectra are measured, and how many come.

JSON. What a file of imzML says beyond that, and the search of it would take into
account, a replay adds as ``file``: so the results are those of the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.acquisition import Acquisition, Said
from hpc_connector.notes import Assumption

FORMAT_VERSION = 1
KEY = b"head"
WRONG = (AttributeError, LookupError, OverflowError, TypeError, ValueError)
HERE = "the head of the stream"
MODES = ("continuous", "processed")
POLARITIES = ("positive", "negative", "")
TYPES = ("<f4", "<f8", "|i1", "<i2", "<i4", "<i8")

Ends = tuple[int, int]


@dataclass(frozen=True)
class Head:
    """What is said of an acquisition before its first spectrum.

    Parameters
    ----------
    name, uuid
        Of the dataset to be; the UUID in 32 hexadecimal digits.
    mode
        "continuous" or "processed", as in imzML.
    mz_dtype, intensity_dtype
        Little endian.
    polarity, analyzer
        Empty where they are not known.
    n_spectra, n_pixels
        How many are to come; None where that is not known.
    x, y
        Least and greatest position; None where they are not known.
    has_tic
        Whether each spectrum ends with its total ion current, float64.
    file
        What an imzML file says more; see :func:`describe_file`.
    """

    name: str
    uuid: str
    mode: str
    mz_dtype: np.dtype
    intensity_dtype: np.dtype
    polarity: str = ""
    analyzer: str = ""
    n_spectra: int | None = None
    n_pixels: int | None = None
    x: Ends | None = None
    y: Ends | None = None
    has_tic: bool = False
    file: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileFacts:
    """What an imzML file says of all spectra, as ``Imzml`` has it.

    ``profile`` are first and last + 1 of the numbers of profile spectra.
    """

    acquisition: Acquisition
    profile: tuple[Ends, ...] = ()
    pixel_size_um: tuple[float, float] | None = None
    scan_order: Mapping[str, str] = field(default_factory=dict)
    assumed: tuple[Assumption, ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)


def write_head(head: Head) -> bytes:
    """Return the value of the record of a head."""
    said = {
        "format_version": FORMAT_VERSION,
        "name": head.name,
        "uuid": head.uuid,
        "mode": head.mode,
        "polarity": head.polarity,
        "analyzer": head.analyzer,
        "mz_dtype": head.mz_dtype.str,
        "intensity_dtype": head.intensity_dtype.str,
        "spectra": head.n_spectra,
        "pixels": head.n_pixels,
        "x": head.x,
        "y": head.y,
        "tic": head.has_tic,
        "file": head.file,
    }
    return json.dumps(said, separators=(",", ":")).encode()


def read_head(value: bytes, where: str) -> Head:
    """Return the head that a record holds.

    Parameters
    ----------
    where
        The record, for messages.

    Raises
    ------
    BadInput
        It is none, or what it says cannot be.
    """
    said = _parse(value, where)

    def take(name: str, *known: Any) -> str:
        found = said.get(name, "")
        if not isinstance(found, str) or (known and found not in known):
            expected = ", ".join(filter(None, known)) or "text"
            raise BadInput(f"{where}: {name} {found!r}: expected {expected}")
        return found

    def count(name: str) -> int | None:
        found = said.get(name)
        if found is not None and (not is_whole(found) or found < 1):
            raise BadInput(f"{where}: {name} {found!r}: expected 1 or more")
        return found

    return Head(
        name=take("name"),
        uuid=take("uuid"),
        mode=take("mode", *MODES),
        mz_dtype=_read_type(take("mz_dtype"), f"{where}: mz_dtype"),
        intensity_dtype=_read_type(
            take("intensity_dtype"), f"{where}: intensity_dtype"
        ),
        polarity=take("polarity", *POLARITIES),
        analyzer=take("analyzer"),
        n_spectra=count("spectra"),
        n_pixels=count("pixels"),
        x=_read_ends(said, "x", where),
        y=_read_ends(said, "y", where),
        has_tic=said.get("tic") is True,
        file=said.get("file") or {},
    )


def _read_type(name: str, where: str) -> np.dtype:
    """Return the type of the values of an array, little endian.

    Raises
    ------
    BadInput
        It is none that imzML has.
    """
    try:
        found = np.dtype(name) if name else None
    except TypeError:
        found = None
    if found is None or found.str not in TYPES:
        raise BadInput(f"{where} {name!r}: expected one of {', '.join(TYPES)}")
    return found


def is_whole(value: Any) -> bool:
    """Return whether a value of JSON is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def _parse(value: bytes, where: str) -> dict[str, Any]:
    """Return the object of JSON that a head is."""
    try:
        said = json.loads(value)
        shown = json.dumps(said, ensure_ascii=False)
        shown.encode()  # raises where there is half a character
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: expected the head, JSON: {error}") from None
    if not isinstance(said, dict):
        raise BadInput(f"{where}: expected the head, an object of JSON")
    if "\\u0000" in shown:  # which no file of XML has, nor one of HDF5
        raise BadInput(f"{where}: expected the head, of text without characters 0")
    version = said.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise BadInput(
            f"{where}: head of format {version}: this version reads {FORMAT_VERSION}"
        )
    return said


def _read_ends(said: Mapping[str, Any], name: str, where: str) -> Ends | None:
    """Return the least and greatest position along an axis, None for none."""
    found = said.get(name)
    if found is None:
        return None
    is_pair = isinstance(found, list) and len(found) == 2 and all(map(is_whole, found))
    if not is_pair or found[0] > found[1]:
        raise BadInput(f"{where}: {name} {found!r}: expected [least, greatest]")
    return (found[0], found[1])


def describe_file(facts: FileFacts) -> dict[str, Any]:
    """Return what a file says as JSON has it."""
    said = facts.acquisition
    return {
        "polarities": said.polarities,
        "instruments": said.instruments,
        "form": said.form,
        "unread": said.unread,
        "profile": facts.profile,
        "pixel_size_um": facts.pixel_size_um,
        "scan_order": dict(facts.scan_order),
        "assumed": facts.assumed,
        "counted": dict(facts.counted),
    }


def read_file_facts(head: Head, where: str) -> FileFacts:
    """Return what is known of all spectra: by the file, or else by the head alone.

    Raises
    ------
    BadInput
        What the head has of a file cannot be read.
    """
    if not head.file:
        polarities = (Said(head.polarity, HERE),) if head.polarity else ()
        analyzers = (Said(head.analyzer, HERE),) if head.analyzer else ()
        return FileFacts(Acquisition(polarities, (analyzers, (), (), ()), ""))
    try:
        return _read_facts(head.file)
    except WRONG as error:
        raise BadInput(f"{where}: file of the head: cannot be read: {error}") from None


def _read_facts(said: Mapping[str, Any]) -> FileFacts:
    tiers = tuple(tuple(Said(*map(str, one)) for one in t) for t in said["instruments"])
    if len(tiers) != 4:
        raise ValueError("expected four kinds of names of the instrument")
    polarities = tuple(Said(*map(str, one)) for one in said["polarities"])
    form, unread = str(said["form"]), str(said["unread"])
    size = said["pixel_size_um"]
    return FileFacts(
        Acquisition(polarities, tiers, form, unread),
        tuple((int(a), int(b)) for a, b in said["profile"]),
        (float(size[0]), float(size[1])) if size else None,
        {str(k): str(v) for k, v in said["scan_order"].items()},
        tuple(Assumption(*map(str, one)) for one in said["assumed"]),
        {str(k): int(v) for k, v in said["counted"].items()},
    )
