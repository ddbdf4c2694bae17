"""Exhaustive search over a tile of pairs of which everybody is genotyped."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._arguments import Best, Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import (
    complete,
    get_margins,
    load_four,
    subtract_four,
    sum_positive,
    weigh_four,
)
from hpc_connector.learner.mdr._count_kernels import count_carriers
from hpc_connector.learner.mdr._search_kernels import get_least
from hpc_connector.learner.mdr._simd import Vector, any_lane, spread
from hpc_connector.learner.mdr.pairs._panel_kernels import (
    copy_rows,
    count_panel,
    cut_tile,
)
from hpc_connector.learner.mdr.pairs._row_kernels import Room, make_room, search_row

ROUNDING = 1e-5  # of the excess in single precision, which only sorts out pairs


@kernel
def search_every_pair(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Score every pair i < j of a tile in which no genotype is missing.

    Parameters
    ----------
    genotypes
        Two or three planes may be stored; the first two are used, of the tile alone.

    The others as in ``search_missing_pairs``.
    """
    first_row, last_row, first_column, last_column = tile
    n_words, folds = genotypes.planes.shape[1], genotypes.folds
    _, fours, blocks, _ = cut_tile(n_words, genotypes.planes.shape[2], 2 * folds)
    _search_rows(
        genotypes,
        rules,
        best,
        tile,
        errors,
        genotypes.planes.reshape(-1),
        (
            get_margins(genotypes, count_carriers(genotypes, first_row, last_row, 2)),
            get_margins(
                genotypes, count_carriers(genotypes, first_column, last_column, 2)
            ),
        ),
        np.empty(max(4, fours) * n_words * 8, np.int32),
        np.empty(fours * blocks * folds * 512, np.int32),
        make_room(genotypes),
    )


@bare
def _search_rows(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
    planes: NDArray[np.int32],
    margins: tuple[Floats, Floats],
    rows: NDArray[np.int32],
    counts: NDArray[np.int32],
    room: Room,
) -> None:
    """Search a tile with what :func:`search_every_pair` has allocated."""
    first_row, last_row, first_column, last_column = tile
    n_words, stored = genotypes.planes.shape[1], genotypes.planes.shape[2]
    block_size, width = n_words * stored * 16, 48 * genotypes.weight.shape[0]
    step = 2 * genotypes.folds * 256
    sorts_out = genotypes.folds == 1 and errors.shape[0] == 0
    least = get_least_excess(genotypes, best)
    chunk, fours, blocks, stretch = cut_tile(n_words, stored, 2 * genotypes.folds)
    band = max(1, fours // 4)
    for left in range(first_column, last_column, chunk):
        right = min(left + chunk, last_column)
        bottom = min(last_row, right)
        for top in range(first_row, bottom, band):
            n_band = min(band, bottom - top)
            for block in range(n_band):
                at, to = (top + block) * block_size, block * n_words * 32
                copy_rows(planes, at, n_words, stored, rows, to)
            for upper in range(top * 4, (top + n_band) * 4, fours):
                n_fours = min(fours, (top + n_band) * 4 - upper)
                for at_j in range(max(left, upper // 4), right, blocks):
                    n_blocks = min(blocks, right - at_j)
                    count_panel(
                        genotypes.group_start,
                        rows,
                        (upper - top * 4) * n_words * 8,
                        n_fours,
                        planes,
                        at_j,
                        n_blocks,
                        stored,
                        stretch,
                        counts,
                    )
                    for pair in range(n_fours * n_blocks):
                        four, block_j = upper + pair // n_blocks, at_j + pair % n_blocks
                        column = (block_j - first_column) * width
                        for row in range(4):
                            i, at = four * 4 + row, pair * step + row * 64
                            if sorts_out:
                                here = (i // 16 - first_row) * width + i % 16
                                excess = get_whole_excess(
                                    genotypes, counts, at, margins, here, column
                                )
                                if not any_lane(excess >= spread(least)):
                                    continue
                            if search_row(
                                genotypes,
                                rules,
                                best,
                                tile,
                                errors,
                                margins,
                                counts,
                                at,
                                256,
                                i,
                                block_j,
                                room,
                            ):
                                least = get_least_excess(genotypes, best)


@inlined
def get_least_excess(genotypes: Genotypes, best: Best) -> np.floating[Any]:
    """Return the excess on all data of a pair that enters a list without folds."""
    n0, n1 = genotypes.weight[0, 0], genotypes.weight[0, 1]
    product = np.float64(n1) * n0
    least = (2.0 * get_least(best) - 1.0 - ROUNDING) * product
    rounded: np.floating[Any] = type(n1)(least)
    return rounded


@inlined
def get_whole_excess(
    genotypes: Genotypes,
    counts: NDArray[np.int32],
    at: int,
    margins: tuple[Floats, Floats],
    row: int,
    column: int,
) -> Vector:
    """Return n1 n0 (2 BA - 1) of sixteen pairs on all data, where there are no folds.

    Parameters
    ----------
    counts, at
        Of cases, and of all 256 values further.
    """
    one = genotypes.weight[0, 0]
    cases = load_four(counts, at, one)
    controls = subtract_four(load_four(counts, at + 256, one), cases)
    four = weigh_four(genotypes.weight, 0, cases, controls)
    return sum_positive(
        complete(four, margins[0], row, margins[1], column), spread(one - one)
    )
