"""The variants of a study, and which of them those of a site are.

A variant is its build, chromosome, position and two alleles. A site may count copies of
the other allele, or name alleles of the other strand; what it has elsewhere, or with
other alleles, is none of the study.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.federation.alleles import (
    BOTH,
    CASES,
    CHR1_BASES,
    EXCHANGED,
    NO_BASES,
    SAME,
    STRAND,
    Key,
    is_palindromic,
    list_names,
    list_normal,
    open_sequence,
)
from hpc_connector.federation.study import Study
from hpc_connector.loader.bgzf import read_lines
from hpc_connector.loader.files import exists
from hpc_connector.loader.genotypes.alleles import NOT_ALLELES, split
from hpc_connector.loader.genotypes.fasta import Fasta
from hpc_connector.loader.genotypes.sample_file import (
    TEXT,
    Variants,
    convert_position,
)

ELSEWHERE = "not in the list"
OTHER_ALLELES = "other alleles at a listed place"
PALINDROMIC = "palindromic (A/T, C/G)"
UNSURE = "palindromic, too near one half"
OTHER_ORDER = "indels, exchanged: each may be a deletion for an insertion (see --fasta)"
REPEATED = "again"
MOST_PALINDROMIC = 0.40  # frequency of the rarer allele that tells the strand
FAR_FREQUENCY, FAR_SHARE = 0.2, 0.01  # from the list, and of the variants


class Place(NamedTuple):
    """A record of a VCF, as ``alleles.split`` takes it."""

    chromosome: str
    position: int
    id: str
    alleles: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """The variants of a study, in order.

    Parameters
    ----------
    columns
        As the genotypes of one cohort would have them.
    frequency
        Of the counted allele, float64 (variants,), NaN where the list has none.
    palindromic
        ``drop`` those, or ``frequency`` to tell their strand by it.
    sequence
        By which indels are aligned to the left, of the list and of the site; None to
        compare them as they are written.
    told
        How many of the list are left out for their alleles, or moved, once ``rows`` is
        known.
    """

    columns: Variants
    frequency: NDArray[np.float64]
    palindromic: str = "drop"
    sequence: Fasta | None = None
    told: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        """Return the number of variants."""
        return len(self.columns.position)

    @cached_property
    def rows(self) -> dict[Key, int]:
        """Rows by keys.

        Raises
        ------
        BadInput
            Two rows are the same variant.
        """
        found: dict[Key, int] = {}
        named = list_normal(self.columns, self.sequence, self.told)
        for row, (key, is_one, _) in enumerate(named):
            if key is None:
                continue
            first = found.setdefault(key, row)
            if is_one:
                first = min(first, found.get((*key[:2], key[3], key[2]), first))
            if first < row:
                raise BadInput(
                    f"reference list: {self.columns.id[row]} is the variant of "
                    f"{self.columns.id[first]} again"
                )
        return found

    @cached_property
    def places(self) -> set[tuple[str, int]]:
        """Chromosome and position of all variants."""
        return {key[:2] for key in self.rows}

    def find(self, key: Key) -> tuple[int, str]:
        """Return the row of a variant, and how it is named; -1 if there is none."""
        for other, case in list_names(key):
            if (row := self.rows.get(other)) is not None:
                return row, case
        return -1, ""


def read_reference(
    path: Path, palindromic: str, sequence: Fasta | None = None
) -> Reference:
    """Read a list of variants: a .bim file, or a VCF of which genotypes are left out.

    Raises
    ------
    BadInput
        It cannot be read, or names no variant, or one twice.
    """
    name = str(path)
    if not exists(name):
        raise BadInput(f"{name}: cannot be read: expected the reference list")
    is_vcf = name.removesuffix(".gz").removesuffix(".bgz").endswith(".vcf")
    told: Counter[str] = Counter()
    rows = list(_read_vcf(name, told) if is_vcf else _read_bim(name))
    if not rows:
        raise BadInput(f"{name} names no variant: expected a .bim file, or a VCF")
    ids, chromosomes, positions, counted, other, frequency = zip(*rows, strict=True)
    columns = Variants(
        np.array(ids, TEXT),
        np.array(chromosomes, TEXT),
        np.array(positions, np.int64),
        np.array(counted, TEXT),
        np.array(other, TEXT),
    )
    of_counted = np.array(frequency, np.float64)
    found = Reference(columns, of_counted, palindromic, sequence, told)
    if palindromic == "frequency" and np.isnan(found.frequency).any():
        raise BadInput(
            f"{name} has no frequencies (AF of a VCF): expected some, or palindromic = "
            '"drop"'
        )
    _ = found.rows  # which refuses what is there twice
    return found


def read_list(study: Study, fasta: str | None) -> Reference:
    """Read the list of a study, with the reference sequence if there is one.

    Raises
    ------
    BadInput
        One of both cannot be used.
    """
    sequence = None if fasta is None else open_sequence(fasta, study.build)
    return read_reference(study.reference, study.palindromic, sequence)


def _read_bim(path: str) -> Iterator[tuple[str, str, int, str, str, float]]:
    """Yield the variants of a .bim file, A1 counted."""
    for n, line in enumerate(read_lines(path), 1):
        words = line.decode(errors="replace").split()
        if not words:
            continue
        if len(words) not in (5, 6):
            raise BadInput(f"{path}, line {n}: expected the six columns of a .bim file")
        try:
            position = convert_position(words[-3])
        except BadInput as error:
            raise BadInput(f"{path}, line {n}: {error}") from None
        yield words[1], words[0], position, words[-2], words[-1], np.nan


def _read_vcf(
    path: str, told: Counter[str]
) -> Iterator[tuple[str, str, int, str, str, float]]:
    """Yield the variants of a VCF, each ALT counted; count those that are none."""
    nothing = np.empty(0, np.int8)
    for n, line in enumerate(read_lines(path), 1):
        if line.startswith(b"#") or not line.strip():
            continue
        words = line.decode(errors="replace").split("\t")
        if len(words) < 5:
            raise BadInput(f"{path}, line {n}: expected CHROM, POS, ID, REF and ALT")
        try:
            position = convert_position(words[1])
        except BadInput as error:
            raise BadInput(f"{path}, line {n}: {error}") from None
        alts = words[4].split(",")
        told[NO_BASES] += len(NOT_ALLELES.intersection(alts))
        frequencies = dict(zip(alts, get_frequencies(words, len(alts)), strict=True))
        place = Place(words[0], position, words[2], (words[3], *alts))
        for row in split(place, lambda _: (nothing, {}), Counter()):
            yield *row[:5], frequencies[row[3]]


def get_frequencies(words: list[str], n_alts: int) -> list[float]:
    """Return the frequencies (AF) of the ALTs of a record; NaN where it has none."""
    info = words[7].split(";") if len(words) > 7 else []
    found = [one[3:] for one in info if one.startswith("AF=")]
    try:
        values = [float(value) for value in found[0].split(",")] if found else []
    except ValueError:
        values = []
    return values if len(values) == n_alts else [np.nan] * n_alts


class Found(NamedTuple):
    """Which variants of a study those of a site are.

    Parameters
    ----------
    row
        Of the list, int64 (variants of the site,), -1 if none.
    is_exchanged
        Whether copies of the other allele are counted, bool.
    """

    row: NDArray[np.int64]
    is_exchanged: NDArray[np.bool_]


def harmonise(
    reference: Reference,
    variants: Variants,
    frequency: NDArray[np.float64],
    seen: set[int],
    cases: Counter[str],
) -> Found:
    """Find the variants of a site in the list.

    Parameters
    ----------
    frequency
        Of the counted allele at the site, float64 (variants,).
    seen
        Rows that the site has named before; changed in place.
    cases
        How many variants are of each case; changed in place.
    """
    row = np.full(len(variants.position), -1, np.int64)
    is_exchanged = np.zeros(len(row), bool)
    named = list_normal(variants, reference.sequence, cases)
    for n, (key, is_one, _) in enumerate(named):
        if key is None:
            continue
        place, case = reference.find(key)
        if place < 0:
            is_near = key[:2] in reference.places
            cases[OTHER_ALLELES if is_near else ELSEWHERE] += 1
            continue
        if case == EXCHANGED and not is_one:
            case = OTHER_ORDER
        if is_palindromic(*key[2:]):
            case = settle_palindromic(reference, place, case, float(frequency[n]))
        if case in (SAME, EXCHANGED, STRAND, BOTH) and place in seen:
            case = REPEATED
        cases[case] += 1
        if case in (SAME, EXCHANGED, STRAND, BOTH):
            seen.add(place)
            row[n], is_exchanged[n] = place, case in (EXCHANGED, BOTH)
    return Found(row, is_exchanged)


def settle_palindromic(
    reference: Reference, row: int, case: str, frequency: float
) -> str:
    """Return which case a palindromic variant is, by frequencies if the study says so.

    Parameters
    ----------
    case
        By its names.
    frequency
        At the site, of the allele that it counts.
    """
    if reference.palindromic == "drop":
        return PALINDROMIC
    listed = float(reference.frequency[row])
    here = 1 - frequency if case == EXCHANGED else frequency
    rarer = max(min(here, 1 - here), min(listed, 1 - listed))
    if not rarer < MOST_PALINDROMIC:
        return UNSURE
    is_same_side = (here < 0.5) == (listed < 0.5)
    if is_same_side:
        return case
    return BOTH if case == SAME else STRAND


def check_frequencies(
    listed: NDArray[np.float64], here: NDArray[np.float64]
) -> float | None:
    """Return the greatest difference of frequencies from the list; None if it has none.

    Raises
    ------
    BadInput
        More than one variant of a hundred differs by more than 0.2.
    """
    apart = np.abs(listed - here)
    apart = apart[~np.isnan(apart)]
    if len(apart) == 0:
        return None
    n_far = int((apart > FAR_FREQUENCY).sum())
    if n_far > FAR_SHARE * len(apart):
        raise BadInput(
            f"frequencies of {n_far} of {len(apart)} variants differ from the list by "
            f"more than {FAR_FREQUENCY}: expected its build, strand and population "
            "(is the counted allele the one that the list names?)"
        )
    return float(apart.max())


def find_build(path: str) -> str | None:
    """Return the build that the contigs of a VCF tell; None where nothing does."""
    if not path.removesuffix(".gz").removesuffix(".bgz").endswith(".vcf"):
        return None
    for line in read_lines(path):
        if not line.startswith(b"##"):
            return None
        if line.startswith((b"##contig=<ID=1,", b"##contig=<ID=chr1,")):
            text = line.decode(errors="replace")
            length = text.partition("length=")[2].partition(",")[0].rstrip(">")
            known = {str(n): build for build, n in CHR1_BASES.items()}
            return known.get(length, f"another (chromosome 1 of {length} bases)")
    return None


def check_build(path: str, told: str | None, build: str) -> None:
    """Refuse genotypes of another build than the study's: they are never lifted over.

    Parameters
    ----------
    told
        By whoever runs the command; None if nothing.
    """
    found = find_build(path) or told
    if found is not None and found != build:
        raise BadInput(
            f"{path} is of build {found}, and the study of {build}: expected genotypes "
            f"of {build}; positions are not lifted over"
        )


def describe_cases(cases: Mapping[str, int]) -> list[str]:
    """Return lines that say how many variants are of each case."""
    names = (SAME, EXCHANGED, STRAND, BOTH, PALINDROMIC, UNSURE, OTHER_ORDER)
    order = (*names, OTHER_ALLELES, ELSEWHERE, REPEATED, *CASES)
    return [f"{cases[case]:,} {case}" for case in order if cases.get(case)]


def pick(variants: Variants, rows: Any) -> dict[str, NDArray[Any]]:
    """Return the columns of some variants."""
    return {name: column[rows] for name, column in vars(variants).items()}
