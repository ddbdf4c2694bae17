"""Alleles of PLINK 2 files."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import kernel

COMMA = ord(",")


@kernel
def count_alleles(
    text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many alleles variants have, REF too: int64 (variants,).

    Parameters
    ----------
    text
        uint8 (bytes,).
    starts, ends
        Of ALT, which commas separate, int64 (variants,).
    """
    n_alleles = np.full(starts.shape[0], 2)
    for v in range(starts.shape[0]):
        for at in range(starts[v], ends[v]):
            n_alleles[v] += text[at] == COMMA
    return n_alleles
