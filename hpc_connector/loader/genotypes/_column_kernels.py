"""Fields of lines, and numbers in them, from bytes."""

import numpy as np
from numpy.typing import NDArray

from hpc_connector._jit import kernel

BLANK, ZERO, NINE, MINUS = ord(" "), ord("0"), ord("9"), ord("-")


@kernel
def find_fields(
    text: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    fields: NDArray[np.int64],
) -> int:
    """Find the first fields of lines, which blanks separate.

    Parameters
    ----------
    text
        UTF-8, uint8 (bytes,).
    starts, ends
        Of the lines, int64 (lines,).
    fields
        Filled: where each begins and ends, int64 (fields, 2, lines).

    Returns
    -------
    Number of lines that have as many: fewer than there are names the first that has
    not.
    """
    for line in range(starts.shape[0]):
        at, end = starts[line], ends[line]
        for k in range(fields.shape[0]):
            while at < end and text[at] <= BLANK:
                at += 1
            if at == end:
                return line
            fields[k, 0, line] = at
            while at < end and text[at] > BLANK:
                at += 1
            fields[k, 1, line] = at
    return starts.shape[0]


@kernel
def parse_whole(
    text: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    most_digits: int,
    numbers: NDArray[np.int64],
) -> int:
    """Read whole numbers of at most some digits, after a minus or not.

    Parameters
    ----------
    text
        uint8 (bytes,).
    starts, ends
        Of each number, int64 (numbers,).
    numbers
        Filled: int64 (numbers,).

    Returns
    -------
    Count of numbers read: fewer than there are names the first that is none.
    """
    for k in range(starts.shape[0]):
        at, end = starts[k], ends[k]
        is_negative = at < end and text[at] == MINUS
        at += is_negative
        number = np.int64(0)
        if at == end or end - at > most_digits:
            return k
        while at < end:
            if text[at] < ZERO or text[at] > NINE:
                return k
            number = number * 10 + (text[at] - ZERO)
            at += 1
        numbers[k] = -number if is_negative else number
    return starts.shape[0]


@kernel
def copy_cells(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    cells: NDArray[np.uint8],
) -> None:
    """Copy stretches of bytes into rows, and zeros after them.

    Parameters
    ----------
    data
        uint8 (bytes,).
    starts, ends
        Of the stretches, int64 (stretches,).
    cells
        Filled: uint8 (stretches, bytes of the longest or more).
    """
    for k in range(starts.shape[0]):
        n = ends[k] - starts[k]
        for j in range(n):
            cells[k, j] = data[starts[k] + j]
        for j in range(n, cells.shape[1]):
            cells[k, j] = 0
