"""All that a run finds, but for its images, to files."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from hpc_connector.learner.annotation.ion_images import ImageSet, get_images
from hpc_connector.run_record import RunRecord
from metabolite_annotation.annotations import Annotations, list_scores
from metabolite_annotation.options import PROGRAM, Options
from metabolite_annotation.output import files
from metabolite_annotation.patterns import Patterns
from metabolite_annotation.spectra import Spectra

IMAGE_VALUES = 1 << 20  # of ion images in memory at once


def save_results(
    options: Options,
    record: RunRecord,
    spectra: Spectra,
    patterns: Patterns,
    annotations: Annotations,
) -> None:
    """Write the table and results.h5."""
    scored, columns = annotations.scored, annotations.columns
    unique, image = np.unique(annotations.ion, return_inverse=True)
    mz, theoretical = patterns.mz[unique], patterns.intensity[unique]
    names = [scored.ions.get_name(ion) for ion in unique.tolist()]
    attributes = make_attributes(options, record, spectra, mz.shape[1])
    pixels = {"x": spectra.grid.x, "y": spectra.grid.y} | spectra.norms
    files.save_annotations(options.out / "annotations.tsv", columns)
    files.save_results(
        options.out / "results.h5",
        columns | {"image": image},
        list_scores(scored),
        {"ion": names, "mz": mz, "theoretical_intensity": theoretical},
        get_image_sets(spectra, mz, options.ppm),
        pixels,
        attributes,
    )


def get_image_sets(spectra: Spectra, mz: np.ndarray, ppm: float) -> Iterator[ImageSet]:
    """Yield the images of ions, of so many at a time as fit a few megabytes."""
    n = max(1, IMAGE_VALUES // (mz.shape[1] * len(spectra.grid.x)))
    for first in range(0, max(len(mz), 1), n):
        yield get_images(spectra.peaks, spectra.grid, mz[first : first + n], ppm=ppm)


def make_attributes(
    options: Options, record: RunRecord, spectra: Spectra, n_peaks: int
) -> dict[str, Any]:
    """Return the attributes of results.h5."""
    return {
        "program": PROGRAM,
        "dataset": record["dataset"]["name"],
        "width": spectra.grid.width,
        "height": spectra.grid.height,
        "n_peaks": n_peaks,
        "ppm": options.ppm,
        "analysis_version": options.analysis_version,
        "polarity": record["search"]["polarity"],
    }
