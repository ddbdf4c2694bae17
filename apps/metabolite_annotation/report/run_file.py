"""A finished run of metabolite-annotation as its report needs it, read and checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_whole_manifest
from hpc_connector.report.results_file import open_results
from hpc_connector.report.text import clean
from hpc_connector.run_record import RunRecord
from hpc_connector.storer.columns import TEXT
from hpc_connector.storer.results import FORMAT_VERSION
from metabolite_annotation.options import PROGRAM
from metabolite_annotation.schema import ANNOTATIONS

if TYPE_CHECKING:
    import h5py

LEVELS = (0.05, 0.1, 0.2, 0.5)
PEAKS = 4

TEXTS = tuple(c.name for c in ANNOTATIONS.columns if c.dtype == TEXT)
NUMBERS = tuple(c.name for c in ANNOTATIONS.columns if c.dtype != TEXT)
PER_PEAK = ("mz", "theoretical_intensity", "mz_mean", "total_intensity")

Columns = dict[str, np.ndarray]
SparseImage = tuple[np.ndarray, np.ndarray]


class IonImages(NamedTuple):
    """The images of an ion.

    Parameters
    ----------
    images
        Pixels and intensities of the four isotope peaks.
    errors
        The error of m/z at the pixels of the first, in thousandths of the window,
        int16; None where the run has none.
    """

    images: list[SparseImage]
    errors: np.ndarray | None


@dataclass(frozen=True)
class AnnotationRun:
    """The annotations, best first, what is known of their ions, and the record.

    Parameters
    ----------
    rows
        Columns :data:`TEXTS` and :data:`NUMBERS` of the annotations, (n,).
    peaks
        Columns :data:`PER_PEAK` of the ions, (ions, 4); ``rows["image"]`` points here.
    indptr
        Where the values of image ``4 * ion + peak`` begin, int64 (4 * ions + 1,).
    pixels
        Columns ``x``, ``y`` and ``tic`` of the spectra.
    scores
        Columns ``database``, ``target_modifier``, ``target`` and ``score`` of all ions
        with a score.
    pixel_size_um
        Along x and y, micrometres; None where nothing says.
    has_errors
        Whether there is an error of m/z of each pixel.
    nearest
        Columns ``ion`` and ``cosine`` of colocalised ions, (ions, k); ion -1 for none.
    spectrum
        Columns ``mz`` and ``intensity`` of the mean spectrum.
    """

    directory: Path
    record: RunRecord
    dataset: str
    width: int
    height: int
    ppm: float
    analysis_version: int
    polarity: str
    rows: Columns
    peaks: Columns
    indptr: np.ndarray
    pixels: Columns
    scores: Columns
    pixel_size_um: list[float] | None = None
    has_errors: bool = False
    nearest: Columns | None = None
    spectrum: Columns | None = None

    def __len__(self) -> int:
        """Return the number of annotations."""
        return len(self.rows["mz"])

    @property
    def databases(self) -> list[str]:
        """Names of the databases, in the order of their best annotation."""
        known = [*self.rows["database"], *self.scores["database"]]
        return list(dict.fromkeys(known))

    @property
    def ppm_errors(self) -> np.ndarray:
        """How far the mean m/z of the first peak is off, float64 (n,)."""
        return 1e6 * self.rows["mz_err_abs"] / self.rows["mz"]

    def get_part(self, name: str) -> dict[str, Any]:
        """Return a part of the manifest, empty where it is absent."""
        part = self.record.get(name)
        return part if isinstance(part, dict) else {}


def read_annotation_run(directory: Path) -> AnnotationRun:
    """Read ``results.h5``, without the images, and ``manifest.json``.

    Raises
    ------
    BadInput
        One is missing, damaged, or not what this version of the program writes.
    """
    with open_results(directory, PROGRAM) as file:
        run = _read(file, directory)
        _check(run)
    return run


def read_images(run: AnnotationRun, ions: list[int]) -> Iterator[IonImages]:
    """Yield the images of each ion, one at a time."""
    with open_results(run.directory, PROGRAM) as file:
        pixel, intensity = file["images/pixel"], file["images/intensity"]
        errors = file.get("images/mz_error") if run.has_errors else None
        begin = file["images/mz_error_indptr"][:] if run.has_errors else []
        for ion in ions:
            ends = run.indptr[PEAKS * ion : PEAKS * (ion + 1) + 1]
            which = pixel[ends[0] : ends[-1]].astype(np.int64)
            bright = intensity[ends[0] : ends[-1]]
            if len(which) and which.max() >= len(run.pixels["x"]):
                raise BadInput(f"images/pixel is {which.max()} where there is none")
            cuts = (ends - ends[0])[1:-1]
            pairs = np.split(which, cuts), np.split(bright, cuts)
            found = None if errors is None else errors[begin[ion] : begin[ion + 1]]
            yield IonImages(list(zip(*pairs, strict=True)), found)


def _read(file: h5py.File, directory: Path) -> AnnotationRun:
    found = file.attrs["format_version"]
    if found != FORMAT_VERSION:
        raise BadInput(f"has format {found}; this version reads {FORMAT_VERSION}")
    rows = {name: _read_text(file[f"annotations/{name}"]) for name in TEXTS}
    rows |= {name: _read_numbers(file[f"annotations/{name}"]) for name in NUMBERS}
    scores, record = file["scores"], read_whole_manifest(directory)
    return AnnotationRun(
        directory,
        record,
        clean(str(file.attrs["dataset"])),
        int(file.attrs["width"]),
        int(file.attrs["height"]),
        float(file.attrs["ppm"]),
        int(file.attrs["analysis_version"]),
        clean(str(file.attrs["polarity"])),
        rows,
        {name: _read_numbers(file[f"images/{name}"], PEAKS) for name in PER_PEAK},
        _read_numbers(file["images/indptr"]),
        {name: _read_numbers(file[f"pixels/{name}"]) for name in ("x", "y", "tic")},
        {n: _read_text(scores[n]) for n in ("database", "target_modifier")}
        | {"target": scores["target"][:] != 0, "score": _read_numbers(scores["score"])},
        _read_pixel_size(file, record),
        "mz_error" in file["images"],
        _read_group(file, "colocalisation", "ion", "cosine"),
        _read_group(file, "spectrum", "mz", "intensity"),
    )


def _read_pixel_size(file: h5py.File, record: RunRecord) -> list[float] | None:
    """Return width and height of a pixel, None where neither file says it.

    The manifest knows what was said after the run.
    """
    dataset: Any = record.get("dataset")
    said = dataset.get("pixel_size_um") if isinstance(dataset, dict) else None
    found = _read_size(file.attrs.get("pixel_size_um", []))
    return found if said is None else _read_size(said)


def _read_size(value: Any) -> list[float] | None:
    try:
        size = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None
    is_size = size.shape == (2,) and np.isfinite(size).all() and (size > 0).all()
    return size.tolist() if is_size else None


def _read_group(file: h5py.File, name: str, *columns: str) -> Columns | None:
    """Return columns of a group that older runs do not have."""
    group = file.get(name)
    return None if group is None else {c: group[c][:] for c in columns}


def _read_text(column: h5py.Dataset) -> np.ndarray:
    """Return text that may reach a page; without any, HDF5 need not know it is text."""
    if not len(column):
        return np.array([], object)
    return np.array([clean(text) for text in column.asstr()[:]], object)


def _read_numbers(column: h5py.Dataset, *width: int) -> np.ndarray:
    """Return numbers, shape (n, *width)."""
    if column.shape[1:] != width or column.dtype.kind not in "fiu":
        raise BadInput(
            f"{column.name[1:]} is {column.dtype} {column.shape}; expected numbers of "
            f"shape {('n', *width)}"
        )
    return column[:]


def _check(run: AnnotationRun) -> None:
    """Raise where columns do not belong together."""
    for name, columns in (
        ("annotations", run.rows),
        ("pixels", run.pixels),
        ("scores", run.scores),
        ("images", run.peaks),
    ):
        lengths = {key: len(column) for key, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise BadInput(f"{name}: columns differ in length: {lengths}")
    n_ions = len(run.peaks["mz"])
    if len(run.indptr) != PEAKS * n_ions + 1 or (np.diff(run.indptr) < 0).any():
        raise BadInput(f"images/indptr does not rise over {PEAKS * n_ions} images")
    for name in ("fdr", "fdr_level"):
        if not ((run.rows[name] >= 0) & (run.rows[name] <= 1)).all():
            raise BadInput(f"annotations/{name} is not in 0 to 1")
    for name, values, end in (
        ("annotations/image", run.rows["image"], n_ions),
        ("pixels/x", run.pixels["x"], run.width),
        ("pixels/y", run.pixels["y"], run.height),
    ):
        if ((values < 0) | (values >= end)).any():
            raise BadInput(f"{name} is not in 0 to {end - 1}")
