"""Lists of variants to search among."""

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_text
from hpc_connector.text import split_blanks, split_lines


def read_list(path: str | None) -> frozenset[str] | None:
    """Return the ids of a text of any encoding, one a line or several."""
    if path is None:
        return None
    lines = split_lines(read_text(path))
    ids = frozenset(name for line in lines for name in split_blanks(line))
    if not ids:
        raise BadInput(f"{path} is empty: expected an id of a variant a line")
    return ids
