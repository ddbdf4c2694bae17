"""Sets of variants, as genes are: who is of which."""

from typing import NamedTuple

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import read_noted_text
from hpc_connector.loader.rows import simplify
from hpc_connector.storage.address import get_name
from hpc_connector.text import split_blanks, split_lines
from mdr_epistasis.cohort.lists import Assumptions

END = "END"  # of a set, in PLINK's .set files
HEADS = ("set", "set_name", "gene", "genes", "gene_name", "gene_id", "pathway")
MOST_PAIRS = 5_000_000  # of sets: rows of sets.tsv
SHOWN = 3  # sets in a message


class Sets(NamedTuple):
    """Sets in the order of a file.

    Parameters
    ----------
    ids
        Of the variants of each set, each once.
    """

    path: str
    names: tuple[str, ...]
    ids: tuple[tuple[str, ...], ...]


def read_sets(path: str | None) -> tuple[Sets | None, Assumptions]:
    """Return the sets of a file, and what of it was assumed.

    A line is a set and a variant of it, or several, between blanks, or commas if the
    name of the file ends in .csv; a first line such as "gene variant" is left out. Or
    it is PLINK's .set file: the name of a set, its variants, and END.
    """
    if path is None:
        return None, ()
    text, assumed = read_noted_text(path)
    if get_name(path).removesuffix(".gz").endswith(".csv"):
        text = text.replace(",", " ")
    lines = [line for line in split_lines(text) if not line.startswith("#")]
    rows = [[w.strip("\"'") for w in split_blanks(line)] for line in lines]
    rows = [row for row in rows if row]
    if any(END in row for row in rows):
        found = read_plink_sets(rows, path)
    else:
        found = read_rows(rows, path)
    names = tuple(found)
    ids = tuple(tuple(dict.fromkeys(found[name])) for name in names)
    if len(names) < 2:
        raise BadInput(f"{path} has {len(names)} sets: expected two or more")
    if (n := len(names) * (len(names) - 1) // 2) > MOST_PAIRS:
        raise BadInput(
            f"{path} has {len(names):,} sets, of which {n:,} pairs are made: expected "
            f"at most {MOST_PAIRS:,} pairs"
        )
    return Sets(path, names, ids), assumed


def read_rows(rows: list[list[str]], path: str) -> dict[str, list[str]]:
    """Return the ids of the sets of a table: a set and its variants a line."""
    has_head = bool(rows) and simplify(rows[0][0]) in HEADS
    found: dict[str, list[str]] = {}
    for row in rows[has_head:]:
        if len(row) < 2:
            raise BadInput(
                f"{path}: {row[0][:40]!r} stands alone: expected a set and a variant a "
                "line, or END after the variants of each set"
            )
        found.setdefault(row[0], []).extend(row[1:])
    return found


def read_plink_sets(rows: list[list[str]], path: str) -> dict[str, list[str]]:
    """Return the ids of the sets of a .set file."""
    found: dict[str, list[str]] = {}
    name = None
    for word in (word for row in rows for word in row):
        if word == END:
            name = None
        elif name is not None:
            found[name].append(word)
        elif word in found:
            raise BadInput(f"{path}: set {word[:40]} stands twice: expected each once")
        else:
            name = word
            found[name] = []
    if name is not None:
        raise BadInput(f"{path}: set {name[:40]} has no {END}: expected it at its end")
    return found


def find_members(sets: Sets, ids: np.ndarray) -> list[np.ndarray]:
    """Return the numbers of the variants of each set, ascending, int64.

    Raises
    ------
    BadInput
        A set has no variant.
    """
    numbers: dict[str, list[int]] = {}
    for k, name in enumerate(ids.tolist()):
        numbers.setdefault(name, []).append(k)
    members = [
        np.array(sorted(k for name in of_set for k in numbers.get(name, [])), np.int64)
        for of_set in sets.ids
    ]
    if empty := [n for n, m in zip(sets.names, members, strict=True) if len(m) == 0]:
        shown = ", ".join(
            [n[:40] for n in empty[:SHOWN]] + ["..."] * (len(empty) > SHOWN)
        )
        raise BadInput(
            f"{sets.path}: {len(empty)} of {len(members)} sets have no variant that "
            f"was kept ({shown}): expected one or more of each"
        )
    return members


def get_homes(members: list[np.ndarray], n_variants: int) -> np.ndarray:
    """Return the one set that each variant is of, -1 if of several or none, int32."""
    everyone = np.concatenate(members)
    home = np.full(n_variants, -1, np.int32)
    home[everyone] = np.repeat(np.arange(len(members)), [len(m) for m in members])
    home[np.bincount(everyone, minlength=n_variants) > 1] = -1
    return home


def count_unlisted(sets: Sets | None, kept: np.ndarray) -> dict[str, int]:
    """Count the ids of sets that no variant of the search has."""
    if sets is None:
        return {}
    ids = {name for of_set in sets.ids for name in of_set}
    n = len(ids.difference(kept.tolist()))
    return {"ids of --sets are of no variant that was kept": n}
