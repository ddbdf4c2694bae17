"""Which annotated ions have images alike, on all ranks: ``colocalisation``.

Ranks and threads take ions in turn to find where their images are cut, and then strips
of rows, whose products they add up: whole numbers, so the order makes no difference,
and memory is that of a strip.
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hpc_connector.actions.area import near_data
from hpc_connector.actions.counts import Row
from hpc_connector.actions.reduced import add_arrays
from hpc_connector.learner.annotation.dataset.colocalisation import (
    get_limits,
    get_nearest,
    get_products,
)
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.pipeline.ranks import run_on_ranks
from metabolite_annotation.annotations import Annotations
from metabolite_annotation.options import Options
from metabolite_annotation.patterns import Patterns
from metabolite_annotation.spectra import Spectra

MOST_IONS = 2000  # by annotation, the best: time and memory grow with their square
NEAREST = 10
IONS_A_TASK = 16
STRIP_VALUES = 1 << 22  # of all images, in memory at once
STRIPS_A_WORKER = 4


class Colocalised(NamedTuple):
    """Ions, ascending numbers (n,), and the products of their images, (n, n).

    Parameters
    ----------
    moved
        What adding them up moved between nodes.
    """

    ion: np.ndarray
    products: np.ndarray
    moved: Sequence[Row] = ()


def find_colocalised(
    comm: Communicator,
    options: Options,
    spectra: Spectra,
    patterns: Patterns,
    annotations: Annotations | None,
) -> tuple[Colocalised | None, bool]:
    """Return the products of all pairs of images of the best annotated ions.

    Parameters
    ----------
    annotations
        None but on rank 0.

    Returns
    -------
    What is found, on rank 0; and whether no signal came between.
    """
    ion = comm.bcast(annotations and choose_ions(annotations.ion))
    mz = patterns.mz[ion, 0]
    limits, is_done = find_limits(comm, options, spectra, mz)
    if not is_done:
        return None, False
    products, is_done = add_products(comm, options, spectra, mz, limits)
    total, moved = add_up(comm, products)
    return (None if total is None else Colocalised(ion, total, moved)), is_done


def add_up(
    comm: Communicator, products: np.ndarray
) -> tuple[np.ndarray | None, list[Row]]:
    """Return the sum of the products of all ranks, on rank 0, added up on each node.

    They are whole numbers, so the order makes no difference.
    """
    with near_data(comm) as area:
        action = area.create("products of images", add_arrays(np.float64))
        action.write([products])
        total = area.reduce(action.name)
    return (None if total is None else total.reshape(products.shape)), area.rows


def choose_ions(ion: np.ndarray) -> np.ndarray:
    """Return the ions of the best annotations, each once, ascending.

    Parameters
    ----------
    ion
        Of each annotation, the best first.
    """
    unique, first = np.unique(ion, return_index=True)
    return np.sort(unique[np.argsort(first)][:MOST_IONS])


def find_limits(
    comm: Communicator, options: Options, spectra: Spectra, mz: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Return where images are cut, (ions, 2), on all ranks; and whether it is done."""
    limits = np.zeros((len(mz), 2))

    def run_task(first: int, thread: int) -> None:
        part = slice(first, first + IONS_A_TASK)
        limits[part] = get_limits(
            spectra.peaks, spectra.grid, mz[part], ppm=options.ppm
        )

    todo = range(0, len(mz), IONS_A_TASK)
    outcome = run_on_ranks(
        comm, run_task, todo, lambda *_: None, threads=options.threads
    )
    return np.sum(comm.allgather(limits), axis=0), outcome.is_done


def add_products(
    comm: Communicator,
    options: Options,
    spectra: Spectra,
    mz: np.ndarray,
    limits: np.ndarray,
) -> tuple[np.ndarray, bool]:
    """Return the sums of products over the strips of this rank; and whether all are."""
    height, width = spectra.grid.height, spectra.grid.width
    n_workers = comm.size * options.threads
    fitting = STRIP_VALUES // options.threads // (max(len(mz), 1) * width)
    n_rows = max(1, min(fitting, height // (STRIPS_A_WORKER * n_workers)))
    total, lock = np.zeros((len(mz), len(mz))), threading.Lock()

    def run_task(top: int, thread: int) -> None:
        rows = top, min(top + n_rows, height)
        given = (spectra.peaks, spectra.grid, mz, limits, rows)
        products = get_products(*given, ppm=options.ppm)
        with lock:
            np.add(total, products, out=total)

    todo = range(0, height if len(mz) > 1 else 0, n_rows)
    outcome = run_on_ranks(
        comm, run_task, todo, lambda *_: None, threads=options.threads
    )
    return total, outcome.is_done


def list_nearest(found: Colocalised, ion: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of ``results.h5/colocalisation``.

    Parameters
    ----------
    ion
        The ions of all images, ascending.
    """
    row = np.searchsorted(ion, found.ion).astype(np.int32)
    nearest, cosine = get_nearest(found.products, NEAREST)
    rows = np.full((len(ion), NEAREST), -1, np.int32)
    cosines = np.zeros((len(ion), NEAREST), np.float32)
    rows[row] = np.where(nearest < 0, -1, row[nearest])
    cosines[row] = cosine
    return {"ion": rows, "cosine": cosines}
