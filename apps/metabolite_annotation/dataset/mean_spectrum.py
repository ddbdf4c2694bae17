"""The mean spectrum of the pixels, of all ranks."""

import numpy as np

from hpc_connector.learner.annotation.dataset.mean_spectrum import (
    Bins,
    choose_bins,
    get_bins,
)
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from metabolite_annotation.spectra import Spectra

MOST_BINS = 1 << 14


def find_mean_spectrum(
    comm: Communicator, spectra: Spectra, ppm: float
) -> dict[str, np.ndarray] | None:
    """Return the columns of ``results.h5/spectrum``, on rank 0."""
    with end_together(comm):
        bins = get_bins(spectra.peaks, comm.rank, comm.size, MOST_BINS, ppm=ppm)
    parts = comm.gather(bins)
    if parts is None:
        return None
    mz, total = map(np.concatenate, zip(*parts, strict=True))
    kept = choose_bins(Bins(mz, total), MOST_BINS)
    intensity = kept.total / len(spectra.grid.x)
    return {"mz": kept.mz, "intensity": intensity.astype(np.float32)}
