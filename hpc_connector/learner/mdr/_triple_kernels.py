"""Exhaustive search over a tile of triples.

A triple (i, j, k) is counted as a pair: the row is the AND of i and j, so that the
kernels of pairs count rows (i carries g and j carries h) against the variants k. The
cells that hold the last genotype follow from the tables of the three pairs.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._arguments import Best, Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import (
    VIEWS,
    add_high,
    add_positive,
    count_views,
    get_test,
    store_means,
    store_training,
    store_whole,
    weigh,
    weigh_cell,
)
from hpc_connector.learner.mdr._count_kernels import copy_rows, count_rows, get_carriers
from hpc_connector.learner.mdr._score_kernels import copy_cells
from hpc_connector.learner.mdr._search_kernels import (
    get_least,
    is_across,
    is_candidate,
    is_near,
    keep_lane,
    score_cells,
)
from hpc_connector.learner.mdr._simd import Vector, load, spread, store, to_float

CHUNK = 8  # blocks of k whose pair tables with sixteen j stay in the cache


@kernel
def copy_common_rows(
    planes: NDArray[np.int32],
    i: int,
    lane_i: int,
    j: int,
    lane_j: int,
    n_planes: int,
    n_words: int,
    rows: NDArray[np.int32],
) -> None:
    """Write what i shares with j and with the variant after j, as sets of rows.

    Row r = (0 for j, 1 for the next) * planes + genotype of i; its planes are the
    genotypes of j. A set is as many rows as the counting kernel takes: four of two
    planes, or two of three.

    Parameters
    ----------
    planes, i, lane_i, j, lane_j
        All planes, flat, where the blocks of i and j begin, and their lanes.
    rows
        The result, int32 (sets * words * planes * rows of a set,).
    """
    if n_planes == 2:
        for w in range(n_words):
            x, y = planes[i + w * 32 + lane_i], planes[i + w * 32 + 16 + lane_i]
            at = j + w * 32 + lane_j  # all are read before any is written
            a, b, c, d = planes[at], planes[at + 1], planes[at + 16], planes[at + 17]
            rows[w * 8], rows[w * 8 + 1] = x & a, y & a
            rows[w * 8 + 2], rows[w * 8 + 3] = x & b, y & b
            rows[w * 8 + 4], rows[w * 8 + 5] = x & c, y & c
            rows[w * 8 + 6], rows[w * 8 + 7] = x & d, y & d
        return
    for w in range(n_words):
        for r in range(6):
            of_i = planes[i + w * 48 + (r % 3) * 16 + lane_i]
            for h in range(3):
                of_j = planes[j + w * 48 + h * 16 + lane_j + r // 3]
                rows[((r >> 1) * n_words + w) * 6 + h * 2 + (r & 1)] = of_i & of_j


@kernel
def complete_pair_table(
    counts: NDArray[np.int32],
    at: int,
    step: int,
    row_carriers: NDArray[np.int32],
    lane: int,
    carriers: NDArray[np.int32],
    size: NDArray[np.int32],
    table: NDArray[np.int32],
) -> None:
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
def _store_last(
    table: NDArray[np.int32], at: int, n_planes: int, total: Vector
) -> None:
    """Write total - the cells before it as the last cell of a row of a table."""
    for j in range(n_planes):
        total = total - load(table, at + j * 16)
    store(table, at + n_planes * 16, total)


@kernel
def fill_triple_cells(
    counts: NDArray[np.int32],
    at: int,
    step: int,
    table_ij: NDArray[np.int32],
    lane: int,
    table_ik: NDArray[np.int32],
    table_jk: NDArray[np.int32],
    levels: int,
    n_groups: int,
    cells: Floats,
) -> None:
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
def weigh_tables(genotypes: Genotypes, tables: NDArray[np.int32]) -> Floats:
    """Return the contrasts of pair tables.

    Returns
    -------
    Floating (rows * blocks * views * 9 * 16,); empty where genotypes are missing.
    """
    n_views = count_views(genotypes)
    n_rows, n_blocks = tables.shape[:2]
    contrasts = np.empty(n_rows * n_blocks * n_views * 144, genotypes.weight.dtype)
    for table in range(n_rows * n_blocks):
        counts = tables[table // n_blocks, table % n_blocks]
        for view in range(n_views):
            for cell in range(0, 144, 16):
                contrast = weigh_cell(genotypes, counts, 144, cell, view)
                store(contrasts, (table * n_views + view) * 144 + cell, contrast)
    return contrasts


@inlined
def get_place(cell: int) -> int:
    """Return where one of the eight counted cells lies among 27."""
    return ((cell >> 2) * 9 + ((cell >> 1) & 1) * 3 + (cell & 1)) * 16


@inlined
def complete_triple(
    x: Floats,
    at: int,
    tables: tuple[Floats, Floats, Floats],
    places: tuple[int, int, int],
) -> None:
    """Complete the 27 contrasts at x[at + ...][i][j][k][lane] from the counted eight.

    Parameters
    ----------
    tables, places
        Contrasts of the pairs ij, ik and jk, and where those of the view begin in
        them; of the first, in the lane of j.
    """
    of_ij, of_ik, of_jk = tables
    ij, ik, jk = places
    for i in range(2):
        to = at + i * 144
        for j in range(2):
            last = spread(of_ij[ij + i * 48 + j * 16])
            last = last - load(x, to + j * 48) - load(x, to + j * 48 + 16)
            store(x, to + j * 48 + 32, last)
        for k in range(0, 48, 16):
            last = load(of_ik, ik + i * 48 + k)
            store(x, to + k + 96, last - load(x, to + k) - load(x, to + k + 48))
    for cell in range(at, at + 144, 16):
        last = load(of_jk, jk + cell - at)
        store(x, cell + 288, last - load(x, cell) - load(x, cell + 144))


@inlined
def score_triples(
    genotypes: Genotypes,
    tie_low: bool,
    counts: NDArray[np.int32],
    at: int,
    step: int,
    tables: tuple[Floats, Floats, Floats],
    places: tuple[int, int, int],
    scratch: Floats,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Write the statistics of sixteen triples of which everybody is genotyped.

    Parameters
    ----------
    counts
        Eight cells of group g at counts[at + g * step], int32 [i][j][k][lane].
    tables, places
        See :func:`complete_triple`; places of the view of all data.
    scratch
        Floating (3 * 27 * 16,).

    The others as in ``score_pairs``.
    """
    weight, folds = genotypes.weight, genotypes.folds
    one = weight[0, 0]
    zero, least = spread(one - one), spread(weight.dtype.type(tie_low))
    ij, ik, jk = places
    total = at + (2 * folds * step if folds > 1 else 0)
    for cell in range(8):
        a = to_float(load(counts, total + cell * 16), one)
        u = to_float(load(counts, total + step + cell * 16), one)
        store(scratch, get_place(cell), weigh(weight, 0, a, u))
    complete_triple(scratch, 0, tables, places)
    excess = zero
    for cell in range(0, 432, 16):
        excess = add_positive(excess, load(scratch, cell), zero)
    store_whole(excess, genotypes, statistics)
    if folds > 1:
        sum_train = sum_test = spread(0.0)
        for fold in range(folds):
            train, test = 1 + VIEWS * fold, 3 + VIEWS * fold
            in_cases, in_controls = at + fold * step, at + (folds + fold) * step
            for cell in range(8):
                place = get_place(cell)
                a = load(counts, in_cases + cell * 16)
                u = load(counts, in_controls + cell * 16)
                b = to_float(load(counts, total + cell * 16) - a, one)
                v = to_float(load(counts, total + step + cell * 16) - u, one)
                e = weigh(weight, test, to_float(a, one), to_float(u, one))
                store(scratch, place, weigh(weight, train, b, v))
                store(scratch, place + 432, b)
                store(scratch, place + 864, e)
            for view in range(VIEWS):
                to = (train + view) * 144
                complete_triple(
                    scratch, view * 432, tables, (ij + to, ik + to, jk + to)
                )
            gain = loss = zero
            for cell in range(0, 432, 16):
                d, b = load(scratch, cell), load(scratch, cell + 432)
                gain = add_positive(gain, d, zero)
                loss = add_high(loss, d, b, load(scratch, cell + 864), least, zero)
            score = store_training(gain, genotypes, fold, fold_train)
            sum_train = sum_train + score
            sum_test = sum_test + get_test(loss, genotypes, fold)
        store_means(sum_train, sum_test, genotypes, statistics)


