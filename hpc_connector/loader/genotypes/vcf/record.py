"""What VCF's text and BCF have in common: a record, and genotypes from its fields.

Which field tells a genotype is decided here, in :func:`call`: GT; or GP or DS, and GT
where a call or a record lacks them. A dosage beside a haploid GT is of one copy.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.chromosomes import ONE_COPY, normalise
from hpc_connector.loader.genotypes.sample_file import HALF_CALLS, ReadOptions
from hpc_connector.loader.genotypes.vcf import _kernels as kernels

# BCF keeps numbers as float32 and text prints six digits of them: what both agree on.
DECIMALS = 6
TOLERANCE = 0.01  # probabilities and dosages are often printed with few digits

Counted = dict[str, int]  # see hpc_connector.notes
Calls = tuple[np.ndarray, bool]
NOTHING: Counted = {}
HALF_CALL_WORDS = {
    "missing": "half-calls, as 0/., were taken as missing (--half-call)",
    "haploid": "half-calls, as 0/., were taken as haploid",
    "reference": "half-calls, as 0/., were taken as if the other allele were REF",
}
OTHER_PLOIDY = "calls of three or more copies were taken as missing"
ONE_COPY_CALLS = "calls of one copy, as 1, were taken as two alike"
NO_CALLS = "records without the field GT were taken as missing"
NO_FIELD = "records with neither the field {} nor GT were taken as missing"
FROM_CALLS = "genotypes without {} were taken from GT"
ONE_COPY_DOSAGES = "dosages beside a haploid GT were read as of one copy"
UNKNOWN_PLOIDY = (
    "records of X, Y or MT have dosages without GT, read as of two copies (0 to 2)"
)


class Record(NamedTuple):
    """One record, its genotypes not called yet.

    Parameters
    ----------
    place
        File and position, for messages.
    alleles
        REF, then each ALT.
    is_passed
        Whether FILTER is PASS or missing.
    n_individuals, fields
        How many have a column, and what FORMAT names.
    read_calls
        Gives what GT says of the copies of ALT 1, 2, ..., int8 (individuals,), with
        marks of the kernels, and whether there is a mark.
    read_numbers
        Gives a field such as GP: numbers as for :func:`call_numbers`, and how many
        alleles each GT has, int8 (individuals,), see the kernels.
    """

    place: str
    chromosome: str
    position: int
    id: str
    alleles: tuple[str, ...]
    is_passed: bool
    n_individuals: int
    fields: Collection[str]
    read_calls: Callable[[int], Calls]
    read_numbers: Callable[[str], tuple[np.ndarray, np.ndarray]]


def call(
    record: Record, options: ReadOptions, alt: int
) -> tuple[NDArray[np.int8], Counted]:
    """Return how many copies of ALT 1, 2, ... individuals carry, and what was changed.

    Returns
    -------
    0, 1, 2 copies, -1 missing, int8 (individuals,); counts by what was done.

    Raises
    ------
    BadInput
        A record that is malformed.
    """
    field, has_calls = options.vcf_field, "GT" in record.fields
    if field == "GT" and has_calls:
        genotypes, is_marked = record.read_calls(alt)
        if not is_marked:
            return genotypes, NOTHING
        return unmark(record, genotypes, options)
    if get_source(record, field):
        return call_with_numbers(record, options, alt)
    missing = np.full(record.n_individuals, -1, np.int8)
    if not has_calls:
        return missing, {NO_CALLS if field == "GT" else NO_FIELD.format(field): 1}
    return fill_from_calls(record, options, alt, missing, slice(None))


def get_source(record: Record, field: str) -> str:
    """Return the field of a record that tells another; empty where none does.

    Dosages are also the sums of HDS, those of the copies, which minimac4 may write
    alone; of two alleles, or their order would be a guess.
    """
    if field in record.fields:
        return field
    is_sum = field == "DS" and "HDS" in record.fields and len(record.alleles) == 2
    return "HDS" if is_sum else ""


def add_copies(
    numbers: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return dosages of individuals from those of their copies, and who has one copy.

    `numbers` as for :func:`call_numbers`, of HDS.
    """
    is_haploid = np.isfinite(numbers[:, 0]) & np.isinf(numbers[:, 1])
    dosages = np.where(is_haploid, numbers[:, 0], numbers[:, 0] + numbers[:, 1])
    return np.where(np.isfinite(dosages), dosages, np.nan)[:, None], is_haploid


def call_with_numbers(
    record: Record, options: ReadOptions, alt: int
) -> tuple[NDArray[np.int8], Counted]:
    """Call genotypes from GP or DS, and from GT where an individual has none."""
    field, n_alleles = options.vcf_field, len(record.alleles)
    source = get_source(record, field)
    numbers, ploidy = record.read_numbers(source)
    is_haploid = ploidy == 1
    if source == "HDS":
        numbers, is_haploid = add_copies(numbers)
    elif field == "DS" and not ploidy.all():
        is_haploid |= find_open_haploids(record, numbers, ploidy == 0)
    is_lacking = ~np.isfinite(numbers).any(axis=1)
    counted: Counted = {}
    if field == "DS" and is_haploid.any():
        counted[ONE_COPY_DOSAGES] = int((is_haploid & ~is_lacking).sum())
    try:
        genotypes = call_numbers(
            field, numbers, n_alleles, options.imputation_threshold, alt, is_haploid
        )
    except BadInput as error:
        raise BadInput(f"{record.place}: {error}") from error
    if "GT" not in record.fields:
        if source == "DS" and normalise(record.chromosome) in ONE_COPY:
            counted[UNKNOWN_PLOIDY] = 1
        return genotypes, counted
    if not is_lacking.any():
        return genotypes, counted
    genotypes, of_calls = fill_from_calls(record, options, alt, genotypes, is_lacking)
    return genotypes, counted | of_calls


