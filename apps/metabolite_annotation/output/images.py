"""The folder of ion images: 16-bit PNG of every isotope peak of an annotation."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpc_connector.learner.annotation.ion_images import Grid, get_images
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.ranks import run_on_ranks
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.storer.png import encode_blocks
from metabolite_annotation.annotations import Annotations
from metabolite_annotation.options import Options
from metabolite_annotation.patterns import Patterns
from metabolite_annotation.spectra import Spectra

BLOCK_PIXELS = 1 << 20
FULL = np.uint16(65535)


class Named(NamedTuple):
    """An ion by what its images are named: the last annotation of that name."""

    formula: str
    adduct: str
    ion: int


def save_images(
    comm: Communicator,
    options: Options,
    spectra: Spectra,
    patterns: Patterns,
    annotations: Annotations | None,
    save_rest: Callable[[], None],
) -> bool:
    """Write ion images on all ranks, and the rest on rank 0 at the same time.

    Parameters
    ----------
    annotations, save_rest
        On rank 0.

    Returns
    -------
    Whether all is written; then the folder of images has its name.
    """
    unfinished, folder = options.out / "images.partial", options.out / "images"
    named = share_names(comm, annotations, unfinished)

    def run_task(number: int, thread: int) -> None:
        save_ion(unfinished, named[number], spectra, patterns, options.ppm)

    outcome = run_on_ranks(
        comm,
        run_task,
        range(len(named)),
        lambda *_: None,
        threads=options.threads,
        show=make_progress(quiet=options.quiet),
        first=save_rest if comm.rank == 0 else None,
    )
    with end_together(comm):
        if comm.rank == 0 and outcome.is_done:
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
    return outcome.is_done


def share_names(
    comm: Communicator, annotations: Annotations | None, folder: Path
) -> list[Named]:
    """Make a folder of images, and tell all ranks which there will be."""
    named: list[Named] = []
    with end_together(comm):
        if comm.rank == 0 and annotations:
            named = list_names(annotations)
            folder.mkdir(exist_ok=True)
    shared: list[Named] = comm.bcast(named)
    return shared


def list_names(annotations: Annotations) -> list[Named]:
    """Return the ions whose images are shown, each name once."""
    columns = annotations.columns
    pairs = zip(columns["formula"], columns["adduct"], strict=True)
    ion_of = dict(zip(pairs, annotations.ion.tolist(), strict=True))
    return [Named(*pair, ion) for pair, ion in sorted(ion_of.items())]


def save_ion(
    folder: Path, named: Named, spectra: Spectra, patterns: Patterns, ppm: float
) -> None:
    """Write the isotope images of an ion, those with a signal."""
    mz = patterns.mz[named.ion : named.ion + 1]
    images = get_images(spectra.peaks, spectra.grid, mz, ppm=ppm)
    for k in range(mz.shape[1]):
        part = slice(images.start[k], images.start[k + 1])
        if part.start < part.stop:
            path = folder / get_image_name(named.formula, named.adduct, k)
            save_png(path, spectra.grid, images.pixel[part], images.intensity[part])


def get_image_name(formula: str, adduct: str, k: int) -> str:
    """Return the file name of an ion image; k counts isotope peaks from 0.

    Examples
    --------
    >>> get_image_name("C6H12O6", "+Na", 0)
    'C6H12O6_+Na_1.png'
    """
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
    """Yield blocks of rows of an image, uint16 (rows, width, 2)."""
    grey = scale(grid, pixel, value)
    n_rows = max(1, BLOCK_PIXELS // grid.width)
    for top in range(0, grid.height, n_rows):
        rows = min(n_rows, grid.height - top)
        first, last = np.searchsorted(grid.y, [top, top + rows])
        block = np.zeros((rows, grid.width, 2), np.uint16)
        place = grid.y[first:last] - top, grid.x[first:last]
        block[(*place, 0)] = grey[first:last]
        block[(*place, 1)] = FULL
        yield block


def scale(grid: Grid, pixel: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the grey of each pixel with a spectrum, uint16 (pixels,)."""
    is_full = len(pixel) == grid.height * grid.width
    least = value.min() if is_full else np.float32(0.0)
    span = value.max(initial=0.0) - least
    grey = np.zeros(len(grid.x), np.uint16)
    if span > 0:  # in single precision, as the engine
        grey[pixel] = (value - least) / span * FULL.astype(np.float32)
    return grey
