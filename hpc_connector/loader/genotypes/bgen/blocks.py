"""Blocks of variants of a BGEN file: most of them at once, others each.

Kernels find the fields and call the genotypes of variants that are as most are; each
other one is taken apart, and tells what is wrong with it.
"""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from hpc_connector.loader.genotypes.alleles import NOT_ALLELES, Row, split
from hpc_connector.loader.genotypes.bgen import _kernels as kernels
from hpc_connector.loader.genotypes.bgen.header import Header
from hpc_connector.loader.genotypes.bgen.variants import (
    call,
    call_triples,
    decompress,
    parse_site,
    place_site,
)
from hpc_connector.loader.genotypes.chromosomes import UNPLACED
from hpc_connector.loader.genotypes.columns import (
    are_in,
    cut_texts,
    fill_names,
    merge_rows,
)
from hpc_connector.loader.genotypes.sample_file import Block, SampleFile, Variants
from hpc_connector.notes import add_counts

make_table = lru_cache(kernels.make_table)


def read_block(
    sample_file: SampleFile,
    header: Header,
    text: bytes,
    bounds: NDArray[np.int64],
    first: int,
) -> Block:
    """Return some variants.

    Parameters
    ----------
    text, bounds
        The variants, and where each begins and ends there, int64 (variants + 1,).
    first
        Number of variants before them.

    Raises
    ------
    BadInput
        A variant that is corrupt.
    """
    n, data = len(bounds) - 1, np.frombuffer(bytearray(text), np.uint8)
    fields, positions = np.empty((4, 2, n), np.int64), np.empty(n, np.int64)
    begins, n_alleles = np.empty(n, np.int64), np.empty(n, np.int64)
    is_plain = np.empty(n, bool)
    kernels.find_sites(
        data, bounds, header.layout, fields, positions, begins, n_alleles, is_plain
    )
    variants = cut_variants(data, fields, positions)
    is_plain &= ~are_in(variants.chromosome, UNPLACED)
    is_plain &= ~are_in(variants.counted, NOT_ALLELES)
    packed = zip(begins.tolist(), bounds[1:].tolist(), n_alleles.tolist(), strict=True)
    bodies = [
        decompress(text[begin:end], header, alleles, sample_file.path, v)
        for v, (begin, end, alleles) in enumerate(packed, start=first)
    ]
    threshold = sample_file.options.imputation_threshold
    genotypes = call_plain(header, bodies, threshold, is_plain)
    if is_plain.all():
        return Block(variants, genotypes)

    counted: Counter[str] = Counter()
    rows = [
        (v, row)
        for v in np.flatnonzero(~is_plain).tolist()
        for row in read_variant(
            sample_file, header, text[bounds[v] :], bodies[v], first + v, counted
        )
    ]
    plain = np.flatnonzero(is_plain)
    chosen = Variants(*(column[plain] for column in vars(variants).values()))
    merged = merge_rows(chosen, genotypes[plain], plain, rows)
    return Block(*merged, add_counts([counted]))


def cut_variants(
    data: NDArray[np.uint8], fields: NDArray[np.int64], positions: NDArray[np.int64]
) -> Variants:
    """Return the columns of variants of two alleles, the second of which is counted.

    Parameters
    ----------
    fields
        Where id, chromosome and alleles begin and end, int64 (4, 2, variants).
    """
    name, chromosome, other, counted = (cut_texts(data, *field) for field in fields)
    variants = Variants(name, chromosome, positions, counted, other)
    fill_names(variants, name == "")
    return variants


def call_plain(
    header: Header, bodies: list[bytes], threshold: float, is_plain: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Return genotypes of variants, int8 (variants, individuals), if they are plain.

    Parameters
    ----------
    bodies
        Genotypes that are not compressed, of each variant.
    is_plain
        Of which variants, bool (variants,); changed to which of them are so.
    """
    genotypes = np.empty((len(bodies), header.n_individuals), np.int8)
    bounds = np.cumsum([0, *map(len, bodies)])
    joined = np.frombuffer(bytearray().join(bodies), np.uint8)
    if header.layout == 1:
        kernels.call_all_triples(joined, bounds, threshold, genotypes, is_plain)
    else:
        table = make_table(threshold)
        kernels.call_blocks(joined, bounds, threshold, table, genotypes, is_plain)
    return genotypes


def read_variant(
    sample_file: SampleFile,
    header: Header,
    record: bytes,
    body: bytes,
    number: int,
    counted: Counter[str],
) -> Iterator[Row]:
    """Yield the variants of any record; count what was changed of them.

    Parameters
    ----------
    record, body
        The record, or more, and its genotypes, not compressed.
    number
        Of the record, from 0.
    """
    options, n = sample_file.options, sample_file.n_individuals
    place = f"{sample_file.path}, variant {number + 1}"
    site = parse_site(record, header.layout, place)
    threshold, n_alleles = options.imputation_threshold, len(site.alleles)
    called = partial(call, body, n, n_alleles, threshold, place)
    if header.layout == 1:
        called = partial(call_triples, body, n, threshold, place)
    if site.chromosome in UNPLACED:
        site = place_site(site, options, counted)
    yield from split(site, called, counted)
