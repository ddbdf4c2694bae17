"""The alleles of a variant: by which names it is known, and where it is written.

An indel in a repeat has many places. As ``bcftools norm`` writes it, it is trimmed and
moved to the left as far as it goes (Tan, Abecasis and Kang 2015,
doi:10.1093/bioinformatics/btv112), for which the bases before it are looked up. Without
them it is trimmed alone; whether it could go on to the left its alleles say: they then
end with the same base.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.chromosomes import normalise_all
from hpc_connector.loader.genotypes.fasta import Fasta, open_fasta
from hpc_connector.loader.genotypes.sample_file import Variants

CHR1_BASES = {"GRCh37": 249_250_621, "GRCh38": 248_956_422}
COMPLEMENT = str.maketrans("ACGT", "TGCA")
BASES = frozenset("ACGTN")
PIECE = 100  # bases that are looked up at a time
SAME, EXCHANGED, STRAND, BOTH = "as listed", "exchanged", "strand", "strand, exchanged"
NO_BASES = "left out, alleles of no bases (symbolic, *, ., 0, I or D)"
OTHER_BASES = "left out, neither allele is in the reference sequence there"
MOVED = "indels moved to the left"
UNMOVED = "indels in repeats, matched as they are written (no sequence to align them)"
CASES = NO_BASES, OTHER_BASES, MOVED, UNMOVED

Key = tuple[str, int, str, str]  # chromosome, position, counted, other


def list_names(key: Key) -> Iterator[tuple[Key, str]]:
    """Yield the keys that a variant may have in the list, and what each is."""
    chromosome, position, counted, other = key
    yield key, SAME
    yield (chromosome, position, other, counted), EXCHANGED
    if set(counted + other) <= set("ACGT") and not is_palindromic(counted, other):
        strand = counted.translate(COMPLEMENT), other.translate(COMPLEMENT)
        if len(counted) == len(other) == 1:  # others would be reversed, and moved
            yield (chromosome, position, *strand), STRAND
            yield (chromosome, position, *strand[::-1]), BOTH


def is_palindromic(counted: str, other: str) -> bool:
    """Return whether two alleles are the same two on the other strand.

    Examples
    --------
    >>> is_palindromic("A", "T"), is_palindromic("A", "G")
    (True, False)
    """
    return counted.translate(COMPLEMENT) == other and len(counted) == len(other) == 1


class Normal(NamedTuple):
    """A variant as it is compared.

    Parameters
    ----------
    key
        None for what is left out.
    is_one
        Whether it is the same variant if its alleles are exchanged.
    said
        What is to be said of that; empty for most.
    """

    key: Key | None
    is_one: bool = True
    said: str = ""


def normalise(key: Key, sequence: Fasta | None) -> Normal:
    """Return a variant trimmed and, with a sequence, aligned to the left.

    C and CA are a deletion of A where the sequence goes on with CA, and an insertion
    there as well: with alleles exchanged it may be another variant. It is the same
    where the sequence has one of the alleles alone.
    """
    chromosome, position, counted, other = key
    counted, other = counted.upper(), other.upper()
    if not (counted and other and BASES.issuperset(counted + other)):
        return Normal(None, said=NO_BASES)
    if len(counted) == len(other) == 1 or counted == other:
        return Normal((chromosome, position, counted, other))
    trimmed = trim(position, counted, other)
    is_indel = len(counted) != len(other)
    n_here = count_here(sequence, chromosome, position, counted, other)
    if sequence is None or n_here is None:
        is_in_repeat = is_indel and trimmed[1][-1] == trimmed[2][-1]
        said = UNMOVED if is_in_repeat else ""
        return Normal((chromosome, *trimmed), not is_indel, said)
    if n_here == 0:
        return Normal(None, said=OTHER_BASES)
    moved = align_left(sequence, chromosome, *trimmed)
    said = MOVED if moved[0] < trimmed[0] else ""
    n_here = count_here(sequence, chromosome, *moved)
    return Normal((chromosome, *moved), n_here == 1, said)


def count_here(
    sequence: Fasta | None, chromosome: str, position: int, *alleles: str
) -> int | None:
    """Return how many alleles the sequence has at a place; None if it is not known."""
    if sequence is None:
        return None
    last = position + max(map(len, alleles)) - 1
    here = sequence.fetch(chromosome, position, last)
    return None if here is None else sum(map(here.startswith, alleles))


def trim(position: int, counted: str, other: str) -> tuple[int, str, str]:
    """Return a variant without the bases that both of its alleles share.

    Examples
    --------
    >>> trim(7, "CA", "CAA"), trim(7, "A", "G")
    ((7, 'C', 'CA'), (7, 'A', 'G'))
    """
    counted, other = cut_end(counted, other)
    n = count_shared(counted, other)
    return position + n, counted[n:], other[n:]


def cut_end(counted: str, other: str) -> tuple[str, str]:
    """Return alleles without the bases with which both end, a base of each is kept."""
    n = count_shared(counted[::-1], other[::-1])
    return counted[: len(counted) - n], other[: len(other) - n]


def count_shared(one: str, other: str) -> int:
    """Return with how many bases both begin, the last of either left aside."""
    pairs = zip(one[:-1], other[:-1], strict=False)
    most = min(len(one), len(other)) - 1
    return next((n for n, (a, b) in enumerate(pairs) if a != b), most)


def align_left(
    sequence: Fasta, chromosome: str, position: int, counted: str, other: str
) -> tuple[int, str, str]:
    """Return a variant trimmed, and as far to the left as it goes.

    Parameters
    ----------
    counted, other
        Two alleles that differ.
    """
    counted, other = cut_end(counted, other)
    while counted[-1] == other[-1]:
        before = sequence.fetch(chromosome, position - PIECE, position - 1)
        if not before:  # it is the first base of the chromosome
            break
        position -= len(before)
        counted, other = cut_end(before + counted, before + other)
    return trim(position, counted, other)


def list_normal(
    variants: Variants, sequence: Fasta | None, told: Counter[str]
) -> list[Normal]:
    """Return the variants as they are compared.

    Parameters
    ----------
    told
        How many are left out, or moved; changed in place.
    """
    names = variants.chromosome.tolist()
    name_of = normalise_all(dict.fromkeys(names))
    keys = zip(
        [name_of[name] for name in names],
        variants.position.tolist(),
        variants.counted.tolist(),
        variants.other.tolist(),
        strict=True,
    )
    found = [normalise(key, sequence) for key in keys]
    told.update(one.said for one in found if one.said)
    return found


def open_sequence(path: str, build: str) -> Fasta:
    """Open the reference sequence of a study.

    Raises
    ------
    BadInput
        It cannot be read, or chromosome 1 has as many bases as that of another build.
    """
    sequence = open_fasta(path)
    known = {n: name for name, n in CHR1_BASES.items()}
    found = known.get(sequence.get_length("1") or 0, build)
    if found != build:
        raise BadInput(f"{path} is of build {found}: expected {build}, the study's")
    return sequence
