"""Exhaustive search over a tile of pairs: what all kernels share, and missing ones."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._arguments import Best, Floats, Genotypes, Rules
from hpc_connector.learner.mdr._count_kernels import copy_rows, count_rows, get_carriers
from hpc_connector.learner.mdr._score_kernels import (
    copy_cells,
    fill_sixteen_cells,
    score_folds,
    score_whole,
)
from hpc_connector.learner.mdr._simd import any_lane, load, spread
from hpc_connector.learner.mdr._top_kernels import offer_model

CACHE_BYTES = 1 << 19  # columns that stay in the second-level cache for all rows


@inlined
def is_near(rules: Rules, i: int, j: int) -> bool:
    """Return whether two variants are of one set, or too close on one chromosome."""
    if rules.home.shape[0] > 0 and rules.home[i] == rules.home[j] >= 0:
        return True
    if rules.min_distance == 0 or rules.chromosome[i] != rules.chromosome[j]:
        return False
    return abs(rules.position[i] - rules.position[j]) < rules.min_distance


@inlined
def is_across(role_a: int, role_b: int) -> bool:
    """Return whether a stands in the first list and b in the second."""
    return (role_a & 1) != 0 and (role_b & 2) != 0


@kernel
def _precedes(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    """Return whether model a has lower variant indices than model b."""
    for k in range(a.shape[0]):
        if a[k] != b[k]:
            return a[k] < b[k]
    return False


@kernel
def keep_lane(
    best: Best,
    rules: Rules,
    statistics: NDArray[np.float64],
    fold_train: NDArray[np.float64],
    folds: int,
    lane: int,
) -> None:
    """Offer one model, in the last row of the list, to the list and to the folds."""
    key, model = best.key[-1], best.model[-1]
    for k in range(3):
        value = statistics[rules.statistic[k] * 16 + lane]
        key[k] = value if value == value else -1.0
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
                for k in range(model.shape[0]):
                    best.fold_model[fold, k] = model[k]
    if key[0] >= 0.0:
        offer_model(best.key, best.model, best.size)


@inlined
def is_candidate(
    least: float,
    at: int,
    fold_score: NDArray[np.float64],
    statistics: NDArray[np.float64],
    fold_train: NDArray[np.float64],
    folds: int,
) -> bool:
    """Return whether any of sixteen models could enter the list or win a fold."""
    found = any_lane(load(statistics, at) >= spread(least))
    if folds > 1:
        for fold in range(folds):
            score = load(fold_train, fold * 16)
            found |= any_lane(score >= spread(fold_score[fold]))
    return found


@kernel
def get_least(best: Best) -> float:
    """Return the least first statistic of a model that enters the list."""
    return best.key[0, 0] if best.size[0] == best.key.shape[0] - 1 else 0.0


@inlined
def score_cells(
    genotypes: Genotypes,
    rules: Rules,
    n_cells: int,
    cells: Floats,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Write the statistics of sixteen models from their cells."""
    folds = genotypes.folds
    total = 2 * folds if folds > 1 else 0
    score_whole(cells, n_cells, total, statistics)
    if folds > 1:
        size, low = genotypes.float_size, rules.tie_low
        score_folds(
            cells, n_cells, folds, size, rules.level, low, fold_train, statistics
        )


