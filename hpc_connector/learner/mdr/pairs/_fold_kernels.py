"""Search over folds: every pair is counted and screened, and few are scored in full."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare, kernel
from hpc_connector.learner.mdr._arguments import Best, Floats, Genotypes, Rules
from hpc_connector.learner.mdr._contrast_kernels import get_margins, score_pairs
from hpc_connector.learner.mdr._count_kernels import count_carriers
from hpc_connector.learner.mdr._search_kernels import (
    get_least,
    is_candidate,
    keep_pairs,
)
from hpc_connector.learner.mdr._simd import get_bits, load, store, widen_half
from hpc_connector.learner.mdr.pairs._narrow_kernels import (
    copy_narrow_columns,
    copy_narrow_rows,
    cut_narrow_groups,
)
from hpc_connector.learner.mdr.pairs._panel_kernels import (
    count_panel,
    cut_tile,
    split_groups,
)
from hpc_connector.learner.mdr.pairs._screen_kernels import (
    Screen,
    get_narrow_margins,
    make_screen,
    screen_pairs,
    set_least,
)

# Rows, columns as they are counted and as they are copied, counts, those of sixteen
# pairs and the groups they split into, and their folds and statistics.
Scratch = tuple[
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.int16],
    NDArray[np.int16],
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.float64],
    NDArray[np.float64],
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
    n_groups, start = genotypes.size.shape[0], cut_narrow_groups(genotypes)
    chunk, fours, blocks, _ = cut_tile(start[-1], 2, n_groups)
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
            np.empty(n_groups * 64, np.int32),
            np.full(genotypes.folds * 16, -1.0),
            np.empty(48),
        ),
    )


@bare
def _search_rows(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    screen: Screen,
    start: NDArray[np.int64],
    margins: tuple[Floats, Floats],
    narrow_margins: tuple[NDArray[np.int16], NDArray[np.int16]],
    scratch: Scratch,
) -> None:
    """Search a tile with what :func:`search_screened_pairs` has allocated."""
    first_row, last_row, first_column, last_column = tile
    rows, columns, copied, counts, _, _, _, _ = scratch
    folds, n_groups, n_words = genotypes.folds, genotypes.size.shape[0], start[-1]
    chunk, fours, blocks, stretch = cut_tile(n_words, 2, n_groups)
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
                                if i // 16 <= block < last_column:
                                    keep_screened(
                                        genotypes,
                                        rules,
                                        best,
                                        tile,
                                        screen,
                                        margins,
                                        scratch,
                                        table + row * 128,
                                        i,
                                        block,
                                        half,
                                    )


@bare
def keep_screened(
    genotypes: Genotypes,
    rules: Rules,
    best: Best,
    tile: tuple[int, ...],
    screen: Screen,
    margins: tuple[Floats, Floats],
    scratch: Scratch,
    at: int,
    i: int,
    block_j: int,
    half: int,
) -> None:
    """Score the pairs of one row with sixteen variants, and keep the best."""
    _, _, _, narrow, counts, tables, fold_train, statistics = scratch
    width = 48 * genotypes.weight.shape[0]
    for group in range(2 * genotypes.folds):
        for cell in range(4):
            count = widen_half(load(narrow, at + group * 512 + cell * 32), half)
            store(counts, (group * 4 + cell) * 16, count)
    split_groups(counts, 0, genotypes.folds, 64, tables)
    score_pairs(
        genotypes,
        rules.tie_low,
        tables,
        0,
        64,
        margins[0],
        (i // 16 - tile[0]) * width + i % 16,
        margins[1],
        (block_j - tile[2]) * width,
        fold_train,
        statistics,
    )
    if is_candidate(
        get_least(best),
        rules.statistic[0] * 16,
        best.fold_score,
        statistics,
        fold_train,
        genotypes.folds,
    ):
        keep_pairs(genotypes, rules, best, statistics, fold_train, i, block_j)
        set_least(screen, best)
