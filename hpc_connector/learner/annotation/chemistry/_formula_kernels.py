"""Kernels that read many sum formulas."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import bare

N_SYMBOLS = 26 * 27  # a capital letter, and a small one or none


@bare
def list_atoms(
    text: NDArray[np.uint8],
    start: NDArray[np.int64],
    most_digits: int,
    formula: NDArray[np.int64],
    symbol: NDArray[np.int64],
    number: NDArray[np.int64],
    is_simple: NDArray[np.bool_],
) -> int:
    """List symbols of elements with their numbers; return how many there are.

    Parameters
    ----------
    text, start
        ASCII, and where each formula begins and the last ends.
    most_digits
        Of a number.
    formula, symbol, number
        Filled, of each symbol with its number; there is room for each byte of `text`.
    is_simple
        Filled; False for a formula that has something else, a wrong number or nothing,
        of which nothing is listed.
    """
    n_found = 0
    for f in range(len(start) - 1):
        at, end = start[f], start[f + 1]
        n_before, is_simple[f] = n_found, at < end
        while at < end and is_simple[f]:
            code = 27 * (np.int64(text[at]) - ord("A"))
            is_simple[f] = 0 <= code < N_SYMBOLS
            at += 1
            if at < end and ord("a") <= text[at] <= ord("z"):
                code += np.int64(text[at]) - ord("a") + 1
                at += 1
            first, n = at, np.int64(0)
            while at < end and ord("0") <= text[at] <= ord("9"):
                n = 10 * n + np.int64(text[at]) - ord("0")
                at += 1
            n = np.int64(1) if at == first else n
            is_simple[f] &= n > 0 and at - first <= most_digits
            formula[n_found], symbol[n_found], number[n_found] = f, code, n
            n_found += 1
        if not is_simple[f]:
            n_found = n_before
    return n_found
