"""annotations.tsv and results.h5: the same annotations as text and as columns."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector import storer
from hpc_connector.learner.annotation.ion_images import ImageSet
from hpc_connector.storer.results import save_table
from metabolite_annotation import schema


def save_annotations(path: Path, columns: dict[str, Any]) -> None:
    """Write ``annotations.tsv``."""
    save_table(path, {name: columns[name] for name in schema.TABLE.names})


def save_results(
    path: Path,
    columns: dict[str, Any],
    scores: dict[str, Any],
    ions: dict[str, Any],
    images: Iterable[ImageSet],
    pixels: dict[str, Any],
    overview: dict[str, dict[str, Any]],
    attributes: dict[str, Any],
) -> None:
    """Write ``results.h5``.

    Parameters
    ----------
    images
        Those of the ions, some ions at a time.
    overview
        Groups ``colocalisation`` and ``spectrum``.
    """
    schema.check(schema.ANNOTATIONS, columns)
    schema.check(schema.SCORES, scores)
    schema.check(schema.PIXELS, pixels)
    schema.check(schema.COLOCALISED, overview["colocalisation"])
    schema.check(schema.SPECTRUM, overview["spectrum"])
    groups = {
        "annotations": columns,
        "scores": scores,
        "images": ions,
        "pixels": pixels,
        **overview,
    }
    everything = {
        f"{group}/{name}": column
        for group, members in groups.items()
        for name, column in members.items()
    }
    storer.save_output(path, everything, attributes, parts=list_columns(images))


def list_columns(images: Iterable[ImageSet]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the columns of sparse images, their totals and their m/z."""
    start = np.zeros(1, np.int64)  # of the next image
    yield {"images/indptr": start}
    for part in images:
        ends = start[-1] + part.start[1:]
        start = ends[-1:]
        yield {
            "images/indptr": ends,
            "images/pixel": part.pixel,
            "images/intensity": part.intensity,
            "images/mz_mean": part.mz_mean,
            "images/mz_std": part.mz_std,
            "images/total_intensity": part.total,
        }
