"""What every genotype format gives: a header, and blocks of variants."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.notes import Assumption
from hpc_connector.storage.address import is_object
from hpc_connector.storage.objects import get_object

TEXT = np.dtypes.StringDType()  # a sixth of the memory of Python's strings
MAX_POSITION_DIGITS = 12
HALF_CALLS = ("missing", "haploid", "reference", "error")  # PLINK's words


@dataclass(frozen=True)
class ReadOptions:
    """How genotypes are called from what a file holds.

    Parameters
    ----------
    half_call
        What calls such as 0/. are, one of :data:`HALF_CALLS`.
    chromosome
        Of variants for which a file names none.

    ``sample_file``, ``fam``, ``bim``, ``psam`` and ``pvar`` name what belongs to it and
    has another stem.
    """

    imputation_threshold: float = 0.9
    pass_only: bool = False
    vcf_field: str = "GT"
    half_call: str = "missing"
    chromosome: str = ""
    sample_file: str | None = None
    fam: str | None = None
    bim: str | None = None
    psam: str | None = None
    pvar: str | None = None


@dataclass(frozen=True)
class SampleFile:
    """A file of variants, read as far as its header.

    Parameters
    ----------
    individuals
        Ids in the order of the file; None where the file names nobody.
    phenotypes
        The labels a file carries itself (.fam, Class column), in its own words.
    families
        FID and IID of the individuals, where the file names both.
    coding
        Of the phenotypes, as ``labels.convert_labels`` takes it.
    n_bytes
        Size on disk, the cost of reading it.
    assumed, counted
        What the header does not say; what it was found to leave out or change.
    """

    path: str
    format: str
    n_individuals: int
    individuals: tuple[str, ...] | None
    phenotypes: tuple[str, ...] | None = None
    families: tuple[tuple[str, str], ...] | None = None
    coding: str = "any"
    n_bytes: int = 0
    options: ReadOptions = field(default_factory=ReadOptions)
    assumed: tuple[Assumption, ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Variants:
    """Columns that describe variants, one entry a variant: of :data:`TEXT`, or int64.

    `counted` is the allele whose copies the genotypes count, `other` the other one.
    """

    id: NDArray[Any]
    chromosome: NDArray[Any]
    position: NDArray[np.int64]
    counted: NDArray[Any]
    other: NDArray[Any]


@dataclass(frozen=True)
class Block:
    """Variants and their genotypes, int8 (variants, individuals), -1 missing.

    `counted` is what was left out or changed, see :mod:`hpc_connector.notes`.
    """

    variants: Variants
    genotypes: NDArray[np.int8]
    counted: Mapping[str, int] = field(default_factory=dict)


def get_version(path: str) -> tuple[int, int | str]:
    """Return size and time of change, or tag: what is kept of a file holds for these.

    Raises
    ------
    BadInput
        A file that cannot be found.
    """
    if is_object(path):
        version = get_object(path)[1]
        return version.size, version.etag
    try:
        found = os.stat(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    return found.st_size, found.st_mtime_ns


def convert_position(text: str) -> int:
    """Return the position of a variant; negative ones stand in some .bim files."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= MAX_POSITION_DIGITS:
        return int(text)
    raise BadInput(refuse_position(text))


def refuse_position(text: str) -> str:
    """Return what is said of text that is no position."""
    return f"position {text[:40]!r}, expected a whole number"
