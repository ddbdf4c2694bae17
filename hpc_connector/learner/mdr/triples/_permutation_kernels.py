"""The greatest statistic of triples under permutations, without scoring most.

As for pairs: balanced accuracies on all data bound the test balanced accuracies (see
``get_slack``), and need no folds. Where labels are shuffled, cases alone are counted,
for all individuals of a cell stay the same.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner.mdr._arguments import Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import (
    complete,
    get_margins,
    load_four,
    sum_positive,
    weigh_four,
)
from hpc_connector.learner.mdr._count_kernels import (
    copy_rows,
    count_four_rows,
    get_carriers,
)
from hpc_connector.learner.mdr._permutation_kernels import (
    contrast_four,
    get_least,
    replace_planes,
)
from hpc_connector.learner.mdr._simd import (
    Vector,
    any_lane,
    load,
    spread,
    store,
    to_float,
)
from hpc_connector.learner.mdr._triple_kernels import copy_common_rows, is_triple
from hpc_connector.learner.mdr.triples._fold_kernels import (
    complete_nine,
    subtract_nine,
)
from hpc_connector.learner.mdr.triples._row_kernels import score_row

CHUNK = 8  # blocks of k whose tables with sixteen i and j stay in the cache


@kernel
def maximise_triples(
    genotypes: Genotypes,
    permuted: NDArray[np.int32],
    rules: Rules,
    tile: tuple[int, ...],
    slack: float,
    interaction: bool,
    maximum: NDArray[np.float64],
) -> None:
    """Raise the maximum of each permutation to that of the triples of a tile.

    Parameters as of ``maximise_pairs``.
    """
    first_i, last_i, first_j, last_j, first_k, last_k = tile
    n_permutations = permuted.shape[0]
    shuffled = [replace_planes(genotypes, permuted[p]) for p in range(n_permutations)]
    carriers = [get_carriers(of_one, 0, permuted.shape[1]) for of_one in shuffled]
    margins = [get_margins(shuffled[p], carriers[p]) for p in range(n_permutations)]
    tables = np.empty(256 * CHUNK * 128, genotypes.weight.dtype)
    for chunk in range(first_k, last_k, CHUNK):
        chunk_last = min(chunk + CHUNK, last_k)
        for block_j in range(first_j, min(last_j, chunk_last)):
            contrasts_jk = [
                weigh_pairs(shuffled[p], margins[p], block_j, chunk, chunk_last)
                for p in range(n_permutations)
            ]
            for block_i in range(first_i, min(last_i, block_j + 1)):
                blocks = block_i, block_j, chunk, chunk_last
                if not interaction:
                    fill_tables(genotypes, blocks, tables)
                for p in range(n_permutations):
                    of_one, of_margins = shuffled[p], margins[p]
                    ij = weigh_pairs(of_one, of_margins, block_i, block_j, block_j + 1)
                    ik = weigh_pairs(of_one, of_margins, block_i, chunk, chunk_last)
                    maximum[p] = _maximise_blocks(
                        of_one,
                        rules,
                        carriers[p],
                        tables,
                        (ij, ik, contrasts_jk[p]),
                        blocks,
                        slack,
                        interaction,
                        maximum[p],
                    )


@kernel
def weigh_pairs(
    genotypes: Genotypes, margins: Floats, block: int, first: int, last: int
) -> Floats:
    """Return contrasts, on all data, of a block's variants with those of others.

    Parameters
    ----------
    margins
        Of all blocks, from ``get_margins``.
    first, last
        The other blocks are first .. last - 1.

    Returns
    -------
    Floating [row][block][9][lane], flat.
    """
    weight, n_words = genotypes.weight, genotypes.planes.shape[1]
    one, width = weight[0, 0], weight.shape[0] * 48
    n_case_words = genotypes.group_start[genotypes.folds]
    planes, n_blocks = genotypes.planes.reshape(-1), last - first
    rows = np.empty(n_words * 8, np.int32)
    cases, controls = np.empty(256, np.int32), np.empty(256, np.int32)
    contrasts = np.empty(16 * n_blocks * 144, weight.dtype)
    for lane in range(0, 16, 4):
        copy_rows(planes, block * n_words * 32, n_words, 2, lane, 4, rows)
        for other in range(first, last):
            at = other * n_words * 32
            count_four_rows(rows, 0, planes, at, 0, n_case_words, cases, 0)
            count_four_rows(rows, 0, planes, at, n_case_words, n_words, controls, 0)
            for row in range(4):
                a = load_four(cases, row * 64, one)
                u = load_four(controls, row * 64, one)
                x = complete(
                    weigh_four(weight, 0, a, u),
                    margins,
                    block * width + lane + row,
                    margins,
                    other * width,
                )
                to = ((lane + row) * n_blocks + other - first) * 144
                _store_nine(contrasts, to, x)
    return contrasts


@inlined
def _store_nine(contrasts: Floats, at: int, x: tuple[Vector, ...]) -> None:
    store(contrasts, at, x[0])
    store(contrasts, at + 16, x[1])
    store(contrasts, at + 32, x[2])
    store(contrasts, at + 48, x[3])
    store(contrasts, at + 64, x[4])
    store(contrasts, at + 80, x[5])
    store(contrasts, at + 96, x[6])
    store(contrasts, at + 112, x[7])
    store(contrasts, at + 128, x[8])


@kernel
def fill_tables(
    genotypes: Genotypes, blocks: tuple[int, int, int, int], tables: Floats
) -> None:
    """Write N1 t of the counted cells of every triple, t all individuals there.

    tables: floating [i][j][k][8][lane of k].
    """
    block_i, block_j, first, last = blocks
    n_words, planes = genotypes.planes.shape[1], genotypes.planes.reshape(-1)
    size, n_cases = n_words * 32, genotypes.weight[0, 1]
    rows, counts = np.empty(n_words * 8, np.int32), np.empty(256, np.int32)
    for lane_i in range(16):
        for lane_j in range(0, 16, 2):
            if block_i == block_j and lane_j + 1 <= lane_i:
                continue
            at_i, at_j = block_i * size, block_j * size
            copy_common_rows(planes, at_i, lane_i, at_j, lane_j, 2, n_words, rows)
            for k in range(max(first, block_j), last):
                count_four_rows(rows, 0, planes, k * size, 0, n_words, counts, 0)
                table = (lane_i * 16 + lane_j) * CHUNK + k - first
                _store_products(counts, 0, n_cases, tables, table * 128)
                _store_products(counts, 128, n_cases, tables, (table + CHUNK) * 128)


@inlined
def _store_products(
    counts: NDArray[np.int32],
    at: int,
    factor: np.floating[Any],
    products: Floats,
    to: int,
) -> None:
    """Write a factor times the eight counted cells of a row."""
    for cell in range(0, 128, 16):
        count = to_float(load(counts, at + cell), factor)
        store(products, to + cell, count * spread(factor))


@inlined
def _get_excess(
    counts: NDArray[np.int32],
    at: int,
    scale: Vector,
    tables: Floats,
    table: int,
    contrasts: tuple[Floats, Floats, Floats],
    places: tuple[int, int, int],
) -> Vector:
    """Return the sum of the positive ones of 27 contrasts, sixteen triples at a time.

    Parameters
    ----------
    counts, at
        Eight cells of the cases, int32.
    scale, tables, table
        Contrasts are counts times `scale` less what is in the tables.
    contrasts, places
        Of the pairs ij, ik and jk, and where they begin.
    """
    of_ij, of_ik, of_jk = contrasts
    ij, ik, jk = places
    one = of_ij[0]
    zero = spread(one - one)
    four = load_four(counts, at, one)
    x = complete_nine(
        contrast_four(four, scale, tables, table),
        spread(of_ij[ij]),
        spread(of_ij[ij + 16]),
        of_ik,
        ik,
        16,
    )
    four = load_four(counts, at + 64, one)
    y = complete_nine(
        contrast_four(four, scale, tables, table + 64),
        spread(of_ij[ij + 48]),
        spread(of_ij[ij + 64]),
        of_ik,
        ik + 48,
        16,
    )
    z = subtract_nine(of_jk, jk, 16, x, y)
    return sum_positive(x, zero) + sum_positive(y, zero) + sum_positive(z, zero)


@kernel
def _maximise_blocks(
    genotypes: Genotypes,
    rules: Rules,
    carriers: NDArray[np.int32],
    tables: Floats,
    contrasts: tuple[Floats, Floats, Floats],
    blocks: tuple[int, int, int, int],
    slack: float,
    interaction: bool,
    maximum: float,
) -> float:
    """Return the maximum of one permutation, for a block of i, of j and some of k."""
    block_i, block_j, first, last = blocks
    n_words, n_k, planes = genotypes.planes.shape[1], last - first, genotypes.planes
    flat, size = planes.reshape(-1), n_words * 32
    n_case_words = genotypes.group_start[genotypes.folds]
    n0, n1 = genotypes.weight[0, 0], genotypes.weight[0, 1]
    scale = spread(n0 if interaction else n1 + n0)
    n_rows_words = n_words if interaction else n_case_words
    rows, counts = np.empty(n_words * 8, np.int32), np.empty(256, np.int32)
    controls, own = np.empty(256, np.int32), np.empty(256, tables.dtype)
    fold_train, statistics = np.full(genotypes.folds * 16, -1.0), np.empty(48)
    least = get_least(maximum, slack, n1, n0)
    for lane_i in range(16):
        i = block_i * 16 + lane_i
        for lane_j in range(0, 16, 2):
            if block_i == block_j and lane_j + 1 <= lane_i:
                continue
            copy_common_rows(
                flat,
                block_i * size,
                lane_i,
                block_j * size,
                lane_j,
                2,
                n_rows_words,
                rows,
            )
            for k in range(max(0, block_j - first), n_k):
                at = (first + k) * size
                count_four_rows(rows, 0, flat, at, 0, n_case_words, counts, 0)
                subtrahend, table = tables, (lane_i * 16 + lane_j) * CHUNK + k
                step = CHUNK * 128
                if interaction:
                    count_four_rows(
                        rows, 0, flat, at, n_case_words, n_words, controls, 0
                    )
                    _store_products(controls, 0, n1, own, 0)
                    _store_products(controls, 128, n1, own, 128)
                    subtrahend, table, step = own, 0, 128
                for after in range(2):
                    j = block_j * 16 + lane_j + after
                    excess = _get_excess(
                        counts,
                        after * 128,
                        scale,
                        subtrahend,
                        table * 128 + after * step,
                        contrasts,
                        (
                            lane_i * 144 + lane_j + after,
                            (lane_i * n_k + k) * 144,
                            ((lane_j + after) * n_k + k) * 144,
                        ),
                    )
                    if i < j and any_lane(excess >= spread(least)):
                        score_row(
                            genotypes,
                            rules,
                            carriers,
                            i,
                            j,
                            first + k,
                            fold_train,
                            statistics,
                        )
                        maximum = _get_maximum(
                            genotypes, rules, statistics, i, j, first + k, maximum
                        )
                        least = get_least(maximum, slack, n1, n0)
    return maximum


@kernel
def _get_maximum(
    genotypes: Genotypes,
    rules: Rules,
    statistics: NDArray[np.float64],
    i: int,
    j: int,
    block: int,
    maximum: float,
) -> float:
    """Return the maximum and the statistic of the triples of i and j with a block."""
    for lane in range(16):
        value = statistics[rules.statistic[0] * 16 + lane]
        if value > maximum and is_triple(genotypes, rules, i, j, block * 16 + lane):
            maximum = value
    return maximum
