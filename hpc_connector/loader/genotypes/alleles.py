"""One variant for each allele of a record but the reference: of VCF, BCF and BGEN."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

NOT_ALLELES = {"*", "<*>", "<NON_REF>", "."}
SPLIT = "variants of three or more alleles were split, into one for each ALT"

Row = tuple[str, str, int, str, str, np.ndarray]  # columns of Variants, genotypes


class VariantSite(Protocol):
    """A record of a file: a place, and its alleles, the reference first."""

    @property
    def chromosome(self) -> str: ...  # noqa: D102
    @property
    def position(self) -> int: ...  # noqa: D102
    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def alleles(self) -> tuple[str, ...]: ...  # noqa: D102


def split(
    site: VariantSite,
    call: Callable[[int], tuple[np.ndarray, Mapping[str, int]]],
    counted: Counter[str],
) -> Iterator[Row]:
    """Yield one variant for each ALT of a record that is an allele.

    Parameters
    ----------
    call
        Gives the genotypes that count the copies of ALT 1, 2, ..., and counts.
    counted
        Gets the counts of the record, once.
    """
    ref, *alts = site.alleles
    numbers: Sequence[int] = range(1, len(alts) + 1)
    if not NOT_ALLELES.isdisjoint(alts):
        numbers = [k for k in numbers if alts[k - 1] not in NOT_ALLELES]
    is_split = len(numbers) > 1
    if is_split:
        counted[SPLIT] += 1
    for number in numbers:
        genotypes, changed = call(number)
        if changed and number == numbers[0]:
            counted.update(changed)
        alt = alts[number - 1]
        name = site.id if site.id != "." and not is_split else get_name(site, alt)
        yield name, site.chromosome, site.position, alt, ref, genotypes


def get_name(site: VariantSite, alt: str) -> str:
    """Return the name of one of the variants of a record, or of one without an id."""
    if site.id == ".":
        return f"{site.chromosome}:{site.position}:{site.alleles[0]}:{alt}"
    return f"{site.id}_{alt}"
