"""The files of a comparison: a table of every annotation, and a page."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.publish import publish
from hpc_connector.report.page import save_page
from metabolite_annotation.compare.page import make_page
from metabolite_annotation.compare.runs import Run
from metabolite_annotation.compare.table import Table, list_texts, name_changes

KEYS = ("database", "formula", "adduct", "ion", "mz", "molecule_names", "runs")
OF_RUN = ("score", "msm", "fdr", "fdr_level", "total_intensity", "n_pixels")


def save(out: Path, runs: Sequence[Run], table: Table, fdr: float) -> None:
    """Write the table, and the page beside it, published by rename.

    Raises
    ------
    BadInput
        A place that cannot be written, or a table that is called as a page.
    """
    if out.suffix == ".html":
        raise BadInput(f"--out {out}: expected the name of a table, such as FILE.tsv")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with publish(out) as stream:
            for row in list_rows(runs, table):
                stream.write("\t".join(row).encode() + b"\n")
        save_page(out.with_suffix(".html"), make_page(runs, table, fdr))
    except OSError as error:
        reason = error.strerror or error
        raise BadInput(f"--out {out} cannot be written: {reason}") from error


def list_rows(runs: Sequence[Run], table: Table) -> Iterator[list[str]]:
    """Yield the header and the rows of the table.

    After what an annotation is come the columns of each run, named ``score:RUN``; those
    of all but the first begin with ``change:RUN`` and ``score_change:RUN``.
    """
    yield [*KEYS, *(name for n, _ in enumerate(runs) for name in _name(runs, n))]
    texts = [list(list_texts(runs, table, name)) for name in ("ion", "molecule_names")]
    known = np.where(table.place >= 0, table.values["mz"], np.inf)
    mz = known.min(axis=0) if len(table.keys) else known[0]
    n_runs = table.counts.sum(axis=0)
    columns = [column for n, _ in enumerate(runs) for column in _list(table, n)]
    for n, key in enumerate(table.keys):
        ion, names = (column[n] for column in texts)
        whole = [*key, ion, f"{mz[n]:.10g}", names, str(n_runs[n])]
        yield [*whole, *(column[n] for column in columns)]


def _name(runs: Sequence[Run], run: int) -> list[str]:
    """Return the names of the columns of a run."""
    compared = ["change", "score_change"] if run else []
    return [f"{name}:{runs[run].name}" for name in (*compared, *OF_RUN)]


def _list(table: Table, run: int) -> list[list[str]]:
    """Return the columns of a run as text; empty where it has not the annotation."""
    columns = [
        [_format(v) for v in table.values[name][run].tolist()] for name in OF_RUN
    ]
    if not run:
        return columns
    change = table.values["score"][run] - table.values["score"][0]
    said = [name_changes(table, run).tolist(), [_format(v) for v in change.tolist()]]
    return [*said, *columns]


def _format(value: float) -> str:
    return f"{value:.10g}" if np.isfinite(value) else ""
