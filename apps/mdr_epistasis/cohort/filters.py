"""Which variants of a block are kept, and why the others are not.

Of several reasons the first that PLINK would find counts: chromosome and position, the
lists, missing genotypes, Hardy-Weinberg equilibrium, frequency.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from hpc_connector.learner._genetics_kernels import SLIGHT
from hpc_connector.learner.genetics import get_first_control_word, get_hwe_p
from hpc_connector.learner.mdr.bitplanes import Arrangement
from hpc_connector.loader.genotypes.sample_file import Variants
from mdr_epistasis.cohort.choice import Choice, is_listed, name_chromosomes
from mdr_epistasis.cohort.sex import RECODED, X, make_words, recode_males

REMOVED = (
    "",
    "rare",
    "out of Hardy-Weinberg equilibrium",
    "missing genotypes",
    "not listed",
    "of --exclude",
    "not of --extract",
    "elsewhere (--chr, --from-bp, --to-bp)",
    "on X (--x-chr-model 0)",
    "not in the slice",
)
RARE, UNEQUAL, MISSING, UNLISTED, EXCLUDED, UNNAMED = range(1, 7)
ELSEWHERE, ON_X, SLICED = range(7, 10)
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
    x_model, is_male
        How males count on X, and who is one, bool (individuals,); None for as called.
    """

    min_maf: float = 0.01
    max_missing: float = 0.05
    only: frozenset[str] | None = None
    share: float = 1.0
    hwe: float = 0.0
    hwe_of_all: bool = False
    choice: Choice = field(default_factory=Choice)
    x_model: str | None = None
    is_male: np.ndarray | None = None

    def name_chromosomes(self, variants: Variants) -> np.ndarray:
        """Return the names of the chromosomes of variants, if a filter needs them."""
        lists = (self.choice.extract, self.choice.exclude)
        has_ranges = any(each is not None and each.ranges for each in lists)
        is_of_sex = self.hwe > 0 or self.x_model is not None
        if is_of_sex or self.choice.chromosomes is not None or has_ranges:
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
    if filters.x_model == "0":
        reason[names == X] = ON_X
    return reason


@dataclass(frozen=True)
class Packed:
    """Variants of a block, packed, and who of the individuals is whom.

    Parameters
    ----------
    codes, counts
        From ``bitplanes.pack_genotypes``, with males on X as they are to count.
    names
        Of the chromosomes, if some filter needs them.
    male
        A bit for each male, int32 (words,); None if sex is not asked.
    first_word
        Of the individuals among whom equilibrium is expected.
    """

    variants: Variants
    codes: np.ndarray
    counts: np.ndarray
    names: np.ndarray
    male: np.ndarray | None
    first_word: int

    def get_frequencies(self, x_model: str | None) -> np.ndarray:
        """Return the frequency of the counted allele; males have one X."""
        counts = self.counts[:, :3].astype(np.float64)
        copies = counts[:, 1] + 2 * counts[:, 2]
        alleles = 2 * counts.sum(axis=1)
        if self.male is not None and x_model is not None:
            rows = np.flatnonzero(self.names == X)
            of_males = count_codes(self.codes[rows] & self.male)
            alleles[rows] -= of_males.sum(axis=1)
            copies[rows] -= of_males[:, 2]
        with np.errstate(invalid="ignore"):
            frequency: np.ndarray = copies / alleles
        return frequency

    def get_hwe_p(self, rows: np.ndarray) -> np.ndarray:
        """Return the p-values of some variants; on X of females alone."""
        codes = self.codes[rows, :, self.first_word :]
        if self.male is not None:
            is_x = self.names[rows] == X
            codes[is_x] &= ~self.male[self.first_word :]
        return get_hwe_p(count_codes(codes))


@dataclass(frozen=True)
class Packer:
    """What makes :class:`Packed` of blocks; see there."""

    filters: Filters
    male: np.ndarray | None
    first_word: int

    def pack(
        self,
        variants: Variants,
        codes: np.ndarray,
        counts: np.ndarray,
        counted: Counter[str],
    ) -> Packed:
        """Return variants with males on X as they are to count; count what is changed.

        `codes` and `counts` are changed in place.
        """
        names, model = self.filters.name_chromosomes(variants), self.filters.x_model
        if self.male is not None and model in ("1", "2"):
            rows = np.flatnonzero(names == X)
            counted[RECODED] += recode_males(codes, rows, self.male, model)
            n = counts[rows].sum(axis=1)
            counts[rows, :3] = count_codes(codes[rows])
            counts[rows, 3] = n - counts[rows, :3].sum(axis=1)
        return Packed(variants, codes, counts, names, self.male, self.first_word)


def make_packer(filters: Filters, arrangement: Arrangement) -> Packer:
    """Return the packer of individuals in an arrangement."""
    first_word = 0 if filters.hwe_of_all else get_first_control_word(arrangement)
    male = None
    if filters.is_male is not None:
        male = make_words(arrangement, filters.is_male)
    return Packer(filters, male, first_word)


def find_reasons(packed: Packed, frequency: np.ndarray, filters: Filters) -> np.ndarray:
    """Return why variants are left out, places in REMOVED, int8; 0 if they are kept."""
    counts = packed.counts
    reason = np.zeros(len(counts), np.int8)
    reason[~(np.minimum(frequency, 1 - frequency) >= filters.min_maf)] = RARE
    reason[counts[:, 3] / counts.sum(axis=1) > filters.max_missing] = MISSING
    unchosen = find_unchosen(packed.variants, filters, packed.names)
    reason[unchosen > 0] = unchosen[unchosen > 0]
    if filters.hwe > 0:
        rows = np.flatnonzero((reason <= RARE) & ~np.isin(packed.names, HAPLOID))
        p = packed.get_hwe_p(rows)
        reason[rows[p < filters.hwe * (1 - SLIGHT)]] = UNEQUAL
    return reason


def count_codes(codes: np.ndarray) -> np.ndarray:
    """Count the carriers of 0, 1 and 2 in packed codes (variants, 2, words)."""
    low, high = codes.transpose(1, 0, 2).view(np.uint32)
    carriers = (low & ~high, high & ~low, low & high)
    counts = [np.bitwise_count(one).sum(axis=1, dtype=np.int64) for one in carriers]
    return np.stack(counts, axis=1)
