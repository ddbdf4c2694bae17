"""Intensities of all pixels for other programs: CSV, and AnnData.

Both hold the first isotope image of each annotation, a row or a column each, in the
order of annotations.tsv; so rows and images agree whatever the modifiers are.
"""

import gzip
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.ion_images import Grid, get_images
from hpc_connector.learner.annotation.normalisation import NORMS, normalise
from hpc_connector.publish import publish
from metabolite_annotation import schema
from metabolite_annotation.options import Options
from metabolite_annotation.spectra import Spectra

if TYPE_CHECKING:
    from anndata import AnnData

CSV, ANNDATA = "pixel_intensities.csv.gz", "annotations.h5ad"
EXPORTS = {"csv": CSV, "anndata": ANNDATA}


class Image(NamedTuple):
    """Pixels with a signal, rows of the spectra's pixels, and their intensities."""

    pixel: np.ndarray
    intensity: np.ndarray


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


def save_exports(
    options: Options,
    columns: Mapping[str, Any],
    spectra: Spectra,
    mz: np.ndarray,
    attributes: Mapping[str, Any],
) -> None:
    """Write the exports that are asked for.

    Parameters
    ----------
    columns
        Of the annotations.
    mz
        Isotope peaks of each annotation, shape (annotations, images).
    attributes
        Of the search, as results.h5 has them.
    """
    places = {"x": spectra.grid.x, "y": spectra.grid.y} | spectra.norms
    if "csv" in options.export:
        images = get_first_images(spectra, mz, options.ppm)
        found = normalise_images(images, places, options.normalise)
        save_csv(options.out / CSV, columns, spectra.grid, found)
    if "anndata" in options.export:
        images = get_first_images(spectra, mz, options.ppm)
        data = make_anndata(columns, places, images, attributes, options.normalise)
        save_anndata(options.out / ANNDATA, data)


def get_first_images(spectra: Spectra, mz: np.ndarray, ppm: float) -> Iterator[Image]:
    """Yield the first image of each annotation, from its isotope peaks."""
    for first in mz[:, None, :1]:
        image = get_images(spectra.peaks, spectra.grid, first, ppm=ppm)
        yield Image(image.pixel, image.intensity)


def normalise_images(
    images: Iterable[Image], pixels: Mapping[str, np.ndarray], norm: str
) -> Iterator[Image]:
    """Yield images whose intensities are divided by a norm of their pixels.

    Parameters
    ----------
    pixels
        Columns of ``schema.PIXELS``.
    norm
        The name of a column, or "none" to leave them.
    """
    for image in images:
        if norm == "none":
            yield image
        else:
            value = normalise(image.intensity, image.pixel, pixels[norm])
            yield Image(image.pixel, value)


def save_csv(
    path: Path, columns: Mapping[str, Any], grid: Grid, images: Iterable[Image]
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
        text.write(",".join([*schema.CSV.names, *places]) + "\n")
        for row, (pixel, value) in enumerate(images):
            dense = np.full(len(places), "0", object)
            dense[pixel] = [f"{v:.7g}" for v in value.tolist()]
            named = [_quote(columns[name][row]) for name in schema.CSV.names]
            text.write(",".join([*named, *dense.tolist()]) + "\n")


def _quote(value: Any) -> str:
    """Return a value as a field of CSV."""
    if isinstance(value, float | np.floating):
        return f"{value:.10g}"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text


def make_anndata(
    columns: Mapping[str, Any],
    pixels: Mapping[str, np.ndarray],
    images: Iterable[Image],
    attributes: Mapping[str, Any],
    norm: str,
) -> "AnnData":
    """Return an AnnData object of places by annotations, as METASPACE's tools take it.

    Its rows are all places of the box of pixels, row by row: scanpy and squidpy take
    them as they are, and metaspace-converter by their names, "0" to the last.

    Parameters
    ----------
    columns
        Of the annotations; those of ``schema.VAR`` become ``var``.
    pixels
        Columns of ``schema.PIXELS``; they become ``obs``, 0 where there is no spectrum.
    images
        The first of each annotation.
    attributes
        Of the search; with `norm` and the size of the box they become ``uns``.

    Returns
    -------
    ``X`` is float32 (places, annotations), dense; ``obsm["spatial"]`` is x and y.
    """
    import anndata
    import pandas as pd

    width, height = attributes["width"], attributes["height"]
    place = pixels["y"].astype(np.int64) * width + pixels["x"]
    y, x = np.divmod(np.arange(width * height, dtype=np.int32), np.int32(width))
    matrix = np.zeros((width * height, len(columns["mz"])), np.float32)
    for k, image in enumerate(normalise_images(images, pixels, norm)):
        matrix[place[image.pixel], k] = image.intensity
    obs = {"ion_image_pixel_x": x, "ion_image_pixel_y": y}
    for name in NORMS:
        obs[name] = np.zeros(width * height)
        obs[name][place] = pixels[name]
    var = {name: columns[name] for name in schema.VAR.names}
    box = {"image_size": {"x": width, "y": height}}
    data = anndata.AnnData(
        matrix,
        obs=pd.DataFrame(obs, index=[str(k) for k in range(width * height)]),
        var=pd.DataFrame(var, index=name_annotations(columns)),
        obsm={"spatial": np.stack([x, y], axis=1).astype(np.float64)},
        uns={**attributes, "normalise": norm, "metaspace": box},
    )
    data.strings_to_categoricals()
    return data


def save_anndata(path: Path, data: "AnnData") -> None:
    """Write an AnnData object, published by rename; zeros take no room."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        data.write_h5ad(Path(folder) / path.name, compression="gzip")
        os.replace(Path(folder) / path.name, path)


def name_annotations(columns: Mapping[str, Any]) -> list[str]:
    """Return a name of each annotation that no other has."""
    parts: tuple[str, ...] = ("formula", "adduct")
    names = ["".join(row) for row in zip(*(columns[p] for p in parts), strict=True)]
    if len(set(names)) < len(names):
        titles = columns["database"]
        names = [f"{name} {title}" for name, title in zip(names, titles, strict=True)]
    return names