def find_open_haploids(
    record: Record, dosages: NDArray[np.float64], is_open: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return whose GT is a dot that stands for one allele, bool (individuals,).

    PLINK 2 writes such of men on X; others leave a dot for any missing call, beside
    dosages that go to 2.
    """
    known = dosages[is_open]
    most = known[np.isfinite(known)].max(initial=0)
    is_one = normalise(record.chromosome) in ONE_COPY and most <= 1 + TOLERANCE
    return is_open & is_one


def fill_from_calls(
    record: Record,
    options: ReadOptions,
    alt: int,
    genotypes: NDArray[np.int8],
    where: NDArray[np.bool_] | slice,
) -> tuple[NDArray[np.int8], Counted]:
    """Put what GT says where another field says nothing; return what was done.

    Parameters
    ----------
    alt
        Which ALT is counted, from 1.
    genotypes
        int8 (individuals,), of which some are filled.
    where
        Individuals whose genotypes are taken from calls.
    """
    calls, is_marked = record.read_calls(alt)
    counted = NOTHING
    if is_marked:
        calls, counted = unmark(record, calls, options, where)
    genotypes[where] = calls[where]
    n_taken = int((genotypes[where] >= 0).sum())
    return genotypes, counted | {FROM_CALLS.format(options.vcf_field): n_taken}


def unmark(
    record: Record,
    calls: NDArray[np.int8],
    options: ReadOptions,
    where: NDArray[np.bool_] | slice = slice(None),
) -> tuple[NDArray[np.int8], Counted]:
    """Return genotypes without marks; count half-calls and calls of other ploidy.

    Parameters
    ----------
    calls
        Marked genotypes, int8 (individuals,).
    where
        Individuals that count.

    Raises
    ------
    BadInput
        A half-call, where they are to be an error.
    """
    kinds = (calls + 1) // kernels.MARK
    is_half = np.zeros(len(calls), bool)
    is_half[where] = kinds[where] == kernels.HALF
    if options.half_call == "error" and is_half.any():
        raise BadInput(
            f"{record.place}, individual {is_half.argmax() + 1} has a half-call, as "
            f"0/.: expected none, or --half-call {', '.join(HALF_CALLS[:-1])}"
        )
    words = HALF_CALL_WORDS.get(options.half_call, "")
    counted = {
        words: int(is_half.sum()),
        OTHER_PLOIDY: int((kinds[where] == kernels.OTHER_PLOIDY).sum()),
        ONE_COPY_CALLS: int((kinds[where] == kernels.ONE_COPY).sum()),
    }
    return calls - kinds * kernels.MARK, counted


def get_n_numbers(field: str, n_alleles: int) -> int:
    """Return how many numbers a diploid individual has in GP, DS or HDS."""
    if field == "HDS":
        return 2 * (n_alleles - 1)
    return n_alleles * (n_alleles + 1) // 2 if field == "GP" else n_alleles - 1


def call_numbers(
    field: str,
    numbers: NDArray[np.float64],
    n_alleles: int,
    threshold: float,
    alt: int,
    is_haploid: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """Call genotypes from GP or DS.

    Parameters
    ----------
    numbers
        float64 (individuals, :func:`get_n_numbers`); NaN where missing, inf after the
        last of an individual with fewer.
    alt
        The allele that is counted, from 1.
    is_haploid
        Whose GT is of one allele, bool (individuals,).

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
        return call_dosages(numbers, threshold, alt, is_haploid)
    return call_probabilities(numbers, n_alleles, threshold, alt)


def call_probabilities(
    probabilities: NDArray[np.float64], n_alleles: int, threshold: float, alt: int
) -> NDArray[np.int8]:
    """Call the genotype that is more probable than the threshold.

    The genotypes of a diploid individual are 00, 01, 11, 02, 12, 22, ... (VCF 4.3,
    section 1.6.2), of a haploid one 0, 1, 2, ...; other parameters as for
    :func:`call_numbers`.
    """
    width = probabilities.shape[1]
    n_given = (probabilities != np.inf).sum(axis=1)
    is_missing = ~np.isfinite(probabilities).any(axis=1)
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


def call_dosages(
    dosages: NDArray[np.float64],
    threshold: float,
    alt: int,
    is_haploid: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """Call the nearest genotype if it is nearer than 1 - threshold.

    The dosage of a haploid individual goes to 1, unless one of the record is greater:
    some programs let it go to 2. Of several ALTs all must be called, and the others 0.
    Parameters as for :func:`call_numbers`.
    """
    n_alts = dosages.shape[1]
    is_given = np.isfinite(dosages)
    is_missing = ~is_given.any(axis=1)
    if ((dosages == np.inf).any(axis=1) & ~is_missing).any():
        raise BadInput(f"expected {n_alts} dosages DS an individual")
    known = np.where(is_given, dosages, 0)
    if ((known < -TOLERANCE) | (known > 2 + TOLERANCE)).any():
        raise BadInput("expected dosages DS from 0 to 2")
    of_one = known[is_haploid]
    step = np.where(is_haploid, 2.0, 1.0)[:, None]  # copies a certain allele stands for
    if len(of_one) and of_one.max() > 1 + TOLERANCE:
        known[is_haploid] = of_one / 2
    nearest = np.round(known)
    certainty = np.round(1 - np.abs(known - nearest), DECIMALS)
    called = np.where(is_given & (certainty > threshold), nearest * step, -1)
    has_others = (np.delete(called, alt - 1, axis=1) != 0).any(axis=1)
    return np.where(has_others, -1, called[:, alt - 1]).astype(np.int8)
