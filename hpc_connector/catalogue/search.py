"""Data sets by words, which are never taken for a language of queries."""

from collections.abc import Sequence
from typing import NamedTuple

from hpc_connector.catalogue.catalog import Catalog
from hpc_connector.errors import BadInput


class Hit(NamedTuple):
    """A data set that was found."""

    id: str
    version: int
    title: str
    access: str


def quote_words(words: Sequence[str]) -> str:
    """Return words as FTS5 takes them, all of which must be there.

    Examples
    --------
    >>> quote_words(['NEAR', 'a"b', "*"])
    '"NEAR" "a""b"'

    Raises
    ------
    BadInput
        None of them has a letter or digit.
    """
    parts = [part for word in words for part in word.replace("\0", " ").split()]
    known = [part for part in parts if any(map(str.isalnum, part))]
    if not known:
        raise BadInput("search: expected words, with letters or digits")
    return " ".join('"{}"'.format(part.replace('"', '""')) for part in known)


def search(
    catalog: Catalog,
    words: Sequence[str] = (),
    *,
    format: str = "",
    indexed: bool = False,
) -> list[Hit]:
    """Return the data sets with all words, the best first; all without words.

    Parameters
    ----------
    format
        Of one of its objects, such as ``vcf``.
    indexed
        Only where one of its objects has an index of slices.
    """
    where, key = ["is_newest"], []
    start, order = "dataset", "id"
    if words:
        start = "text JOIN dataset ON dataset.rowid = text.rowid"
        where, key, order = ["text MATCH ?"], [quote_words(words)], "rank, dataset.id"
    if format:
        where.append(
            f"EXISTS (SELECT 1 FROM object WHERE {of('object')} AND format = ?)"
        )
        key.append(format.lower().lstrip("."))
    if indexed:
        where.append(f"EXISTS (SELECT 1 FROM slice_index WHERE {of('slice_index')})")
    rows = catalog.connection.execute(
        f"SELECT dataset.id, version, dataset.title, access FROM {start} "
        f"WHERE {' AND '.join(where)} ORDER BY {order}",
        key,
    )
    return [Hit(*row) for row in rows]


def of(table: str) -> str:
    """Return the condition that a row is of a data set in its version."""
    return f"{table}.dataset = dataset.id AND {table}.version = dataset.version"