@kernel
def is_triple(genotypes: Genotypes, rules: Rules, i: int, j: int, k: int) -> bool:
    """Return whether the variants at places i, j, k are a model of this search.

    With two lists, one variant is of the first and the other two of the second.
    """
    if i >= j or j >= k or k >= genotypes.n_variants:
        return False
    i, j, k = genotypes.number[i], genotypes.number[j], genotypes.number[k]
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
def keep_triples(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    statistics: NDArray[np.float64],
    fold_train: NDArray[np.float64],
    i: int,
    j: int,
    block_k: int,
) -> None:
    """Offer the triples of one pair with the sixteen variants of a block."""
    for lane in range(16):
        k = block_k * 16 + lane
        if is_triple(genotypes, rules, i, j, k):
            model = best.model[-1]
            a, b, c = genotypes.number[i], genotypes.number[j], genotypes.number[k]
            model[0], model[2] = min(a, b, c), max(a, b, c)
            model[1] = a + b + c - model[0] - model[2]
            keep_lane(best, rules, statistics, fold_train, genotypes.folds, lane)


@kernel
def save_triple_errors(
    genotypes: Genotypes,
    rules: Rules,
    statistics: NDArray[np.float64],
    i: int,
    j: int,
    block_k: int,
    errors: NDArray[np.float32],
    at: int,
) -> None:
    """Write the errors of one pair with the sixteen variants of a block."""
    for lane in range(16):
        k = block_k * 16 + lane
        if is_triple(genotypes, rules, i, j, k):
            errors[at + lane] = 1.0 - statistics[rules.statistic[0] * 16 + lane]


