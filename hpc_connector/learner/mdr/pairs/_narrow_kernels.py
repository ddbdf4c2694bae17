"""Words of 16 bits: those of 32 variants fill a vector, and groups need less padding."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import inlined, kernel
from hpc_connector.learner.mdr._arguments import Genotypes


@kernel
def cut_narrow_groups(genotypes: Genotypes) -> NDArray[np.int64]:
    """Return the first word of 16 bits of each group, int64 (groups + 1,)."""
    n_groups = 2 * genotypes.folds
    start = np.zeros(n_groups + 1, np.int64)
    for group in range(n_groups):
        start[group + 1] = start[group] + (genotypes.size[group] + 15) // 16
    return start


@inlined
def locate_word(
    genotypes: Genotypes, start: NDArray[np.int64], group: int, word: int
) -> tuple[int, int]:
    """Return the word of 32 bits that holds one of 16 bits, and at which bit."""
    within = word - start[group]
    return genotypes.group_start[group] + within // 2, within % 2 * 16


@kernel
def copy_narrow_columns(
    genotypes: Genotypes,
    start: NDArray[np.int64],
    first: int,
    last: int,
    columns: NDArray[np.int16],
) -> None:
    """Copy some blocks of sixteen variants as blocks of 32.

    Parameters
    ----------
    start
        From :func:`cut_narrow_groups`.
    columns
        The result, int16 (blocks of 32 * words * 2 planes * 32,).
    """
    n_words, stored = genotypes.planes.shape[1], genotypes.planes.shape[2]
    planes, size = genotypes.planes.reshape(-1), start[-1] * 64
    for block in range(first, first + (last - first + 1) // 2 * 2):
        to = (block - first) // 2 * size + (block - first) % 2 * 16
        if block >= last:
            for at in range(to, to + size, 32):
                columns[at : at + 16] = 0
            continue
        for group in range(2 * genotypes.folds):
            for narrow in range(start[group], start[group + 1]):
                word, bit = locate_word(genotypes, start, group, narrow)
                for plane in range(2):
                    at = ((block * n_words + word) * stored + plane) * 16
                    into = to + (narrow * 2 + plane) * 32
                    for lane in range(16):
                        columns[into + lane] = np.int16(planes[at + lane] >> bit)


@kernel
def copy_narrow_rows(
    genotypes: Genotypes,
    start: NDArray[np.int64],
    block: int,
    rows: NDArray[np.int32],
    to: int,
) -> None:
    """Copy sixteen variants as four fours, every word of 16 bits there twice.

    Parameters
    ----------
    start
        From :func:`cut_narrow_groups`.
    rows, to
        The result, at rows[to:], int32 [four][word][plane][row].
    """
    n_words, stored = genotypes.planes.shape[1], genotypes.planes.shape[2]
    planes, n_narrow = genotypes.planes.reshape(-1), start[-1]
    for group in range(2 * genotypes.folds):
        for narrow in range(start[group], start[group + 1]):
            word, bit = locate_word(genotypes, start, group, narrow)
            for plane in range(2):
                for four in range(4):
                    at = ((block * n_words + word) * stored + plane) * 16 + four * 4
                    into = to + (four * n_narrow + narrow) * 8 + plane * 4
                    a, b = _double(planes[at], bit), _double(planes[at + 1], bit)
                    c, d = _double(planes[at + 2], bit), _double(planes[at + 3], bit)
                    rows[into], rows[into + 1] = a, b
                    rows[into + 2], rows[into + 3] = c, d


@inlined
def _double(word: np.int32, bit: int) -> np.int32:
    """Return 16 bits of a word twice."""
    half = (np.uint32(word) >> np.uint32(bit)) & np.uint32(0xFFFF)
    return np.int32(half | (half << np.uint32(16)))
