"""Lists of variants to search among."""

from collections.abc import Iterable, Sequence

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_noted_text
from hpc_connector.notes import Assumption
from hpc_connector.text import split_blanks, split_lines

Assumptions = tuple[Assumption, ...]


def read_list(path: str | None) -> tuple[frozenset[str] | None, Assumptions]:
    """Return the ids of a text, one a line or several, and what of it was assumed."""
    if path is None:
        return None, ()
    text, assumed = read_noted_text(path)
    ids = frozenset(name for line in split_lines(text) for name in split_blanks(line))
    if not ids:
        raise BadInput(f"{path} is empty: expected an id of a variant a line")
    return ids, assumed


def count_unknown(
    lists: Sequence[frozenset[str] | None], kept: Iterable[str]
) -> dict[str, int]:
    """Count the ids of lists that no variant of the search has."""
    known = set(kept)
    return {
        f"ids of {option} are of no variant that was kept": len(ids - known)
        for option, ids in zip(("--variants", "--with-variants"), lists, strict=True)
        if ids is not None
    }
