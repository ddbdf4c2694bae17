"""What a database holds: rows, formulas, ions by adduct, and the bad rows."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.formulas import read_formula
from hpc_connector.learner.annotation.ions import Chemistry, make_ions
from hpc_connector.learner.annotation.modifiers import read_adduct
from hpc_connector.loader.spectra.molecules import Fault, check_rows
from hpc_connector.units import format_table

ADDUCTS = ("+H", "+Na", "+K", "-H", "+Cl")  # of runs of either polarity


class Contents(NamedTuple):
    """What a file holds.

    Parameters
    ----------
    n_rows
        Of the table, the bad ones too.
    n_molecules
        Good rows, those given twice once.
    formulas
        The unique ones, in order of first appearance.
    """

    path: str
    n_rows: int
    n_molecules: int
    formulas: list[str]
    faults: list[Fault]


def read_contents(path: str) -> Contents:
    """Read a database as a run does, and keep what is wrong.

    Raises
    ------
    BadInput
        A file that cannot be read, or without the columns of a database.
    """
    molecules, faults, _ = check_rows(path, functools.cache(read_formula))
    unique = dict.fromkeys(molecules)
    formulas = list(dict.fromkeys(formula for _, _, formula in unique))
    n_rows = len(molecules) + len(faults)
    return Contents(path, n_rows, len(unique), formulas, faults)


def count_ions(formulas: Sequence[str], adducts: Sequence[str]) -> dict[str, int]:
    """Return of how many formulas each adduct makes an ion, in the order given.

    A run looks for these alone: a formula without hydrogen, say, loses none.

    Raises
    ------
    BadInput
        An adduct that cannot be read.
    """
    try:
        texts = tuple(dict.fromkeys(read_adduct(text).text for text in adducts))
    except ValueError as error:
        raise BadInput(f"--adducts: {error}") from None
    if not texts:
        raise BadInput("--adducts: expected one or more, such as +H,+Na")
    if not formulas:
        return dict.fromkeys(texts, 0)
    _, (found,) = make_ions([formulas], Chemistry(texts, n_decoys=1))
    return dict(zip(texts, (found.target >= 0).sum(axis=0).tolist(), strict=True))


def format_list(contents: Sequence[Contents]) -> str:
    """Return a table of some files, a line each."""
    heads = ("file", "rows", "molecules", "formulas", "bad rows")
    rows = [
        (one.path, *(f"{n:,}" for n in _list_counts(one).values())) for one in contents
    ]
    return format_table([heads, *rows])


def _list_counts(contents: Contents) -> dict[str, int]:
    return {
        "rows": contents.n_rows,
        "molecules": contents.n_molecules,
        "formulas": len(contents.formulas),
        "bad_rows": len(contents.faults),
    }


def format_check(contents: Contents, ions: dict[str, int]) -> str:
    """Return what a file holds, and each bad row on a line of its own."""
    n = len(contents.formulas)
    head = (
        f"{contents.path}: {contents.n_rows:,} rows, {contents.n_molecules:,} "
        f"molecules, {n:,} formulas, {len(contents.faults):,} bad rows"
    )
    lines = [
        f"{adduct}: {k:,} of {n:,} formulas make an ion" for adduct, k in ions.items()
    ]
    return "\n".join([head, *lines, *map(str, contents.faults)])


def make_record(contents: Contents) -> dict[str, Any]:
    """Return what a file holds for JSON."""
    return {"file": contents.path, **_list_counts(contents)}


def make_check_record(contents: Contents, ions: dict[str, int]) -> dict[str, Any]:
    """Return the same with ions and bad rows."""
    faults = [fault._asdict() for fault in contents.faults]
    return {**make_record(contents), "formulas_with_ion": ions, "faults": faults}


def refuse_faults(contents: Contents) -> None:
    """Raise where a run would refuse the file.

    Raises
    ------
    BadInput
        It has bad rows, or no good one.
    """
    n = len(contents.faults)
    if not contents.formulas:
        raise BadInput(f"{contents.path} holds no molecule: expected one a line")
    if n:
        raise BadInput(
            f"{contents.path} has {n:,} bad rows of {contents.n_rows:,}: a run leaves "
            "them out with --skip-bad-rows"
        )
