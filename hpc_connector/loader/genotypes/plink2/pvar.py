"""Variants of a .pvar file, compressed by zstd or not, or laid out as a .bim file.

Format: https://www.cog-genomics.org/plink/2.0/formats#pvar.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.alleles import NOT_ALLELES
from hpc_connector.loader.genotypes.columns import are_in, cut_texts, fill_names
from hpc_connector.loader.genotypes.lines import Lines, find_lines
from hpc_connector.loader.genotypes.plink2 import _kernels as kernels
from hpc_connector.loader.genotypes.sample_file import Variants, get_version

COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT")  # which come first
OF_BIM = ("#CHROM", "ID", "CM", "POS", "ALT", "REF")  # without a header
PASSED = ("PASS", ".")
STEP = 1 << 16


class Sites(NamedTuple):
    """What a .pvar file has: its lines, the place of each column, how many alleles.

    Parameters
    ----------
    columns
        By name, as of a header.
    n_alleles
        Of each variant, the reference too, int64 (variants,).
    """

    lines: Lines
    columns: dict[str, int]
    n_alleles: NDArray[np.int64]


class Site(NamedTuple):
    """A variant of several ALTs, the reference first."""

    chromosome: str
    position: int
    id: str
    alleles: tuple[str, ...]


def read_sites(path: str) -> Sites:
    """Read the lines of a .pvar file, and count alleles.

    Raises
    ------
    BadInput
        A file that cannot be read, or with other columns.
    """
    return _read_sites(path, get_version(path))


@lru_cache(maxsize=4)
def _read_sites(path: str, version: tuple[int, int | str]) -> Sites:
    lines = find_lines(path, version)
    columns = find_columns(lines)
    n = len(lines.starts)
    n_alleles = np.empty(n, np.int64)
    for first in range(0, n, STEP):
        last = min(first + STEP, n)
        fields = find_fields(lines, columns, first, last)
        starts, ends = fields[columns["ALT"]]
        n_alleles[first:last] = kernels.count_alleles(lines.data, starts, ends)
    return Sites(lines, columns, n_alleles)


def forget() -> None:
    """Let go of the lines of files."""
    _read_sites.cache_clear()
    find_lines.cache_clear()


def find_columns(lines: Lines) -> dict[str, int]:
    """Return the places of columns: of the header, or of a .bim file without one."""
    first = int(lines.starts[0]) if len(lines.starts) else len(lines.data)
    head = lines.data[:first].tobytes().decode().splitlines()
    named = [line.split() for line in head if line.startswith("#CHROM")]
    if not named:
        n_fields = lines.count_fields(0)
        names = [name for name in OF_BIM if n_fields != 5 or name != "CM"]
        return {name: place for place, name in enumerate(names)}
    (names, *_) = named
    if tuple(names[: len(COLUMNS)]) != COLUMNS:
        raise BadInput(
            f"{lines.path} has columns {' '.join(names)[:80]}: expected "
            f"{' '.join(COLUMNS)} first"
        )
    return {name: place for place, name in enumerate(names)}


def find_fields(
    lines: Lines, columns: dict[str, int], first: int, last: int
) -> NDArray[np.int64]:
    """Return where the fields of lines begin and end, int64 (columns, 2, lines).

    Raises
    ------
    BadInput
        A line has fewer.
    """
    n_fields = 1 + max(columns.get(name, 0) for name in (*OF_BIM, "FILTER"))
    fields = lines.find_fields(first, last, n_fields)
    if fields.shape[2] < last - first:
        at = first + fields.shape[2]
        raise BadInput(
            f"{lines.path}: variant {at + 1} has {lines.count_fields(at)} fields, "
            f"expected {n_fields} or more"
        )
    return fields


def get_variants(
    sites: Sites, first: int, last: int, *, pass_only: bool
) -> tuple[Variants, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the columns of variants, ALT being counted.

    Returns
    -------
    Columns; which are plain, of one ALT that is an allele; and which of the others are
    of several, bool (variants,).
    """
    lines, columns, n_alleles = sites
    fields = find_fields(lines, columns, first, last)
    chromosome, name, ref, alt = (
        cut_texts(lines.data, *fields[columns[column]])
        for column in ("#CHROM", "ID", "REF", "ALT")
    )
    position = lines.get_positions(fields[columns["POS"]], first)
    variants = Variants(name, chromosome, position, alt, ref)
    fill_names(variants, name == ".")
    is_wanted = np.ones(last - first, bool)
    if pass_only and "FILTER" in columns:
        filters = cut_texts(lines.data, *fields[columns["FILTER"]])
        is_wanted = are_in(filters, PASSED)
    is_split = n_alleles[first:last] > 2
    is_plain = is_wanted & ~is_split & ~are_in(alt, NOT_ALLELES)
    return variants, is_plain, is_wanted & is_split


def get_site(sites: Sites, number: int) -> Site:
    """Return a variant with all of its alleles."""
    fields = sites.lines.get_fields(number)
    chromosome, position, name, ref, alt = (
        fields[sites.columns[column]] for column in COLUMNS
    )
    return Site(chromosome, int(position), name, (ref, *alt.split(",")))
