"""Exhaustive search over a tile of pairs some of whose genotypes are missing.

Such pairs count different individuals, so sizes and weights differ from pair to pair
and scoring costs as much as counting. But most pairs enter no list and win no fold:
bounds sort them out, and what is left is scored as everywhere else.

Let n1, n0 be the cases and controls that a pair counts, of which one of k folds has
shares alpha and beta. The contrast of a cell is its share of the cases less its share
of the controls, a / n1 - u / n0, and serves all folds. E is the sum of the positive
ones on all data, P that of the training data of a fold, cells b and v, m1 and m0.

Training: t is the greatest b / m1 - v / m0 of any set of cells, and (1 - alpha) t that
of (b / n1 - v / n0) + (alpha - beta) v / m0. So (1 - alpha) t is at most P, or where
alpha > beta at most P + alpha - beta.

Test: let H be the high-risk cells of a fold, p and q the shares of its test cases and
controls that they hold: their contrast is alpha p - beta q in test, and at most E with
that in training, which is P but for cells that have the other sign in weights m1 and
m0. There (1 - alpha) (b / m1 - v / m0) = (b / n1 - v / n0) + (alpha - beta) v / m0, so
such a cell has at most |alpha - beta| v / m0, in all at most |alpha - beta|: F. Hence
alpha p - beta q <= E - P + F. And p - q is k (alpha p - beta q) and (1 - k alpha) p -
(1 - k beta) q, of which half of (1 - k alpha) - (1 - k beta) sums to 0 over folds:

mean of p - q <= k E + sum of F - P + |1/k - alpha| / 2 + |1/k - beta| / 2.

Shares are known but for individuals who lack both variants, of whom there are n1 (or
n0) less what is left if all who lack one are different: `overlap`.
"""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._arguments import Best, Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import add_positive
from hpc_connector.learner.mdr._count_kernels import copy_rows, count_rows, get_carriers
from hpc_connector.learner.mdr._score_kernels import copy_cells
from hpc_connector.learner.mdr._search_kernels import (
    CACHE_BYTES,
    get_least,
    is_candidate,
    keep_pairs,
    score_cells,
)
from hpc_connector.learner.mdr._simd import (
    Vector,
    absolute,
    add_product,
    any_lane,
    load,
    select,
    spread,
    store,
    to_float,
)

ROUNDING = 1e-5  # of a sum of contrasts in single precision, in units of n1 n0
# Bounding costs a quarter of scoring: while it seldom saves that, it is tried at times.
GAIN, PATIENCE, PAUSE = 2, 64, 512
ONE = np.float32(1)
Singles = NDArray[np.float32]


@kernel
def count_missing(
    genotypes: Genotypes, first: int, last: int
) -> tuple[Singles, NDArray[np.float64]]:
    """Return who lacks a genotype in some blocks.

    Returns
    -------
    missing
        Individuals of each group who do, then of all cases and of all controls,
        float32 (blocks * (2 * folds + 2) * 16,).
    share
        Largest share of a group that lacks any variant of a block, float64 (blocks,).
    """
    carriers, size = get_carriers(genotypes, first, last), genotypes.size
    folds, n_groups = genotypes.folds, 2 * genotypes.folds
    missing = np.zeros((last - first, n_groups + 2, 16), np.float32)
    share = np.zeros(last - first)
    for block in range(last - first):
        for group in range(n_groups):
            for lane in range(16):
                if (first + block) * 16 + lane >= genotypes.n_variants:
                    continue
                at = group * 48 + lane
                of_group = carriers[block]
                called = of_group[at] + of_group[at + 16] + of_group[at + 32]
                lacking = np.float64(size[group] - called)
                missing[block, group, lane] = lacking
                missing[block, n_groups + (group >= folds), lane] += lacking
                of_size = lacking / size[group] if size[group] > 0 else 1.0
                share[block] = max(share[block], of_size)
    return missing.reshape(-1), share


