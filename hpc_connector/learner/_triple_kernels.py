"""Exhaustive search over a tile of triples.

A triple (i, j, k) is counted as a pair: the row is the AND of i and j, so that the
kernels of pairs count rows (i carries g and j carries h) against the variants k. The
cells that hold the last genotype follow from the tables of the three pairs.
"""

import numpy as np

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner._count_kernels import copy_rows
from hpc_connector.learner._score_kernels import copy_cells
from hpc_connector.learner._search_kernels import (
    count_rows,
    get_carriers,
    get_least,
    is_across,
    is_candidate,
    is_near,
    keep_lane,
    score_cells,
)
from hpc_connector.learner._simd import load, spread, store, to_float

CHUNK = 4  # blocks of k whose pair tables with sixteen j stay in the cache


@kernel
def copy_common_rows(block_i, lane_i, block_j, lane_j, n_planes, rows):
    """Write what i shares with j and with the variant after j, as sets of rows.

    Row r = (0 for j, 1 for the next) * planes + genotype of i; its planes are the
    genotypes of j. A set is as many rows as the counting kernel takes.
    """
    n_rows = rows.shape[1] // (block_i.shape[0] // 16)
    for w in range(block_i.shape[0] // (16 * n_planes)):
        for r in range(2 * n_planes):
            of_i = block_i[(w * n_planes + r % n_planes) * 16 + lane_i]
            lane = lane_j + r // n_planes
            for h in range(n_planes):
                common = of_i & block_j[(w * n_planes + h) * 16 + lane]
                rows[r // n_rows, (w * n_planes + h) * n_rows + r % n_rows] = common


@kernel
def complete_pair_table(counts, at, step, row_carriers, lane, carriers, size, table):
    """Complete the table of a pair: int32 [group][genotype + rest][same][lane].

    Parameters as in ``fill_nine_cells``; the number of planes follows from sizes.
    """
    n_planes = carriers.shape[0] // (size.shape[0] * 16)
    levels = n_planes + 1
    for group in range(size.shape[0]):
        to = group * levels * levels * 16
        for j in range(n_planes):
            last = load(carriers, (group * n_planes + j) * 16)
            for i in range(n_planes):
                count = load(counts, at + group * step + (i * n_planes + j) * 16)
                store(table, to + (i * levels + j) * 16, count)
                last = last - count
            store(table, to + (n_planes * levels + j) * 16, last)
        rest = spread(size[group])
        for i in range(n_planes):
            carrier = row_carriers[(group * n_planes + i) * 16 + lane]
            _store_last(table, to + i * levels * 16, n_planes, spread(carrier))
            rest = rest - spread(carrier)
        _store_last(table, to + n_planes * levels * 16, n_planes, rest)


@inlined
def _store_last(table, at, n_planes, total):
    """Write total - the cells before it as the last cell of a row of a table."""
    for j in range(n_planes):
        total = total - load(table, at + j * 16)
    store(table, at + n_planes * 16, total)


@kernel
def fill_triple_cells(
    counts, at, step, table_ij, lane, table_ik, table_jk, levels, n_groups, cells
):
    """Complete levels ** 3 cells from (levels - 1) ** 3 counts and the pair tables.

    Parameters
    ----------
    counts
        int32 [group][i][j][k][lane], group g at counts[at + g * step].
    table_ij, table_ik, table_jk
        From :func:`complete_pair_table`; of the first only `lane` is read.
    cells
        The result, float [group][cell][lane].
    """
    n_planes = levels - 1
    square = levels * levels
    one = cells[0]
    for group in range(n_groups):
        table = group * square * 16
        to = table * levels
        for i in range(levels):
            for j in range(levels):
                if i < n_planes and j < n_planes:
                    last = spread(table_ij[table + (i * levels + j) * 16 + lane])
                    rest = to_float(last, one)
                    for k in range(n_planes):
                        cell = ((i * n_planes + j) * n_planes + k) * 16
                        count = to_float(load(counts, at + group * step + cell), one)
                        store(cells, to + ((i * levels + j) * levels + k) * 16, count)
                        rest = rest - count
                    last_cell = (i * levels + j) * levels + n_planes
                    store(cells, to + last_cell * 16, rest)
                else:
                    for k in range(levels):
                        if i < n_planes:
                            rest = load(table_ik, table + (i * levels + k) * 16)
                            first, by = i * square + k, levels
                        else:
                            rest = load(table_jk, table + (j * levels + k) * 16)
                            first, by = j * levels + k, square
                        rest = to_float(rest, one)
                        for known in range(n_planes):
                            other = to + (first + known * by) * 16
                            rest = rest - load(cells, other)
                        store(cells, to + (first + n_planes * by) * 16, rest)


@kernel
def is_triple(genotypes, rules, i, j, k):
    """Return whether i, j, k is a model of this search.

    With two lists, one variant is of the first and the other two of the second.
    """
    if i >= j or j >= k or k >= genotypes.n_variants:
        return False
    if is_near(rules, i, j) or is_near(rules, i, k) or is_near(rules, j, k):
        return False
    if rules.role.shape[0] == 0:
        return True
    a, b, c = rules.role[i], rules.role[j], rules.role[k]
    return (
        (is_across(a, b) and is_across(a, c))
        or (is_across(b, a) and is_across(b, c))
        or (is_across(c, a) and is_across(c, b))
    )


@kernel
def keep_triples(genotypes, rules, best, statistics, fold_train, model, block_k):
    """Offer the triples of one pair with the sixteen variants of a block."""
    for lane in range(16):
        model[2] = block_k * 16 + lane
        if is_triple(genotypes, rules, model[0], model[1], model[2]):
            keep_lane(best, rules, statistics, fold_train, genotypes.folds, lane, model)


@kernel
def save_triple_errors(genotypes, rules, statistics, model, block_k, errors, at):
    """Write the errors of one pair with the sixteen variants of a block."""
    for lane in range(16):
        k = block_k * 16 + lane
        if is_triple(genotypes, rules, model[0], model[1], k):
            errors[at + lane] = 1.0 - statistics[rules.statistic[0] * 16 + lane]


@kernel
def get_pair_tables(genotypes, block, carriers, first, last, other_carriers):
    """Return the pair tables of a block's variants with the blocks first .. last - 1.

    Returns
    -------
    int32 (16 rows, last - first, groups * levels * levels * 16).
    """
    planes, size = genotypes.planes, genotypes.size
    n_planes = planes.shape[2]
    n_rows = 4 if n_planes == 2 else 2
    square = n_planes * n_planes * 16
    table_size = size.shape[0] * (n_planes + 1) ** 2 * 16
    tables = np.empty((16, last - first, table_size), np.int32)
    rows = np.empty((1, planes.shape[1] * n_planes * n_rows), np.int32)
    counts = np.empty(size.shape[0] * n_rows * square, np.int32)
    flat = planes[block].reshape(-1)
    for lane in range(0, 16, n_rows):
        copy_rows(flat, lane, n_rows, n_planes, rows[0])
        for other in range(first, last):
            other_flat = planes[other].reshape(-1)
            count_rows(genotypes, rows, other_flat, counts, n_rows * square)
            for row in range(n_rows):
                complete_pair_table(
                    counts,
                    row * square,
                    n_rows * square,
                    carriers,
                    lane + row,
                    other_carriers[other - first],
                    size,
                    tables[lane + row, other - first],
                )
    return tables


@kernel
def search_triples(genotypes, rules, best, tile, errors):
    """Score every triple i < j < k of a tile and keep the best.

    Parameters
    ----------
    tile
        First and last block of i, of j and of k.
    errors
        The error of every triple, float32 (i, j, k) of the tile, NaN where there is
        no model: given as NaN; empty when not wanted.

    The others as in ``search_pairs``.
    """
    first_i, last_i, first_j, last_j, first_k, last_k = tile
    carriers_i = get_carriers(genotypes, first_i, last_i)
    carriers_j = get_carriers(genotypes, first_j, last_j)
    carriers_k = get_carriers(genotypes, first_k, last_k)
    for chunk in range(first_k, last_k, CHUNK):
        chunk_last = min(chunk + CHUNK, last_k)
        of_k = carriers_k[chunk - first_k : chunk_last - first_k]
        for block_j in range(first_j, min(last_j, chunk_last)):
            of_j = carriers_j[block_j - first_j : block_j - first_j + 1]
            tables_jk = get_pair_tables(
                genotypes, block_j, of_j[0], chunk, chunk_last, of_k
            )
            for block_i in range(first_i, min(last_i, block_j + 1)):
                of_i = carriers_i[block_i - first_i]
                tables_ik = get_pair_tables(
                    genotypes, block_i, of_i, chunk, chunk_last, of_k
                )
                tables_ij = get_pair_tables(
                    genotypes, block_i, of_i, block_j, block_j + 1, of_j
                )
                _search_blocks(
                    genotypes,
                    rules,
                    best,
                    (block_i, block_j, chunk),
                    (tables_ij, tables_ik, tables_jk),
                    (first_i * 16, first_j * 16, first_k * 16),
                    errors,
                )


@kernel
def _search_blocks(genotypes, rules, best, blocks, tables, origin, errors):
    """Score the triples of one block of i, one of j and a few of k."""
    block_i, block_j, first_k = blocks
    tables_ij, tables_ik, tables_jk = tables
    planes, folds, n_groups = genotypes.planes, genotypes.folds, genotypes.size.shape[0]
    n_planes = planes.shape[2]
    cube = n_planes**3 * 16
    n_sets, n_rows = (1, 4) if n_planes == 2 else (3, 2)
    levels = n_planes + 1 if n_planes == 2 or rules.level else 3
    rows = np.empty((n_sets, planes.shape[1] * n_planes * n_rows), np.int32)
    counts = np.empty(n_groups * 2 * cube, np.int32)
    cells = np.empty(n_groups * levels**3 * 16, genotypes.float_size.dtype)
    fold_train = np.full(folds * 16, -1.0)
    fold_score = best.fold_score
    statistics = np.empty(48)
    model = np.empty(3, np.int64)
    first_statistic = rules.statistic[0] * 16
    least = get_least(best)
    flat_i, flat_j = planes[block_i].reshape(-1), planes[block_j].reshape(-1)
    for lane_i in range(16):
        for lane_j in range(0, 16, 2):
            if block_i == block_j and lane_j + 1 <= lane_i:
                continue
            copy_common_rows(flat_i, lane_i, flat_j, lane_j, n_planes, rows)
            for k in range(max(0, block_j - first_k), tables_ik.shape[1]):
                block_k = first_k + k
                flat_k = planes[block_k].reshape(-1)
                count_rows(genotypes, rows, flat_k, counts, 2 * cube)
                for after in range(2):
                    model[0] = block_i * 16 + lane_i
                    model[1] = block_j * 16 + lane_j + after
                    if model[0] >= model[1]:
                        continue
                    if levels > n_planes:
                        fill_triple_cells(
                            counts,
                            after * cube,
                            2 * cube,
                            tables_ij[lane_i, 0],
                            lane_j + after,
                            tables_ik[lane_i, k],
                            tables_jk[lane_j + after, k],
                            levels,
                            n_groups,
                            cells,
                        )
                    else:
                        copy_cells(counts, after * cube, 2 * cube, n_groups, 27, cells)
                    score_cells(
                        genotypes, rules, levels**3, cells, fold_train, statistics
                    )
                    if is_candidate(
                        least,
                        first_statistic,
                        fold_score,
                        statistics,
                        fold_train,
                        folds,
                    ):
                        keep_triples(
                            genotypes,
                            rules,
                            best,
                            statistics,
                            fold_train,
                            model,
                            block_k,
                        )
                        least = get_least(best)
                    if errors.shape[0] > 0:
                        save_triple_errors(
                            genotypes,
                            rules,
                            statistics,
                            model,
                            block_k,
                            errors[model[0] - origin[0], model[1] - origin[1]],
                            block_k * 16 - origin[2],
                        )
