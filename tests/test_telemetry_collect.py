"""Joining the rows of a run a piece at a time: as if all had been in memory."""

import contextlib
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_telemetry
from hpc_connector.allocation.candidates import estimate_memory, learn
from hpc_connector.allocation.cost import (
    COLLECT_BYTES,
    Allocation,
    Cost,
    Limits,
    add_collecting,
    propose,
)
from hpc_connector.allocation.history import Run
from hpc_connector.telemetry import collect as collecting
from hpc_connector.telemetry import records as reading
from hpc_connector.telemetry import spool, tables, writer
from hpc_connector.telemetry.collect import collect, summarise
from hpc_connector.telemetry.columns import COLUMNS

HEAD = ",".join(COLUMNS)
DAMAGED = (
    "1e3,5,n1,0\n",  # cut
    '1000,1,"n1,0,7,1,2,3,4,5,6,7,,proc,none\n',  # a quote that is not closed
    "nan,1,n1,0,7,1.0,9,,,,,,,proc,none\n",
    "1000,inf,n1,0,7,1.0,9,,,,,,,proc,none\n",
    "1000,1,,0,7,1.0,9,,,,,,,proc,none\n",  # no node
    "1000,1,n1,0,7,1.0,99999999999999999999,,,,,,,proc,none\n",
    "1000,1,n1,0x1,7,1.0,9,,,,,,,proc,none\n",
    "\n",
    "   \n",
    "\0\0\0\n",
    "\x85\xff\n",
    HEAD + "\n",  # of an agent that began again
)
ODD = (
    ("{:.3f}", "{}"),
    ("{:.3f}", "{}.0"),
    (" {:.3f}", " {}"),
    ("{:.6e}", "{}e0"),
    ("+{:.3f}", "+{}"),
)


def make_file(rng, nodes, n_samples):
    """Return the text of a file with all that may go wrong in one."""
    time_s, elapsed_s = 1e9, 0.0
    used, pids = {}, {}
    lines = [HEAD + "\n"]
    for _ in range(n_samples):
        time_s, elapsed_s = time_s + 1, elapsed_s + rng.choice((0.98, 1.0, 1.02))
        if rng.random() < 0.05:  # the agent was killed, and another one begins
            elapsed_s, time_s = 0.0, time_s + 60
            pids.clear()
        if rng.random() < 0.1:  # the clock is set
            time_s += rng.choice((-100.0, 3.5, 0.9))
        if rng.random() < 0.05:  # the node was suspended
            elapsed_s, time_s = elapsed_s + 17, time_s + 17
        for node in nodes:
            for rank in (-1, 0, 1, 2):
                key = node, rank
                pid = 0 if rank < 0 else pids.setdefault(key, rng.randrange(70, 75))
                used[key] = round(used.get(key, 0.0) + rng.random() * 2, 2)
                if rng.random() < 0.05:
                    used[key] = round(used[key] * rng.random(), 2)
                whole = [rng.randrange(1 << 40) for _ in range(2)]
                known = [n if rng.random() < 0.8 else "" for n in whole]
                real, integer = rng.choice(ODD) if rng.random() < 0.02 else ODD[0]
                rss = integer.format(rng.randrange(1 << 34))
                peak = rng.choice(("", 0, rng.randrange(1 << 34)))
                joules = f"{used[key]:.2f}" if rng.random() < 0.5 else ""
                words = [real.format(time_s), real.format(elapsed_s), node, rank]
                words += [rng.choice((pid, pid, "")), f"{used[key]:.2f}", rss, peak]
                words += [*known, "", 7, joules, rng.choice(("proc", "")), "none"]
                lines.append(",".join(map(str, words)) + "\n")
                if rng.random() < 0.01:
                    lines.append(rng.choice(DAMAGED))
    text = "".join(lines)
    return text[: -rng.choice((1, 9))] if rng.random() < 0.3 else text


def make_totals(rng):
    """Return what an agent writes at its end, or did not come to."""
    names = ("cpu_s", "peak_bytes", "read_bytes", "write_bytes")
    ranks = [
        {"rank": rank, "pid": rng.randrange(70, 75)}
        | {name: rng.randrange(1 << 34) for name in names}
        for rank in range(4)
    ]
    return {"ranks": ranks, "notes": ["rows were lost"], "agent": {"cpu_s": 1.0}}


def make_run(folder, seed, n_samples=40):
    """Write the telemetry of two files, one with several nodes."""
    rng = random.Random(seed)
    (folder / "telemetry").mkdir(parents=True)
    files = {"n2": ["n2"], "n10": ["n10"], "others": ["a", "n1", "b"]}
    for name in rng.sample(sorted(files), rng.randrange(1, 4)):
        path = folder / f"telemetry/{name}.csv"
        text = make_file(rng, files[name], n_samples)
        path.write_text(text, errors="surrogateescape")
        if rng.random() < 0.7:
            path.with_suffix(".json").write_text(json.dumps(make_totals(rng)))
    if rng.random() < 0.5:
        calls = [HEAD]
        for k in range(rng.randrange(1, 30)):
            wall_s, peak = rng.randrange(100), rng.choice(("", rng.randrange(99)))
            line = f",{wall_s}.25,lambda,{-2 - k},,{wall_s}.5,,{peak},,,,,,peak=group"
            calls.append(f"{line},none")
        (folder / "telemetry/functions.csv").write_text("\n".join(calls))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_collect__as_all_rows_at_once(tmp_path_factory, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "PIECE", 5000)  # some 60 lines
        patch.setattr(collecting, "PIECE", 50)
        patch.setattr(writer, "GROUP", 300)
        patch.setattr(spool, "PIECE", 7)
        patch.setattr(spool, "IN_MEMORY", 100)
        folder = tmp_path_factory.mktemp("run")
        make_run(folder, seed)
        expected = naive_telemetry.collect(folder, folder / "expected.parquet")
        assert collect(folder) == expected
        nodes = naive_telemetry.read_nodes(folder)
        assert summarise(nodes, 1)["ranks"] == expected["ranks"]
    written = pq.read_table(folder / "telemetry/telemetry.parquet")
    assert written.equals(pq.read_table(folder / "expected.parquet"))
    shutil.rmtree(folder)


