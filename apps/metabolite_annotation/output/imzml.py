"""imzML files by pyimzML's writer, whose bytes depend on what is written alone."""

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.publish import publish_by_name

BEFORE = "IMS:1000043"  # the parameter that the size of a pixel is written after
PIXEL_SIZE_TERMS = (("IMS:1000046", "pixel size (x)"), ("IMS:1000047", "pixel size y"))
PIXEL_SIZE = (
    '      <cvParam cvRef="IMS" accession="{}" name="{}" value="{:.10g}" unitCvRef="UO"'
    ' unitAccession="UO:0000017" unitName="micrometer"/>\n'
)


class Point(NamedTuple):
    """A spectrum to write: column and row of its pixel from 1, and its peaks."""

    x: int
    y: int
    mz: np.ndarray
    intensity: np.ndarray


def save_imzml(
    out: Path,
    polarity: str,
    number: uuid.UUID,
    spectra: Iterable[Point],
    order: Mapping[str, str] | None = None,
    pixel_size: tuple[float, float] | None = None,
) -> None:
    """Write spectra; both files are renamed once they are whole.

    Parameters
    ----------
    order
        How pixels were scanned, in the writer's words; what it lacks is the writer's.
    pixel_size
        In x and y, micrometres.
    """
    with publish_by_name([out.with_suffix(".ibd"), out]) as (_, path):
        with open_writer(path, number, polarity, order or {}) as writer:
            for one in spectra:
                writer.addSpectrum(one.mz, one.intensity, (one.x, one.y, 1))
        if pixel_size:
            add_pixel_size(path, pixel_size)


def open_writer(
    path: Path, number: uuid.UUID, polarity: str, order: Mapping[str, str]
) -> Any:
    """Return pyimzML's writer, whose bytes depend on nothing but what is written.

    It draws a random UUID, which begins the .ibd file, and calls the run by the path:
    the UUID is replaced, and the run is called by the file.
    """
    from pyimzml.ImzMLWriter import ImzMLWriter

    writer = ImzMLWriter(str(path), mode="processed", polarity=polarity, **order)
    writer.run_id = path.stem
    writer.uuid, writer.sha1 = number, hashlib.sha1(number.bytes)
    writer.ibd.seek(0)
    writer.ibd.write(number.bytes)
    return writer


def add_pixel_size(path: Path, size: tuple[float, float]) -> None:
    """Have a file say how large a pixel is, as the writer cannot."""
    said = "".join(
        PIXEL_SIZE.format(*term, length)
        for term, length in zip(PIXEL_SIZE_TERMS, size, strict=True)
    )
    text = path.read_text()
    path.write_text(re.sub(f".*{BEFORE}.*\n", lambda line: line[0] + said, text))
