"""Exhaustive search over a tile of pairs: count, complete, score, keep the best."""

from collections import namedtuple

import numpy as np

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner._count_kernels import (
    copy_rows,
    count_carriers,
    count_four_rows,
    count_two_rows,
)
from hpc_connector.learner._score_kernels import (
    copy_cells,
    fill_nine_cells,
    fill_sixteen_cells,
    score_folds,
    score_whole,
    sum_folds,
)
from hpc_connector.learner._simd import any_lane, load, spread
from hpc_connector.learner._top_kernels import offer_model

CACHE_BYTES = 1 << 19  # columns that stay in the second-level cache for all rows

# Genotypes and how they are grouped. planes: int32 (blocks, words, planes, 16);
# group_start: int64 (groups + 1,); size: individuals a group and then their sums over
# folds, int32; float_size: the same in the floating type that cells are scored in.
Genotypes = namedtuple(
    "Genotypes", "planes n_variants group_start folds size float_size"
)

# What makes a model: level: missing is a fourth genotype; tie_low: a tie is low risk;
# statistic: order of test, training and whole BA in ranking; min_distance in base
# pairs with chromosome (codes) and position; role: 1 in the first list, 2 in the
# second, 3 in both, empty where there are no two lists.
Rules = namedtuple(
    "Rules", "level tie_low statistic min_distance chromosome position role"
)

# The best models: see offer_model; fold_score float64 (folds,) and fold_model int64
# (folds, order): best training score (2 BA - 1) of each fold.
Best = namedtuple("Best", "key model size fold_score fold_model")


@inlined
def is_near(rules, i, j):
    """Return whether two variants are too close on one chromosome for one model."""
    if rules.min_distance == 0 or rules.chromosome[i] != rules.chromosome[j]:
        return False
    return abs(rules.position[i] - rules.position[j]) < rules.min_distance


@inlined
def is_across(role_a, role_b):
    """Return whether a stands in the first list and b in the second."""
    return (role_a & 1) != 0 and (role_b & 2) != 0


@kernel
def _precedes(a, b):
    """Return whether model a has lower variant indices than model b."""
    for k in range(a.shape[0]):
        if a[k] != b[k]:
            return a[k] < b[k]
    return False


@kernel
def keep_lane(best, rules, statistics, fold_train, folds, lane, model):
    """Offer one model to the list and to the folds."""
    key = np.empty(3)
    for k in range(3):
        value = statistics[rules.statistic[k] * 16 + lane]
        key[k] = value if value == value else -1.0
    if key[0] >= 0.0:
        offer_model(best.key, best.model, best.size, key, model)
    if folds > 1:
        for fold in range(folds):
            score = fold_train[fold * 16 + lane]
            if score < 0.0:
                continue
            tie = score == best.fold_score[fold]
            if score > best.fold_score[fold] or (
                tie and _precedes(model, best.fold_model[fold])
            ):
                best.fold_score[fold] = score
                best.fold_model[fold] = model


@inlined
def is_candidate(least, at, fold_score, statistics, fold_train, folds):
    """Return whether any of sixteen models could enter the list or win a fold."""
    found = any_lane(load(statistics, at) >= spread(least))
    if folds > 1:
        for fold in range(folds):
            score = load(fold_train, fold * 16)
            found |= any_lane(score >= spread(fold_score[fold]))
    return found


@kernel
def get_least(best):
    """Return what the first statistic of a model must reach to enter the list."""
    return best.key[0, 0] if best.size[0] == best.key.shape[0] - 1 else 0.0


@inlined
def count_rows(genotypes, rows, block, counts, step):
    """Count sets of rows with a block in every group, and the sums over folds.

    `rows` is int32 (sets, words * planes * rows of a set), `counts` the result:
    int32 [group][row][cell][lane], `step` values a group.
    """
    start, folds = genotypes.group_start, genotypes.folds
    width = step // rows.shape[0]
    for k in range(rows.shape[0]):
        for group in range(2 * folds):
            first, last, at = start[group], start[group + 1], group * step + k * width
            if genotypes.planes.shape[2] == 2:
                count_four_rows(rows[k], block, first, last, counts, at)
            else:
                count_two_rows(rows[k], block, first, last, counts, at)
    if folds > 1:
        sum_folds(counts, folds, step)


@inlined
def fill_cells(
    genotypes, level, counts, row, step, row_carriers, lane, carriers, cells
):
    """Write the cells of one row with the sixteen variants of a block."""
    size = genotypes.size
    if genotypes.planes.shape[2] == 2:
        at = row * 64
        fill_nine_cells(counts, at, step, row_carriers, lane, carriers, size, cells)
    elif level:
        at = row * 144
        fill_sixteen_cells(counts, at, step, row_carriers, lane, carriers, size, cells)
    else:
        copy_cells(counts, row * 144, step, size.shape[0], 9, cells)


