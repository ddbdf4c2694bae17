"""Lines of text: columns that describe a variant, then three numbers an individual."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader._text_kernels import call_line
from hpc_connector.loader.sample_file import Block, SampleFile, Variants

BLOCK_VARIANTS = 256

Lead = tuple[str, str, int, str, str]  # id, chromosome, position, counted, other


def read_lines(path: str) -> Iterator[bytes]:
    """Yield the lines of a text that may be compressed, without their ends."""
    try:
        with open(path, "rb") as stream:
            is_gzip = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_gzip else open(path, "rb") as lines:
            for line in lines:
                yield line.rstrip(b"\r\n")
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None


def read_blocks(
    sample_file: SampleFile,
    lines: Iterator[tuple[int, bytes]],
    n_lead: int,
    convert_lead: Callable[[list[str]], Lead],
) -> Iterator[Block]:
    """Yield blocks of variants from numbered lines.

    Parameters
    ----------
    n_lead
        Columns before the probabilities.
    convert_lead
        Returns id, chromosome, position, counted and other allele from them.
    """
    while chosen := list(islice(lines, BLOCK_VARIANTS)):
        genotypes = np.empty((len(chosen), sample_file.n_individuals), np.int8)
        leads = [
            _read_line(sample_file, number, line, n_lead, convert_lead, genotypes[v])
            for v, (number, line) in enumerate(chosen)
        ]
        names, chromosome, position, counted, other = zip(*leads, strict=True)
        yield Block(
            Variants(
                list(names),
                list(chromosome),
                list(position),
                list(counted),
                list(other),
            ),
            genotypes,
        )


def _read_line(
    sample_file: SampleFile,
    number: int,
    line: bytes,
    n_lead: int,
    convert_lead: Callable[[list[str]], Lead],
    genotypes: np.ndarray,
) -> Lead:
    """Read one line into a row of genotypes; return what describes the variant."""
    fields = line.split(None, n_lead)
    rest = np.frombuffer(fields[-1] if len(fields) > n_lead else b"", np.uint8)
    threshold = sample_file.options.imputation_threshold
    wrong = call_line(rest, 0, threshold, genotypes)
    where = f"{sample_file.path}: line {number}"
    if wrong:
        raise BadInput(
            f"{where}: number {wrong} after the first {n_lead} columns: expected "
            f"{3 * len(genotypes)} probabilities, three an individual"
        )
    try:
        return convert_lead([field.decode() for field in fields[:n_lead]])
    except (ValueError, UnicodeDecodeError) as error:
        raise BadInput(f"{where}: {error}") from None
