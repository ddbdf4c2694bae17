"""Genotypes of BGEN files, versions 1.1 (layout 1), 1.2 and 1.3 (layout 2).

The second allele is the counted one; a variant of more gives one for each of them, as
in VCF. Numbers of 1 to 32 bits, phased or not, not compressed or by zlib or zstd; of
1.1 three numbers of 16 bits an individual, of which zeros are a missing one;
individuals that are neither haploid nor diploid are missing. They are named by the
file, or by a .sample file of the same stem.
Source: https://www.well.ox.ac.uk/~gav/bgen_format/spec/latest.html.

A file has no index of its own; its parts are found by the sizes of its variants.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import get_size, map_file, read_array
from hpc_connector.loader.genotypes.bgen import _kernels as kernels
from hpc_connector.loader.genotypes.bgen.blocks import read_block
from hpc_connector.loader.genotypes.bgen.header import (
    NO_COMPRESSION,
    Header,
    read_header,
)
from hpc_connector.loader.genotypes.companions import (
    NOBODY,
    find_sample,
    name_people,
    read_people,
)
from hpc_connector.loader.genotypes.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    get_version,
)
from hpc_connector.storage.address import is_encrypted

LEAST_VARIANT_BYTES = 12  # no strings, no alleles
BLOCK_VARIANTS = 1024
BLOCK_BYTES = 16 << 20


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Read the header and the ids of the individuals.

    Raises
    ------
    BadInput
        A file that is not BGEN 1.2 or 1.3, is cut, or has other individuals than its
        .sample file.
    """
    header = read_header(path)
    n_variants, n_individuals, individuals = (
        header.n_variants,
        header.n_individuals,
        header.individuals,
    )
    sample = find_sample(path, options)
    people = read_people(sample, n_individuals, path) if sample else NOBODY
    if individuals is not None and options.sample_file is None:
        people = name_people(path, individuals, people)
    size = get_size(path)
    if n_variants * LEAST_VARIANT_BYTES > size:
        raise BadInput(f"{path} is cut: expected {n_variants} variants")
    bounds = None
    if is_encrypted(path):  # so that each rank opens no more than its share
        bounds = _find_variants(path, get_version(path), header)[1]
        forget()  # the bytes
    return SampleFile(
        path=path,
        format="bgen",
        n_individuals=n_individuals,
        individuals=people.individuals,
        phenotypes=people.phenotypes,
        families=people.families,
        coding=people.coding,
        n_bytes=size,
        options=options,
        assumed=people.assumed,
        bounds=bounds,
    )


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous pieces of a file.

    Raises
    ------
    BadInput
        A file that is cut or corrupt.
    """
    path, n = sample_file.path, sample_file.n_individuals
    header = read_header(path)
    n_variants = header.n_variants
    first, last = n_variants * part // n_parts, n_variants * (part + 1) // n_parts
    if first == last:
        return
    data, bounds = None, sample_file.bounds
    if bounds is None:
        data, bounds = _find_variants(path, get_version(path), header)
    step = max(1, min(BLOCK_VARIANTS, BLOCK_BYTES // max(1, n)))
    for at in range(first, last, step):
        bounds_here = bounds[at : min(at + step, last) + 1]
        begin, end = int(bounds_here[0]), int(bounds_here[-1])
        stretch = read_array(path, begin, end) if data is None else data[begin:end]
        here = stretch.tobytes()
        block = read_block(sample_file, header, here, bounds_here - bounds_here[0], at)
        if len(block.genotypes):
            yield block


@lru_cache(maxsize=4)
def _find_variants(
    path: str, _: tuple[int, int], header: Header
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return one version of a file as bytes, and where its variants begin and end.

    Kept, for each part of a file needs it and nothing but a walk over all tells it.
    """
    data, n_variants = map_file(path), header.n_variants
    bounds = np.full(n_variants + 1, header.start, np.int64)
    # of genotypes that do not tell their bytes
    n_bytes = 6 * header.n_individuals if header[2:4] == (1, NO_COMPRESSION) else -1
    n_found = kernels.find_variants(data, header.layout, n_bytes, bounds)
    if n_found < n_variants:
        raise BadInput(
            f"{path} is cut or corrupt: it ends in variant {n_found + 1}, expected "
            f"{n_variants}"
        )
    if bounds[-1] != len(data):
        raise BadInput(
            f"{path} goes on after its {n_variants} variants: expected its end at byte "
            f"{bounds[-1]}"
        )
    return data, bounds


forget = _find_variants.cache_clear
