"""Genotypes of VCF Zarr stores, of Zarr's format 2 or 3, as bio2zarr writes them.

Records are called as those of BCF are. Each part is of chunks of its own. A store is a
folder on a disk: zarr reads it.
Format: https://github.com/sgkit-dev/vcf-zarr-spec, version 0.5.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.alleles import NOT_ALLELES, Row, split
from hpc_connector.loader.genotypes.columns import are_in, fill_names, merge_rows
from hpc_connector.loader.genotypes.sample_file import (
    HALF_CALLS,
    TEXT,
    Block,
    ReadOptions,
    SampleFile,
    Variants,
)
from hpc_connector.loader.genotypes.vcf import _kernels as kernels
from hpc_connector.loader.genotypes.vcf.bcf import convert_numbers, read_calls
from hpc_connector.loader.genotypes.vcf.record import Record, call, get_n_numbers
from hpc_connector.notes import add_counts

FIELDS = ("GT", "GP", "DS", "HDS")
ARRAY_OF = {"GT": "call_genotype", **{name: f"call_{name}" for name in FIELDS[1:]}}
SITES = ("variant_position", "variant_contig", "variant_allele", "contig_id")
WRITTEN = ("variant_position", "variant_allele")  # of which no chunk is all zeros
PASSED = {"PASS", "."}
BLOSC_HEADER_BYTES = 16  # the last four of which tell the bytes of all
END = -2  # the allele of a call that has fewer
NEEDED = "a Zarr store needs zarr: expected pip install 'hpc_connector[zarr]'"
BROKEN = (
    *(OSError, RuntimeError, ValueError, LookupError, TypeError),
    *(MemoryError, ArithmeticError),  # of a shape that cannot be
)
# Axes of an array, and of what kinds its values may be; None is any, taken as text.
SHAPES: dict[str, tuple[int, str | None]] = {
    "sample_id": (1, None),
    "contig_id": (1, None),
    "filter_id": (1, None),
    "variant_id": (1, None),
    "variant_allele": (2, None),
    "variant_position": (1, "iu"),
    "variant_contig": (1, "iu"),
    "variant_filter": (2, "biu"),
    "call_genotype": (3, "i"),
}


def inspect(path: str, options: ReadOptions) -> SampleFile:
    """Read the ids of the individuals, and check that all chunks are there.

    Raises
    ------
    BadInput
        A store that is half written, or whose individuals are not distinct.
    """
    arrays = open_arrays(path, options)
    check_shapes(path, arrays)
    individuals = tuple(load(path, arrays, "sample_id").tolist())
    if len(set(individuals)) < len(individuals):
        twice = Counter(individuals).most_common(1)[0][0]
        raise BadInput(f"{path} names individual {twice!r} twice: expected each once")
    names = [name for name in arrays if name in {*WRITTEN, *ARRAY_OF.values()}]
    for name in names:
        check_chunks(path, arrays, name)
    return SampleFile(
        path=path,
        format="zarr",
        n_individuals=len(individuals),
        individuals=individuals,
        n_bytes=sum(get_n_bytes(Path(path) / name) for name in names),
        options=options,
    )


def open_arrays(path: str, options: ReadOptions) -> dict[str, Any]:
    """Return the arrays of a store that are read, by name.

    Raises
    ------
    BadInput
        There is no store, or it lacks one.
    """
    try:
        import zarr
    except ImportError:
        raise BadInput(NEEDED) from None
    try:
        group = zarr.open_group(path, mode="r")
        wanted = {*SITES, "sample_id", ARRAY_OF[options.vcf_field]}
        others = {"variant_id", "variant_filter", "filter_id", "call_genotype"}
        if options.vcf_field == "DS":
            others.add("call_HDS")
        wanted |= {name for name in others if Path(path, name).exists()}
        # one by one: zarr warns of what it did not wait for if one of all is broken
        arrays = {name: group.get(name) for name in sorted(wanted)}
    except BROKEN as error:
        raise refuse(path, "it", error) from None
    lacking = [name for name, a in arrays.items() if not isinstance(a, zarr.Array)]
    if lacking:
        raise BadInput(
            f"{path} lacks {', '.join(lacking)}: expected all arrays of a VCF Zarr "
            "store; it may be half written"
        )
    return arrays


def refuse(path: str, what: str, error: Exception) -> BadInput:
    """Return what is said of an error of zarr."""
    said = " ".join(str(error).split())[:200]
    return BadInput(f"{path}: {what} cannot be read: {said or type(error).__name__}")


def load(
    path: str, arrays: dict[str, Any], name: str, where: slice = slice(None)
) -> NDArray[Any]:
    """Return some rows of an array, names of any kind as text.

    Raises
    ------
    BadInput
        A chunk is cut or corrupt.
    """
    is_text = SHAPES.get(name, (0, ""))[1] is None
    try:
        check_ends(path, arrays[name], name, where)
        values = np.asarray(arrays[name][where])
        return values.astype(TEXT) if is_text else values
    except BadInput:  # of check_ends; it is a ValueError
        raise
    except BROKEN as error:
        raise refuse(path, name, error) from None


def check_ends(path: str, array: Any, name: str, where: slice) -> None:
    """Refuse chunks of Blosc, of some rows, that have other lengths than they say."""
    codecs = [f"{codec!r}".lower() for codec in array.compressors]
    if array.shards is not None or not any("blosc" in codec for codec in codecs):
        return
    first, last, _ = where.indices(array.shape[0])
    step, *_ = array.chunks
    others = [
        range(-(-n // size))
        for n, size in zip(array.shape[1:], array.chunks[1:], strict=True)
    ]
    for at in itertools.product(range(first // step, -(-last // step)), *others):
        file = Path(path, name, array.metadata.encode_chunk_key(at))
        if not file.exists():  # it would be of zeros
            continue
        with open(file, "rb") as stream:
            head = stream.read(BLOSC_HEADER_BYTES)
        n_bytes = int.from_bytes(head[12:], "little")
        if len(head) < BLOSC_HEADER_BYTES or n_bytes != file.stat().st_size:
            what = f"{name} is damaged: chunk {file.name} has not the length it says"
            raise BadInput(f"{path}: {what}")


def check_shapes(path: str, arrays: dict[str, Any]) -> None:
    """Refuse arrays of other axes or kinds, or that are not as long as others."""
    for name, array in arrays.items():
        n_axes, kinds = SHAPES.get(name, (array.ndim, None))
        if array.ndim != n_axes or (kinds and array.dtype.kind not in kinds):
            expected = "text" if kinds is None else "integers"
            raise BadInput(
                f"{path}: {name} is {array.dtype} of {array.ndim} axes, expected "
                f"{expected} of {n_axes}"
            )
    n, n_individuals = (arrays[k].shape[0] for k in ("variant_position", "sample_id"))
    for name, array in arrays.items():
        rows: tuple[int, ...] = ()
        if name.startswith("call_"):
            rows = (n, n_individuals)
        elif name == "variant_filter" and "filter_id" in arrays:
            rows = (n, arrays["filter_id"].shape[0])
        elif name.startswith("variant_"):
            rows = (n,)
        if array.shape[: len(rows)] != rows:
            raise BadInput(
                f"{path}: {name} has shape {array.shape}, expected {rows} first"
            )


def check_chunks(path: str, arrays: dict[str, Any], name: str) -> None:
    """Refuse an array that lacks chunks, of which zarr would read zeros.

    bio2zarr writes no chunk of zeros: one of a thousand variants, none of which
    anybody carries, is lost for what is read here.
    """
    array = arrays[name]
    n_lacking = array.nchunks - array.nchunks_initialized
    if n_lacking > 0:
        raise BadInput(
            f"{path}: {n_lacking} of {array.nchunks} chunks of {name} are not there: "
            "expected all of them; the store is half written, or copied in part"
        )


def get_n_bytes(folder: Path) -> int:
    """Return the bytes of the files below a folder."""
    return sum(
        os.path.getsize(Path(where) / name)
        for where, _, names in os.walk(folder)
        for name in names
    )


def read(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Block]:
    """Yield the variants of one of `n_parts` contiguous runs of chunks.

    Raises
    ------
    BadInput
        A chunk that is cut or corrupt, or calls that are none.
    """
    path, options = sample_file.path, sample_file.options
    arrays = open_arrays(path, options)
    array = arrays[ARRAY_OF[options.vcf_field]]
    n, step = array.shape[0], array.chunks[0]
    n_chunks = -(-n // step)
    contigs = load(path, arrays, "contig_id")
    filters = load(path, arrays, "filter_id").tolist() if "filter_id" in arrays else []
    first, last = n_chunks * part // n_parts, n_chunks * (part + 1) // n_parts
    for chunk in range(first, last):
        where = slice(chunk * step, min((chunk + 1) * step, n))
        found = {
            name: load(path, arrays, name, where)
            for name in arrays
            if name.startswith(("call_", "variant_"))
        }
        block = read_block(
            sample_file, make_sites(path, found, contigs, filters), found
        )
        if len(block.genotypes):
            yield block


class Sites(NamedTuple):
    """What variants are, (variants,), and all of their alleles, (variants, alleles).

    Where they have fewer these are empty.
    """

    name: NDArray[Any]
    chromosome: NDArray[Any]
    position: NDArray[np.int64]
    alleles: NDArray[Any]
    n_alleles: NDArray[np.int64]
    is_passed: NDArray[np.bool_]


def make_sites(
    path: str, found: dict[str, NDArray[Any]], contigs: NDArray[Any], filters: list[str]
) -> Sites:
    """Return what variants are.

    Raises
    ------
    BadInput
        Their chromosome has no name.
    """
    contig = found["variant_contig"].astype(np.int64)
    n = len(contig)
    if ((contig < 0) | (contig >= len(contigs))).any():
        raise BadInput(f"{path}: variant_contig goes beyond the names of contig_id")
    alleles = found["variant_allele"]
    is_passed: NDArray[np.bool_] = np.ones(n, bool)
    if filters and "variant_filter" in found:
        others = [k for k, name in enumerate(filters) if name not in PASSED]
        is_passed = ~np.any(found["variant_filter"][:, others], axis=1)
    name = found.get("variant_id", np.full(n, ".", TEXT))
    name[name == ""] = "."
    return Sites(
        name,
        contigs[contig],
        found["variant_position"].astype(np.int64),
        alleles,
        (alleles != "").sum(axis=1),
        is_passed,
    )


def read_block(
    sample_file: SampleFile, sites: Sites, found: dict[str, NDArray[Any]]
) -> Block:
    """Return the variants of a chunk: those of one ALT at once, others each."""
    options = sample_file.options
    is_wanted = sites.is_passed if options.pass_only else np.ones(len(sites.name), bool)
    is_plain = is_wanted & (sites.n_alleles == 2)
    if options.vcf_field != "GT":
        is_plain[:] = False
    ref, alt = (sites.alleles[:, k] for k in (0, min(1, sites.alleles.shape[1] - 1)))
    is_plain &= ~are_in(alt, NOT_ALLELES)
    genotypes = np.empty((len(is_plain), sample_file.n_individuals), np.int8)
    if is_plain.any():
        half_call = HALF_CALLS.index(options.half_call)
        calls = found["call_genotype"].astype(np.int32, copy=False)
        kernels.call_block(calls, half_call, genotypes, is_plain)
    counted: Counter[str] = Counter()
    rows = [
        (v, row)
        for v in np.flatnonzero(is_wanted & ~is_plain).tolist()
        for row in read_variant(
            make_record(sample_file, sites, found, v), options, counted
        )
    ]
    plain = np.flatnonzero(is_plain)
    columns = (sites.name, sites.chromosome, sites.position, alt, ref)
    variants = Variants(*(column[plain] for column in columns))
    fill_names(variants, variants.id == ".")
    return Block(
        *merge_rows(variants, genotypes[plain], plain, rows), add_counts([counted])
    )


def read_variant(
    record: Record, options: ReadOptions, counted: Counter[str]
) -> Iterator[Row]:
    """Yield the variants of any record; count what was changed of them."""
    return split(record, partial(call, record, options), counted)


def make_record(
    sample_file: SampleFile, sites: Sites, found: dict[str, NDArray[Any]], v: int
) -> Record:
    """Return one variant as a record of VCF."""
    chromosome, position = str(sites.chromosome[v]), int(sites.position[v])
    alleles = tuple(text for text in sites.alleles[v].tolist() if text)
    place = f"{sample_file.path}, record {chromosome}:{position}"
    fields = {
        name: found[array][v] for name, array in ARRAY_OF.items() if array in found
    }
    if "GT" in fields:
        fields["GT"] = (fields["GT"].astype(np.int32) + 1) << 1  # as BCF has them
    return Record(
        place,
        chromosome,
        position,
        str(sites.name[v]),
        alleles,
        bool(sites.is_passed[v]),
        sample_file.n_individuals,
        fields,
        partial(read_calls, place, fields, len(alleles), sample_file.options, end=END),
        partial(read_numbers, fields, len(alleles)),
    )


def read_numbers(
    fields: dict[str, NDArray[Any]], n_alleles: int, name: str
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return a field such as GP, and how many alleles calls have, as of BCF."""
    values = fields[name].reshape(len(fields[name]), -1)
    width = get_n_numbers(name, n_alleles)
    numbers = np.full((len(values), width), np.inf)
    numbers[:, : values.shape[1]] = convert_numbers(values[:, :width])
    if name == "GP":  # vcf2zarr fills those of a haploid call up as if one were missing
        is_short = np.isfinite(numbers[:, :n_alleles]).all(axis=1)
        is_short &= ~np.isfinite(numbers[:, n_alleles:]).any(axis=1)
        numbers[is_short, n_alleles:] = np.inf
    ploidy = np.full(len(values), 2, np.int8)
    if "GT" in fields:
        codes = fields["GT"]
        is_one = (codes[:, 1:] == END).all(axis=1)
        ploidy[is_one] = codes[is_one, 0] > 0  # 0 where the one allele is missing
    return numbers, ploidy