def test_collect__reads_plain_lines_by_pyarrow(tmp_path, monkeypatch):
    """What is quick is tried, and what it gives is what lines give one by one."""
    make_run(tmp_path, 3)
    for path in (tmp_path / "telemetry").glob("*.csv"):
        lines = path.read_text(errors="replace").splitlines(keepends=True)[1:]
        kept = [line for line in lines if reading.parse_row(line)]
        one, other = tables.Words(), tables.Words()
        plain = [
            tables.read_plain(line.encode(), COLUMNS, one, reading.NEEDED)
            for line in kept
        ]
        assert sum(table is not None for table in plain) > 0.8 * len(kept)
        for line, table in zip(kept, plain, strict=True):
            slow = tables.make_table([reading.parse_row(line)], other)
            if table is not None:
                assert [list(one)[n] for n in table["node"]] == [slow_node(slow, other)]
                for name in table.dtype.names:
                    if name not in reading.TEXTS:
                        np.testing.assert_array_equal(table[name], slow[name])


def slow_node(table, words):
    return list(words)[table["node"][0]]


def test_collect__says_how_often_a_clock_was_set_beyond_a_hundred(tmp_path):
    lines = [f"{1000 + k * 9},{k},n1,{r},{k},9\n" for k in range(250) for r in (-1, 0)]
    (tmp_path / "n1.csv").write_text(",".join(reading.NEEDED) + "\n" + "".join(lines))
    expected = naive_telemetry.collect(tmp_path, tmp_path / "expected.parquet")
    assert collect(tmp_path) == expected
    assert "n1: the clock was set 149 times more" in expected["notes"]


NUMBERS = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=40)


@settings(deadline=None)
@given(values=NUMBERS, data=st.data())
def test_get_ranked__as_sorted(values, data):
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.closing(spool.Spool()) as kept,
    ):
        patch.setattr(spool, "PIECE", 7)
        patch.setattr(spool, "IN_MEMORY", 64)
        for k in range(0, len(values), 5):
            kept.add(np.array(values[k : k + 5]))
        k = data.draw(st.integers(0, len(values) - 1))
        assert spool.get_ranked(kept, k) == sorted(values)[k]
        assert spool.get_median(kept) == np.median(values)
        share = data.draw(st.sampled_from((0.0, 0.1, 0.5, 0.9, 1.0)))
        expected = np.quantile(values, share)
        assert spool.get_quantile(kept, share) == pytest.approx(expected, abs=1e-9)


MEASURE = """
import sys
from pathlib import Path
import hpc_connector.commands.main, hpc_connector.telemetry.watch.session

def get_peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10

before = get_peak()
hpc_connector.telemetry.watch.session.collect(Path(sys.argv[1]))
assert Path(sys.argv[1], "telemetry/telemetry.parquet").exists()
print(get_peak() - before)
"""


def measure(folder, n_samples):
    """Return the memory that joining some samples of 100 ranks takes at its peak."""
    lines = []
    for k in range(n_samples):
        tail = f"{k % 99}.00,{1 << 30},{1 << 30},{k},,,,,proc,none\n"
        lines += [f"{k}.0,{k}.0,n1,{r},{r + 7},{tail}" for r in range(-1, 100)]
    folder.mkdir()
    (folder / "telemetry").mkdir()
    (folder / "telemetry/n1.csv").write_text(f"{HEAD}\n{''.join(lines)}")
    command = [sys.executable, "-c", MEASURE, str(folder)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def test_collect__takes_what_is_advised_at_any_number_of_rows(tmp_path):
    few, many = (measure(tmp_path / str(n), n) for n in (400, 2400))
    assert few < many + (8 << 20) < COLLECT_BYTES
    assert many - few < 200_000 * 50  # bytes a row; 1,400 if all were held


def test_propose__adds_what_collecting_takes():
    cost = Cost(100.0, 1.0, 1 << 30, 1 << 28, 9)
    limits, asked = Limits(8, 64 << 30), Allocation()
    with_it = add_collecting(cost)
    one, other = (propose(c, limits, asked).mem_bytes for c in (cost, with_it))
    assert other - one == pytest.approx(1.2 * COLLECT_BYTES, abs=2)
    for runs in ([], [make_past(cost)] * 3):
        one, other = (estimate_memory(learn(c, runs), 2) for c in (cost, with_it))
        assert other[0] - one[0] == pytest.approx(COLLECT_BYTES, abs=2)
        assert other[1] - one[1] == pytest.approx(1.2 * COLLECT_BYTES, abs=2)


def make_past(cost):
    """Return a recorded run."""
    used = {"wall_s": 60.0, "cpu_s": 60.0, "max_rss_bytes": 1 << 29}
    whole = {"ranks": 1, "nodes": 1, "threads": 1}
    return Run(Path(), "p", "2026", cost, **whole, **used)