@kernel
def search_sparse_pairs(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Score every pair i < j of a tile that could enter the list or win a fold.

    The arguments are those of ``search_missing_pairs``; missing is no level, and errors
    are not wanted.
    """
    first_row, last_row, first_column, last_column = tile
    n_words, n_groups = genotypes.planes.shape[1], genotypes.size.shape[0]
    _search_rows(
        genotypes,
        rules,
        best,
        tile,
        genotypes.planes.reshape(-1),
        count_missing(genotypes, first_row, last_row),
        count_missing(genotypes, first_column, last_column),
        np.zeros(genotypes.folds, np.float32),
        np.empty(n_words * 6, np.int32),
        np.empty(n_groups * 288, np.int32),
        np.empty(144, np.float32),
        np.empty(n_groups * 144, genotypes.float_size.dtype),
        np.full(genotypes.folds * 16, -1.0),
        np.empty(48),
    )


@bare
def _search_rows(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    planes: NDArray[np.int32],
    missing_rows: tuple[Singles, NDArray[np.float64]],
    missing_columns: tuple[Singles, NDArray[np.float64]],
    fold_least: Singles,
    rows: NDArray[np.int32],
    counts: NDArray[np.int32],
    contrasts: Singles,
    cells: Floats,
    fold_train: NDArray[np.float64],
    statistics: NDArray[np.float64],
) -> None:
    """Search a tile with what :func:`search_sparse_pairs` has allocated."""
    first_row, last_row, first_column, last_column = tile
    folds, n_words = genotypes.folds, genotypes.planes.shape[1]
    block_size, width = n_words * 48, (2 * folds + 2) * 16
    first_statistic = rules.statistic[0]
    of_rows, share_of_rows = missing_rows
    of_columns, share_of_columns = missing_columns
    fold_score, least = best.fold_score, get_least(best)
    _copy_least(fold_score, fold_least)
    credit = PATIENCE
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
                is_bounded = share_of_rows[here] + share_of_columns[there] < 0.999
                for row in range(2):
                    credit += 1
                    if credit > 0 and is_bounded:
                        if not may_matter(
                            genotypes,
                            first_statistic,
                            counts,
                            row * 144,
                            288,
                            of_rows,
                            here * width + lane + row,
                            of_columns,
                            there * width,
                            least,
                            fold_least,
                            contrasts,
                        ):
                            credit = min(credit + GAIN, PATIENCE)
                            continue
                        credit = credit - 2 if credit > 2 else -PAUSE
                    at_row, n_groups = row * 144, genotypes.size.shape[0]
                    copy_cells(counts, at_row, 288, n_groups, 9, cells)
                    score_cells(genotypes, rules, 9, cells, fold_train, statistics)
                    if is_candidate(
                        least,
                        first_statistic * 16,
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
                        _copy_least(fold_score, fold_least)


@inlined
def _copy_least(fold_score: NDArray[np.float64], fold_least: Singles) -> None:
    """Write the training score that wins each fold, a little lower."""
    for fold in range(fold_least.shape[0]):
        fold_least[fold] = max(fold_score[fold], 0.0) * (1.0 - 1e-6)


@bare
def may_matter(
    genotypes: Genotypes,
    statistic: int,
    counts: NDArray[np.int32],
    at: int,
    step: int,
    of_rows: Singles,
    row: int,
    of_columns: Singles,
    column: int,
    least: float,
    fold_least: Singles,
    contrasts: Singles,
) -> bool:
    """Return whether any of sixteen pairs could enter the list or win a fold.

    Parameters
    ----------
    statistic
        The first of the ranking.
    counts
        Nine cells of group g at counts[at + g * step], int32.
    of_rows, row, of_columns, column
        From :func:`count_missing`, and where the row's and the lanes' begin.
    least, fold_least
        First statistic that enters the list, and training score that wins each fold.
    contrasts
        Scratch, float32 (144,).
    """
    folds, size = genotypes.folds, genotypes.size
    n_groups = 2 * folds
    total, totals = at + n_groups * step, n_groups * 16
    zero = spread(np.float32(0))
    n1, n0 = sum_nine(counts, total), sum_nine(counts, total + step)
    excess = zero
    for cell in range(0, 144, 16):
        a = to_float(load(counts, total + cell), ONE)
        u = to_float(load(counts, total + step + cell), ONE)
        x = add_product(n0 * a, zero - n1, u)
        store(contrasts, cell, x)
        excess = add_positive(excess, x, zero)
    product = n1 * n0
    wanted = product * spread(np.float32(2.0 * least - 1.0))
    margin = product * spread(np.float32(ROUNDING))
    cases = n0 * get_known(size[-2], of_rows, row, of_columns, column, totals)
    controls = n1 * get_known(size[-1], of_rows, row, of_columns, column, totals + 16)
    overlap = product - cases + product - controls
    apart = ahead = uneven = zero
    mean = product * spread(np.float32(1.0 / folds))
    minus = zero - n0
    most = all_train = zero
    gap = zero - product
    for fold in range(folds):
        train = zero
        in_cases, in_controls = at + fold * step, at + (folds + fold) * step
        for cell in range(0, 144, 16):
            a = to_float(load(counts, in_cases + cell), ONE)
            u = to_float(load(counts, in_controls + cell), ONE)
            d = add_product(add_product(load(contrasts, cell), minus, a), n1, u)
            train = add_positive(train, d, zero)
        alpha = n0 * get_known(size[fold], of_rows, row, of_columns, column, fold * 16)
        beta = n1 * get_known(
            size[folds + fold], of_rows, row, of_columns, column, (folds + fold) * 16
        )
        above = alpha - beta
        above = select(above > zero, above, zero)
        ahead = ahead + above
        of_fold = train + above
        of_fold = add_product(of_fold, alpha - cases, spread(fold_least[fold]))
        gap = select(of_fold > gap, of_fold, gap)
        all_train = all_train + train
        most = select(alpha > most, alpha, most)
        apart = apart + absolute(alpha - beta)
        uneven = uneven + absolute(mean - alpha) + absolute(mean - beta)
    if any_lane(gap + overlap + margin >= zero):
        return True
    k = spread(np.float32(folds))
    margin = margin * (k + k)
    if statistic == 1:
        wanted = (cases - most) * k * spread(np.float32(2.0 * least - 1.0))
        return any_lane(all_train + ahead + overlap + margin >= wanted)
    if statistic == 2:
        return any_lane(excess + margin >= wanted)
    half = spread(np.float32(0.5))
    bound = add_product(k * excess - all_train + margin, uneven + overlap, half)
    if not any_lane(bound + apart + overlap >= wanted):
        return False
    return any_lane(bound >= wanted) and any_lane(
        bound
        + sum_flips(
            genotypes,
            counts,
            at,
            step,
            of_rows,
            row,
            of_columns,
            column,
            contrasts,
            n1,
            n0,
        )
        >= wanted
    )


@bare
def sum_flips(
    genotypes: Genotypes,
    counts: NDArray[np.int32],
    at: int,
    step: int,
    of_rows: Singles,
    row: int,
    of_columns: Singles,
    column: int,
    contrasts: Singles,
    n1: Vector,
    n0: Vector,
) -> Vector:
    """Return the sum of F over folds, in units of n1 n0, from the cells near 0.

    Arguments as in :func:`may_matter`.
    """
    folds, size, totals = genotypes.folds, genotypes.size, 32 * genotypes.folds
    total, zero = at + 2 * folds * step, spread(np.float32(0))
    product, minus = n1 * n0, zero - n0
    rounding = product * spread(np.float32(ROUNDING / 8))
    cases = n0 * get_known(size[-2], of_rows, row, of_columns, column, totals)
    controls = n1 * get_known(size[-1], of_rows, row, of_columns, column, totals + 16)
    overlap = product - cases + product - controls
    flips = zero
    for fold in range(folds):
        group = folds + fold
        in_cases, in_controls = at + fold * step, at + group * step
        alpha = n0 * get_known(size[fold], of_rows, row, of_columns, column, fold * 16)
        beta = get_known(size[group], of_rows, row, of_columns, column, group * 16) * n1
        share = (absolute(alpha - beta) + overlap) * n1 / (controls - beta)
        for cell in range(0, 144, 16):
            a = to_float(load(counts, in_cases + cell), ONE)
            u = to_float(load(counts, in_controls + cell), ONE)
            d = add_product(add_product(load(contrasts, cell), minus, a), n1, u)
            all_controls = to_float(load(counts, total + step + cell), ONE)
            most = add_product(rounding, share, all_controls)
            flips = flips + select(most >= absolute(d), most, zero)
    return flips


@inlined
def sum_nine(counts: NDArray[np.int32], at: int) -> Vector:
    """Return the individuals in nine cells."""
    total = load(counts, at)
    for cell in range(16, 144, 16):
        total = total + load(counts, at + cell)
    return to_float(total, ONE)


@inlined
def get_known(
    size: np.int32,
    of_rows: Singles,
    row: int,
    of_columns: Singles,
    column: int,
    group: int,
) -> Vector:
    """Return the least a pair counts of a group: nobody lacks both variants."""
    return spread(np.float32(size) - of_rows[row + group]) - load(
        of_columns, column + group
    )
