"""Search over a tile of triples with folds: all are bounded, and few are scored.

Training accuracies and the first statistic of 32 triples are bounded at once, in the
sixteen-bit lanes of ``bound``: those of i, j and of i, the variant after j, with the
same sixteen k. What could win a fold or enter the list is scored as it always is.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._arguments import Best, Genotypes, Rules
from hpc_connector.learner.mdr._count_kernels import get_carriers, sum_folds
from hpc_connector.learner.mdr._search_kernels import get_least, is_candidate
from hpc_connector.learner.mdr._simd import (
    Vector,
    add_common_bits,
    any_lane,
    as_narrow,
    get_signs,
    greatest,
    load,
    smallest,
    spread,
    store,
    subtract_cut,
    take_signed_share,
    to_float,
    widen_even,
    widen_odd,
)
from hpc_connector.learner.mdr._triple_kernels import (
    copy_common_rows,
    get_pair_tables,
    keep_triples,
)
from hpc_connector.learner.mdr.triples._row_kernels import score_row
from hpc_connector.learner.mdr.triples.bound import MOST, Bound

CHUNK = 4  # blocks of k whose contrasts with sixteen i and j stay in the cache
STEP = 128  # counts of a group: eight cells of sixteen triples, two rows in each count

Shorts = NDArray[np.int16]
# Of some pairs: contrasts of all data, int32, and of each fold, two rows in one vector.
Contrasts = tuple[NDArray[np.int32], Shorts]


@inlined
def pack(low: Vector, high: Vector) -> Vector:
    """Return the low halves of counts as narrow integers, those of `low` first."""
    return as_narrow((low & spread(0xFFFF)) | (high << spread(16)))


@inlined
def double(value: int) -> int:
    """Return a narrow integer in both halves of a count."""
    return (value << 16) | (value & 0xFFFF)


@inlined
def _add_two(
    c0: Vector, c1: Vector, row: np.int32, block_0: Vector, block_1: Vector
) -> tuple[Vector, Vector]:
    """Add the two cells of one row over one word."""
    x = spread(row)
    return add_common_bits(c0, x, block_0), add_common_bits(c1, x, block_1)


@kernel
def count_two_rows(
    rows: NDArray[np.int32],
    planes: NDArray[np.int32],
    block: int,
    first: int,
    last: int,
    counts: NDArray[np.int32],
    at: int,
) -> None:
    """Count eight cells of i, j and of i, the next, with sixteen k over some words.

    Parameters
    ----------
    rows
        From ``copy_common_rows``.
    counts
        The result, at counts[at:], int32 [cell][lane]: those of j in the low halves.
    """
    zero, sixteen = spread(np.int32(0)), spread(16)
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = zero  # of i with genotype 0 and 1, and j
    c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = zero  # with the next
    for w in range(first, last):
        x, y = load(planes, block + w * 32), load(planes, block + w * 32 + 16)
        r = w * 8
        a0, a1 = _add_two(a0, a1, rows[r], x, y)
        b0, b1 = _add_two(b0, b1, rows[r + 1], x, y)
        c0, c1 = _add_two(c0, c1, rows[r + 2], x, y)
        d0, d1 = _add_two(d0, d1, rows[r + 3], x, y)
        a2, a3 = _add_two(a2, a3, rows[r + 4], x, y)
        b2, b3 = _add_two(b2, b3, rows[r + 5], x, y)
        c2, c3 = _add_two(c2, c3, rows[r + 6], x, y)
        d2, d3 = _add_two(d2, d3, rows[r + 7], x, y)
    store(counts, at, a0 | (c0 << sixteen))
    store(counts, at + 16, a1 | (c1 << sixteen))
    store(counts, at + 32, a2 | (c2 << sixteen))
    store(counts, at + 48, a3 | (c3 << sixteen))
    store(counts, at + 64, b0 | (d0 << sixteen))
    store(counts, at + 80, b1 | (d1 << sixteen))
    store(counts, at + 96, b2 | (d2 << sixteen))
    store(counts, at + 112, b3 | (d3 << sixteen))


@inlined
def load_row(counts: NDArray[np.int32], at: int, row: int) -> Vector:
    """Return the counts of one of two rows."""
    both = load(counts, at)
    return both >> spread(16) if row else both & spread(0xFFFF)


@inlined
def weigh_cell(
    counts: NDArray[np.int32], cases: int, controls: int, p: int, q: int
) -> Vector:
    """Return p a - q u of sixteen cells."""
    return load(counts, cases) * spread(p) - load(counts, controls) * spread(q)


@kernel
def weigh_pairs(
    tables: NDArray[np.int32], folds: int, bound: Bound, apart: int
) -> Contrasts:
    """Return contrasts of pair tables, of all data and of the test folds.

    Parameters
    ----------
    tables
        From ``get_pair_tables``, int32 (16 rows, blocks, groups * 9 * 16).
    apart
        How far the second row of a vector is from the first: 1 joins rows 0 and 1, 2
        and 3 .., and 0 each row with itself.

    Returns
    -------
    int32 [row][block][9][lane] and int16 [vector][block][fold][9][2 lanes], flat.
    """
    p, q = bound.case_weight, bound.control_weight
    n_rows, n_blocks = tables.shape[:2]
    n_vectors = n_rows // (1 + apart)
    whole = np.empty(n_rows * n_blocks * 144, np.int32)
    of_folds = np.empty(n_vectors * n_blocks * folds * 288, np.int16)
    for row in range(n_rows):
        for block in range(n_blocks):
            counts, to = tables[row, block], (row * n_blocks + block) * 144
            for cell in range(0, 144, 16):
                at = 2 * folds * 144 + cell
                store(whole, to + cell, weigh_cell(counts, at, at + 144, p, q))
    for vector in range(n_vectors):
        for block in range(n_blocks):
            first = tables[vector * (1 + apart), block]
            second = tables[vector * (1 + apart) + apart, block]
            for fold in range(folds):
                to = ((vector * n_blocks + block) * folds + fold) * 288
                for cell in range(0, 144, 16):
                    a, u = fold * 144 + cell, (folds + fold) * 144 + cell
                    low = weigh_cell(first, a, u, p, q)
                    high = weigh_cell(second, a, u, p, q)
                    store(of_folds, to + 2 * cell, pack(low, high))
    return whole, of_folds


@kernel
def copy_rests(
    table: NDArray[np.int32],
    lane: int,
    folds: int,
    bound: Bound,
    rests: NDArray[np.int32],
) -> None:
    """Write contrasts of i with j and the next: int32 [fold, all j, all next][4 cells].

    Cells (0,0), (0,1), (1,0), (1,1); those of a fold hold both rows, in their halves.
    """
    p, q = bound.case_weight, bound.control_weight
    for cell in range(4):
        place = (cell >> 1) * 48 + (cell & 1) * 16 + lane
        for fold in range(folds + 1):
            a = fold * 144 + place
            u = a + folds * 144
            if fold == folds:
                a, u = u, u + 144
            first = p * table[a] - q * table[u]
            second = p * table[a + 1] - q * table[u + 1]
            if fold < folds:
                rests[fold * 4 + cell] = (second << 16) | (first & 0xFFFF)
            else:
                rests[fold * 4 + cell] = first
                rests[fold * 4 + 4 + cell] = second


@inlined
def complete_nine(
    four: tuple[Vector, ...],
    rest_0: Vector,
    rest_1: Vector,
    margins: NDArray[np.number[Any]],
    at: int,
    width: int,
) -> tuple[Vector, ...]:
    """Return nine cells (j, k) of one genotype of i from four and their marginals.

    Parameters
    ----------
    rest_0, rest_1
        Sums over k for genotypes 0 and 1 of j.
    margins, at, width
        Sums over j for each k, where they begin, and the lanes of a vector.
    """
    x00, x01, x10, x11 = four
    x02, x12 = rest_0 - x00 - x01, rest_1 - x10 - x11
    x20 = load(margins, at) - x00 - x10
    x21 = load(margins, at + width) - x01 - x11
    x22 = load(margins, at + 2 * width) - x02 - x12
    return x00, x01, x02, x10, x11, x12, x20, x21, x22


@inlined
def subtract_nine(
    margins: NDArray[np.number[Any]],
    at: int,
    width: int,
    a: tuple[Vector, ...],
    b: tuple[Vector, ...],
) -> tuple[Vector, ...]:
    """Return nine cells (j, k) of the last genotype of i from those of the others."""
    return (
        load(margins, at) - a[0] - b[0],
        load(margins, at + width) - a[1] - b[1],
        load(margins, at + 2 * width) - a[2] - b[2],
        load(margins, at + 3 * width) - a[3] - b[3],
        load(margins, at + 4 * width) - a[4] - b[4],
        load(margins, at + 5 * width) - a[5] - b[5],
        load(margins, at + 6 * width) - a[6] - b[6],
        load(margins, at + 7 * width) - a[7] - b[7],
        load(margins, at + 8 * width) - a[8] - b[8],
    )


@inlined
def weigh_of_row(
    counts: NDArray[np.int32], row: int, at: int, p: int, q: int
) -> Vector:
    """Return the contrasts of one cell of all data, of one row."""
    a, u = load_row(counts, at, row), load_row(counts, at + STEP, row)
    return a * spread(p) - u * spread(q)


@inlined
def weigh_four_of_row(
    counts: NDArray[np.int32], row: int, at: int, p: int, q: int
) -> tuple[Vector, ...]:
    """Return the contrasts of four counted cells of all data, of one row."""
    return (
        weigh_of_row(counts, row, at, p, q),
        weigh_of_row(counts, row, at + 16, p, q),
        weigh_of_row(counts, row, at + 32, p, q),
        weigh_of_row(counts, row, at + 48, p, q),
    )


@inlined
def weigh_two_rows(
    counts: NDArray[np.int32], cases: int, controls: int, p: Vector, q: Vector
) -> Vector:
    """Return the narrow contrasts of one cell of a fold, of both rows."""
    return as_narrow(load(counts, cases)) * p - as_narrow(load(counts, controls)) * q


@inlined
def weigh_four_of_two_rows(
    counts: NDArray[np.int32], cases: int, controls: int, p: Vector, q: Vector
) -> tuple[Vector, ...]:
    """Return the narrow contrasts of four counted cells of a fold, of both rows."""
    return (
        weigh_two_rows(counts, cases, controls, p, q),
        weigh_two_rows(counts, cases + 16, controls + 16, p, q),
        weigh_two_rows(counts, cases + 32, controls + 32, p, q),
        weigh_two_rows(counts, cases + 48, controls + 48, p, q),
    )


@inlined
def add_nine_greater(
    total: Vector, x: tuple[Vector, ...], cells: Shorts, at: int
) -> Vector:
    """Return the total and, of nine cells, the larger of x and what is stored."""
    left = total + greatest(x[0], load(cells, at))
    left = left + greatest(x[1], load(cells, at + 32))
    left = left + greatest(x[2], load(cells, at + 64))
    left = left + greatest(x[3], load(cells, at + 96))
    right = greatest(x[4], load(cells, at + 128)) + greatest(
        x[5], load(cells, at + 160)
    )
    right = right + greatest(x[6], load(cells, at + 192))
    right = right + greatest(x[7], load(cells, at + 224))
    return left + right + greatest(x[8], load(cells, at + 256))


@inlined
def add_test(total: Vector, x: Vector, cells: Shorts, at: int, doubt: Vector) -> Vector:
    """Return the total and the most that a cell adds to the test score.

    That is x where the contrast X - x in training exceeds the doubt, 0 where it is less
    than minus the doubt, and else max(0, x).
    """
    zero = x - x
    train = subtract_cut(load(cells, at), x)
    is_high = get_signs(subtract_cut(doubt, train))
    is_low = get_signs(subtract_cut(train, zero - doubt))
    gain = greatest(x, zero)
    return total + (gain - (gain & is_low)) + (smallest(x, zero) & is_high)


@inlined
def add_nine_tests(
    total: Vector, x: tuple[Vector, ...], cells: Shorts, at: int, doubt: Vector
) -> Vector:
    """Return the total and the most that nine cells add to the test score."""
    total = add_test(total, x[0], cells, at, doubt)
    total = add_test(total, x[1], cells, at + 32, doubt)
    total = add_test(total, x[2], cells, at + 64, doubt)
    total = add_test(total, x[3], cells, at + 96, doubt)
    total = add_test(total, x[4], cells, at + 128, doubt)
    total = add_test(total, x[5], cells, at + 160, doubt)
    total = add_test(total, x[6], cells, at + 192, doubt)
    total = add_test(total, x[7], cells, at + 224, doubt)
    return add_test(total, x[8], cells, at + 256, doubt)


@inlined
def add_nine_positive(total: Vector, x: tuple[Vector, ...], zero: Vector) -> Vector:
    """Return the total and the positive ones of nine cells."""
    left = total + greatest(x[0], zero) + greatest(x[1], zero) + greatest(x[2], zero)
    middle = greatest(x[3], zero) + greatest(x[4], zero) + greatest(x[5], zero)
    right = greatest(x[6], zero) + greatest(x[7], zero) + greatest(x[8], zero)
    return left + middle + right


@inlined
def join_cells(low: Vector, high: Vector) -> Vector:
    """Return contrasts of two rows, cut to sixteen bits, in one vector."""
    most, least = spread(MOST), spread(-MOST)
    return pack(
        greatest(smallest(low, most), least), greatest(smallest(high, most), least)
    )


@inlined
def join_nine(
    x: tuple[Vector, ...], y: tuple[Vector, ...], cells: Shorts, at: int
) -> Vector:
    """Write nine cells of both rows as narrow ones; return the sum of positive ones."""
    zero = as_narrow(spread(np.int32(0)))
    both = (
        join_cells(x[0], y[0]),
        join_cells(x[1], y[1]),
        join_cells(x[2], y[2]),
        join_cells(x[3], y[3]),
        join_cells(x[4], y[4]),
        join_cells(x[5], y[5]),
        join_cells(x[6], y[6]),
        join_cells(x[7], y[7]),
        join_cells(x[8], y[8]),
    )
    store(cells, at, both[0])
    store(cells, at + 32, both[1])
    store(cells, at + 64, both[2])
    store(cells, at + 96, both[3])
    store(cells, at + 128, both[4])
    store(cells, at + 160, both[5])
    store(cells, at + 192, both[6])
    store(cells, at + 224, both[7])
    store(cells, at + 256, both[8])
    return add_nine_positive(zero, both, zero)


@inlined
def weigh_row(
    counts: NDArray[np.int32],
    total: int,
    row: int,
    bound: Bound,
    rests: NDArray[np.int32],
    rest: int,
    contrasts: tuple[NDArray[np.int32], NDArray[np.int32]],
    places: tuple[int, int],
) -> tuple[tuple[Vector, ...], ...]:
    """Return the 27 contrasts of all data of one row, [i][j, k].

    Parameters
    ----------
    counts, total, row
        Where the eight cells of all cases begin, a group on those of the controls do;
        0 for the row of j, 1 for the next.
    rests, rest
        Of the pairs ij, and where those of this row begin.
    contrasts, places
        Of the pairs ik and jk, all data, and where they begin.
    """
    p, q = bound.case_weight, bound.control_weight
    of_ik, of_jk = contrasts
    ik, jk = places
    x = complete_nine(
        weigh_four_of_row(counts, row, total, p, q),
        spread(rests[rest]),
        spread(rests[rest + 1]),
        of_ik,
        ik,
        16,
    )
    y = complete_nine(
        weigh_four_of_row(counts, row, total + 64, p, q),
        spread(rests[rest + 2]),
        spread(rests[rest + 3]),
        of_ik,
        ik + 48,
        16,
    )
    return x, y, subtract_nine(of_jk, jk, 16, x, y)


@inlined
def weigh_fold(
    counts: NDArray[np.int32],
    fold: int,
    folds: int,
    weights: tuple[Vector, Vector],
    rests: NDArray[np.int32],
    contrasts: tuple[Shorts, Shorts],
    places: tuple[int, int],
) -> tuple[tuple[Vector, ...], ...]:
    """Return the 27 narrow contrasts of a test fold, both rows in one vector."""
    p, q = weights
    of_ik, of_jk = contrasts
    ik, jk = places
    a, u = fold * STEP, (folds + fold) * STEP
    x = complete_nine(
        weigh_four_of_two_rows(counts, a, u, p, q),
        as_narrow(spread(rests[fold * 4])),
        as_narrow(spread(rests[fold * 4 + 1])),
        of_ik,
        ik,
        32,
    )
    y = complete_nine(
        weigh_four_of_two_rows(counts, a + 64, u + 64, p, q),
        as_narrow(spread(rests[fold * 4 + 2])),
        as_narrow(spread(rests[fold * 4 + 3])),
        of_ik,
        ik + 96,
        32,
    )
    return x, y, subtract_nine(of_jk, jk, 32, x, y)


@kernel
def set_limits(
    best: Best,
    bound: Bound,
    codes: NDArray[np.int32],
    limits: NDArray[np.float32],
) -> None:
    """Write what a candidate must reach.

    Parameters
    ----------
    codes
        The result, int32 [fold][4], narrow integers in both halves: what the sum of
        max(X, x) starts from, the share of the fold, how far the greatest limit of a
        fold is ahead of this one's (never too far), and the doubt.
    limits
        The result, float32: E + limits[0] is at least E - T less what a fold is ahead,
        or E * limits[1] + parts * limits[2] is at least limits[3], where parts are
        sharp limits[4].
    """
    folds = best.fold_score.shape[0]
    limit = np.empty(folds)
    for fold in range(folds):
        score = max(best.fold_score[fold], -1.0) * bound.train_unit[fold]
        limit[fold] = np.ceil(bound.train_slack[fold] - score) + 1.0
    furthest = limit.max()
    for fold in range(folds):
        codes[fold * 4] = double(-bound.excess[fold])
        codes[fold * 4 + 1] = double(bound.share[fold])
        codes[fold * 4 + 2] = double(int(max(limit[fold] - furthest, -MOST)))
        codes[fold * 4 + 3] = double(bound.doubt[fold])
    least = 2.0 * get_least(best) - 1.0
    limits[0] = furthest
    limits[1] = bound.whole
    limits[2] = bound.part
    limits[3] = least - bound.slack
    limits[4] = least - bound.sharp_slack


@inlined
def is_within(
    excess: Vector,
    parts: Vector,
    gap: Vector,
    limits: NDArray[np.float32],
    least: np.float32,
) -> bool:
    """Return whether any of sixteen triples may be a candidate.

    `excess`, `parts` and `gap` are E, the folds' parts of the first statistic, and the
    least of E - T less what its fold is ahead; see :func:`set_limits`.
    """
    e = to_float(excess, limits[0])
    parts = to_float(parts, limits[0])
    statistic = e * spread(limits[1]) + parts * spread(limits[2])
    wins = e + spread(limits[0]) >= to_float(gap, limits[0])
    return any_lane(wins | (statistic >= spread(least)))


# 27 contrasts of all data, int16 (27 * 32,); contrasts of the pairs ij, int32
# (4 * (folds + 2),); and of `set_limits`, int32 (4 * folds,) and float32 (5,).
Scratch = tuple[Shorts, NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]


@bare
def find_candidates(
    folds: int,
    bound: Bound,
    is_sharp: bool,
    counts: NDArray[np.int32],
    of_ik: Contrasts,
    of_jk: Contrasts,
    places: tuple[int, int, int, int],
    scratch: Scratch,
) -> tuple[bool, bool]:
    """Return whether the row of j, and that of the next, may hold a candidate.

    Parameters
    ----------
    is_sharp
        Bound the first statistic by labels: takes longer, and finds fewer.
    counts
        From :func:`count_two_rows`, int32 [group][cell][lane]: the test folds and their
        sums.
    of_ik, of_jk
        From :func:`weigh_pairs`.
    places
        Which pair of them, with the block of k: that of i, those of j and the next, and
        which vector of both.
    """
    cells, rests, codes, limits = scratch
    ik, jk, next_jk, both_jk = places
    total, rest, whole = 2 * folds * STEP, folds * 4, (of_ik[0], of_jk[0])
    x = weigh_row(counts, total, 0, bound, rests, rest, whole, (ik * 144, jk * 144))
    y = weigh_row(
        counts, total, 1, bound, rests, rest + 4, whole, (ik * 144, next_jk * 144)
    )
    zero = spread(np.int32(0))
    first = add_nine_positive(zero, x[0], zero)
    first = add_nine_positive(first, x[1], zero)
    first = add_nine_positive(first, x[2], zero)
    second = add_nine_positive(zero, y[0], zero)
    second = add_nine_positive(second, y[1], zero)
    second = add_nine_positive(second, y[2], zero)
    excess = join_nine(x[0], y[0], cells, 0)
    excess = excess + join_nine(x[1], y[1], cells, 288)
    excess = excess + join_nine(x[2], y[2], cells, 576)
    weights = (
        as_narrow(spread(double(bound.case_weight))),
        as_narrow(spread(double(bound.control_weight))),
    )
    parts, nearest = as_narrow(zero), as_narrow(spread(double(MOST)))
    short = (of_ik[1], of_jk[1])
    for fold in range(folds):
        at = ((ik * folds + fold) * 288, (both_jk * folds + fold) * 288)
        z = weigh_fold(counts, fold, folds, weights, rests, short, at)
        larger = as_narrow(spread(codes[fold * 4]))
        larger = add_nine_greater(larger, z[0], cells, 0)
        larger = add_nine_greater(larger, z[1], cells, 288)
        larger = add_nine_greater(larger, z[2], cells, 576)
        gap = test = excess - larger
        ahead = as_narrow(spread(codes[fold * 4 + 2]))
        nearest = smallest(nearest, subtract_cut(gap, ahead))
        if is_sharp:
            doubt = as_narrow(spread(codes[fold * 4 + 3]))
            test = add_nine_tests(as_narrow(zero), z[0], cells, 0, doubt)
            test = add_nine_tests(test, z[1], cells, 288, doubt)
            test = add_nine_tests(test, z[2], cells, 576, doubt)
        parts = parts + take_signed_share(test, as_narrow(spread(codes[fold * 4 + 1])))
    least = limits[4] if is_sharp else limits[3]
    return (
        is_within(first, widen_even(parts), widen_even(nearest), limits, least),
        is_within(second, widen_odd(parts), widen_odd(nearest), limits, least),
    )


@kernel
def weigh_blocks(
    genotypes: Genotypes,
    bound: Bound,
    carriers: NDArray[np.int32],
    first: int,
    last: int,
    chunk: tuple[int, int],
    apart: int,
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Return the contrasts of some blocks' variants with those of a chunk of blocks.

    Parameters
    ----------
    carriers
        Of all blocks, from ``get_carriers``.
    first, last
        The blocks are first .. last - 1.
    apart
        See :func:`weigh_pairs`.

    Returns
    -------
    int32 and int16 (blocks, ...), each as from :func:`weigh_pairs`.
    """
    folds, n_k = genotypes.folds, chunk[1] - chunk[0]
    of_k = carriers[chunk[0] : chunk[1]]
    whole = np.empty((last - first, 16 * n_k * 144), np.int32)
    n_vectors = 16 // (1 + apart)
    of_folds = np.empty((last - first, n_vectors * n_k * folds * 288), np.int16)
    for block in range(first, last):
        here = block - first
        tables = get_pair_tables(
            genotypes, False, block, carriers[block], chunk[0], chunk[1], of_k
        )
        whole[here], of_folds[here] = weigh_pairs(tables, folds, bound, apart)
    return whole, of_folds


