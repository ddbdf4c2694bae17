"""Which pairs may enter the list, by sums of tables without folds.

Without folds a table gives the balanced accuracy on all data, and by it an upper bound
of the mean test accuracy. Let alpha and beta be the shares of fold f of the cases and
of the controls that a pair counts, k folds, and E = 2 BA - 1 of all data. In a cell let
z_f be a_f / n1 - u_f / n0, and X their sum. Then, of 2 BA - 1 in fold f,

T_f <= k (sum over high cells of z_f) + max(0, 1 - k alpha_f) + max(0, k beta_f - 1).

A cell is high in f if (a - a_f) (1 - beta) >= (u - u_f) (1 - alpha), so X - z_f is at
least -max(0, alpha - beta) (u - u_f) / (n0 (1 - beta)) where it is high, and at most
max(0, beta - alpha) times the same where it is low; these shares of controls add up to
1 - beta at most over cells. As the sum of z_f over the folds where it is high is at
most max(0, X) if X - z_f >= 0 there and <= 0 elsewhere,

mean T <= E + sum |alpha - beta| + (sum |1/k - alpha| + sum |1/k - beta|) / 2.

Who is counted in a fold is not known of a pair with missing genotypes: at most those
with either variant, at least those without both missing apart. No bound holds where a
fold may have no case or no control.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._score_kernels import score_whole
from hpc_connector.learner.mdr._simd import (
    Vector,
    any_lane,
    get_bits,
    join_lower,
    join_upper,
    load,
    select,
    smallest,
    spread,
    store,
    subtract_cut,
)
from hpc_connector.learner.mdr.pairs._pooled_kernels import fill_cells
from hpc_connector.learner.mdr.pairs._screen_kernels import (
    CONSTANTS,
    LANES,
    MARGIN,
    SCALE,
    get_excess,
    set_weights,
)

Ints = NDArray[np.int32]
Shorts = NDArray[np.int16]
Doubles = NDArray[np.float64]
Tables = NDArray[np.int16] | NDArray[np.int32]
NO_BOUND = 4.0  # of an accuracy, which is at most 1
ROUNDING = 1e-9  # of bounds
MOST = 32767  # individuals of a class whose numbers of 16 bits have a sign


class Asked(NamedTuple):
    """What a pair must reach, and what tables are completed from.

    Parameters
    ----------
    carriers, size
        Of cases and of controls: int32 (blocks * 2 * 3 * 16,), (2,).
    number
        Of the variant of each place, int64 (places,), -1 of none.
    lacking
        Individuals of each fold, cases and then controls, who lack a genotype, float64
        (blocks * 2 * folds * 16,), followed by the individuals of each of those groups;
        empty where everybody is counted.
    n_folds
        Number of folds.
    slack
        What the statistic may exceed the whole accuracy by where `lacking` is empty.
    least
        Statistic that a pair must be able to reach.
    """

    carriers: Ints
    size: Ints
    number: NDArray[np.int64]
    lacking: Doubles
    n_folds: int
    slack: float
    least: float


class Narrow(NamedTuple):
    """The same of complete variants in numbers of 16 bits, 32 lanes.

    Lanes are those of a block of sixteen variants and of the next one.

    Parameters
    ----------
    carriers
        Of cases and of controls, int16 (blocks * 2 * 3 * 32,).
    margins
        Contrast of the carriers of each genotype in units of 1 / SCALE, as
        ``get_narrow_margins`` rounds it, int16 (blocks * 3 * 32,).
    """

    carriers: Shorts
    margins: Shorts


class Scratch(NamedTuple):
    """What the treatment of sixteen pairs writes to."""

    cells: Doubles
    statistics: Doubles
    bounds: Doubles
    of_row: Ints
    lacked: Doubles


@inlined
def make_scratch(n_cells: int, n_folds: int) -> Scratch:
    """Return room for sixteen pairs."""
    return Scratch(
        np.zeros(2 * n_cells * 16, np.float64),
        np.empty(48),
        np.empty(16),
        np.empty(96, np.int32),
        np.empty(2 * n_folds * 16),
    )


@kernel
def collect_batches(
    tables: Tables,
    n_counted: int,
    n_cells: int,
    tile: tuple[int, ...],
    asked: Asked,
    bound: Doubles,
    pairs: NDArray[np.int64],
) -> int:
    """Collect the pairs of a tile whose bound reaches the least that matters.

    Parameters
    ----------
    tables
        Sums of cases and of controls [batch][2][cell][pair], see ``fill_cells``.
    bound, pairs
        The result, float64 (n,) and places int64 (n, 2).

    Returns
    -------
    How many were collected; negative where a table cannot be true.
    """
    first_row, last_row, first_column, last_column = tile
    scratch = make_scratch(n_cells, asked.n_folds)
    batch, n = 0, 0
    for block_i in range(first_row, last_row):
        first = max(first_column, block_i)
        for i in range(block_i * 16, block_i * 16 + 16):
            if asked.number[i] >= 0:
                _begin_row(asked, i, scratch)
                for block_j in range(first, last_column):
                    at = (batch + block_j - first) * 2 * n_counted * 16
                    n = _collect_batch(
                        tables,
                        at,
                        n_counted,
                        n_cells,
                        asked,
                        i,
                        block_j,
                        scratch,
                        bound,
                        pairs,
                        n,
                    )
                    if n < 0:
                        return n
            batch += max(0, last_column - first)
    return n


@kernel
def collect_narrow(
    tables: Shorts,
    tile: tuple[int, ...],
    asked: Asked,
    narrow: Narrow,
    bound: Doubles,
    pairs: NDArray[np.int64],
) -> int:
    """Do as :func:`collect_batches` of four cells of at most 32,767 of each class.

    What numbers of 16 bits hold back, 32 pairs at once, cannot reach the least.
    """
    first_row, last_row, first_column, last_column = tile
    scratch = make_scratch(9, asked.n_folds)
    constants = np.zeros(CONSTANTS * LANES, np.int16)
    set_weights(constants, 0, asked.size[0], asked.size[1])
    excess = SCALE * (2 * (asked.least - asked.slack) - 1) - MARGIN - 1
    least = np.int16(min(max(np.floor(excess), -MOST), MOST))
    row_margins = np.empty(48, np.int16)
    batch, n = 0, 0
    for block_i in range(first_row, last_row):
        first = max(first_column, block_i)
        for i in range(block_i * 16, block_i * 16 + 16):
            if asked.number[i] >= 0:
                _begin_row(asked, i, scratch)
                for genotype in range(3):
                    at = (block_i * 3 + genotype) * 32 + i % 16
                    row_margins[genotype * 16] = narrow.margins[at]
                for block_j in range(first, last_column, 2):
                    at = (batch + block_j - first) * 128
                    bits = 1
                    if block_j + 1 < last_column:
                        bits = _screen_batches(
                            tables,
                            at,
                            narrow,
                            block_j,
                            scratch.of_row,
                            row_margins,
                            constants,
                            least,
                        )
                    if bits < 0:
                        return -1
                    for half in range(2):
                        if (bits >> (16 * half)) & 0xFFFF:
                            n = _collect_batch(
                                tables,
                                at + half * 128,
                                4,
                                9,
                                asked,
                                i,
                                block_j + half,
                                scratch,
                                bound,
                                pairs,
                                n,
                            )
                            if n < 0:
                                return n
            batch += max(0, last_column - first)
    return n


@inlined
def _load_cells(tables: Shorts, at: int) -> tuple[Vector, ...]:
    """Return four cells of a class of two batches."""
    a, b = load(tables, at), load(tables, at + 128)
    c, d = load(tables, at + 32), load(tables, at + 160)
    return join_lower(a, b), join_upper(a, b), join_lower(c, d), join_upper(c, d)


@inlined
def _get_fewest(
    cells: tuple[Vector, ...], of_row: Ints, row: int, carriers: Shorts, column: int
) -> Vector:
    """Return the least of the nine cells of a class, negative if one cannot be true.

    Differences are cut, so that their signs are right whatever was counted.
    """
    c00, c01, c10, c11 = cells
    n0, n1 = np.int16(of_row[row]), np.int16(of_row[row + 16])
    n2 = np.int16(of_row[row + 32])
    m0, m1 = load(carriers, column), load(carriers, column + 32)
    c02 = subtract_cut(subtract_cut(spread(n0), c00), c01)
    c12 = subtract_cut(subtract_cut(spread(n1), c10), c11)
    c20 = subtract_cut(subtract_cut(m0, c00), c10)
    c21 = subtract_cut(subtract_cut(m1, c01), c11)
    c22 = subtract_cut(subtract_cut(spread(n2), c20), c21)
    counted = smallest(smallest(c00, c01), smallest(c10, c11))
    others = smallest(smallest(c02, c12), smallest(c20, c21))
    fewest: Vector = smallest(smallest(counted, others), c22)
    return fewest


@bare
def _screen_batches(
    tables: Shorts,
    at: int,
    narrow: Narrow,
    block: int,
    of_row: Ints,
    row_margins: Shorts,
    constants: Shorts,
    least: np.int16,
) -> int:
    """Return which of the pairs of two batches may reach the least, as bits.

    -1 where a table cannot be true.
    """
    cases, controls = _load_cells(tables, at), _load_cells(tables, at + 64)
    fewest = smallest(
        _get_fewest(cases, of_row, 0, narrow.carriers, block * 192),
        _get_fewest(controls, of_row, 48, narrow.carriers, block * 192 + 96),
    )
    if any_lane(spread(np.int16(0)) > fewest):
        return -1
    excess = get_excess(
        constants, 0, cases, controls, row_margins, 0, narrow.margins, block * 96
    )
    bits: int = get_bits(excess >= spread(least))
    return bits


@bare
def _begin_row(asked: Asked, i: int, scratch: Scratch) -> None:
    """Spread what is known of the variant of a row."""
    block, lane = i // 16, i % 16
    for k in range(6):
        scratch.of_row[k * 16 : k * 16 + 16] = asked.carriers[
            block * 96 + k * 16 + lane
        ]
    if asked.lacking.shape[0] > 0:
        for k in range(2 * asked.n_folds):
            lacking = asked.lacking[(block * 2 * asked.n_folds + k) * 16 + lane]
            scratch.lacked[k * 16 : k * 16 + 16] = lacking


@bare
def _collect_batch(
    tables: Tables,
    at: int,
    n_counted: int,
    n_cells: int,
    asked: Asked,
    i: int,
    block_j: int,
    scratch: Scratch,
    bound: Doubles,
    pairs: NDArray[np.int64],
    n: int,
) -> int:
    """Collect of the sixteen pairs of a row and a block; return how many there are."""
    cells, statistics, bounds, of_row, lacked = scratch
    is_possible = fill_cells(
        tables,
        at,
        n_counted,
        n_cells,
        2,
        of_row,
        0,
        asked.carriers,
        block_j * 96,
        asked.size,
        cells,
    )
    if not is_possible:
        return -1
    score_whole(cells, n_cells, 0, statistics)
    if asked.lacking.shape[0] > 0:
        at_j = block_j * 2 * asked.n_folds * 16
        _bound_lanes(
            cells, n_cells, lacked, asked.lacking, at_j, asked.n_folds, statistics
        )
        store(bounds, 0, load(statistics, 0) + load(statistics, 16))
    else:
        store(bounds, 0, load(statistics, 0) + spread(asked.slack))
    if not any_lane(load(bounds, 0) >= spread(asked.least)):
        return n
    for lane in range(16):
        j = block_j * 16 + lane
        if i < j and asked.number[j] >= 0 and bounds[lane] >= asked.least:
            bound[n] = bounds[lane]
            pairs[n, 0], pairs[n, 1] = i, j
            n += 1
    return n


@bare
def _bound_lanes(
    cells: Doubles,
    n_cells: int,
    of_row: Doubles,
    lacking: Doubles,
    column: int,
    n_folds: int,
    statistics: NDArray[np.float64],
) -> None:
    """Write by how much test may exceed whole accuracy, sixteen pairs, at [16:32].

    Parameters
    ----------
    cells
        Of cases and of controls.
    of_row, lacking, column
        Who lacks the variant of the row, [group][pair]; and those of the columns, at
        lacking[column:], with the individuals of each group at its end.
    """
    zero, one = spread(0.0), spread(1.0)
    counted_1 = counted_0 = zero
    for cell in range(n_cells):
        at = cell * 16
        counted_1 = counted_1 + load(cells, at)
        counted_0 = counted_0 + load(cells, at + n_cells * 16)
    is_bad = (zero >= counted_1) | (zero >= counted_0)
    over_1 = one / select(counted_1 > zero, counted_1, one)
    over_0 = one / select(counted_0 > zero, counted_0, one)
    mean, half = spread(1.0 / n_folds), spread(0.5)
    sizes = lacking.shape[0] - 2 * n_folds
    total = zero
    for fold in range(n_folds):
        n1, n0 = spread(lacking[sizes + fold]), spread(lacking[sizes + n_folds + fold])
        i1, i0 = load(of_row, fold * 16), load(of_row, (n_folds + fold) * 16)
        j1 = load(lacking, column + fold * 16)
        j0 = load(lacking, column + (n_folds + fold) * 16)
        few_1, few_0 = n1 - i1 - j1, n0 - i0 - j0
        is_bad = is_bad | (zero >= few_1) | (zero >= few_0)
        low_1, low_0 = few_1 * over_1, few_0 * over_0
        high_1 = (n1 - select(i1 > j1, i1, j1)) * over_1
        high_0 = (n0 - select(i0 > j0, i0, j0)) * over_0
        total = total + _larger(high_1 - low_0, high_0 - low_1)
        total = total + half * _larger(high_1 - mean, mean - low_1)
        total = total + half * _larger(high_0 - mean, mean - low_0)
    slack = half * total + spread(ROUNDING)
    slack = select(is_bad, spread(NO_BOUND), slack)
    store(statistics, 16, slack)


@inlined
def _larger(a: Vector, b: Vector) -> Vector:
    """Return the larger of two numbers, lane by lane."""
    larger: Vector = select(a > b, a, b)
    return larger
