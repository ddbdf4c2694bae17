"""Lists of ids of variants."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_noted_text
from hpc_connector.notes import Assumption
from hpc_connector.storage.address import get_name
from hpc_connector.text import split_blanks, split_lines

Assumptions = tuple[Assumption, ...]


class Lists(NamedTuple):
    """Ids of variants, None where there is no such list.

    Parameters
    ----------
    first
        Those to search among; of a model across two lists, one is of these.
    second
        The others.
    """

    first: frozenset[str] | None = None
    second: frozenset[str] | None = None


def read_list(path: str | None) -> tuple[frozenset[str] | None, Assumptions]:
    """Return the ids of a text, and what of it was assumed.

    One a line or several, in quotes or not, with commas where the name of the file
    ends in .csv; lines that begin with # are comments.
    """
    if path is None:
        return None, ()
    text, assumed = read_noted_text(path)
    if get_name(path).removesuffix(".gz").endswith(".csv"):
        text = text.replace(",", " ")
    lines = [line for line in split_lines(text) if not line.startswith("#")]
    words = (word.strip("\"'") for line in lines for word in split_blanks(line))
    ids = frozenset(word for word in words if word)
    if not ids:
        raise BadInput(f"{path} is empty: expected an id of a variant a line")
    return ids, assumed


def read_lists(paths: Sequence[str]) -> tuple[frozenset[str], Assumptions]:
    """Return the ids of several texts, and what of them was assumed."""
    found = [read_list(path) for path in paths]
    ids = frozenset[str]().union(*(ids or () for ids, _ in found))
    return ids, tuple(one for _, assumed in found for one in assumed)


def count_unknown(lists: Lists, kept: Iterable[str]) -> dict[str, int]:
    """Count the ids of lists that no variant of the search has."""
    known = set(kept)
    return {
        f"ids of {option} are of no variant that was kept": len(ids - known)
        for option, ids in zip(("--variants", "--with-variants"), lists, strict=True)
        if ids is not None
    }
