"""Intensities of all pixels for other programs: CSV, and AnnData.

Both hold the first isotope image of each annotation, a row or a column each, in the
order of annotations.tsv; so rows and images agree whatever the modifiers are.
"""

import gzip
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.ion_images import Grid, get_images
from hpc_connector.learner.annotation.normalisation import normalise
from hpc_connector.publish import publish
from metabolite_annotation.spectra import Spectra

CSV, ANNDATA = "pixel_intensities.csv.gz", "annotations.h5ad"
NAMED = ("formula", "adduct", "database", "mz")

Image = tuple[np.ndarray, np.ndarray]


def check_exports(formats: Sequence[str]) -> None:
    """Refuse a format whose library is not there, before any work is done."""
    if "anndata" in formats:
        try:
            import anndata  # noqa: F401
        except ImportError:
            raise BadInput(
                "--export anndata needs anndata: expected "
                "pip install 'hpc_connector[anndata]'"
            ) from None


def get_first_images(
    spectra: Spectra, mz: np.ndarray, ppm: float, norm: np.ndarray | None
) -> Iterator[Image]:
    """Yield pixels and intensities of the first image of each annotation.

    Parameters
    ----------
    mz
        Isotope peaks of each annotation, shape (annotations, images).
    norm
        By which intensities are divided, of each pixel; None to leave them.
    """
    for first in mz[:, None, :1]:
        image = get_images(spectra.peaks, spectra.grid, first, ppm=ppm)
        pixel, value = image.pixel, image.intensity
        yield pixel, value if norm is None else normalise(value, pixel, norm)


def save_csv(
    path: Path, columns: dict[str, Any], grid: Grid, images: Iterator[Image]
) -> None:
    """Write a row an annotation and a column a pixel, compressed.

    Columns of pixels are named by place, such as x12_y3, both from 0.
    """
    places = [f"x{x}_y{y}" for x, y in zip(grid.x, grid.y, strict=True)]
    with (
        publish(path) as stream,
        gzip.GzipFile("", "wb", 5, stream, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
    ):
        text.write(",".join([*NAMED, *places]) + "\n")
        for row, (pixel, value) in enumerate(images):
            dense = np.full(len(places), "0", object)
            dense[pixel] = [f"{v:.7g}" for v in value.tolist()]
            named = [_quote(columns[name][row]) for name in NAMED]
            text.write(",".join([*named, *dense.tolist()]) + "\n")


def _quote(value: Any) -> str:
    """Return a value as a field of CSV."""
    if isinstance(value, float | np.floating):
        return f"{value:.10g}"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text


def save_anndata(
    path: Path,
    columns: dict[str, Any],
    pixels: dict[str, np.ndarray],
    images: Iterator[Image],
    settings: dict[str, Any],
) -> None:
    """Write an AnnData object of pixels by annotations, published by rename.

    Parameters
    ----------
    columns
        Of annotations.tsv, they become ``var``.
    pixels
        x, y and norms of each pixel, they become ``obs``.
    settings
        They become ``uns``.
    """
    import anndata
    import pandas as pd
    from scipy import sparse

    found = list(images)
    n_pixels = len(pixels["x"])
    index = np.concatenate([np.zeros(0, np.uint32), *(p for p, _ in found)])
    value = np.concatenate([np.zeros(0, np.float32), *(v for _, v in found)])
    start = np.cumsum([0] + [len(p) for p, _ in found])
    matrix = sparse.csc_matrix((value, index, start), (n_pixels, len(found))).tocsr()
    names = [f"x{x}_y{y}" for x, y in zip(pixels["x"], pixels["y"], strict=True)]
    place = np.stack([pixels["x"], pixels["y"]], axis=1).astype(np.float64)
    data = anndata.AnnData(
        matrix,
        obs=pd.DataFrame(pixels, index=names),
        var=pd.DataFrame(columns, index=name_annotations(columns)),
        obsm={"spatial": place},
        uns=settings,
    )
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        data.write_h5ad(Path(folder) / path.name)
        os.replace(Path(folder) / path.name, path)


def name_annotations(columns: dict[str, Any]) -> list[str]:
    """Return a name of each annotation that no other has."""
    parts: tuple[str, ...] = ("formula", "adduct")
    names = ["".join(row) for row in zip(*(columns[p] for p in parts), strict=True)]
    if len(set(names)) < len(names):
        titles = columns["database"]
        names = [f"{name} {title}" for name, title in zip(names, titles, strict=True)]
    return names