@kernel
def search_triples_in_folds(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    bound: Bound,
) -> None:
    """Search every triple i < j < k of a tile and keep the best.

    Parameters
    ----------
    genotypes
        Of two planes and more than one fold.
    bound
        Of these folds and the first statistic.

    The others as in ``search_every_triple``.
    """
    first_i, last_i, first_j, last_j, first_k, last_k = tile
    carriers = get_carriers(genotypes, 0, genotypes.planes.shape[0])
    for chunk in range(first_k, last_k, CHUNK):
        ks = chunk, min(chunk + CHUNK, last_k)
        end_j = min(last_j, ks[1])
        end_i = min(last_i, end_j)
        of_ik = weigh_blocks(genotypes, bound, carriers, first_i, end_i, ks, 0)
        of_jk = weigh_blocks(genotypes, bound, carriers, first_j, end_j, ks, 1)
        for block_j in range(first_j, end_j):
            at_j = block_j - first_j
            for block_i in range(first_i, min(end_i, block_j + 1)):
                at_i = block_i - first_i
                of_ij = get_pair_tables(
                    genotypes,
                    False,
                    block_i,
                    carriers[block_i],
                    block_j,
                    block_j + 1,
                    carriers[block_j : block_j + 1],
                )
                _search_blocks(
                    genotypes,
                    rules,
                    best,
                    bound,
                    carriers,
                    (block_i, block_j, ks[0], ks[1]),
                    of_ij,
                    (of_ik[0][at_i], of_ik[1][at_i]),
                    (of_jk[0][at_j], of_jk[1][at_j]),
                )


