"""Sums of floating-point numbers that do not depend on their order.

A sum is a whole number of the least step that a double can take, 2^-1074, and so is
exact; it is rounded once, at the end.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MANTISSA_BITS, LOW_BITS = 53, 26
LEAST = -1074  # exponent of the least step
PIECE = 1 << 24  # values at once: 2^24 of 27 bits are exact in a double


@dataclass(frozen=True)
class ExactSum:
    """The sum of numbers.

    Parameters
    ----------
    steps
        Of those that are finite, in steps of 2^-1074.
    rest
        Of infinities and NaN, 0.0 without any.
    """

    steps: int = 0
    rest: float = 0.0

    def __add__(self, other: "ExactSum") -> "ExactSum":
        """Return the sum of both."""
        return ExactSum(self.steps + other.steps, self.rest + other.rest)

    def round(self) -> float:
        """Return the double that is nearest."""
        if self.rest != 0.0:  # so is NaN
            return self.rest
        try:
            return self.steps / (1 << -LEAST)
        except OverflowError:
            return math.inf if self.steps > 0 else -math.inf


def add_exactly(values: NDArray[np.float64]) -> ExactSum:
    """Return the exact sum of float64 values of any shape.

    Mantissas are added up by exponent, in two halves, each exact in a double.

    Examples
    --------
    >>> add_exactly(np.array([1e100, 1.0, -1e100])).round()
    1.0
    """
    values = np.asarray(values, np.float64).ravel()
    is_finite = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        rest = float(values[~is_finite].sum())
    values = values[is_finite]
    pieces = range(0, len(values), PIECE)
    return ExactSum(sum(_count_steps(values[k : k + PIECE]) for k in pieces), rest)


def _count_steps(values: NDArray[np.float64]) -> int:
    """Return the sum of finite values in steps of 2^-1074."""
    fraction, exponent = np.frexp(values)
    mantissa = np.ldexp(fraction, MANTISSA_BITS)  # whole, below 2^53
    high = np.floor(np.ldexp(mantissa, -LOW_BITS))
    low = mantissa - np.ldexp(high, LOW_BITS)
    place = exponent.astype(np.int64) - exponent.min(initial=0)
    steps = 0
    for half, shift in ((high, LOW_BITS), (low, 0)):
        sums = np.bincount(place, half) if len(place) else np.zeros(0)
        for k in np.flatnonzero(sums).tolist():
            bits = k + int(exponent.min(initial=0)) - MANTISSA_BITS + shift - LEAST
            whole = int(sums[k])
            steps += whole << bits if bits >= 0 else whole >> -bits
    return steps
