"""What a node and its ranks used, from rows that come a piece at a time.

Only what can change the answer is kept of rows that have passed: of each process its
last counters, and the lengths of pauses, in a file where there are many.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.run_record import NodeUse, RankUse
from hpc_connector.telemetry.counters import SLACK
from hpc_connector.telemetry.records import (
    MOST_NOTES,
    NODE_RANK,
    STEP_S,
    make_row,
    say_clock_step,
    say_more_steps,
)
from hpc_connector.telemetry.spool import Spool, get_median
from hpc_connector.telemetry.tables import UNKNOWN, Words, make_table
from hpc_connector.telemetry.watch.proc import TICK_S
from hpc_connector.telemetry.watch.ranks import add_known

GAP = 2.5  # intervals between two samples that make a gap
BYTES = ("read_bytes", "write_bytes")
MEMORY = ("peak_bytes", "max_rss_bytes")
FROM_RANKS = "ranks"  # the source of figures of a node that has no rows of its own

_LIFE = [("rank", "i8"), ("cpu_s", "f8"), ("clock_s", "f8"), ("rate", "f8")]
_LIFE += [(name, "i8") for name in BYTES] + [(f"all_{name}", "i8") for name in BYTES]
_RANK = [("number", "i8"), ("cpu_s", "f8"), ("clock_s", "f8")]
_RANK += [("rss_bytes", "i8"), ("peak_bytes", "i8")]
_FALL = [("life", "i8"), ("step", "f8"), ("time", "f8")]


class Clock:
    """The attempts of a node's agent and its clock, row by row.

    See :func:`nodes.number_attempts` and :func:`nodes.find_clock_steps`.
    """

    def __init__(self, node: str) -> None:
        """Begin before the first row."""
        self.node, self.steps = node, 0
        self.notes: list[str] = []
        self.attempt, self.last_s, self.start_s, self.time_s = 0, math.inf, 0.0, 0.0

    def number(self, table: np.ndarray) -> None:
        """Write attempt and clock of the next rows into them."""
        elapsed_s, time_s = table["elapsed_s"], table["time_s"]
        before_s = np.concatenate([[self.last_s], elapsed_s[:-1]])
        is_new = elapsed_s < before_s
        place = np.maximum.accumulate(np.where(is_new, np.arange(len(table)), -1))
        start_s = np.where(place < 0, self.start_s, (time_s - elapsed_s)[place])
        table["attempt"] = self.attempt + np.cumsum(is_new)
        table["clock_s"] = start_s + elapsed_s
        step_s = time_s - np.concatenate([[self.time_s], time_s[:-1]])
        step_s = step_s - (elapsed_s - before_s)
        for k in np.flatnonzero(~is_new & (np.abs(step_s) > STEP_S)):
            self.note(float(step_s[k]), float(before_s[k]))
        self.attempt = int(table["attempt"][-1])
        self.start_s = float(start_s[-1])
        self.last_s, self.time_s = float(elapsed_s[-1]), float(time_s[-1])

    def note(self, step_s: float, before_s: float) -> None:
        """Say that the clock was set, as long as not too much is said."""
        self.steps += 1
        if self.steps <= MOST_NOTES:
            self.notes.append(say_clock_step(self.node, step_s, before_s))

    def list_notes(self) -> list[str]:
        """Return the notes on a clock that was set."""
        return self.notes + say_more_steps(self.node, self.steps)


class Pauses:
    """How long a node was watched, and the pauses between samples."""

    def __init__(self, folder: Path | None) -> None:
        """Begin with nothing watched."""
        self.steps = Spool("f8", folder)
        self.attempt, self.last_s, self.n_gaps = 0, 0.0, 0
        self.wall_s = self.gap_s = 0.0
        self.energy_j: float | None = None
        self.joules = math.nan  # of the attempt so far

    def add(self, rows: np.ndarray) -> None:
        """Take up rows of one rank, or one node."""
        cuts = np.flatnonzero(np.diff(rows["attempt"])) + 1
        for part in np.split(rows, cuts) if len(rows) else []:
            if part["attempt"][0] != self.attempt:
                self.end_attempt()
                self.attempt, self.last_s = part["attempt"][0], part["elapsed_s"][0]
                self.steps.add(np.diff(part["elapsed_s"]))
            else:
                self.steps.add(np.diff(part["elapsed_s"], prepend=self.last_s))
            self.last_s = float(part["elapsed_s"][-1])
            self.joules = float(part["energy_j"][-1])

    def end_attempt(self) -> None:
        """Add the time and the gaps of an attempt to those before."""
        if not self.attempt:
            return
        self.wall_s += self.last_s
        longest_s = GAP * get_median(self.steps)
        for steps in self.steps.read():
            gaps = steps[steps > longest_s].tolist()
            self.gap_s, self.n_gaps = sum(gaps, self.gap_s), self.n_gaps + len(gaps)
        self.steps.clear()
        if not math.isnan(self.joules):
            self.energy_j = self.joules + (self.energy_j or 0.0)

    def close(self) -> None:
        """Take the last attempt as ended."""
        self.end_attempt()
        self.steps.close()


class Counters:
    """What ranks used, over all processes that were one; a node is a rank too.

    The rules are those of :mod:`counters`. A counter that fell may have begun again,
    or not: that depends on the most cores that are seen in use at any time.
    """

    def __init__(self, folder: Path | None) -> None:
        """Begin with no rank."""
        self.places: dict[tuple[int, int], int] = {}  # of processes in `lives`
        self.numbers: dict[int, int] = {}  # of ranks in `ranks`
        self.lives, self.ranks = np.zeros(8, _LIFE), np.zeros(8, _RANK)
        self.falls = Spool(np.dtype(_FALL), folder)

    def find_rank(self, number: int) -> int:
        """Return the place of a rank, which may be new."""
        place = self.numbers.setdefault(number, len(self.numbers))
        self.ranks = make_room(self.ranks, place)
        self.ranks["number"][place] = number
        return place

    def find_life(self, rank: int, pid: int) -> int:
        """Return the place of a process, which may be new."""
        place = self.places.get((rank, pid))
        if place is None:
            place = self.places[rank, pid] = len(self.places)
            self.lives = make_room(self.lives, place)
            fresh = (self.find_rank(rank), math.nan, math.nan, 0.0)
            self.lives[place] = (*fresh, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
        return place

    def add(self, table: np.ndarray) -> None:
        """Take up rows, in the order in which they were written."""
        order = np.lexsort((table["pid"], table["rank"]))
        rows = table[order]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = (np.diff(rows["rank"]) != 0) | (np.diff(rows["pid"]) != 0)
        first = np.flatnonzero(is_first)
        keys = zip(
            rows["rank"][first].tolist(), rows["pid"][first].tolist(), strict=True
        )
        found = np.array([self.find_life(*key) for key in keys])
        life = np.repeat(found, np.diff(first, append=len(rows)))
        gained = np.empty(len(rows))
        gained[order] = self.count_cpu(rows, life)
        of_rank = np.empty(len(rows), np.int64)
        of_rank[order] = self.lives["rank"][life]
        np.add.at(self.ranks["cpu_s"], of_rank, gained)  # in the order of the rows
        self.ranks["clock_s"][of_rank] = table["clock_s"]
        self.raise_peaks(table, of_rank)
        for name in BYTES:
            self.count_bytes(name, rows[name], life)

    def count_cpu(self, rows: np.ndarray, life: np.ndarray) -> np.ndarray:
        """Return the CPU time since the row before of each process."""
        cpu_s, clock_s = rows["cpu_s"], rows["clock_s"]
        before_s = shift(self.lives["cpu_s"], cpu_s, life)
        time = clock_s - shift(self.lives["clock_s"], clock_s, life)
        is_fall = cpu_s < before_s
        step = np.where(is_fall, np.maximum(cpu_s, 0), cpu_s - before_s)
        seen = ~is_fall & (time > 0)
        np.maximum.at(self.lives["rate"], life[seen], step[seen] / time[seen])
        fall = np.flatnonzero(is_fall)
        late = fall[self.is_old(life[fall], step[fall], time[fall])]
        maybe = late[time[late] > 0]
        kept = np.empty(len(maybe), _FALL)
        kept["life"], kept["step"], kept["time"] = life[maybe], step[maybe], time[maybe]
        self.falls.add(kept)
        step[late] = 0.0
        self.lives["cpu_s"][life], self.lives["clock_s"][life] = cpu_s, clock_s
        return np.where(np.isnan(before_s), cpu_s, step)

    def is_old(
        self, life: np.ndarray, step: np.ndarray, time: np.ndarray
    ) -> np.ndarray:
        """Return where a counter that fell shows what is old, as far as is known."""
        cores = SLACK * np.maximum(1.0, self.lives["rate"][life])
        is_more: np.ndarray = step > cores * np.maximum(time, 0) + TICK_S
        return is_more

    def raise_peaks(self, table: np.ndarray, of_rank: np.ndarray) -> None:
        """Take up memory: the kernel's mark, or of a sample where there is none."""
        rss_bytes = np.maximum(table["rss_bytes"], 0)
        peak_bytes = np.where(table["peak_bytes"] > 0, table["peak_bytes"], rss_bytes)
        np.maximum.at(self.ranks["rss_bytes"], of_rank, rss_bytes)
        np.maximum.at(self.ranks["peak_bytes"], of_rank, peak_bytes)

    def count_bytes(self, name: str, values: np.ndarray, life: np.ndarray) -> None:
        """Add what a counter has counted that began at 0, also again."""
        known = values != UNKNOWN
        values, life = values[known], life[known]
        before = shift(self.lives[name], values, life)
        is_new = before == UNKNOWN
        start = np.where(is_new, 0, before)
        grown = np.where(values >= start, values - start, np.maximum(values, 0))
        total = self.lives[f"all_{name}"]
        total[life[is_new]] = 0
        np.add.at(total, life, np.where(is_new, values, grown))
        self.lives[name][life] = values

    def close(self) -> None:
        """Decide on counters that fell, now that the most cores in use are known."""
        for falls in self.falls.read():
            kept = falls[~self.is_old(falls["life"], falls["step"], falls["time"])]
            np.add.at(
                self.ranks["cpu_s"], self.lives["rank"][kept["life"]], kept["step"]
            )
        self.falls.close()

    def describe(self, number: int) -> dict[str, Any]:
        """Return the use of a rank; empty where there is none of that number."""
        place = self.numbers.get(number, -1)
        if place < 0:
            return {"cpu_s": 0.0, "peak_bytes": 0, "max_rss_bytes": 0}
        rank = self.ranks[place]
        lives = self.lives[: len(self.places)]
        lives = lives[lives["rank"] == place]
        return {
            "cpu_s": round(float(rank["cpu_s"]), 3),
            "peak_bytes": int(rank["peak_bytes"]),
            "max_rss_bytes": int(rank["rss_bytes"]),
        } | {name: add_all(lives[f"all_{name}"]) for name in BYTES}


