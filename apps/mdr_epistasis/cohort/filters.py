"""Which variants of a block are kept, and why the others are not.

Of several reasons the first that PLINK would find counts: chromosome and position, the
lists, missing genotypes, Hardy-Weinberg equilibrium, frequency.
"""

from dataclasses import dataclass, field

import numpy as np

from hpc_connector.learner._genetics_kernels import SLIGHT
from hpc_connector.learner.genetics import get_hwe_p
from hpc_connector.loader.genotypes.sample_file import Variants
from mdr_epistasis.cohort.choice import Choice, is_listed, name_chromosomes

REMOVED = (
    "",
    "rare",
    "out of Hardy-Weinberg equilibrium",
    "missing genotypes",
    "not listed",
    "of --exclude",
    "not of --extract",
    "elsewhere (--chr, --from-bp, --to-bp)",
    "not in the slice",
)
RARE, UNEQUAL, MISSING, UNLISTED, EXCLUDED, UNNAMED, ELSEWHERE, SLICED = range(1, 9)
HAPLOID = ("Y", "MT")  # where there are no heterozygotes to expect


@dataclass(frozen=True)
class Filters:
    """Which variants are kept.

    Parameters
    ----------
    only
        Ids to search among; None for all.
    share
        Of the variants, that are tried.
    hwe, hwe_of_all
        Least p-value of Hardy-Weinberg equilibrium, in controls; or, where a trait has
        no controls, in all.
    """

    min_maf: float = 0.01
    max_missing: float = 0.05
    only: frozenset[str] | None = None
    share: float = 1.0
    hwe: float = 0.0
    hwe_of_all: bool = False
    choice: Choice = field(default_factory=Choice)

    def name_chromosomes(self, variants: Variants) -> np.ndarray:
        """Return the names of the chromosomes of variants, if a filter needs them."""
        lists = (self.choice.extract, self.choice.exclude)
        has_ranges = any(each is not None and each.ranges for each in lists)
        if self.hwe > 0 or self.choice.chromosomes is not None or has_ranges:
            return name_chromosomes(variants.chromosome)
        return np.zeros(len(variants.position), object)


def find_unchosen(
    variants: Variants, filters: Filters, names: np.ndarray
) -> np.ndarray:
    """Return why variants are not to be read, by what they are called; int8, 0 if not.

    Parameters
    ----------
    names
        Of their chromosomes.
    """
    choice = filters.choice
    position = np.asarray(variants.position, np.int64)
    reason = np.zeros(len(position), np.int8)
    if filters.only is not None:
        is_known = np.array([name in filters.only for name in variants.id], bool)
        reason[~is_known] = UNLISTED
    if choice.exclude is not None:
        reason[is_listed(choice.exclude, variants.id, names, position)] = EXCLUDED
    if choice.extract is not None:
        reason[~is_listed(choice.extract, variants.id, names, position)] = UNNAMED
    if choice.chromosomes is not None:
        is_there = np.array([name in choice.chromosomes for name in names], bool)
        is_there &= (position >= choice.first_bp) & (position <= choice.last_bp)
        reason[~is_there] = ELSEWHERE
    return reason


def find_reasons(
    variants: Variants,
    codes: np.ndarray,
    counts: np.ndarray,
    filters: Filters,
    first_word: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return why variants are left out, places in REMOVED, 0 if they are kept.

    Parameters
    ----------
    codes, counts
        From ``bitplanes.pack_genotypes``.
    first_word
        Of the individuals among whom equilibrium is expected.

    Returns
    -------
    int8 (variants,), and the names of their chromosomes.
    """
    n = counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        frequency = (counts[:, 1] + 2 * counts[:, 2]) / (2 * (n - counts[:, 3]))
    reason = np.zeros(len(n), np.int8)
    reason[~(np.minimum(frequency, 1 - frequency) >= filters.min_maf)] = RARE
    reason[counts[:, 3] / n > filters.max_missing] = MISSING
    names = filters.name_chromosomes(variants)
    unchosen = find_unchosen(variants, filters, names)
    reason[unchosen > 0] = unchosen[unchosen > 0]
    if filters.hwe > 0:
        rows = np.flatnonzero((reason <= RARE) & ~np.isin(names, HAPLOID))
        p = get_hwe_p(count_codes(codes[rows, :, first_word:]))
        reason[rows[p < filters.hwe * (1 - SLIGHT)]] = UNEQUAL
    return reason, names


def count_codes(codes: np.ndarray) -> np.ndarray:
    """Count the carriers of 0, 1 and 2 in packed codes (variants, 2, words)."""
    low, high = codes.view(np.uint32).transpose(1, 0, 2)
    carriers = (low & ~high, high & ~low, low & high)
    counts = [np.bitwise_count(one).sum(axis=1, dtype=np.int64) for one in carriers]
    return np.stack(counts, axis=1)
