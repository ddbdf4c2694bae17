"""Genotypes of PLINK 2 files (.pgen, .pvar, .psam), by pgenlib.

ALT is the counted allele; a variant of several ALTs gives one for each, and one without
an id is named, as those of VCF are. Hard calls, or dosages if DS is asked for: those of
two alleles, for PLINK 2 keeps none of more. pgenlib opens local files alone.
Format: https://github.com/chrchang/plink-ng/tree/master/pgen_spec.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.files import get_size
from hpc_connector.loader.genotypes.alleles import split
from hpc_connector.loader.genotypes.columns import merge_rows
from hpc_connector.loader.genotypes.companions import (
    find_pvar,
    get_pgen,
    get_psam,
    read_people,
)
from hpc_connector.loader.genotypes.plink2.pvar import (
    Sites,
    forget,
    get_site,
    get_variants,
    read_sites,
)
from hpc_connector.loader.genotypes.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    Variants,
)
from hpc_connector.loader.genotypes.vcf.record import NOTHING, call_dosages
from hpc_connector.storage.address import is_object

HEADER = "<2sBII"  # magic, how it is stored, variants, individuals
MAGIC = b"\x6c\x1b"
FIELDS = ("GT", "DS")
# PLINK 2 keeps dosages as multiples of 1/16384: four decimals are what was imported
DECIMALS = 4
__all__ = ["forget", "inspect", "read"]

BLOCK_VARIANTS = 1024
BLOCK_BYTES = 16 << 20
NEEDED = "a .pgen file needs pgenlib: expected pip install 'hpc_connector[pgen]'"


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Read the .psam file, and check that .pgen, .pvar and .psam agree.

    `path` is that of the .pgen file, or the prefix of the three.

    Raises
    ------
    BadInput
        A file that cannot be read, or files that do not belong together.
    """
    pgen, psam = get_pgen(path), get_psam(path, options)
    if is_object(pgen):
        raise BadInput(
            f"{pgen}: pgenlib opens local files alone, and none that is encrypted: "
            "expected a copy of .pgen, .pvar and .psam on a disk that all ranks see"
        )
    if options.vcf_field not in FIELDS:
        raise BadInput(
            f"{pgen} has no {options.vcf_field}: expected --vcf-field GT, hard calls, "
            "or DS, dosages"
        )
    _import()
    people, pvar = read_people(psam), find_pvar(path, options)
    n_variants, n_individuals = read_counts(pgen)
    sites = read_sites(pvar)
    if n_individuals != people.n:
        raise BadInput(
            f"{pgen} holds {n_individuals} individuals and {psam} names {people.n}: "
            "expected as many"
        )
    if n_variants != len(sites.n_alleles):
        raise BadInput(
            f"{pgen} holds {n_variants} variants and {pvar} names "
            f"{len(sites.n_alleles)}: expected as many"
        )
    with Genotypes(pgen, n_individuals, sites):
        return SampleFile(
            path=path,
            format="pgen",
            n_individuals=people.n,
            individuals=people.individuals,
            phenotypes=people.phenotypes,
            families=people.families,
            coding=people.coding,
            n_bytes=get_size(pgen),
            options=options,
            assumed=(*people.assumed, *sites.lines.assumed),
        )


def read_counts(path: str) -> tuple[int, int]:
    """Return the numbers of variants and individuals that a .pgen file holds.

    Raises
    ------
    BadInput
        A file that cannot be read, or is no .pgen file.
    """
    try:
        with open(path, "rb") as stream:
            start = stream.read(struct.calcsize(HEADER))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    if len(start) < struct.calcsize(HEADER):
        raise BadInput(f"{path} is cut: expected a .pgen header")
    magic, mode, n_variants, n_individuals = struct.unpack(HEADER, start)
    if magic != MAGIC or mode < 2:
        raise BadInput(f"{path} begins with {start[:3].hex(' ')}: expected 6c 1b 10")
    return n_variants, n_individuals


def _import() -> Any:
    try:
        import pgenlib
    except ImportError:
        raise BadInput(NEEDED) from None
    return pgenlib