@inlined
def score_missing_pairs(
    genotypes: Genotypes,
    rules: Rules,
    counts: NDArray[np.int32],
    at: int,
    step: int,
    row_carriers: NDArray[np.int32],
    lane: int,
    carriers: NDArray[np.int32],
    cells: Floats,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Write the statistics of sixteen pairs where genotypes are missing."""
    size = genotypes.size
    n_cells = 9
    if rules.level:
        n_cells = 16
        fill_sixteen_cells(counts, at, step, row_carriers, lane, carriers, size, cells)
    else:
        copy_cells(counts, at, step, size.shape[0], n_cells, cells)
    score_cells(genotypes, rules, n_cells, cells, fold_train, statistics)


@kernel
def search_missing_pairs(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Score every pair i < j of a tile where genotypes are missing; keep the best.

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
    n_words, n_groups = genotypes.planes.shape[1], genotypes.size.shape[0]
    _search_rows(
        genotypes,
        rules,
        best,
        tile,
        errors,
        genotypes.planes.reshape(-1),
        (
            get_carriers(genotypes, first_row, last_row),
            get_carriers(genotypes, first_column, last_column),
        ),
        np.empty(n_words * 6, np.int32),
        np.empty(n_groups * 288, np.int32),
        np.empty(n_groups * 256, genotypes.float_size.dtype),
        np.full(genotypes.folds * 16, -1.0),
        np.empty(48),
    )


@bare
def _search_rows(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
    planes: NDArray[np.int32],
    carriers: tuple[NDArray[np.int32], NDArray[np.int32]],
    rows: NDArray[np.int32],
    counts: NDArray[np.int32],
    cells: Floats,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Search a tile with what :func:`search_missing_pairs` has allocated."""
    first_row, last_row, first_column, last_column = tile
    folds, n_words = genotypes.folds, genotypes.planes.shape[1]
    block_size = n_words * 48
    first_statistic = rules.statistic[0] * 16
    fold_score, least = best.fold_score, get_least(best)
    chunk = max(1, CACHE_BYTES // (block_size * 4))
    for chunk_first in range(first_column, last_column, chunk):
        chunk_last = min(chunk_first + chunk, last_column)
        for i in range(first_row * 16, min(last_row, chunk_last) * 16, 2):
            block_i, lane = i // 16, i % 16
            here, at = block_i - first_row, block_i * block_size
            copy_rows(planes, at, n_words, 3, lane, 2, rows)
            for block_j in range(max(chunk_first, block_i), chunk_last):
                there, at = block_j - first_column, block_j * block_size
                count_rows(genotypes, planes, rows, 1, at, counts, 288)
                for row in range(2):
                    score_missing_pairs(
                        genotypes,
                        rules,
                        counts,
                        row * 144,
                        288,
                        carriers[0][here],
                        lane + row,
                        carriers[1][there],
                        cells,
                        fold_train,
                        statistics,
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
                            i + row,
                            block_j,
                        )
                        least = get_least(best)
                    if errors.shape[0] > 0:
                        save_errors(
                            genotypes,
                            rules,
                            statistics,
                            i + row,
                            block_j,
                            errors[i + row - first_row * 16],
                            there * 16,
                        )


@kernel
def is_pair(genotypes: Genotypes, rules: Rules, i: int, j: int) -> bool:
    """Return whether the variants at places i and j are a model of this search."""
    if i >= j or j >= genotypes.n_variants:
        return False
    first, second = genotypes.number[i], genotypes.number[j]
    if is_near(rules, first, second):
        return False
    if rules.role.shape[0] == 0:
        return True
    a, b = rules.role[first], rules.role[second]
    return is_across(a, b) or is_across(b, a)


@kernel
def keep_pairs(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    statistics: NDArray[np.float64],
    fold_train: NDArray[np.float64],
    i: int,
    block_j: int,
) -> None:
    """Offer the pairs of one row with the sixteen variants of a block."""
    for lane in range(16):
        j = block_j * 16 + lane
        if is_pair(genotypes, rules, i, j):
            first, second = genotypes.number[i], genotypes.number[j]
            best.model[-1, 0] = min(first, second)
            best.model[-1, 1] = max(first, second)
            keep_lane(best, rules, statistics, fold_train, genotypes.folds, lane)


@kernel
def save_errors(
    genotypes: Genotypes,
    rules: Rules,
    statistics: NDArray[np.float64],
    i: int,
    block_j: int,
    errors: NDArray[np.float32],
    at: int,
) -> None:
    """Write the errors of one row with the sixteen variants of a block."""
    for lane in range(16):
        if is_pair(genotypes, rules, i, block_j * 16 + lane):
            errors[at + lane] = 1.0 - statistics[rules.statistic[0] * 16 + lane]
        else:
            errors[at + lane] = np.nan
