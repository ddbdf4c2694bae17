"""The search of a tile of pairs of which everybody is genotyped."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector.learner.mdr._arguments import Best, Genotypes, Rules
from hpc_connector.learner.mdr.pairs._complete_kernels import search_every_pair
from hpc_connector.learner.mdr.pairs._fold_kernels import search_screened_pairs
from hpc_connector.learner.mdr.pairs._screen_kernels import is_screened


def search_complete_pairs(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Search a tile of pairs in which no genotype is missing.

    Parameters
    ----------
    genotypes
        Two or three planes may be stored; the first two are used, of the tile alone.

    The others as in ``search_missing_pairs``.
    """
    screens = not errors.size and is_screened(genotypes, rules)
    kernel = search_screened_pairs if screens else search_every_pair
    kernel(genotypes, rules, best, tile, errors)
