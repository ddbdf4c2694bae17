"""Genotypes of any format, by one pair of functions."""

import importlib
import os
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import has_end, read_blocks
from hpc_connector.loader.files import exists, get_size
from hpc_connector.loader.genotypes.foreign import find_foreign
from hpc_connector.loader.genotypes.sample_file import (
    Block,
    ReadOptions,
    SampleFile,
    Variants,
)
from hpc_connector.notes import Assumption
from hpc_connector.storage import address
from hpc_connector.storage.address import beside

ENDINGS = {
    ".vcf": "vcf",
    ".bcf": "vcf",
    ".bgz": "vcf",
    ".bed": "plink",
    ".pgen": "pgen",
    ".bgen": "bgen",
    ".gen": "impute",
    ".gens": "impute",
    ".impute": "impute",
    ".impute2": "impute",
    ".txt": "table",
    ".tsv": "table",
    ".csv": "table",
}

READERS = {  # each with inspect and read
    "vcf": "vcf.vcf",
    "zarr": "vcf.vcz",
    "plink": "plink",
    "pgen": "plink2.pgen",
    "bgen": "bgen.bgen",
    "impute": "text.impute",
    "bsc": "text.bsc",
    "table": "text.table",
}
STORE_ENDINGS = (".vcz", ".zarr")
STORE_FILES = ("zarr.json", ".zgroup")  # of Zarr's format 3 and 2
STEMS = {".bed": "plink", ".pgen": "pgen"}  # of files that are named by their prefix
VCF_MAGIC = (b"##fileformat=VCF", b"BCF\x02")
NUMBER = re.compile(rb"[+-]?[\d.]")  # how one begins
PREFIXED = (".ped", ".tped")  # not read, but that is to be said


def get_format(path: str) -> str:
    """Return the format of a genotype file, a key of ``READERS``.

    By its ending without ``.gz``; a PLINK prefix; else by its first line.
    """
    if is_store(path):
        return "zarr"
    if not exists(path):
        for ending, kind in STEMS.items():
            if exists(beside(path, ending)):
                return kind
        for ending in PREFIXED:
            if exists(name := beside(path, ending)):
                return get_format(name)
        if address.is_object(path):
            get_size(path)  # raises what its store says
        raise BadInput(f"{path}: cannot be read: No such file or directory")
    start = _get_start(path).removeprefix(BOM_UTF8)
    if foreign := find_foreign(path, start):
        raise BadInput(foreign)
    stem = address.get_name(path).removesuffix(".gz").removesuffix(".zst")
    ending = Path(stem).suffix
    found = ENDINGS.get(ending) or _recognise(path, start)
    if found in ("plink", "pgen", "bgen") and address.get_name(path).endswith(
        (".gz", ".zst")
    ):
        raise BadInput(f"{path} is compressed: expected the {ending} file in it")
    if found != "table" and start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise BadInput(f"{path} is UTF-16 text: expected UTF-8 (iconv -f UTF-16)")
    for kind, is_kind, wanted in (
        ("vcf", start.startswith(VCF_MAGIC), ".vcf, .vcf.gz or .bcf"),
        ("bgen", start[16:20] == b"bgen", ".bgen"),
        ("plink", start.startswith(b"\x6c\x1b\x01"), ".bed"),
        ("pgen", is_pgen(start), ".pgen"),
    ):
        if is_kind and found != kind:
            raise BadInput(
                f"{path} is not what its name says: expected a name in {wanted}"
            )
    return found


def is_store(path: str) -> bool:
    """Return whether a path is that of a Zarr store, whole or not.

    Raises
    ------
    BadInput
        It is not on a disk.
    """
    is_named = address.get_name(path).rstrip("/").endswith(STORE_ENDINGS)
    if is_named and address.is_remote(path):
        raise BadInput(
            f"{path}: a Zarr store is read as a folder: expected a copy on a disk that "
            "all ranks see"
        )
    if address.is_remote(path) or not os.path.isdir(path):
        return False
    return is_named or any(exists(os.path.join(path, name)) for name in STORE_FILES)


def is_pgen(start: bytes) -> bool:
    """Return whether a file begins as a .pgen file, which is almost as a .bed file."""
    return start.startswith(b"\x6c\x1b") and len(start) > 2 and start[2] > 1


def _get_start(path: str) -> bytes:
    """Return the first bytes of a file, decompressed."""
    return next((data for _, data in read_blocks(path) if data), b"")


def _recognise(path: str, start: bytes) -> str:
    """Return the format of a file by its beginning."""
    if start.startswith(VCF_MAGIC):
        return "vcf"
    if start[16:20] == b"bgen":
        return "bgen"
    lines = [line for line in start.split(b"\n") if not line.startswith((b"BCF", b"#"))]
    words = lines[0].split() if lines else []
    if len(words) >= 8 and words[2].isdigit() and NUMBER.match(words[5]):
        return "bsc"
    raise BadInput(
        f"{path}: format not recognised; expected VCF, BCF, .bed, .pgen, BGEN, .gen, "
        "BSC's text, or a table of genotypes"
    )


def _get_module(name: str) -> ModuleType:
    return importlib.import_module(f"{__package__}.{READERS[name]}")


def inspect_sample(path: str, options: ReadOptions) -> SampleFile:
    """Return the header of a genotype file."""
    sample_file: SampleFile = _get_module(get_format(path)).inspect(path, options)
    if sample_file.n_individuals == 0:
        raise BadInput(f"{path}: expected genotypes of one individual or more")
    if is_store(path) or not exists(path) or has_end(path):  # or a prefix of PLINK
        return sample_file
    lacks = f"{path} lacks the empty block that ends bgzip files"
    unsure = Assumption("a file", "that is whole", lacks)
    return replace(sample_file, assumed=(*sample_file.assumed, unsure))


def read_sample(
    sample_file: SampleFile, part: int = 0, n_parts: int = 1
) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous pieces of a file."""
    yield from _get_module(sample_file.format).read(sample_file, part, n_parts)


def forget_files(files: Iterable[SampleFile]) -> None:
    """Let go of what is kept of files for their next part: all of them were read."""
    for name in {file.format for file in files}:
        if forget := getattr(_get_module(name), "forget", None):
            forget()


def convert_samples(blocks: Iterable[Block]) -> Block:
    """Join blocks of variants into one.

    Returns
    -------
    All variants, and their genotypes, int8 (variants, individuals).

    Examples
    --------
    >>> from hpc_connector.loader.genotypes.sample_file import ReadOptions
    >>> cohort = inspect_sample("cohort.bed", ReadOptions())
    >>> genotypes = convert_samples(read_sample(cohort)).genotypes
    """
    parts = list(blocks)
    columns = {
        name: np.concatenate([getattr(part.variants, name) for part in parts])
        for name in Variants.__dataclass_fields__
    }
    genotypes = [part.genotypes for part in parts]
    return Block(Variants(**columns), np.concatenate(genotypes))
