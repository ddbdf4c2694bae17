"""Genotypes of VCF and BCF files.

ALT is the counted allele. A record with several ALTs gives one variant for each,
named ID_ALT, and who carries another ALT is missing there; a variant without an ID
is named CHROM:POS:REF:ALT. `*` and `<NON_REF>` stand for no allele and give no
variant. Haploid calls count 0 or 2; calls of more than two copies are missing, and
half-calls are what is asked for. Sources: VCF 4.5 specification, sections 1.6 and 6.

Text is read in parts if it is plain or bgzip, with or without an index; gzip is all in
part 0; BCF is read in parts with a .csi index beside it, and is all in part 0 without.
"""

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from types import ModuleType

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_blocks as read_bytes
from hpc_connector.loader.files import get_size
from hpc_connector.loader.genotypes.alleles import split
from hpc_connector.loader.genotypes.columns import make_variants
from hpc_connector.loader.genotypes.sample_file import (
    HALF_CALLS,
    Block,
    ReadOptions,
    SampleFile,
)
from hpc_connector.loader.genotypes.vcf import bcf
from hpc_connector.loader.genotypes.vcf import text as vcf_text
from hpc_connector.loader.genotypes.vcf.lines import read_blocks
from hpc_connector.loader.genotypes.vcf.record import call
from hpc_connector.notes import add_counts

FIELDS = ("GT", "GP", "DS")
MAX_BLOCK_VARIANTS = 1024
MAX_BLOCK_BYTES = 16_000_000
SHOWN = 60  # characters of the names of fields that a message shows


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
    if options.half_call not in HALF_CALLS:
        raise BadInput(
            f"half-call {options.half_call!r}: expected one of {', '.join(HALF_CALLS)}"
        )
    source = get_source(path)
    individuals, fields = source.read_header(path)[:2]
    if source is bcf:
        bcf.find_index(path)  # has it opened before other ranks read
    wanted = {options.vcf_field, *(["HDS"] if options.vcf_field == "DS" else [])}
    if fields and not wanted & fields:
        found = ", ".join(sorted(fields))[:SHOWN]
        raise BadInput(
            f"{path} has no field {options.vcf_field}: found {found} in FORMAT, "
            f"expected one of {', '.join(FIELDS)} (--vcf-field)"
        )
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
    start = next((data for _, data in read_bytes(path) if data), b"")
    if start.startswith(bcf.MAGIC):
        return bcf
    if start.removeprefix(BOM_UTF8).startswith(b"##fileformat=VCF"):
        return vcf_text
    raise BadInput(f"{path} is no VCF or BCF 2 file: it begins with {start[:16]!r}")


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous parts of a file.

    Raises
    ------
    BadInput
        A file that is cut or corrupt, or a record that is malformed.
    """
    n = min(MAX_BLOCK_VARIANTS, MAX_BLOCK_BYTES // max(1, sample_file.n_individuals))
    n = max(1, n)
    if get_source(sample_file.path) is vcf_text:
        yield from read_blocks(sample_file, part, n_parts, n)
        return
    counted: Counter[str] = Counter()
    options = sample_file.options
    rows = (
        row
        for record in bcf.read_records(sample_file, part, n_parts)
        if record.is_passed or not options.pass_only
        for row in split(record, partial(call, record, options), counted)
    )
    while chunk := list(islice(rows, n)):
        genotypes = np.stack([row[5] for row in chunk])
        yield Block(make_variants(chunk), genotypes, add_counts([counted]))
        counted.clear()
