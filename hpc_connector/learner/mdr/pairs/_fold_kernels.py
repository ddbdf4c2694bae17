"""Search over folds: every pair is counted and screened, and few are scored in full."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, inlined, kernel
from hpc_connector.learner.mdr._arguments import Best, Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import get_margins
from hpc_connector.learner.mdr._count_kernels import count_carriers
from hpc_connector.learner.mdr._simd import get_bits, load, store, widen_half
from hpc_connector.learner.mdr.pairs._narrow_kernels import (
    copy_narrow_columns,
    copy_narrow_rows,
    cut_narrow_groups,
)
from hpc_connector.learner.mdr.pairs._panel_kernels import count_panel, cut_tile
from hpc_connector.learner.mdr.pairs._row_kernels import Room, make_room, search_row
from hpc_connector.learner.mdr.pairs._screen_kernels import (
    Screen,
    get_narrow_margins,
    make_screen,
    screen_pairs,
    set_least,
)

# Rows, columns as they are counted and as they are copied, counts of a panel, and of
# sixteen pairs in 32 bits.
Scratch = tuple[
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.int16],
    NDArray[np.int16],
    NDArray[np.int32],
]


@kernel
def search_screened_pairs(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
) -> None:
    """Keep the best pairs i < j of a tile in which no genotype is missing.

    Parameters
    ----------
    genotypes
        With folds, which ``is_screened`` allows. Two or three planes may be stored; the
        first two are used, of the tile alone.
    errors
        Empty: no error is known of pairs that the screen holds back.

    The others as in ``search_missing_pairs``.
    """
    first_row, last_row, first_column, last_column = tile
    start = cut_narrow_groups(genotypes)
    chunk, fours, blocks, _ = cut_tile(start[-1], 2, 2 * genotypes.folds)
    columns = np.empty(chunk * start[-1] * 32, np.int32)
    row_margins = get_margins(
        genotypes, count_carriers(genotypes, first_row, last_row, 2)
    )
    margins = get_margins(
        genotypes, count_carriers(genotypes, first_column, last_column, 2)
    )
    screen = make_screen(genotypes, rules)
    set_least(screen, best)
    _search_rows(
        genotypes,
        rules,
        best,
        tile,
        errors,
        screen,
        start,
        (row_margins, margins),
        (
            get_narrow_margins(genotypes, row_margins, 16),
            get_narrow_margins(genotypes, margins, 32),
        ),
        (
            np.empty(max(4, fours) * start[-1] * 8, np.int32),
            columns,
            columns.view(np.int16),
            np.empty(fours * blocks * genotypes.folds * 1024, np.int16),
            np.empty(genotypes.folds * 128, np.int32),
        ),
        make_room(genotypes),
    )


@bare
def _search_rows(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    errors: NDArray[np.float32],
    screen: Screen,
    start: NDArray[np.int64],
    margins: tuple[Floats, Floats],
    narrow_margins: tuple[NDArray[np.int16], NDArray[np.int16]],
    scratch: Scratch,
    room: Room,
) -> None:
    """Search a tile with what :func:`search_screened_pairs` has allocated."""
    first_row, last_row, first_column, last_column = tile
    rows, columns, copied, counts, wide = scratch
    folds, n_words = genotypes.folds, start[-1]
    chunk, fours, blocks, stretch = cut_tile(n_words, 2, 2 * folds)
    band, of_row, of_columns = max(1, fours // 4), (folds + 1) * 48, (folds + 1) * 96
    for left in range(first_column, last_column, 2 * chunk):
        right = min(left + 2 * chunk, last_column)
        copy_narrow_columns(genotypes, start, left, right, copied)
        bottom, n_columns = min(last_row, right), (right - left + 1) // 2
        for top in range(first_row, bottom, band):
            n_band = min(band, bottom - top)
            for block in range(n_band):
                to = block * n_words * 32
                copy_narrow_rows(genotypes, start, top + block, rows, to)
            for upper in range(top * 4, (top + n_band) * 4, fours):
                n_fours = min(fours, (top + n_band) * 4 - upper)
                for at_j in range(max(0, upper // 4 - left) // 2, n_columns, blocks):
                    n_blocks = min(blocks, n_columns - at_j)
                    count_panel(
                        start,
                        rows,
                        (upper - top * 4) * n_words * 8,
                        n_fours,
                        columns,
                        at_j,
                        n_blocks,
                        2,
                        stretch,
                        counts,
                    )
                    for pair in range(n_fours * n_blocks):
                        four, block_j = upper + pair // n_blocks, at_j + pair % n_blocks
                        table = pair * folds * 1024
                        for row in range(4):
                            i = four * 4 + row
                            found = screen_pairs(
                                screen.constants,
                                folds,
                                counts,
                                table + row * 128,
                                narrow_margins[0],
                                (i // 16 - first_row) * of_row + i % 16,
                                narrow_margins[1],
                                ((left - first_column) // 2 + block_j) * of_columns,
                            )
                            bits = get_bits(found)
                            for half in range(2):
                                block = left + block_j * 2 + half
                                if (bits >> (16 * half)) & 0xFFFF == 0:
                                    continue
                                if i // 16 > block or block >= last_column:
                                    continue
                                at = table + row * 128
                                _widen_counts(counts, at, half, 2 * folds, wide)
                                if search_row(
                                    genotypes,
                                    rules,
                                    best,
                                    tile,
                                    errors,
                                    margins,
                                    wide,
                                    0,
                                    64,
                                    i,
                                    block,
                                    room,
                                ):
                                    set_least(screen, best)


@inlined
def _widen_counts(
    counts: NDArray[np.int16],
    at: int,
    half: int,
    n_groups: int,
    wide: NDArray[np.int32],
) -> None:
    """Write the counts of sixteen of 32 pairs as int32 [group][cell][lane]."""
    for group in range(n_groups):
        for cell in range(4):
            count = widen_half(load(counts, at + group * 512 + cell * 32), half)
            store(wide, (group * 4 + cell) * 16, count)
