"""Scores of individuals: residuals of a null model, and integers in their place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput

BITS = range(6, 16)
LARGEST_SUM = (1 << 31) - 1  # of the scores of one sign, which are counted in 32 bits


@dataclass(frozen=True)
class Scores:
    """Scores of individuals.

    Parameters
    ----------
    residual
        y - mu, float64 (individuals,).
    quantised
        Integers in proportion to it, int32 (individuals,), see :func:`make_scores`.
    bits
        Of the greatest of them.
    """

    residual: NDArray[np.float64]
    quantised: NDArray[np.int32]
    bits: int

    @property
    def is_positive(self) -> NDArray[np.int8]:
        """1 where the residual is positive: what a case is to MDR, int8."""
        return (self.residual > 0).astype(np.int8)

    @property
    def weight(self) -> NDArray[np.int32]:
        """What an individual counts, |quantised|, int32."""
        return np.abs(self.quantised)


def make_scores(residual: NDArray[np.float64], bits: int = 8) -> Scores:
    """Quantise residuals: q = round(s L / max |s|), L = 2 ** bits - 1.

    Then the positive q are divided by their greatest common divisor, and the negative
    ones by theirs, which changes no risk label and no balanced accuracy. So a binary
    trait without covariates has scores 1 and -1, and generalised MDR counts as MDR.

    Parameters
    ----------
    bits
        One of BITS.

    Raises
    ------
    BadInput
        If all residuals are 0, if those of one sign all become 0, or if their sum
        takes more than 31 bits.
    """
    if bits not in BITS:
        raise BadInput(f"scores of {bits} bits; expected {BITS[0]} to {BITS[-1]}")
    largest = float(np.abs(residual).max(initial=0))
    if not largest > 0:
        raise BadInput(
            "the covariates explain the trait of every individual: all scores are 0; "
            "expected a trait that they leave something of"
        )
    quantised = np.rint(residual * (((1 << bits) - 1) / largest)).astype(np.int64)
    for chosen, sign in ((quantised > 0, "positive"), (quantised < 0, "negative")):
        if not chosen.any():
            raise BadInput(
                f"all {sign} scores are 0 in {bits} bits beside the largest, "
                f"{largest:g}; expected more bits, or a trait without such an outlier"
            )
        quantised[chosen] //= np.gcd.reduce(quantised[chosen])
        total = int(np.abs(quantised[chosen]).sum())
        if total > LARGEST_SUM:
            raise BadInput(
                f"scores of {bits} bits add up to {total}; expected at most "
                f"{LARGEST_SUM}: take fewer bits"
            )
    return Scores(residual, quantised.astype(np.int32), bits)
