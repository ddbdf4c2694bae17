"""Records of BCF 2, the binary form of VCF (VCF 4.5 specification, section 6)."""

import re
import struct
from bisect import bisect_left
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_blocks
from hpc_connector.loader.files import exists, find_beside, get_size
from hpc_connector.loader.genotypes.sample_file import (
    HALF_CALLS,
    ReadOptions,
    SampleFile,
)
from hpc_connector.loader.genotypes.vcf import _kernels as kernels
from hpc_connector.loader.genotypes.vcf.record import Calls, Record, get_n_numbers
from hpc_connector.loader.genotypes.vcf.text import parse_column_names
from hpc_connector.loader.tabix import read_tabix
from hpc_connector.storage.address import is_encrypted

MAGIC = b"BCF\x02"
TYPES: dict[int, np.dtype] = {
    code: np.dtype(name)
    for code, name in [(1, "<i1"), (2, "<i2"), (3, "<i4"), (5, "<f4")]
}
FLOAT_END = 0x7F800002  # the NaN that fills up a vector of fewer numbers
N_PREFIX = 8  # two lengths before each record
MALFORMED = (struct.error, LookupError, TypeError, ValueError)


class Header(NamedTuple):
    """The header of a BCF file: who has a column, and the fields of FORMAT.

    Records name contigs, and fields and filters (``words``), by number.
    """

    individuals: tuple[str, ...]
    fields: frozenset[str]
    contigs: dict[int, str]
    words: dict[int, str]
    n_bytes: int


def read_header(path: str) -> Header:
    """Read the header of a BCF file, up to the first record.

    Raises
    ------
    BadInput
        A file whose header is unusable.
    """
    data = bytearray()
    n_bytes = 9
    for _, block in read_blocks(path):
        data += block
        if len(data) >= 9:
            n_bytes = 9 + int.from_bytes(data[5:9], "little")
        if len(data) >= n_bytes:
            return parse_header(path, bytes(data[9:n_bytes]), n_bytes)
    raise BadInput(f"{path} is cut: its header ends too early")


def parse_header(path: str, text: bytes, n_bytes: int) -> Header:
    """Give contigs and fields their numbers: IDX, or else the order of the header."""
    contigs: dict[int, str] = {}
    words = {0: "PASS"}
    fields = set()
    lines = text.rstrip(b"\0\n").split(b"\n")
    for line in lines:
        kind = re.match(rb"##(contig|FILTER|INFO|FORMAT)=<", line)
        name = re.search(rb"[<,]ID=([^,>]+)", line)
        if kind and name:
            names = contigs if kind[1] == b"contig" else words
            word = name[1].decode("utf-8", "replace")
            if kind[1] == b"FORMAT":
                fields.add(word)
            index = re.search(rb",IDX=(\d{1,9})>$", line)
            if index:
                names[int(index[1])] = word
            elif word not in names.values():
                names[len(names)] = word
    individuals = parse_column_names(path, lines[-1])
    return Header(individuals, frozenset(fields), contigs, words, n_bytes)


def read_records(sample_file: SampleFile, part: int, n_parts: int) -> Iterator[Record]:
    """Yield the records of one part of the file.

    Raises
    ------
    BadInput
        A record that is cut or malformed, or an index that does not fit the file.
    """
    path = sample_file.path
    header = read_header(path)
    start, end = list(pairwise(get_cuts(path, n_parts)))[part]
    if start == end:
        return
    n_before = header.n_bytes if part == 0 else start[1]
    place = path
    for data in split_records(path, read_span(path, (start[0], n_before), end)):
        try:
            record = parse_record(sample_file, header, data)
        except BadInput:
            raise
        except MALFORMED as error:
            raise BadInput(f"{place}: expected a BCF record ({error})") from error
        place = f"{path}, after record {record.chromosome}:{record.position}"
        yield record


