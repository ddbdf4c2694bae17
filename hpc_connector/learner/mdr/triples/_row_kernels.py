"""One row of triples, counted anew: for the few that have to be scored."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, kernel
from hpc_connector.learner.mdr._arguments import Genotypes, Rules
from hpc_connector.learner.mdr._count_kernels import count_rows, sum_folds
from hpc_connector.learner.mdr._search_kernels import score_cells
from hpc_connector.learner.mdr._simd import add_common_bits, load, spread, store
from hpc_connector.learner.mdr._triple_kernels import (
    complete_pair_table,
    copy_common_rows,
    fill_triple_cells,
)

STEP = 256  # counts of a group: two rows of eight cells of sixteen triples


@kernel
def get_pair_table(
    genotypes: Genotypes, carriers: NDArray[np.int32], variant: int, block: int
) -> NDArray[np.int32]:
    """Return the tables of a variant with the sixteen of a block.

    Parameters
    ----------
    carriers
        Of all blocks, from ``get_carriers``.

    Returns
    -------
    int32 [group][genotype of the variant][of the other][lane], flat.
    """
    n_groups, lane = genotypes.size.shape[0], variant % 16
    counts = np.empty(n_groups * 64, np.int32)
    table = np.empty(n_groups * 144, np.int32)
    _count_variant(genotypes, genotypes.planes.reshape(-1), variant, block, counts)
    own, other = carriers[variant // 16], carriers[block]
    complete_pair_table(counts, 0, 64, own, lane, other, genotypes.size, table)
    return table


@bare
def _count_variant(
    genotypes: Genotypes,
    planes: NDArray[np.int32],
    variant: int,
    block: int,
    counts: NDArray[np.int32],
) -> None:
    """Count four cells of a variant with a block: int32 [group][cell][lane]."""
    start, folds = genotypes.group_start, genotypes.folds
    size = genotypes.planes.shape[1] * 32
    row, at = variant // 16 * size + variant % 16, block * size
    for group in range(2 * folds):
        a = b = c = d = spread(np.int32(0))
        for w in range(start[group] * 32, start[group + 1] * 32, 32):
            x, y = load(planes, at + w), load(planes, at + w + 16)
            first, second = spread(planes[row + w]), spread(planes[row + w + 16])
            a, b = add_common_bits(a, first, x), add_common_bits(b, first, y)
            c, d = add_common_bits(c, second, x), add_common_bits(d, second, y)
        store(counts, group * 64, a)
        store(counts, group * 64 + 16, b)
        store(counts, group * 64 + 32, c)
        store(counts, group * 64 + 48, d)
    if folds > 1:
        sum_folds(counts, folds, 64)


@kernel
def score_row(
    genotypes: Genotypes,
    rules: Rules,
    carriers: NDArray[np.int32],
    i: int,
    j: int,
    block: int,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Write the statistics of the triples of i and j with the sixteen k of a block.

    Parameters
    ----------
    genotypes
        Of two planes.
    carriers
        Of all blocks, from ``get_carriers``.
    fold_train, statistics
        The result, see ``score_pairs``.
    """
    n_words, n_groups = genotypes.planes.shape[1], genotypes.size.shape[0]
    planes, size = genotypes.planes.reshape(-1), n_words * 32
    at_i, at_j = i // 16 * size, j // 16 * size
    rows = np.empty(n_words * 8, np.int32)
    counts = np.empty(n_groups * STEP, np.int32)
    copy_common_rows(planes, at_i, i % 16, at_j, j % 16 & 14, 2, n_words, rows)
    count_rows(genotypes, planes, rows, 1, block * size, counts, STEP)
    cells = np.empty(n_groups * 432, genotypes.float_size.dtype)
    fill_triple_cells(
        counts,
        (j & 1) * 128,
        STEP,
        get_pair_table(genotypes, carriers, i, j // 16),
        j % 16,
        get_pair_table(genotypes, carriers, i, block),
        get_pair_table(genotypes, carriers, j, block),
        3,
        n_groups,
        cells,
    )
    score_cells(genotypes, rules, 27, cells, fold_train, statistics)
