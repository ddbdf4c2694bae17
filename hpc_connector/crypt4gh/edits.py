"""Edit lists: which pieces of the plaintext of a body a reader is given."""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from hpc_connector.errors import BadInput

Range = tuple[int, int]


@dataclass(frozen=True)
class Edits:
    """The pieces of a body that are kept, one after the other.

    Parameters
    ----------
    kept
        First byte and end of each piece, rising, in the plaintext of the body.
    end
        Where each piece ends in what is given, rising.
    """

    kept: tuple[Range, ...]
    end: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes that are given."""
        return self.end[-1] if self.end else 0

    def locate(self, first: int, last: int) -> list[Range]:
        """Return the ranges of the body that make a range of what is given."""
        found = []
        for k in range(bisect.bisect_right(self.end, first), len(self.end)):
            begin = self.end[k - 1] if k else 0
            if begin >= last:
                break
            shift = self.kept[k][0] - begin
            piece = max(first, begin) + shift, min(last, self.end[k]) + shift
            found.append(piece)
        return found

    def keep(self, first: int, last: int) -> list[Range]:
        """Return the ranges that are kept of a range of the body."""
        begin = bisect.bisect_right(self.kept, first, key=lambda piece: piece[1])
        found = []
        for a, b in itertools.islice(self.kept, begin, None):
            if a >= last:
                break
            found.append((max(a, first), min(b, last)))
        return found


def make_edits(numbers: Sequence[int] | None, size: int, name: str) -> Edits:
    """Return what an edit list keeps of a body; all of it without one.

    Parameters
    ----------
    numbers
        Alternately bytes to skip and to keep, beginning with those to skip. After an
        odd count of numbers, all that follows is kept.
    size
        Of the plaintext of the body.

    Raises
    ------
    BadInput
        It reaches beyond the body.
    """
    if numbers is None:
        numbers = (0, size)
    ends = list(itertools.accumulate(numbers))
    if ends and ends[-1] > size:
        raise BadInput(
            f"{name}: its edit list reaches to byte {ends[-1]} of a body of {size}"
        )
    if len(ends) % 2:
        ends.append(size)
    pairs = zip(ends[::2], ends[1::2], strict=True)
    kept = tuple((first, last) for first, last in pairs if first < last)
    lengths = (last - first for first, last in kept)
    return Edits(kept, tuple(itertools.accumulate(lengths)))
