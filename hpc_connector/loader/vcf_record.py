"""What VCF's text and BCF have in common: a record, and calls from its numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpc_connector.errors import BadInput

# BCF keeps numbers as float32 and text prints six digits of them: what both agree on.
DECIMALS = 6
TOLERANCE = 0.01  # probabilities and dosages are often printed with few digits


@dataclass(frozen=True)
class Record:
    """One record, its genotypes not called yet.

    Parameters
    ----------
    alleles
        REF, then each ALT.
    is_passed
        Whether FILTER is PASS or missing.
    call
        Gives the genotypes that count the copies of ALT 1, 2, ...: int8
        (individuals,), -1 missing.
    """

    chromosome: str
    position: int
    id: str
    alleles: tuple[str, ...]
    is_passed: bool
    call: Callable[[int], np.ndarray]


def get_n_numbers(field: str, n_alleles: int) -> int:
    """Return how many numbers a diploid individual has in GP or DS."""
    return n_alleles * (n_alleles + 1) // 2 if field == "GP" else n_alleles - 1


def call_numbers(
    field: str, numbers: np.ndarray, n_alleles: int, threshold: float, alt: int
) -> np.ndarray:
    """Call genotypes from GP or DS.

    Parameters
    ----------
    numbers
        float64 (individuals, :func:`get_n_numbers`); NaN where missing, inf after the
        last of an individual with fewer.
    alt
        The allele that is counted, from 1.

    Returns
    -------
    0, 1, 2 copies, -1 missing, int8 (individuals,).

    Raises
    ------
    BadInput
        Numbers of another count or range; the message lacks the place.
    """
    numbers = np.round(numbers, DECIMALS)
    if field == "DS":
        return call_dosages(numbers, threshold, alt)
    return call_probabilities(numbers, n_alleles, threshold, alt)


def call_probabilities(
    probabilities: np.ndarray, n_alleles: int, threshold: float, alt: int
) -> np.ndarray:
    """Call the genotype that is more probable than the threshold.

    The genotypes of a diploid individual are 00, 01, 11, 02, 12, 22, ... (VCF 4.3,
    section 1.6.2), of a haploid one 0, 1, 2, ...; other parameters as for
    :func:`call_numbers`.
    """
    width = probabilities.shape[1]
    n_given = (probabilities != np.inf).sum(axis=1)
    is_missing = np.isnan(probabilities[:, :1]).all(axis=1) & (n_given <= 1)
    is_haploid = n_given == n_alleles
    if not (is_missing | is_haploid | (n_given == width)).all():
        raise BadInput(f"expected {width} probabilities GP an individual")
    known = np.where(np.isfinite(probabilities), probabilities, 0)
    if (known < 0).any() or (known.sum(axis=1) > 1 + TOLERANCE).any():
        raise BadInput("expected probabilities GP from 0 to 1 that sum to 1")
    genotype = np.array(
        [
            get_genotype((first, second), alt)
            for second in range(n_alleles)
            for first in range(second + 1)
        ]
    )
    haploid = np.full(width, -1)
    haploid[:n_alleles] = [get_genotype((a, a), alt) for a in range(n_alleles)]
    best = known.argmax(axis=1)
    is_called = known.max(axis=1, initial=0) > threshold
    called = np.where(is_haploid, haploid[best], genotype[best])
    return np.where(is_called, called, -1).astype(np.int8)


def get_genotype(alleles: tuple[int, int], alt: int) -> int:
    """Return the copies of an ALT, -1 beside an allele that is not REF.

    Examples
    --------
    >>> [get_genotype(alleles, alt=1) for alleles in [(0, 0), (0, 1), (1, 2)]]
    [0, 1, -1]
    """
    return alleles.count(alt) if set(alleles) <= {0, alt} else -1


def call_dosages(dosages: np.ndarray, threshold: float, alt: int) -> np.ndarray:
    """Call the nearest genotype if it is nearer than 1 - threshold.

    A haploid individual is read as a diploid one: programs differ on whether its
    dosage goes to 1 or 2. Of several ALTs all must be called, and the others 0.
    Parameters as for :func:`call_numbers`.
    """
    n_alts = dosages.shape[1]
    is_missing = np.isnan(dosages[:, 0]) & ~np.isfinite(dosages).any(axis=1)
    if ((dosages == np.inf).any(axis=1) & ~is_missing).any():
        raise BadInput(f"expected {n_alts} dosages DS an individual")
    known = np.where(np.isfinite(dosages), dosages, -1)
    is_given = np.isfinite(dosages)
    if (is_given & ((known < -TOLERANCE) | (known > 2 + TOLERANCE))).any():
        raise BadInput("expected dosages DS from 0 to 2")
    nearest = np.round(known)
    certainty = np.round(1 - np.abs(known - nearest), DECIMALS)
    called = np.where(is_given & (certainty > threshold), nearest, -1)
    has_others = (np.delete(called, alt - 1, axis=1) != 0).any(axis=1)
    return np.where(has_others, -1, called[:, alt - 1]).astype(np.int8)
