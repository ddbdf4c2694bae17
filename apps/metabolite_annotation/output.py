"""What a run leaves: annotations.tsv, ion images, results.h5, a summary."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector import storer
from hpc_connector.learner.annotation.ion_images import Grid, ImageSet
from hpc_connector.storer.png import encode_blocks
from hpc_connector.storer.results import save_table
from metabolite_annotation.options import Options

TABLE = (
    "formula",
    "adduct",
    "ion",
    "database",
    "mz",
    "msm",
    "score",
    "chaos",
    "spatial",
    "spectral",
    "mz_err_abs",
    "mz_err_rel",
    "fdr",
    "fdr_level",
    "total_intensity",
    "n_pixels",
    "molecule_names",
    "molecule_ids",
    "isomers",
    "isobars",
)
BLOCK_PIXELS = 1 << 20
FULL = np.uint16(65535)
SHOWN = 10


def save_annotations(path: Path, columns: dict[str, Any]) -> None:
    """Write ``annotations.tsv``."""
    save_table(path, {name: columns[name] for name in TABLE})


def get_image_name(formula: str, adduct: str, k: int) -> str:
    """Return the file name of an ion image; k counts isotope peaks from 1."""
    return f"{formula}_{adduct}_{k + 1}.png"


def save_png(path: Path, grid: Grid, pixel: np.ndarray, value: np.ndarray) -> None:
    """Write an ion image as 16-bit grey with alpha; the caller publishes its folder.

    The least value of the box is black and the greatest is white; places without a
    spectrum are transparent.
    """
    blocks = draw_blocks(grid, pixel, value)
    with open(path, "wb") as stream:
        for part in encode_blocks(blocks, grid.height, grid.width, 2, 16):
            stream.write(part)


def draw_blocks(
    grid: Grid, pixel: np.ndarray, value: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield blocks of rows of an image, shape (rows, width, 2)."""
    is_full = len(pixel) == grid.height * grid.width
    least = value.min() if is_full else np.float32(0.0)
    span = value.max(initial=0.0) - least
    grey = np.zeros(len(grid.x), np.uint16)
    if span > 0:  # in single precision, as the engine
        grey[pixel] = (value - least) / span * FULL.astype(np.float32)
    n_rows = max(1, BLOCK_PIXELS // grid.width)
    for top in range(0, grid.height, n_rows):
        rows = min(n_rows, grid.height - top)
        first, last = np.searchsorted(grid.y, [top, top + rows])
        block = np.zeros((rows, grid.width, 2), np.uint16)
        place = grid.y[first:last] - top, grid.x[first:last]
        block[(*place, 0)] = grey[first:last]
        block[(*place, 1)] = FULL
        yield block


def save_results(
    path: Path,
    columns: dict[str, Any],
    scores: dict[str, Any],
    ions: dict[str, Any],
    images: Iterable[ImageSet],
    pixels: dict[str, Any],
    attributes: dict[str, Any],
) -> None:
    """Write ``results.h5``; `images` are those of the ions, some ions at a time."""
    groups = {
        "annotations": columns,
        "scores": scores,
        "images": ions,
        "pixels": pixels,
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


def print_summary(
    args: Options, columns: dict[str, Any], summary: dict[str, Any]
) -> None:
    """Print the best annotations, or the summary as one JSON object."""
    n = len(columns["formula"])
    names = ("formula", "adduct", "mz", "msm", "fdr", "molecule_names")
    top = [
        {name: as_plain(columns[name][i]) for name in names}
        for i in range(min(n, SHOWN))
    ]
    if args.json:
        print(json.dumps(summary | {"out": str(args.out), "top": top}))
        return
    for row in top:
        molecules = row["molecule_names"][:40]
        ion = f"{row['formula']} {row['adduct']}"
        print(
            f"{ion:<24} m/z {row['mz']:<10.4f} MSM {row['msm']:.3f}  "
            f"FDR {100 * row['fdr']:.1f} %  {molecules}"
        )
    counts = ", ".join(f"{k} at {level} %" for level, k in summary["at_fdr"].items())
    print(f"{n} annotations ({counts})")
    print(f"results: {args.out}/report.html, annotations.tsv, images/, results.h5")


def as_plain(value: Any) -> Any:
    """Return a numpy number as one of Python."""
    return value.item() if isinstance(value, np.generic) else value
