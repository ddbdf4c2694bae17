"""Join the rows of all nodes of a run: one Parquet file, a summary in its manifest.

Rows pass some thousands at a time: no more of them is held at any number.
"""

import logging
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from hpc_connector.cluster.state import get_end, say_goes_on
from hpc_connector.errors import BadInput
from hpc_connector.manifest import NAME, read_manifest, save_manifest
from hpc_connector.run_record import NodeUse, RankUse, RunRecord, Summary
from hpc_connector.telemetry.calls import Calls, read_call_tables
from hpc_connector.telemetry.records import (
    FILE,
    Rows,
    find_files,
    find_folder,
    read_totals,
    say_lost,
    say_none,
)
from hpc_connector.telemetry.summary import Clock, NodeSummary
from hpc_connector.telemetry.tables import DTYPE, Words, make_table, read_tables
from hpc_connector.telemetry.writer import open_table

logger = logging.getLogger(__name__)

PIECE = 1 << 13  # rows that are looked at together
Save = Callable[[np.ndarray, Words], None]


class Part(TypedDict):
    """What the rows of one node say."""

    ranks: list[RankUse]
    nodes: list[NodeUse]
    notes: list[str]


def collect(directory: Path) -> Summary:
    """Write ``telemetry.parquet`` and the key "telemetry" of the manifest.

    Returns
    -------
    The summary.

    Raises
    ------
    BadInput
        There is no telemetry, or no pyarrow.
    """
    record = read_manifest(directory) if (directory / NAME).exists() else {}
    threads = get_threads(record)
    folder = find_folder(directory)
    files = find_files(directory)
    if not files:
        raise BadInput(say_none(directory, []))
    with open_table(folder / FILE) as save:
        parts = [part for path in files for part in join_file(path, threads, save)]
        if not any(part["nodes"] for part in parts):
            raise BadInput(say_none(directory, [n for p in parts for n in p["notes"]]))
        calls, words = Calls(folder), Words()
        for table in read_call_tables(directory, words):
            calls.add(table, words)
            save(table, words)
    summary, of_calls = join_parts(parts), calls.close()
    if of_calls:
        summary["functions"] = of_calls["functions"]
    for note in summary["notes"]:
        logger.warning("%s", note)
    if record.get("status") == "running" and not (state := get_end(directory)).is_over:
        summary["notes"].insert(0, say_goes_on(state))
        logger.warning("%s", summary["notes"][0])
    elif record:  # as it is by now: joining may take minutes
        save_manifest(directory, read_manifest(directory) | {"telemetry": summary})
    return summary


def get_threads(record: RunRecord) -> int:
    """Return the threads of each rank of a run, 1 where a manifest does not say it."""
    used = record.get("resources")
    threads = used.get("threads", 1) if isinstance(used, dict) else 1
    return threads if isinstance(threads, int) and threads > 0 else 1


def join_file(path: Path, threads: int, save: Save) -> Iterator[Part]:
    """Save the rows of a file, one node behind the other; yield what each has used.

    The rows of the first node pass; those of another, which only a file of another
    sampler has, wait in a file of their own until all before are saved.
    """
    words, n_lines, n_rows = Words(), 0, 0
    nodes: dict[int, tuple[Clock, NodeSummary]] = {}
    with tempfile.TemporaryDirectory(dir=path.parent) as waiting:
        for table, n in read_tables(path, words):
            n_lines, n_rows = n_lines + n, n_rows + len(table)
            for number, mine in split_table(table):
                if number not in nodes:
                    nodes[number] = begin_node(list(words)[number], path.parent)
                clock, summary = nodes[number]
                clock.number(mine)
                summary.add(mine, words)
                if number == next(iter(nodes)):
                    save(mine, words)
                else:
                    with open(Path(waiting) / str(number), "ab") as stream:
                        mine.tofile(stream)
        for number in list(nodes)[1:]:
            for table in read_waiting(Path(waiting) / str(number)):
                save(table, words)
    notes = say_lost(path, n_lines, n_rows)
    notes += [note for clock, _ in nodes.values() for note in clock.list_notes()]
    totals = read_totals(path.with_suffix(".json")) if len(nodes) == 1 else {}
    if not nodes:
        yield {"ranks": [], "nodes": [], "notes": notes}
    for k, (_, summary) in enumerate(nodes.values()):
        yield end_node(summary, totals, words, threads, [] if k else notes)


def begin_node(name: str, folder: Path) -> tuple[Clock, NodeSummary]:
    """Return the clock and the summary of a node before its first row."""
    return Clock(name), NodeSummary(name, folder)


def split_table(table: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the rows of each node, in the order in which nodes appear."""
    nodes, first = np.unique(table["node"], return_index=True)
    for number in nodes[np.argsort(first)].tolist():
        yield number, table if len(nodes) == 1 else table[table["node"] == number]


def read_waiting(path: Path) -> Iterator[np.ndarray]:
    """Yield rows that were put aside."""
    with open(path, "rb") as stream:
        while len(table := np.fromfile(stream, DTYPE, PIECE)):
            yield table


def end_node(
    summary: NodeSummary,
    totals: dict[str, Any],
    words: Words,
    threads: int,
    notes: Sequence[str],
) -> Part:
    """Return the use of a node and of its ranks, when all rows have passed.

    Parameters
    ----------
    summary
        Of the rows of the node.
    totals
        That its agent wrote at its end, empty without any.
    words
        Texts by number.
    threads
        Of each rank.
    notes
        On rows that were left out.
    """
    summary.add_totals(totals.get("ranks", []), words)
    summary.close()
    noted = [f"{summary.node}: {note}" for note in totals.get("notes", [])]
    if not totals:
        said = "no totals: its agent was killed, or still watches"
        noted = [f"{summary.node}: {said}"]
    return {
        "ranks": summary.list_ranks(),
        "nodes": [summary.describe(threads) | {"agent": totals.get("agent")}],
        "notes": [*notes, *summary.list_notes(), *noted],
    }


def summarise(nodes: Sequence[Rows], threads: int) -> Summary:
    """Return the telemetry of a run in short, of rows that are in memory.

    Parameters
    ----------
    threads
        Of each rank, which makes the cores that it could use.
    """
    parts = []
    for node in nodes:
        words, summary = Words(), NodeSummary(node.node)
        for k in range(0, len(node.rows), PIECE):
            summary.add(make_table(node.rows[k : k + PIECE], words), words)
        parts.append(end_node(summary, node.totals, words, threads, node.notes))
    return join_parts(parts)


def join_parts(parts: Sequence[Part]) -> Summary:
    """Return the telemetry of a run in short, from that of its nodes.

    Returns
    -------
    CPU seconds, peaks, and for the run: "utilisation", CPU time over the time of the
    cores; "imbalance", by which the busiest rank is above the mean.
    """
    ranks = [rank for part in parts for rank in part["ranks"]]
    nodes = [node for part in parts for node in part["nodes"]]
    ranks.sort(key=lambda rank: rank["rank"])
    core_s = sum(node["core_s"] for node in nodes)
    cpu_s = [rank["cpu_s"] for rank in ranks]
    mean_s = statistics.fmean(cpu_s) if cpu_s else 0.0
    return {
        "file": f"telemetry/{FILE}",
        "utilisation": round(sum(cpu_s) / core_s, 4) if core_s else None,
        "imbalance": round(max(cpu_s) / mean_s - 1, 4) if mean_s else None,
        "peak_bytes": max((node["peak_bytes"] for node in nodes), default=0),
        "ranks": ranks,
        "nodes": nodes,
        "notes": [note for part in parts for note in part["notes"]],
    }
