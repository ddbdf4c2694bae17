"""Columns that describe variants: arrays, cut out of bytes or made of lists.

A variant costs no Python object: where there are millions, these are what takes time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.loader.genotypes import _column_kernels as kernels
from hpc_connector.loader.genotypes.sample_file import TEXT, Variants

MOST_BYTES = 16 << 20  # of texts as wide as the longest


def cut_texts(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray:
    """Return stretches of UTF-8 as texts.

    Parameters
    ----------
    data
        uint8 (bytes,).
    starts, ends
        Of the stretches, int64 (stretches,).
    """
    width = max(1, int((ends - starts).max(initial=0)))
    if width * len(starts) > MOST_BYTES:  # one is very long
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        return np.array([data[a:b].tobytes().decode() for a, b in bounds], TEXT)
    cells = np.empty((len(starts), width), np.uint8)
    kernels.copy_cells(data, starts, ends, cells)
    return cells.view(f"S{width}")[:, 0].astype(TEXT)


def make_variants(rows: Sequence[Sequence[Any]]) -> Variants:
    """Return the columns of rows of them, in the order of the columns.

    What follows the five in a row is left out.
    """
    name, chromosome, position, counted, other = zip(
        *(row[:5] for row in rows), strict=True
    )
    return Variants(
        np.array(name, TEXT),
        np.array(chromosome, TEXT),
        np.array(position, np.int64),
        np.array(counted, TEXT),
        np.array(other, TEXT),
    )