def shift(last: np.ndarray, values: np.ndarray, life: np.ndarray) -> np.ndarray:
    """Return the value before each one, of the same process.

    Parameters
    ----------
    last
        The last ones of all processes, before.
    values, life
        Those of one process are together, in order.
    """
    before: np.ndarray = last[life]
    is_next = life[1:] == life[:-1]
    before[1:][is_next] = values[:-1][is_next]
    return before


def make_room(places: np.ndarray, place: int) -> np.ndarray:
    """Return an array that has a place, twice as long where it had not."""
    if place < len(places):
        return places
    return np.concatenate([places, np.zeros_like(places)])


def add_all(totals: np.ndarray) -> int | None:
    """Return the sum of totals that are known."""
    return add_known([None if n == UNKNOWN else n for n in totals.tolist()])


class NodeSummary:
    """What a node and its ranks have used so far.

    Parameters
    ----------
    folder
        Where files are made, if they are needed.
    """

    def __init__(self, node: str, folder: Path | None = None) -> None:
        """Begin with no row."""
        self.node = node
        self.counters = Counters(folder)
        self.pauses = Pauses(folder)
        self.of_ranks = Pauses(folder)  # in case the node has no rows of its own
        self.samples = self.n_ticks = 0
        self.last_s = -1.0
        self.sources: tuple[str | None, str | None] = ("none", "none")

    def add(self, table: np.ndarray, words: Words) -> None:
        """Take up rows, in the order in which they were written."""
        self.counters.add(table)
        rows = table[table["rank"] == NODE_RANK]
        self.pauses.add(rows)
        self.samples += len(rows)
        if len(rows):
            texts = [*words, None]  # NO_WORD is the last
            self.sources = (texts[rows["source"][-1]], texts[rows["energy_source"][-1]])
        if not self.samples:
            is_later = np.diff(table["elapsed_s"], prepend=self.last_s) != 0
            self.of_ranks.add(table[is_later])
            self.n_ticks += int(is_later.sum())
        self.last_s = float(table["elapsed_s"][-1])

    def add_totals(self, totals: list[dict[str, Any]], words: Words) -> None:
        """Take up what the agent wrote at its end of ranks that were seen."""
        rows = [make_row(total, ("rank", "cpu_s")) for total in totals]
        known = [row for row in rows if row and row["rank"] in self.counters.numbers]
        for row in known:
            place = self.counters.numbers[row["rank"]]
            row["clock_s"] = self.counters.ranks["clock_s"][place]
        kept = [row for row in known if row["rank"] != NODE_RANK]
        if kept:
            self.counters.add(make_table(kept, words))

    def close(self) -> None:
        """Take the rows as all there are."""
        for part in (self.counters, self.pauses, self.of_ranks):
            part.close()

    def list_ranks(self) -> list[RankUse]:
        """Return the use of each rank, over all attempts."""
        found = []
        for number in self.counters.numbers:
            if number != NODE_RANK:
                used = self.counters.describe(number)
                del used["max_rss_bytes"]
                use: Any = {"rank": number, "node": self.node} | used
                found.append(use)
        return found

    def describe(self, threads: int) -> NodeUse:
        """Return peaks and totals of the node over all attempts."""
        numbers = [n for n in self.counters.numbers if n != NODE_RANK]
        used = self.counters.describe(NODE_RANK)
        pauses, samples = self.pauses, self.samples
        (source, energy_source), energy_j = self.sources, pauses.energy_j
        if not samples or self.lacks_memory():
            ranks = [self.counters.describe(number) for number in numbers]
            names = MEMORY if samples else ("cpu_s", *MEMORY)
            used |= {name: sum(rank[name] for rank in ranks) for name in names}
            used["cpu_s"], source = round(used["cpu_s"], 3), FROM_RANKS
        if not samples:
            pauses, samples, energy_j = self.of_ranks, self.n_ticks, None
        return {
            "node": self.node,
            "wall_s": round(pauses.wall_s, 3),
            "core_s": round(pauses.wall_s * len(numbers) * threads, 3),
            "cpu_s": used["cpu_s"],
            "max_rss_bytes": used["max_rss_bytes"],
            "peak_bytes": used["peak_bytes"],
            "energy_j": None if energy_j is None else round(energy_j, 3),
            "source": source,
            "energy_source": energy_source,
            "samples": samples,
            "gaps": pauses.n_gaps,
            "gap_s": round(pauses.gap_s, 3),
        }

    def lacks_memory(self) -> bool:
        """Return whether rows of the node show no memory, but those of ranks do."""
        numbers = self.counters.numbers
        peaks: dict[int, int]
        peaks = {n: self.counters.describe(n)["peak_bytes"] for n in numbers}
        return peaks.get(NODE_RANK) == 0 < sum(peaks.values())

    def list_notes(self) -> list[str]:
        """Return the notes on values that stand in for missing ones."""
        if self.samples and not self.lacks_memory():
            return []
        what = "is no memory in the rows" if self.samples else "are no rows"
        return [
            f"{self.node}: there {what} of the node (rank {NODE_RANK}): its memory is "
            "taken as the sum of the peaks of its ranks"
        ]
