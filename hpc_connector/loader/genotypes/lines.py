"""Lines of text that describe variants, as those of .bim and .pvar files."""

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_utf8
from hpc_connector.loader.genotypes import _column_kernels as kernels
from hpc_connector.loader.genotypes.sample_file import (
    MAX_POSITION_DIGITS,
    refuse_position,
)
from hpc_connector.notes import Assumption

LEAST_LINE = 8  # bytes of the shortest line
FIELD = re.compile(rb"[^\0- ]+")  # as find_fields has it: no blank of Unicode ends it


class Lines(NamedTuple):
    """Where the lines of a text begin and end: those not empty, and no comments.

    Parameters
    ----------
    data
        UTF-8, uint8 (bytes,).
    starts, ends
        int64 (lines,).
    """

    path: str
    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    assumed: tuple[Assumption, ...]

    def get_fields(self, line: int) -> list[str]:
        """Return the fields of a line."""
        data = self.data[self.starts[line] : self.ends[line]].tobytes()
        return [field.decode() for field in FIELD.findall(data)]

    def count_fields(self, line: int) -> int:
        """Return how many fields a line has, none if there is no such line."""
        return len(self.get_fields(line)) if line < len(self.starts) else 0

    def find_fields(self, first: int, last: int, n_fields: int) -> NDArray[np.int64]:
        """Return where the first fields of lines begin and end.

        Returns
        -------
        int64 (fields, 2, lines): of fewer lines if the next one has fewer fields.
        """
        fields = np.empty((n_fields, 2, last - first), np.int64)
        bounds = self.starts[first:last], self.ends[first:last]
        n_found = kernels.find_fields(self.data, *bounds, fields)
        return fields[:, :, :n_found]

    def get_positions(self, field: NDArray[np.int64], first: int) -> NDArray[np.int64]:
        """Return the numbers of a field, int64 (lines,).

        Parameters
        ----------
        field
            Where it begins and ends, int64 (2, lines).
        first
            Number of lines before these.

        Raises
        ------
        BadInput
            It is no position.
        """
        starts, ends = field
        numbers = np.empty(len(starts), np.int64)
        n_read = kernels.parse_whole(
            self.data, starts, ends, MAX_POSITION_DIGITS, numbers
        )
        if n_read == len(starts):
            return numbers
        text = self.data[starts[n_read] : ends[n_read]].tobytes().decode()
        raise BadInput(
            f"{self.path}: line {first + n_read + 1}: {refuse_position(text)}"
        )


@lru_cache(maxsize=4)
def find_lines(path: str, _: tuple[int, int | str]) -> Lines:
    """Return one version of a file as UTF-8, and where its lines begin and end.

    Kept, for each piece of the genotypes beside needs some of them.
    """
    text, assumed = read_utf8(path)
    if text and not text.endswith(b"\n"):
        text += b"\n"
    data = np.frombuffer(bytearray(text), np.uint8)  # numba is quicker if writable
    ends = np.flatnonzero(data == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    is_line = data[starts] != ord("#")
    for k in np.flatnonzero(ends - starts < LEAST_LINE):
        is_line[k] &= bool(text[starts[k] : ends[k]].strip())
    return Lines(path, data, starts[is_line], ends[is_line], assumed)
