"""Lines of text: columns that describe a variant, then three numbers an individual."""

import re
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.columns import make_variants
from hpc_connector.loader.genotypes.sample_file import Block, SampleFile
from hpc_connector.loader.genotypes.text._kernels import call_line

BLOCK_VARIANTS = 256
SHOWN = 60  # characters of a line in a message

Lead = tuple[str, str, int, str, str]  # id, chromosome, position, counted, other


def read_blocks(
    sample_file: SampleFile,
    lines: Iterator[bytes],
    n_lead: int,
    convert_lead: Callable[[list[str]], Lead],
) -> Iterator[Block]:
    """Yield blocks of variants from lines.

    Parameters
    ----------
    n_lead
        Columns before the probabilities.
    convert_lead
        Returns id, chromosome, position, counted and other allele from them.
    """
    lead = re.compile(rb"\s*(?:\S+\s+){%d}" % n_lead)
    while True:
        genotypes = np.empty((BLOCK_VARIANTS, sample_file.n_individuals), np.int8)
        leads = [  # one line at a time: it is in the cache still
            _read_line(sample_file, line, lead, convert_lead, genotypes[v])
            for v, line in enumerate(islice(lines, BLOCK_VARIANTS))
        ]
        if not leads:
            return
        yield Block(make_variants(leads), genotypes[: len(leads)])


def _read_line(
    sample_file: SampleFile,
    line: bytes,
    lead: re.Pattern[bytes],
    convert_lead: Callable[[list[str]], Lead],
    genotypes: NDArray[np.int8],
) -> Lead:
    """Read one line into a row of genotypes; return what describes the variant."""
    found = lead.match(line)
    at = found.end() if found else len(line)
    numbers = np.frombuffer(line, np.uint8)[at:]
    wrong = call_line(numbers, sample_file.options.imputation_threshold, genotypes)
    try:
        if wrong:
            raise ValueError(
                f"number {wrong} after its columns: expected {3 * len(genotypes)} "
                "probabilities, three an individual that sum to 1"
            )
        text = line[:at].decode()
        if text.isascii():
            return convert_lead(text.split())
        return convert_lead([word.decode() for word in line[:at].split()])
    except ValueError as error:
        variant = line[:at].decode(errors="replace").strip()[:SHOWN]
        raise BadInput(f"{sample_file.path}: variant {variant!r}: {error}") from None