class Genotypes:
    """An open .pgen file, whose errors are bad input.

    Parameters
    ----------
    n_individuals
        As its header has it.
    """

    def __init__(self, path: str, n_individuals: int, sites: Sites) -> None:
        self.path, self.n = path, n_individuals
        n_alleles = sites.n_alleles
        offsets = np.concatenate([[0], np.cumsum(n_alleles)]).astype(np.uintp)
        try:
            self.reader = _import().PgenReader(
                path.encode(),
                raw_sample_ct=n_individuals,
                variant_ct=len(n_alleles),
                allele_idx_offsets=offsets if (n_alleles > 2).any() else None,
            )
        except RuntimeError as error:
            raise self.refuse(error) from None

    def __enter__(self) -> "Genotypes":
        """Return the file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.reader.close()

    def refuse(self, error: RuntimeError) -> BadInput:
        """Return what is said of an error of pgenlib."""
        (said,) = error.args
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        if "multiallelic" in text:
            return BadInput(
                f"{self.path} has variants of several ALTs, of which its .pvar names "
                "one each: expected the .pvar that was written with it"
            )
        return BadInput(f"{self.path} is cut or corrupt: {' '.join(text.split())}")

    def read_calls(self, first: int, last: int) -> NDArray[np.int8]:
        """Return copies of ALT 1, int8 (variants, individuals), -1 missing."""
        genotypes = np.empty((last - first, self.n), np.int8)
        try:
            self.reader.read_range(first, last, genotypes)
        except RuntimeError as error:
            raise self.refuse(error) from None
        return np.maximum(genotypes, np.int8(-1), out=genotypes)

    def read_alleles(self, number: int) -> NDArray[np.int32]:
        """Return both alleles of a variant, int32 (individuals, 2), -9 missing."""
        alleles = np.empty(2 * self.n, np.int32)
        try:
            self.reader.read_alleles(number, alleles)
        except RuntimeError as error:
            raise self.refuse(error) from None
        return alleles.reshape(self.n, 2)

    def read_dosages(self, first: int, last: int) -> NDArray[np.float64]:
        """Return dosages of ALT 1, float64 (variants, individuals), NaN missing."""
        dosages = np.empty((last - first, self.n))
        try:
            self.reader.read_dosages_range(first, last, dosages)
        except RuntimeError as error:
            raise self.refuse(error) from None
        dosages[dosages < 0] = np.nan
        return np.round(dosages, DECIMALS, out=dosages)


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous pieces.

    Raises
    ------
    BadInput
        A file that is cut or corrupt.
    """
    path, n = sample_file.path, sample_file.n_individuals
    sites = read_sites(find_pvar(path, sample_file.options))
    n_variants = len(sites.n_alleles)
    first, last = n_variants * part // n_parts, n_variants * (part + 1) // n_parts
    if first == last:
        return
    step = max(1, min(BLOCK_VARIANTS, BLOCK_BYTES // n))
    with Genotypes(get_pgen(path), n, sites) as genotypes:
        for at in range(first, last, step):
            end = min(at + step, last)
            block = read_block(sample_file.options, sites, genotypes, at, end)
            if len(block.genotypes):
                yield block


def read_block(
    options: ReadOptions, sites: Sites, genotypes: Genotypes, first: int, last: int
) -> Block:
    """Return the variants first .. last - 1."""
    variants, is_plain, is_split = get_variants(
        sites, first, last, pass_only=options.pass_only
    )
    if options.vcf_field == "DS":
        dosages = genotypes.read_dosages(first, last)
        called = call_all_dosages(dosages, options.imputation_threshold)
    else:
        called = genotypes.read_calls(first, last)
    if is_plain.all():
        return Block(variants, called)
    counted: Counter[str] = Counter()
    rows = [
        (number, row)
        for number in np.flatnonzero(is_split).tolist()
        for row in split(
            get_site(sites, first + number),
            partial(call_alleles, genotypes.read_alleles(first + number)),
            counted,
        )
    ]
    plain = np.flatnonzero(is_plain)
    chosen = Variants(*(column[plain] for column in vars(variants).values()))
    return Block(*merge_rows(chosen, called[plain], plain, rows), dict(counted))


def call_alleles(
    alleles: NDArray[np.int32], alt: int
) -> tuple[NDArray[np.int8], dict[str, int]]:
    """Return copies of one of several ALTs, missing where another one is carried.

    Parameters
    ----------
    alleles
        int32 (individuals, 2), negative where missing.
    """
    copies = (alleles == alt).sum(axis=1)
    is_other = ((alleles != alt) & (alleles != 0)).any(axis=1)
    return np.where(is_other, -1, copies).astype(np.int8), NOTHING


def call_all_dosages(
    dosages: NDArray[np.float64], threshold: float
) -> NDArray[np.int8]:
    """Call the nearest genotypes if they are nearer than 1 - threshold.

    As in VCF; `dosages` are (variants, individuals), NaN where missing.
    """
    nobody = np.zeros(dosages.size, bool)
    called = call_dosages(dosages.reshape(-1, 1), threshold, 1, nobody)
    return called.reshape(dosages.shape)
