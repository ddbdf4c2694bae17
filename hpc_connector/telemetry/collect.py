"""Join the rows of all nodes of a run: one Parquet file, a summary in its manifest."""

import argparse
import itertools
import json
import logging
import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector import cli
from hpc_connector.errors import BadInput
from hpc_connector.manifest import NAME, read_manifest, save_manifest
from hpc_connector.publish import publish
from hpc_connector.telemetry import functions
from hpc_connector.telemetry.agent import COLUMNS
from hpc_connector.telemetry.proc import get_increases

logger = logging.getLogger(__name__)

FILE = "telemetry.parquet"
TEXTS = ("node", "source", "energy_source")
NUMBERS = ("time_s", "elapsed_s", "cpu_s", "energy_j")
NEEDED = ("time_s", "elapsed_s", "rank", "pid", "cpu_s", "rss_bytes")
GAP = 2.5  # intervals between two samples that make a gap
STEP_S = 1.0  # by which the clock and the elapsed time may part

Row = dict[str, Any]


class Rows(NamedTuple):
    """The rows of a node, in the order in which they were written.

    Parameters
    ----------
    rows
        The columns of the agent, and "attempt": 1, 2, ... for each time it has started.
    notes
        What is wrong with the file, though the rest was used.
    """

    node: str
    rows: list[Row]
    totals: dict[str, Any]
    notes: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder of a run")


def run(args: argparse.Namespace) -> int:
    """Join the telemetry of a run, and print the summary."""
    print(json.dumps(collect(args.directory), indent=2))
    return cli.DONE


def collect(directory: Path) -> dict[str, Any]:
    """Write ``telemetry.parquet`` and the key "telemetry" of the manifest.

    Returns
    -------
    The summary.

    Raises
    ------
    BadInput
        There is no telemetry, or no pyarrow.
    """
    nodes = read_nodes(directory)
    calls = functions.read_calls(directory)
    rows = [*nodes, Rows("functions", calls, {}, [])]
    save_table(directory / "telemetry" / FILE, rows)
    record = read_manifest(directory) if (directory / NAME).exists() else {}
    threads = record.get("resources", {}).get("threads", 1)
    summary = summarise(nodes, threads) | functions.summarise_calls(calls)
    for note in summary["notes"]:
        logger.warning("%s", note)
    if record:
        save_manifest(directory, record | {"telemetry": summary})
    return summary


def read_nodes(directory: Path) -> list[Rows]:
    """Return the rows of every node of a run.

    Raises
    ------
    BadInput
        There are none.
    """
    found = (directory / "telemetry").glob("*.csv")
    paths = sorted(path for path in found if path.name != functions.FILE)
    nodes = [node for node in map(read_rows, paths) if node.rows]
    if not nodes:
        raise BadInput(
            f"{directory} holds no telemetry: expected telemetry/NODE.csv in it, of a "
            "run with --telemetry"
        )
    return nodes


def read_rows(path: Path) -> Rows:
    """Read the rows of a node; lines that are cut are left out, and said.

    Raises
    ------
    BadInput
        The file cannot be read, or begins with other columns.
    """
    try:
        head, *lines = path.read_bytes().decode(errors="replace").split("\n")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    if tuple(head.split(",")) != COLUMNS:
        raise BadInput(f"{path}: expected the columns {','.join(COLUMNS)}")
    rest = lines.pop() if lines else ""  # of a last line without its end
    found = [parse_row(line) for line in lines if line]
    rows = [row for row in found if row is not None]
    n_cut = len(found) - len(rows) + bool(rest)
    notes = [f"{path}: {n_cut} lines are cut, the rest is used"] if n_cut else []
    number_attempts(rows)
    totals = read_totals(path.with_suffix(".json"))
    if not totals:
        notes.append(f"{path}: no totals beside it: its agent was killed")
    notes += [f"{path.stem}: {note}" for note in totals.get("notes", [])]
    return Rows(path.stem, rows, totals, notes + find_clock_steps(path, rows))


def parse_row(line: str) -> Row | None:
    """Return the values of a line, None for one that is not whole."""
    words = line.split(",")
    if len(words) != len(COLUMNS):
        return None
    try:
        row = {k: convert(k, word) for k, word in zip(COLUMNS, words, strict=True)}
    except ValueError:
        return None
    return None if any(row[name] is None for name in NEEDED) else row


