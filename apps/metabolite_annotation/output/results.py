"""All that a run finds, but for its images, to files."""

from typing import Any

import numpy as np

from hpc_connector.learner.annotation.ion_images import add_up
from hpc_connector.run_record import RunRecord
from metabolite_annotation.annotations import Annotations, ScoredIons, list_scores
from metabolite_annotation.dataset.colocalisation import Colocalised, list_nearest
from metabolite_annotation.dataset.overview import Overview
from metabolite_annotation.options import PROGRAM, Options
from metabolite_annotation.output import files
from metabolite_annotation.output.colocalisation import save_colocalisation
from metabolite_annotation.output.parts import Stored, publish_images
from metabolite_annotation.patterns import Patterns
from metabolite_annotation.spectra import Spectra


def save_tables(
    options: Options, annotations: Annotations, colocalised: Colocalised
) -> None:
    """Write the tables of annotations and of colocalised ions."""
    files.save_annotations(options.out / "annotations.tsv", annotations.columns)
    if options.colocalisation:
        save_colocalisation(options.out, annotations, colocalised)


def save_results(
    options: Options,
    record: RunRecord,
    spectra: Spectra,
    patterns: Patterns,
    annotations: Annotations,
    overview: Overview,
    stored: Stored,
) -> None:
    """Write results.h5, and give the folder of images its name."""
    scored, columns = annotations.scored, annotations.columns
    groups = {
        "annotations": columns | {"image": stored.plan.image},
        "scores": list_scores(scored),
        "images": list_ions(scored, patterns, stored),
        "pixels": {"x": spectra.grid.x, "y": spectra.grid.y} | spectra.norms,
        "colocalisation": list_nearest(overview.colocalised, stored.plan.ion),
        "spectrum": overview.spectrum,
    }
    n_images = stored.plan.n_pixels.shape[1]
    attributes = make_attributes(options, record, spectra, n_images)
    files.save_results(options.out / "results.h5", groups, stored, attributes)
    publish_images(options.out, stored)


def list_ions(scored: ScoredIons, patterns: Patterns, stored: Stored) -> dict[str, Any]:
    """Return what is kept of each annotated ion, and where its images begin."""
    ion, n_pixels = stored.plan.ion, stored.plan.n_pixels
    moments = [part.moments for part in stored.parts]
    nothing = np.zeros((3, 0, n_pixels.shape[1]))
    mz_mean, mz_std, total = np.concatenate([nothing, *moments], axis=1)
    return {
        "ion": [scored.ions.get_name(number) for number in ion.tolist()],
        "mz": patterns.mz[ion],
        "theoretical_intensity": patterns.intensity[ion],
        "mz_mean": mz_mean,
        "mz_std": mz_std,
        "total_intensity": total,
        "indptr": add_up(n_pixels.ravel()),
        "mz_error_indptr": add_up(n_pixels[:, 0]),
    }


def make_attributes(
    options: Options, record: RunRecord, spectra: Spectra, n_peaks: int
) -> dict[str, Any]:
    """Return the attributes of results.h5."""
    size = record["dataset"].get("pixel_size_um")
    return ({"pixel_size_um": size} if size else {}) | {
        "program": PROGRAM,
        "dataset": record["dataset"]["name"],
        "width": spectra.grid.width,
        "height": spectra.grid.height,
        "n_peaks": n_peaks,
        "ppm": options.ppm,
        "analysis_version": options.analysis_version,
        "polarity": record["search"]["polarity"],
    }