def get_cuts(path: str, n_parts: int) -> list[tuple[int, int]]:
    """Return where parts begin and end: byte of a block, and byte in what it holds.

    Parts are of about the same size; the index says where a record begins.
    """
    whole = get_size(path)
    index = find_index(path)
    begins = read_index(index) if index else []
    cuts = [(0, 0)]
    for part in range(1, n_parts):
        at = bisect_left(begins, (whole * part // n_parts, 0))
        cuts.append(begins[at] if at < len(begins) else (whole, 0))
    return [*cuts, (whole, 0)]


def find_index(path: str) -> str:
    """Return the .csi beside a file, and open it if it is encrypted; "" without one."""
    index = find_beside(path, ".csi")
    if not exists(index):
        return ""
    if is_encrypted(index):
        get_size(index)
    return index


def read_index(path: str) -> list[tuple[int, int]]:
    """Read where the chunks of a .csi index begin, in the order of the file.

    Raises
    ------
    BadInput
        A file that is no such index, or is cut.
    """
    data = b"".join(block for _, block in read_blocks(path))
    starts = read_tabix(data, path).starts.tolist()
    return [(start >> 16, start & 0xFFFF) for start in starts]


def read_span(
    path: str, start: tuple[int, int], end: tuple[int, int]
) -> Iterator[bytes]:
    """Yield what blocks hold between two places, the first of which may lie beyond.

    A place is the byte where a block begins, and bytes after its content's begin.
    """
    first, n_before = start
    for offset, data in read_blocks(path, first):
        if offset >= end[0]:
            data = data[: end[1]] if offset == end[0] else b""
        yield data[n_before:]
        n_before = max(0, n_before - len(data))
        if offset >= end[0]:
            return


def split_records(path: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the bytes of each record.

    The last must end with the blocks: so each part proves that the next one begins
    with a record, whatever the index says.
    """
    pieces: list[bytes] = []
    n_held, n_wanted = 0, N_PREFIX
    for block in blocks:
        pieces.append(block)
        n_held += len(block)
        if n_held < n_wanted:
            continue
        data = b"".join(pieces)
        at = 0
        while len(data) - at >= (n_wanted := get_n_bytes(data, at)):
            yield data[at : at + n_wanted]
            at += n_wanted
        pieces, n_held = [data[at:]], len(data) - at
    if any(pieces):
        raise BadInput(f"{path} is cut, or its index is not its own: a record is cut")


def get_n_bytes(data: bytes, at: int) -> int:
    """Return how many bytes the record at `at` has, or needs to tell."""
    if len(data) - at < N_PREFIX:
        return N_PREFIX
    lengths: tuple[int, int] = struct.unpack_from("<II", data, at)
    return N_PREFIX + sum(lengths)


def parse_record(sample_file: SampleFile, header: Header, data: bytes) -> Record:
    """Take a record apart, up to its fields."""
    n_shared, _, contig, start = struct.unpack_from("<IIii", data)
    n_alleles, n_samples = struct.unpack_from("<2xHI", data, N_PREFIX + 16)
    n_fields, n_individuals = n_samples >> 24, n_samples & 0xFFFFFF
    chromosome, position = header.contigs[contig], start + 1
    place = f"{sample_file.path}, record {chromosome}:{position}"
    if n_individuals != sample_file.n_individuals or n_alleles < 1 or position < 0:
        raise ValueError(f"{place} does not fit the header")
    name, at = read_text(data, N_PREFIX + 24)
    alleles = []
    for _ in range(n_alleles):
        allele, at = read_text(data, at)
        alleles.append(allele)
    filters, at = read_vector(data, at)
    is_passed = all(header.words[int(key)] == "PASS" for key in filters)
    fields = find_fields(header, data, N_PREFIX + n_shared, n_fields, n_individuals)
    options = sample_file.options
    return Record(
        place,
        chromosome,
        position,
        name or ".",
        tuple(alleles),
        is_passed,
        n_individuals,
        fields,
        partial(read_calls, place, fields, len(alleles), options),
        partial(read_numbers, place, fields, len(alleles)),
    )


def read_type(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the type of a value, how many there are, and where they begin."""
    code, count = data[at] & 15, data[at] >> 4
    if count == 15:
        counts, at = read_vector(data, at + 1)
        if counts[0] < 0:
            raise ValueError("a count is negative")
        return code, int(counts[0]), at
    return code, count, at + 1


def read_vector(data: bytes, at: int) -> tuple[NDArray[Any], int]:
    """Return integers or floats, and where they end."""
    code, count, at = read_type(data, at)
    if count == 0 or code == 0:
        return np.empty(0, np.int8), at
    values = np.frombuffer(data, TYPES[code], count, at)
    return values, at + values.nbytes


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """Return a text, and where it ends."""
    code, count, at = read_type(data, at)
    if code not in (0, 7) or count > len(data) - at:
        raise ValueError("a text is cut")
    return data[at : at + count].rstrip(b"\0").decode("utf-8", "replace"), at + count


def find_fields(
    header: Header, data: bytes, at: int, n_fields: int, n_individuals: int
) -> dict[str, NDArray[Any]]:
    """Return the fields of numbers, (individuals, numbers); texts are left out.

    Parameters
    ----------
    data, at
        Of the individuals of a record, and where the first field begins.
    n_fields, n_individuals
        As the record counts them.
    """
    fields = {}
    for _ in range(n_fields):
        keys, at = read_vector(data, at)
        code, count, at = read_type(data, at)
        if code in TYPES:
            values = np.frombuffer(data, TYPES[code], count * n_individuals, at)
            fields[header.words[int(keys[0])]] = values.reshape(n_individuals, count)
            at += values.nbytes
        else:
            at += count * n_individuals
    if at != len(data):
        raise ValueError("its fields do not fill it")
    return fields


def read_calls(
    place: str,
    fields: dict[str, np.ndarray],
    n_alleles: int,
    options: ReadOptions,
    alt: int,
    *,
    end: int | None = None,
) -> Calls:
    """Call genotypes from the integers of GT for one ALT.

    Parameters
    ----------
    place
        Of the record, for messages.
    fields
        By name, shape (individuals, numbers).
    n_alleles
        Of the record, the reference too.
    alt
        Which ALT is counted, from 1.
    end
        The integer that fills up a call of fewer alleles; None for BCF's.
    """
    codes = fields["GT"]
    if codes.dtype.kind != "i" or codes.shape[1] == 0:
        raise BadInput(f"{place}: expected GT to be integers")
    n = len(codes)
    genotypes = np.empty(n, np.int8)
    n_read = kernels.convert_calls(
        codes.astype(np.int32),
        get_end(codes) if end is None else end,
        n_alleles,
        alt,
        HALF_CALLS.index(options.half_call),
        genotypes,
    )
    if n_read not in (n, ~n):
        raise BadInput(
            f"{place}, individual {n_read + 1}: expected a call of the record's "
            "alleles, as 0/1"
        )
    return genotypes, n_read < 0


def get_end(codes: NDArray[Any]) -> int:
    """Return the integer that fills up a vector of fewer numbers."""
    return int(np.iinfo(codes.dtype).min) + 1


def read_numbers(
    place: str, fields: dict[str, np.ndarray], n_alleles: int, name: str
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return a field such as GP, and how many alleles calls have.

    Parameters
    ----------
    place
        Of the record, for messages.
    fields
        By name, shape (individuals, numbers).
    n_alleles
        Of the record, the reference too.
    name
        Of the field.
    """
    values, codes = fields[name], fields.get("GT")
    width = get_n_numbers(name, n_alleles)
    if values.shape[1] > width:
        raise BadInput(f"{place}: expected up to {width} numbers {name}")
    numbers = np.full((len(values), width), np.inf)
    numbers[:, : values.shape[1]] = convert_numbers(values)
    ploidy = np.full(len(values), 2, np.int8)
    if codes is not None and codes.dtype.kind == "i" and codes.shape[1] > 0:
        is_one = (codes[:, 1:] == get_end(codes)).all(axis=1)
        ploidy[is_one] = codes[is_one, 0] > 1  # 0 where the one allele is missing
    return numbers, ploidy


def convert_numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return numbers as float64; NaN where missing, inf after the last."""
    if values.dtype.kind == "f":
        ends = values.view("<u4") == FLOAT_END
        with np.errstate(invalid="ignore"):  # missing is a NaN that signals
            return np.where(ends, np.inf, values.astype(np.float64))
    missing = np.iinfo(values.dtype).min
    ends = values == missing + 1
    numbers = np.where(ends, np.inf, values.astype(np.float64))
    return np.where(values == missing, np.nan, numbers)