@inlined
def score_cells(genotypes, rules, n_cells, cells, fold_train, statistics):
    """Write the statistics of sixteen models from their cells."""
    folds = genotypes.folds
    total = 2 * folds if folds > 1 else 0
    score_whole(cells, n_cells, total, statistics)
    if folds > 1:
        fixed = genotypes.planes.shape[2] == 2 or rules.level
        size, low = genotypes.float_size, rules.tie_low
        score_folds(cells, n_cells, folds, size, fixed, low, fold_train, statistics)


@inlined
def get_carriers(genotypes, first, last):
    """Return the carriers of each genotype by group and over folds, for some blocks."""
    n_planes = genotypes.planes.shape[2]
    width = n_planes * 16
    carriers = np.zeros((last - first, genotypes.size.shape[0] * width), np.int32)
    for block in range(first, last):
        flat = genotypes.planes[block].reshape(-1)
        into = carriers[block - first]
        count_carriers(flat, genotypes.group_start, n_planes, into)
        if genotypes.folds > 1:
            sum_folds(into, genotypes.folds, width)
    return carriers


@kernel
def search_pairs(genotypes, rules, best, tile, errors):
    """Score every pair i < j of a tile and keep the best.

    Parameters
    ----------
    genotypes, rules, best
        See above; `best` is changed in place.
    tile
        First and last row block, first and last column block.
    errors
        The error (1 - the first statistic) of every pair, float32 (rows, columns) of
        the tile, NaN where there is no model; empty when not wanted.
    """
    first_row, last_row, first_column, last_column = tile
    planes, folds = genotypes.planes, genotypes.folds
    n_planes = planes.shape[2]
    n_rows = 4 if n_planes == 2 else 2
    n_cells = 16 if rules.level and n_planes == 3 else 9
    step = n_rows * n_planes * n_planes * 16
    n_groups = genotypes.size.shape[0]
    row_carriers = get_carriers(genotypes, first_row, last_row)
    column_carriers = get_carriers(genotypes, first_column, last_column)
    rows = np.empty((1, planes.shape[1] * n_planes * n_rows), np.int32)
    counts = np.empty(n_groups * step, np.int32)
    cells = np.empty(n_groups * n_cells * 16, genotypes.float_size.dtype)
    fold_train = np.full(folds * 16, -1.0)
    statistics = np.empty(48)
    model = np.empty(2, np.int64)
    fold_score = best.fold_score
    first_statistic = rules.statistic[0] * 16
    least = get_least(best)
    chunk = max(1, CACHE_BYTES // (planes.shape[1] * n_planes * 64))
    for chunk_first in range(first_column, last_column, chunk):
        chunk_last = min(chunk_first + chunk, last_column)
        for block_i in range(first_row, min(last_row, chunk_last)):
            for lane_i in range(0, 16, n_rows):
                flat = planes[block_i].reshape(-1)
                copy_rows(flat, lane_i, n_rows, n_planes, rows[0])
                for block_j in range(max(chunk_first, block_i), chunk_last):
                    flat = planes[block_j].reshape(-1)
                    count_rows(genotypes, rows, flat, counts, step)
                    for row in range(n_rows):
                        model[0] = block_i * 16 + lane_i + row
                        fill_cells(
                            genotypes,
                            rules.level,
                            counts,
                            row,
                            step,
                            row_carriers[block_i - first_row],
                            lane_i + row,
                            column_carriers[block_j - first_column],
                            cells,
                        )
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
                            keep_pairs(
                                genotypes,
                                rules,
                                best,
                                statistics,
                                fold_train,
                                model,
                                block_j,
                            )
                            least = get_least(best)
                        if errors.shape[0] > 0:
                            save_errors(
                                genotypes,
                                rules,
                                statistics,
                                model[0],
                                block_j,
                                errors[model[0] - first_row * 16],
                                (block_j - first_column) * 16,
                            )


@kernel
def is_pair(genotypes, rules, i, j):
    """Return whether i, j is a model of this search."""
    if i >= j or j >= genotypes.n_variants or is_near(rules, i, j):
        return False
    if rules.role.shape[0] == 0:
        return True
    a, b = rules.role[i], rules.role[j]
    return is_across(a, b) or is_across(b, a)


@kernel
def keep_pairs(genotypes, rules, best, statistics, fold_train, model, block_j):
    """Offer the pairs of one row with the sixteen variants of a block."""
    for lane in range(16):
        model[1] = block_j * 16 + lane
        if is_pair(genotypes, rules, model[0], model[1]):
            keep_lane(best, rules, statistics, fold_train, genotypes.folds, lane, model)


@kernel
def save_errors(genotypes, rules, statistics, i, block_j, errors, at):
    """Write the errors of one row with the sixteen variants of a block."""
    for lane in range(16):
        if is_pair(genotypes, rules, i, block_j * 16 + lane):
            errors[at + lane] = 1.0 - statistics[rules.statistic[0] * 16 + lane]
        else:
            errors[at + lane] = np.nan
