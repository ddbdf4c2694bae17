"""Genotypes of VCF and BCF files.

ALT is the counted allele. A record with several ALTs gives one variant for each,
named ID_ALT, and who carries another ALT is missing there; a variant without an ID
is named CHROM:POS:REF:ALT. `*` and `<NON_REF>` stand for no allele and give no
variant. Half-calls are missing, haploid calls count 0 or 2, calls of more alleles are
bad input. Sources: VCF 4.5 specification, sections 1.6 and 6 (BCF).

Text is read in parts if it is plain or bgzip, with or without an index; gzip is all in
part 0; BCF is read in parts with a .csi index beside it, and is all in part 0 without.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from types import ModuleType

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader import bcf, vcf_text
from hpc_connector.loader.bgzf import read_blocks
from hpc_connector.loader.files import get_size
from hpc_connector.loader.sample_file import Block, ReadOptions, SampleFile, Variants
from hpc_connector.loader.vcf_record import Record

FIELDS = ("GT", "GP", "DS")
NOT_ALLELES = {"*", "<*>", "<NON_REF>", "."}
MAX_BLOCK_VARIANTS = 1024
MAX_BLOCK_BYTES = 16_000_000

Row = tuple[str, str, int, str, str, np.ndarray]


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Read the header of a VCF or BCF file, whatever its name.

    Raises
    ------
    BadInput
        A file that is neither, is cut or corrupt, or whose individuals are not named
        or not distinct.
    """
    if options.vcf_field not in FIELDS:
        raise BadInput(
            f"VCF field {options.vcf_field!r}: expected one of {', '.join(FIELDS)}"
        )
    source = get_source(path)
    individuals = source.read_individuals(path)
    if len(set(individuals)) < len(individuals):
        twice = Counter(individuals).most_common(1)[0][0]
        raise BadInput(f"{path} names individual {twice!r} twice: expected each once")
    return SampleFile(
        path=path,
        format="vcf",
        n_individuals=len(individuals),
        individuals=individuals,
        n_bytes=get_size(path),
        options=options,
    )


def get_source(path: str) -> ModuleType:
    """Return the module that reads a file, by its first bytes."""
    start = next((data for _, data in read_blocks(path) if data), b"")
    if start.startswith(bcf.MAGIC):
        return bcf
    if start.startswith(b"##fileformat=VCF"):
        return vcf_text
    raise BadInput(f"{path} is no VCF or BCF 2 file: it begins with {start[:16]!r}")


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous parts of a file.

    Raises
    ------
    BadInput
        A file that is cut or corrupt, or a record that is malformed or lacks
        the field asked for.
    """
    source = get_source(sample_file.path)
    records = source.read_records(sample_file, part, n_parts)
    rows = (row for record in records for row in split(record, sample_file.options))
    size = MAX_BLOCK_BYTES // max(1, sample_file.n_individuals)
    while chunk := list(islice(rows, min(MAX_BLOCK_VARIANTS, max(1, size)))):
        identifier, chromosome, position, counted, other, genotypes = zip(
            *chunk, strict=True
        )
        variants = Variants(
            list(identifier),
            list(chromosome),
            list(position),
            list(counted),
            list(other),
        )
        yield Block(variants, np.stack(genotypes))


def split(record: Record, options: ReadOptions) -> Iterator[Row]:
    """Yield one variant for each ALT of a record that is an allele."""
    if options.pass_only and not record.is_passed:
        return
    ref, *alts = record.alleles
    is_split = sum(alt not in NOT_ALLELES for alt in alts) > 1
    for number, alt in enumerate(alts, start=1):
        if alt not in NOT_ALLELES:
            name = get_name(record, alt, is_split=is_split)
            genotypes = record.call(number)
            yield name, record.chromosome, record.position, alt, ref, genotypes


def get_name(record: Record, alt: str, *, is_split: bool) -> str:
    """Return the name of the variant that a record and an ALT make."""
    if record.id == ".":
        place = f"{record.chromosome}:{record.position}"
        return f"{place}:{record.alleles[0]}:{alt}"
    return f"{record.id}_{alt}" if is_split else record.id