def convert(name: str, word: str) -> Any:
    """Return the value of a column; None where it was not known."""
    if name in TEXTS:
        return word
    if not word:
        return None
    return float(word) if name in NUMBERS else int(word)


def number_attempts(rows: list[Row]) -> None:
    """Count how often the agent has started: then the elapsed time begins again."""
    attempt, last_s = 1, 0.0
    for row in rows:
        attempt += row["elapsed_s"] < last_s
        last_s, row["attempt"] = row["elapsed_s"], attempt


def read_totals(path: Path) -> dict[str, Any]:
    """Return what an agent wrote at its end, empty if it did not come to that."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def find_clock_steps(path: Path, rows: list[Row]) -> list[str]:
    """Say where the clock of a node was set while the agent ran."""
    notes = []
    for attempt in split(rows, "attempt").values():
        for before, now in itertools.pairwise(attempt):
            step_s = now["time_s"] - before["time_s"]
            step_s -= now["elapsed_s"] - before["elapsed_s"]
            if abs(step_s) > STEP_S:
                notes.append(
                    f"{path.stem}: the clock was set by {step_s:+.1f} s after "
                    f"{before['elapsed_s']:.1f} s; elapsed_s is not touched by that"
                )
    return notes


def split(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    """Return rows by the values of some columns."""
    parts: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        parts[tuple(row[name] for name in names)].append(row)
    return parts


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
        "notes": [note for node in nodes for note in node.notes],
    }


def summarise_ranks(node: Rows) -> list[dict[str, Any]]:
    """Return what each rank of a node used, over all attempts."""
    lives = split((r for r in node.rows if r["rank"] >= 0), "rank", "attempt", "pid")
    last = {(r["rank"], r["pid"]): r for r in node.totals.get("ranks", [])}
    ranks: dict[int, dict[str, Any]] = {}
    for (number, _, pid), rows in lives.items():
        rows = [*rows, *filter(None, [last.get((number, pid))])]
        rank = {"rank": number, "node": node.node, "cpu_s": 0.0, "peak_bytes": 0}
        rank = ranks.setdefault(number, rank)
        cpu_s = rank["cpu_s"] + count([row["cpu_s"] for row in rows])
        rank["cpu_s"] = round(cpu_s, 3)
        rank["peak_bytes"] = max(rank["peak_bytes"], *(r["peak_bytes"] for r in rows))
        for name in ("read_bytes", "write_bytes"):
            known = [row[name] for row in rows if row[name] is not None]
            rank[name] = rank.get(name, 0) + count(known) if known else None
    return list(ranks.values())


def count(counter: list) -> Any:
    """Return what a counter has counted that began at 0, also again."""
    return counter[0] + sum(get_increases(counter))


def summarise_node(node: Rows, threads: int) -> dict[str, Any]:
    """Return peaks and totals of a node over all attempts."""
    rows = [row for row in node.rows if row["rank"] == -1]
    ranks = {row["rank"] for row in node.rows if row["rank"] >= 0}
    attempts = list(split(rows, "attempt").values())
    wall_s = sum(rows[-1]["elapsed_s"] for rows in attempts)
    gaps = [gap for rows in attempts for gap in find_gaps(rows)]
    known = [a[-1]["energy_j"] for a in attempts if a[-1]["energy_j"] is not None]
    return {
        "node": node.node,
        "wall_s": round(wall_s, 3),
        "core_s": round(wall_s * len(ranks) * threads, 3),
        "cpu_s": round(sum(count([r["cpu_s"] for r in a]) for a in attempts), 3),
        "max_rss_bytes": max((r["rss_bytes"] for r in rows), default=0),
        "peak_bytes": max((r["peak_bytes"] or 0 for r in rows), default=0),
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


def save_table(path: Path, nodes: list[Rows]) -> None:
    """Write all rows as one Parquet file."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise BadInput(
            "telemetry collect needs pyarrow: pip install 'hpc_connector[telemetry]'"
        ) from None
    kinds = dict.fromkeys(COLUMNS, pa.int64())
    kinds |= dict.fromkeys(NUMBERS, pa.float64()) | dict.fromkeys(TEXTS, pa.string())
    kinds["attempt"] = pa.int64()
    rows = [row for node in nodes for row in node.rows]
    table = pa.Table.from_pylist(rows, pa.schema(list(kinds.items())))
    with publish(path) as stream:
        pq.write_table(table, stream, compression="zstd")
