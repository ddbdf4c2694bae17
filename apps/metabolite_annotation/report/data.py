"""What the script of an annotation report works on."""

import base64
from collections.abc import Mapping
from typing import Any

from metabolite_annotation.report.columns import (
    MOST_ROWS,
    make_columns,
    round_numbers,
    shorten_numbers,
)
from metabolite_annotation.report.extras import Extras
from metabolite_annotation.report.images import (
    Packed,
    ReducedGrid,
    find_same_images,
    pack_mask,
    pack_total,
)
from metabolite_annotation.report.optical import OpticalImage
from metabolite_annotation.report.run_file import AnnotationRun

SIGNS = {"positive": "+", "negative": "-", "+": "+", "-": "-"}


def make_data(
    run: AnnotationRun,
    grid: ReducedGrid,
    images: Mapping[int, Packed],
    extras: Extras = Extras(),  # noqa: B008
) -> dict[str, Any]:
    """Return columns, peaks and pictures of the annotations that the page lists."""
    total = pack_total(run, grid)
    return {
        "columns": make_columns(run, find_same_images(images)),
        "peaks": make_peaks(run),
        "tops": {ion: shorten_numbers(packed.tops) for ion, packed in images.items()},
        "total": {"tops": total.tops, "text": total.text},
        "box": make_box(run, grid),
        "sign": SIGNS.get(run.polarity.lower(), ""),
        "ppm": run.ppm,
        "has_errors": run.has_errors,
        "colocalised": make_colocalised(run),
        "spectrum": make_spectrum(run),
        "optical": make_optical(extras.optical, run, grid.block),
        "regions": [region._asdict() for region in extras.regions],
    }


def make_optical(
    optical: OpticalImage | None, run: AnnotationRun, block: int
) -> dict[str, Any] | None:
    """Return an optical image, placed on images of the page."""
    if optical is None:
        return None
    return {
        "uri": f"data:image/jpeg;base64,{base64.b64encode(optical.jpeg).decode()}",
        "width": optical.width,
        "height": optical.height,
        "transform": optical.place((run.width, run.height), block),
        "file_size": optical.file_size,
        "placed": optical.transform is not None,
    }


def make_box(run: AnnotationRun, grid: ReducedGrid) -> dict[str, Any]:
    """Return the size of images, here and as they were measured."""
    return {
        "width": grid.width,
        "height": grid.height,
        "block": grid.block,
        "full": [run.width, run.height],
        "pixel_um": run.pixel_size_um,
        "mask": pack_mask(grid),
    }


def make_peaks(run: AnnotationRun) -> dict[int, dict[str, list[Any]]]:
    """Return the columns of the four peaks of each ion that is listed."""
    digits = {"mz": 5, "mz_mean": 5, "theoretical_intensity": 3, "total_intensity": 0}
    return {
        ion: {
            name: round_numbers(run.peaks[name][ion], digits[name]) for name in digits
        }
        for ion in dict.fromkeys(run.rows["image"][:MOST_ROWS].tolist())
    }


def make_colocalised(run: AnnotationRun) -> dict[int, list[list[Any]]]:
    """Return the nearest ions of each ion that is listed, and their cosines."""
    if run.nearest is None:
        return {}
    ions, cosines = run.nearest["ion"], run.nearest["cosine"]
    return {
        ion: [kept.tolist(), round_numbers(cosines[ion][: len(kept)], 4)]
        for ion in dict.fromkeys(run.rows["image"][:MOST_ROWS].tolist())
        if len(kept := ions[ion][ions[ion] >= 0])
    }


def make_spectrum(run: AnnotationRun) -> dict[str, list[float]] | None:
    """Return the mean spectrum, None where the run has none."""
    if run.spectrum is None:
        return None
    return {
        "mz": round_numbers(run.spectrum["mz"], 5),
        "intensity": shorten_numbers(run.spectrum["intensity"].tolist(), 5),
    }
