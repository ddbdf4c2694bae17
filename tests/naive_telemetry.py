"""What telemetry says of a run, of all its rows at once: the oracle of ``collect``."""

import statistics
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hpc_connector.telemetry.calls import read_calls, summarise_calls
from hpc_connector.telemetry.columns import COLUMNS
from hpc_connector.telemetry.counters import get_cpu_s
from hpc_connector.telemetry.records import (
    FILE,
    NODE_RANK,
    NUMBERS,
    TEXTS,
    Row,
    Rows,
    read_nodes,
    split,
)
from hpc_connector.telemetry.watch.proc import get_increases
from hpc_connector.telemetry.watch.ranks import add_known

GAP = 2.5  # intervals between two samples that make a gap


def collect(directory: Path, table: Path, threads: int = 1) -> dict[str, Any]:
    """Write a Parquet file of all rows of a run, and return the summary."""
    nodes, calls = read_nodes(directory), read_calls(directory)
    save_table(table, [*(row for node in nodes for row in node.rows), *calls])
    return summarise(nodes, threads) | summarise_calls(calls)


def summarise(nodes: list[Rows], threads: int) -> dict[str, Any]:
    """Return the telemetry of a run in short.

    Parameters
    ----------
    threads
        Of each rank, which makes the cores that it could use.

    Returns
    -------
    CPU seconds, peaks, and for the run: "utilisation", CPU time over the time of the
    cores; "imbalance", by which the busiest rank is above the mean.
    """
    ranks = [rank for node in nodes for rank in summarise_ranks(node)]
    ranks.sort(key=lambda rank: rank["rank"])
    places = [summarise_node(node, threads) for node in nodes]
    core_s = sum(node["core_s"] for node in places)
    cpu_s = [rank["cpu_s"] for rank in ranks]
    mean_s = statistics.fmean(cpu_s) if cpu_s else 0.0
    return {
        "file": f"telemetry/{FILE}",
        "utilisation": round(sum(cpu_s) / core_s, 4) if core_s else None,
        "imbalance": round(max(cpu_s) / mean_s - 1, 4) if mean_s else None,
        "peak_bytes": max((node["peak_bytes"] for node in places), default=0),
        "ranks": ranks,
        "nodes": places,
        "notes": [note for node in nodes for note in list_notes(node)],
    }


def list_notes(node: Rows) -> list[str]:
    """Return what is wrong with the rows of a node, and what its agent has noted."""
    noted = [f"{node.node}: {note}" for note in node.totals.get("notes", [])]
    if not node.totals:
        noted = [f"{node.node}: no totals: its agent was killed, or still watches"]
    return [*node.notes, *noted]


def summarise_ranks(node: Rows) -> list[dict[str, Any]]:
    """Return what each rank of a node used, over all attempts.

    A process that an agent saw after another was killed goes on with its counters; one
    that has the number of an earlier process begins again at 0.
    """
    ended = split(node.totals.get("ranks", []), "rank")
    ranks = []
    for (number,), rows in split(node.rows, "rank").items():
        if number == NODE_RANK:
            continue
        clock = {"clock_s": rows[-1]["clock_s"]}
        rows = rows + [total | clock for total in ended.get((number,), [])]
        ranks.append({"rank": number, "node": node.node} | summarise_rank(rows))
    return ranks


def summarise_rank(rows: list[Row]) -> dict[str, Any]:
    """Return what a rank used, over all its processes."""
    used: dict[str, Any] = {
        "cpu_s": round(get_cpu_s(rows)[-1], 3),
        "peak_bytes": get_peak(rows),
    }
    lives = split(rows, "pid").values()
    for name in ("read_bytes", "write_bytes"):
        used[name] = add_known([count_known(life, name) for life in lives])
    return used


def get_peak(rows: list[Row]) -> int:
    """Return the most memory: the kernel's mark, or of a sample where there is none."""
    peaks = [row["peak_bytes"] or row.get("rss_bytes") or 0 for row in rows]
    return max(peaks, default=0)


def count_known(rows: list[Row], name: str) -> int | None:
    """Return what a counter has counted that began at 0, also again."""
    known = [row[name] for row in rows if row[name] is not None]
    return count(known) if known else None


def count(counter: list) -> Any:
    """Return what a counter has counted that began at 0, also again."""
    return counter[0] + sum(get_increases(counter))


def summarise_node(node: Rows, threads: int) -> dict[str, Any]:
    """Return peaks and totals of a node over all attempts."""
    rows = [row for row in node.rows if row["rank"] == NODE_RANK]
    ranks = {row["rank"] for row in node.rows} - {NODE_RANK}
    attempts = list(split(rows, "attempt").values())
    wall_s = sum(rows[-1]["elapsed_s"] for rows in attempts)
    gaps = [gap for rows in attempts for gap in find_gaps(rows)]
    known = [a[-1]["energy_j"] for a in attempts if a[-1]["energy_j"] is not None]
    return {
        "node": node.node,
        "wall_s": round(wall_s, 3),
        "core_s": round(wall_s * len(ranks) * threads, 3),
        "cpu_s": round(get_cpu_s(rows)[-1] if rows else 0.0, 3),
        "max_rss_bytes": max((r["rss_bytes"] for r in rows), default=0),
        "peak_bytes": get_peak(rows),
        "energy_j": round(sum(known), 3) if known else None,
        "source": rows[-1]["source"] if rows else "none",
        "energy_source": rows[-1]["energy_source"] if rows else "none",
        "samples": len(rows),
        "gaps": len(gaps),
        "gap_s": round(sum(gaps), 3),
        "agent": node.totals.get("agent"),
    }


def find_gaps(rows: list[Row]) -> list[float]:
    """Return the seconds of pauses between samples that are longer than they should."""
    times = [row["elapsed_s"] for row in rows]
    steps = get_increases(times)
    usual = statistics.median(steps) if steps else 0.0
    return [step for step in steps if step > GAP * usual]


def save_table(path: Path, rows: list[Row]) -> None:
    """Write all rows as one Parquet file."""
    kinds = dict.fromkeys(COLUMNS, pa.int64())
    kinds |= dict.fromkeys(NUMBERS, pa.float64()) | dict.fromkeys(TEXTS, pa.string())
    kinds["attempt"] = pa.int64()
    table = pa.Table.from_pylist(rows, pa.schema(list(kinds.items())))
    pq.write_table(table, path)