@kernel
def _search_blocks(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    bound: Bound,
    carriers: NDArray[np.int32],
    blocks: tuple[int, int, int, int],
    of_ij: NDArray[np.int32],
    of_ik: Contrasts,
    of_jk: Contrasts,
) -> None:
    """Search the triples of one block of i, one of j and a few of k."""
    block_i, block_j, first_k, last_k = blocks
    folds, n_words = genotypes.folds, genotypes.planes.shape[1]
    planes, size, n_k = genotypes.planes.reshape(-1), n_words * 32, last_k - first_k
    rows = np.empty(n_words * 8, np.int32)
    counts = np.empty(genotypes.size.shape[0] * STEP, np.int32)
    rests = np.empty(4 * (folds + 2), np.int32)
    codes, limits = np.empty(4 * folds, np.int32), np.empty(5, np.float32)
    scratch = np.empty(27 * 32, np.int16), rests, codes, limits
    set_limits(best, bound, codes, limits)
    n_rounds = 2 if bound.sharp_slack < np.inf else 1
    for lane_i in range(16):
        for lane_j in range(0, 16, 2):
            if block_i == block_j and lane_j + 1 <= lane_i:
                continue
            copy_common_rows(
                planes, block_i * size, lane_i, block_j * size, lane_j, 2, n_words, rows
            )
            copy_rests(of_ij[lane_i, 0], lane_j, folds, bound, rests)
            for k in range(max(0, block_j - first_k), n_k):
                _count_groups(genotypes, rows, planes, (first_k + k) * size, counts)
                places = (
                    lane_i * n_k + k,
                    lane_j * n_k + k,
                    (lane_j + 1) * n_k + k,
                    (lane_j >> 1) * n_k + k,
                )
                found = True, True
                for is_sharp in range(n_rounds):
                    if found[0] or found[1]:
                        found = find_candidates(
                            folds,
                            bound,
                            is_sharp == 1,
                            counts,
                            of_ik,
                            of_jk,
                            places,
                            scratch,
                        )
                i, j = block_i * 16 + lane_i, block_j * 16 + lane_j
                if found[0] and i < j:
                    _offer_row(genotypes, rules, best, carriers, i, j, first_k + k)
                    set_limits(best, bound, codes, limits)
                if found[1]:
                    _offer_row(genotypes, rules, best, carriers, i, j + 1, first_k + k)
                    set_limits(best, bound, codes, limits)


@bare
def _count_groups(
    genotypes: Genotypes,
    rows: NDArray[np.int32],
    planes: NDArray[np.int32],
    block: int,
    counts: NDArray[np.int32],
) -> None:
    """Count two rows with a block in every group, and the sums over folds."""
    start, folds = genotypes.group_start, genotypes.folds
    for group in range(2 * folds):
        first, last = start[group], start[group + 1]
        count_two_rows(rows, planes, block, first, last, counts, group * STEP)
    sum_folds(counts, folds, STEP)


@kernel
def _offer_row(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    carriers: NDArray[np.int32],
    i: int,
    j: int,
    block: int,
) -> None:
    """Score the triples of i and j with a block of k, and offer what is a candidate."""
    fold_train, statistics = np.full(genotypes.folds * 16, -1.0), np.empty(48)
    score_row(genotypes, rules, carriers, i, j, block, fold_train, statistics)
    if is_candidate(
        get_least(best),
        rules.statistic[0] * 16,
        best.fold_score,
        statistics,
        fold_train,
        genotypes.folds,
    ):
        keep_triples(genotypes, rules, best, statistics, fold_train, i, j, block)
