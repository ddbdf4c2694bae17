"""A database for ``--database`` from the file that a source ships."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.publish import publish
from metabolite_annotation.databases.molecules import REASONS, LeftOut, make_row
from metabolite_annotation.databases.options import ConvertOptions
from metabolite_annotation.databases.sources import read_sources


class Converted(NamedTuple):
    """What was written, and what was not.

    Parameters
    ----------
    left_out
        Molecules by reason.
    examples
        The id of the first of each.
    """

    out: Path
    n_read: int
    n_written: int
    n_formulas: int
    left_out: dict[str, int]
    examples: dict[str, str]


def convert(options: ConvertOptions) -> Converted:
    """Write a database; the molecules keep their order.

    Raises
    ------
    BadInput
        A source that cannot be read, or that has no molecule for a database; a place
        that cannot be written.
    """
    if options.out.resolve() in [Path(one).resolve() for one in options.sources]:
        raise BadInput(f"--out {options.out} is a source: expected another file")
    left_out: Counter[str] = Counter()
    examples: dict[str, str] = {}
    formulas: set[str] = set()
    n_written = 0
    try:
        with publish(options.out) as stream:
            stream.write(b"id\tname\tformula\n")
            for row in _list_rows(options, left_out, examples):
                stream.write("\t".join(map(quote, row)).encode() + b"\n")
                formulas.add(row[2])
                n_written += 1
            if not n_written:
                raise BadInput(_say_nothing(options, left_out))
    except OSError as error:
        reason = error.strerror or error
        raise BadInput(f"--out {options.out} cannot be written: {reason}") from error
    n_read = n_written + left_out.total()
    counted = {reason: left_out[reason] for reason in REASONS if left_out[reason]}
    return Converted(options.out, n_read, n_written, len(formulas), counted, examples)


def _list_rows(
    options: ConvertOptions, left_out: Counter[str], examples: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of a database, and count the molecules that are none."""
    for molecule in read_sources(options.sources):
        try:
            yield make_row(molecule, with_charged=options.charged)
        except LeftOut as error:
            reason = str(error)
            left_out[reason] += 1
            shown = f"{molecule.id.strip()} {molecule.formula.strip()[:40]}".strip()
            examples.setdefault(reason, shown)


def _say_nothing(options: ConvertOptions, left_out: Counter[str]) -> str:
    """Return that there is no row, and what there was."""
    found = ", ".join(f"{n:,} {reason}" for reason, n in left_out.items())
    where = " and ".join(options.sources)
    return f"{where}: expected molecules with a formula, found {found or 'none'}"


def quote(field: str) -> str:
    """Return a field of a table, in quotes where it has some, without NUL."""
    field = field.replace("\0", " ")
    return '"' + field.replace('"', '""') + '"' if '"' in field else field


def format_converted(converted: Converted) -> str:
    """Return what was written and what was left out, for people."""
    head = (
        f"{converted.out}: {converted.n_written:,} of {converted.n_read:,} molecules, "
        f"{converted.n_formulas:,} formulas"
    )
    lines = [
        f"left out: {n:,} {reason} (the first: {converted.examples[reason]})"
        for reason, n in converted.left_out.items()
    ]
    return "\n".join([head, *lines])


def make_record(converted: Converted) -> dict[str, Any]:
    """Return the same for JSON."""
    return {
        "out": str(converted.out),
        "molecules": converted.n_read,
        "written": converted.n_written,
        "formulas": converted.n_formulas,
        "left_out": converted.left_out,
    }
