"""How much two runs have in common, in numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.publish import name_published
from hpc_connector.units import format_table
from metabolite_annotation.compare.options import CompareOptions
from metabolite_annotation.compare.runs import Run
from metabolite_annotation.compare.table import CHANGES, Table, name_changes


class Counts(NamedTuple):
    """What became of the annotations of the first run in another.

    Parameters
    ----------
    better, worse
        Shared annotations with a lower, and a higher, FDR level than in the first run.
    median_change
        Of the score of what both report, NaN without any.
    """

    name: str
    annotations: int
    shared: int
    lost: int
    gained: int
    better: int
    worse: int
    median_change: float


def count_changes(runs: Sequence[Run], table: Table) -> list[Counts]:
    """Return the counts of each run, the first compared with itself."""
    return [_count(run.name, table, k) for k, run in enumerate(runs)]


def _count(name: str, table: Table, run: int) -> Counts:
    changes = name_changes(table, run)
    lost, gained, shared = (int((changes == kind).sum()) for kind in CHANGES)
    level = table.values["fdr_level"][run] - table.values["fdr_level"][0]
    both = changes == "shared"
    change = table.values["score"][run] - table.values["score"][0]
    known = change[np.isfinite(change)]
    median = float(np.median(known)) if len(known) else np.nan
    better, worse = int((level[both] < 0).sum()), int((level[both] > 0).sum())
    n = int(table.counts[run].sum())
    return Counts(name, n, shared, lost, gained, better, worse, median)


def format_counts(counts: Sequence[Counts], options: CompareOptions) -> str:
    """Return the counts as a table, and where the whole is."""
    heads = ("run", "annotations", "shared", "lost", "gained", "better", "worse")
    rows = [heads, *((one.name, *(f"{n:,}" for n in one[1:-1])) for one in counts)]
    lines = [format_table(rows)]
    lines.append(
        f"up to {100 * options.fdr:g} % FDR; lost, gained, and better or worse FDR "
        f"level since {counts[0].name}"
    )
    if options.out:
        files = (options.out, options.out.with_suffix(".html"))
        lines.append(f"results: {', '.join(str(name_published(f)) for f in files)}")
    return "\n".join(lines)


def make_record(counts: Sequence[Counts], out: Path | None) -> dict[str, Any]:
    """Return the counts for JSON, null for no number."""
    runs = [one._asdict() for one in counts]
    for one in runs:
        if not np.isfinite(one["median_change"]):
            one["median_change"] = None
    return {"out": str(name_published(out)) if out else None, "runs": runs}