@kernel
def get_pair_tables(
    genotypes: Genotypes,
    level: bool,
    block: int,
    carriers: NDArray[np.int32],
    first: int,
    last: int,
    other_carriers: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Return the pair tables of a block's variants with the blocks first .. last - 1.

    Returns
    -------
    int32 (16 rows, last - first, groups * levels * levels * 16); the last axis is
    empty where missing genotypes are left out, for then all cells are counted.
    """
    planes, size = genotypes.planes, genotypes.size
    n_planes = planes.shape[2]
    n_rows = 4 if n_planes == 2 else 2
    square = n_planes * n_planes * 16
    if n_planes == 3 and not level:
        return np.empty((16, last - first, 0), np.int32)
    table_size = size.shape[0] * (n_planes + 1) ** 2 * 16
    tables = np.empty((16, last - first, table_size), np.int32)
    n_words = planes.shape[1]
    rows = np.empty(n_words * n_planes * n_rows, np.int32)
    counts = np.empty(size.shape[0] * n_rows * square, np.int32)
    flat, block_size = planes.reshape(-1), n_words * n_planes * 16
    step = n_rows * square
    for lane in range(0, 16, n_rows):
        copy_rows(flat, block * block_size, n_words, n_planes, lane, n_rows, rows)
        for other in range(first, last):
            at = other * block_size
            count_rows(genotypes, flat, rows, 1, at, counts, step)
            for row in range(n_rows):
                complete_pair_table(
                    counts,
                    row * square,
                    step,
                    carriers,
                    lane + row,
                    other_carriers[other - first],
                    size,
                    tables[lane + row, other - first],
                )
    return tables


@kernel
def search_every_triple(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
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
                genotypes, rules.level, block_j, of_j[0], chunk, chunk_last, of_k
            )
            contrasts_jk = weigh_tables(genotypes, tables_jk)
            for block_i in range(first_i, min(last_i, block_j + 1)):
                of_i = carriers_i[block_i - first_i]
                tables_ik = get_pair_tables(
                    genotypes, rules.level, block_i, of_i, chunk, chunk_last, of_k
                )
                tables_ij = get_pair_tables(
                    genotypes, rules.level, block_i, of_i, block_j, block_j + 1, of_j
                )
                _search_blocks(
                    genotypes,
                    rules,
                    best,
                    (block_i, block_j, chunk),
                    (tables_ij, tables_ik, tables_jk),
                    (
                        weigh_tables(genotypes, tables_ij),
                        weigh_tables(genotypes, tables_ik),
                        contrasts_jk,
                    ),
                    (first_i * 16, first_j * 16, first_k * 16),
                    errors,
                )


@kernel
def _search_blocks(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    blocks: tuple[int, ...],
    tables: tuple[NDArray[np.int32], ...],
    contrasts: tuple[Floats, Floats, Floats],
    origin: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Score the triples of one block of i, one of j and a few of k."""
    n_words, n_planes = genotypes.planes.shape[1:3]
    n_groups, floating = genotypes.size.shape[0], genotypes.float_size.dtype
    _search_rows(
        genotypes,
        rules,
        best,
        blocks,
        tables,
        contrasts,
        origin,
        errors,
        genotypes.planes.reshape(-1),
        np.empty(n_words * n_planes * (4 if n_planes == 2 else 6), np.int32),
        np.empty(n_groups * 2 * n_planes**3 * 16, np.int32),
        np.empty(n_groups * 64 * 16, floating),
        np.empty(3 * 27 * 16, floating),
        np.full(genotypes.folds * 16, -1.0),
        np.empty(48),
    )


@bare
def _search_rows(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    blocks: tuple[int, ...],
    tables: tuple[NDArray[np.int32], ...],
    contrasts: tuple[Floats, Floats, Floats],
    origin: tuple[int, ...],
    errors: NDArray[np.float32],
    planes: NDArray[np.int32],
    rows: NDArray[np.int32],
    counts: NDArray[np.int32],
    cells: Floats,
    scratch: Floats,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Score the triples of a few blocks with what ``_search_blocks`` has allocated."""
    block_i, block_j, first_k = blocks
    tables_ij, tables_ik, tables_jk = tables
    n_words, n_planes = genotypes.planes.shape[1:3]
    folds, n_groups = genotypes.folds, genotypes.size.shape[0]
    block_size, cube = n_words * n_planes * 16, n_planes**3 * 16
    n_sets = 1 if n_planes == 2 else 3
    at_i, at_j = block_i * block_size, block_j * block_size
    width, n_k = count_views(genotypes) * 144, tables_ik.shape[1]
    first_statistic = rules.statistic[0] * 16
    fold_score, least = best.fold_score, get_least(best)
    for lane_i in range(16):
        i = block_i * 16 + lane_i
        for lane_j in range(0, 16, 2):
            if block_i == block_j and lane_j + 1 <= lane_i:
                continue
            copy_common_rows(
                planes, at_i, lane_i, at_j, lane_j, n_planes, n_words, rows
            )
            for k in range(max(0, block_j - first_k), n_k):
                at_k = (first_k + k) * block_size
                count_rows(genotypes, planes, rows, n_sets, at_k, counts, 2 * cube)
                for after in range(2):
                    j = block_j * 16 + lane_j + after
                    if i >= j:
                        continue
                    if n_planes == 2:
                        score_triples(
                            genotypes,
                            rules.tie_low,
                            counts,
                            after * cube,
                            2 * cube,
                            contrasts,
                            (
                                lane_i * width + lane_j + after,
                                (lane_i * n_k + k) * width,
                                ((lane_j + after) * n_k + k) * width,
                            ),
                            scratch,
                            fold_train,
                            statistics,
                        )
                    else:
                        at, step, n_cells = after * cube, 2 * cube, 27
                        if rules.level:
                            n_cells = 64
                            fill_triple_cells(
                                counts,
                                at,
                                step,
                                tables_ij[lane_i, 0],
                                lane_j + after,
                                tables_ik[lane_i, k],
                                tables_jk[lane_j + after, k],
                                n_planes + 1,
                                n_groups,
                                cells,
                            )
                        else:
                            copy_cells(counts, at, step, n_groups, n_cells, cells)
                        score_cells(
                            genotypes, rules, n_cells, cells, fold_train, statistics
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
                            i,
                            j,
                            first_k + k,
                        )
                        least = get_least(best)
                    if errors.shape[0] > 0:
                        save_triple_errors(
                            genotypes,
                            rules,
                            statistics,
                            i,
                            j,
                            first_k + k,
                            errors[i - origin[0], j - origin[1]],
                            (first_k + k) * 16 - origin[2],
                        )
