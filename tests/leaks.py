"""Whether numbers that are seen tell of numbers that were counted."""

import numpy as np

LEAST = 200  # numbers of which a correlation says something
PIECE = 1000  # numbers of a message that are looked at together
SIGMA = 5.0


def is_told(true, seen):
    """Return whether numbers that are seen tell of what was counted.

    They are equal more often, or in some piece correlate more, than random ones.
    """
    n_values = 2.0 ** (8 * seen.itemsize)
    n_expected = len(true) / n_values
    n_equal = int((true == seen).sum())
    if n_equal > n_expected + SIGMA * max(1.0, n_expected**0.5):
        return True
    whole = [slice(None)] if len(true) > PIECE else []
    pieces = [slice(at, at + PIECE) for at in range(0, len(true), PIECE)]
    return any(correlate(true[p], seen[p]) for p in [*whole, *pieces])


def correlate(true, seen):
    """Return whether numbers correlate; of few or constant ones nothing can be said."""
    if len(true) < LEAST or true.std() == 0:
        return False
    low = seen & 0xFF  # where small counts are, if anything is
    found = [np.corrcoef(true, some)[0, 1] for some in (seen, low)]
    return bool(np.max(np.abs(found)) > SIGMA / len(true) ** 0.5)
