"""The tasks of a run in a function: peaks in a store, of which a task reads a stretch.

Peaks are in order of m/z, and so are the ions of the tasks: a task has need of the
peaks between its first and its last centroid, and of the few places of its patterns.
"""

from collections.abc import Sequence

import numpy as np

from hpc_connector.burst.package import Package, load_rows, save_package
from hpc_connector.learner.annotation.ion_images import Grid, PeakList
from hpc_connector.pipeline.ledger import Arrays
from hpc_connector.storage.address import Source
from metabolite_annotation.patterns import Patterns
from metabolite_annotation.spectra import Spectra
from metabolite_annotation.tasks import join, make_run_task

PEAKS = ("mz", "pixel", "intensity")
STRIDE = 1 << 16  # peaks between those whose m/z every task knows
LOOSE = 2e-6  # more than the window: its edges are found in single precision too


def pack(
    spectra: Spectra,
    patterns: Patterns,
    tasks: Sequence[np.ndarray],
    ppm: float,
    folder: Source,
) -> tuple[str, int]:
    """Put what tasks need into a store; return the package's name, and bytes sent."""
    grid = spectra.grid
    arrays = {name: getattr(spectra.peaks, name) for name in PEAKS}
    arrays |= {"x": grid.x, "y": grid.y}
    arrays["landmarks"] = spectra.peaks.mz[::STRIDE].astype(np.float64)
    arrays["ions"] = ions = np.concatenate([np.zeros(0, np.int64), *tasks])
    arrays |= {"centroids": patterns.mz[ions]}
    arrays |= {"theoretical": patterns.intensity[ions]}
    facts = {
        "ppm": ppm,
        "height": grid.height,
        "width": grid.width,
        "ends": np.cumsum([0, *map(len, tasks)]).tolist(),
    }
    return save_package(folder, facts, arrays)


def run_tasks(package: Package, numbers: Sequence[int]) -> Arrays:
    """Run some tasks of a package; return what a ledger records of them."""
    facts = package.facts
    rows = [(facts["ends"][n], facts["ends"][n + 1]) for n in numbers]
    ions = load_rows(package, "ions", rows)
    patterns = Patterns(
        load_rows(package, "centroids", rows), load_rows(package, "theoretical", rows)
    )
    x, y = load_rows(package, "x"), load_rows(package, "y")
    grid = Grid(x, y, facts["height"], facts["width"])
    chosen = np.concatenate([np.arange(*r) for r in rows])
    peaks = load_peaks(package, patterns.mz[chosen], facts["ppm"])
    scored: list[Arrays] = []
    tasks = [np.arange(*r) for r in rows]
    run_task = make_run_task(peaks, grid, tasks, patterns, facts["ppm"], [scored])
    for number in range(len(tasks)):
        run_task(number, 0)
    return join([part | {"ion": ions[part["ion"]]} for part in scored])


def load_peaks(package: Package, mz: np.ndarray, ppm: float) -> PeakList:
    """Return the peaks that some ions may have, and a few more, read by pieces.

    Parameters
    ----------
    mz
        Centroids of the ions, shape (ions, images), 0 where there is none.
    """
    wide = 1e-6 * ppm + LOOSE
    landmarks = load_rows(package, "landmarks")
    first = np.searchsorted(landmarks, mz[mz > 0].min() * (1 - wide)) - 1
    last = np.searchsorted(landmarks, mz.max() * (1 + wide), side="right")
    n_peaks = package.arrays["mz"].shape[0]
    rows = max(0, int(first)) * STRIDE, min(int(last) * STRIDE, n_peaks)
    return PeakList(*(load_rows(package, n, [rows])[slice(*rows)] for n in PEAKS))
