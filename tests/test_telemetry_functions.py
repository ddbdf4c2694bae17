"""What functions say of themselves, and how a run keeps it."""

import json
import os
import subprocess
import sys
import types
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hpc_connector.burst.config import Settings
from hpc_connector.burst.connection import Connection, Remote
from hpc_connector.burst.worker import (
    Payload,
    decode_answer,
    encode_answer,
    make_answer,
)
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.pipeline.ledger import name_ledger
from hpc_connector.storage.address import Source
from hpc_connector.telemetry import calls as functions
from hpc_connector.telemetry.collect import collect
from hpc_connector.telemetry.columns import COLUMNS
from hpc_connector.telemetry.records import read_nodes
from hpc_connector.telemetry.samples import read_samples
from hpc_connector.telemetry.watch.call import RANK, begin_call, end_call, set_mark_back

MIB = 1 << 20
needs_marks = pytest.mark.skipif(
    not set_mark_back("/proc"), reason="no clear_refs: the kernel keeps its mark"
)


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """Return what runs a call of a function in this process, which is warm."""
    module = types.ModuleType("hungry")
    monkeypatch.setitem(sys.modules, "hungry", module)
    monkeypatch.setattr("hpc_connector.burst.worker.open_package", lambda *_: None)

    def run(work):
        module.run_tasks = lambda package, tasks: (work(), {})[1]
        folder = Source(str(tmp_path))
        payload = Payload("hungry", folder, "none", (0,), folder.beside("/answer"))
        return decode_answer(make_answer(payload))[1]

    return run


def take(n_bytes):
    """Touch memory, and give it back: malloc maps what is as large as this."""
    bytearray(b"\1") * n_bytes


@needs_marks
def test_answer__a_smaller_call_of_a_warm_worker_has_a_smaller_peak(answer):
    first = answer(lambda: take(200 * MIB))
    second = answer(lambda: take(20 * MIB))
    assert first["peak_bytes"] - second["peak_bytes"] > 150 * MIB
    assert second["peak_bytes"] >= second["rss_bytes"]
    assert "peak=call" in second["source"].split()


def test_answer__says_where_the_mark_is_that_of_the_process(answer, monkeypatch):
    monkeypatch.setattr(
        "hpc_connector.telemetry.watch.call.set_mark_back", lambda root: False
    )
    first = answer(lambda: take(200 * MIB))
    second = answer(lambda: take(20 * MIB))
    assert second["peak_bytes"] >= first["peak_bytes"] > 200 * MIB
    assert "peak=process" in second["source"].split()


def test_answer__has_the_row_of_the_agent(answer):
    row = answer(lambda: None)
    assert [name for name in row if name in COLUMNS] == list(COLUMNS)
    assert row["rank"] == RANK
    assert row["pid"] == os.getpid()
    assert row["energy_source"] == "none"


def test_answer__counts_this_call_and_children_that_have_ended(answer):
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    first = answer(lambda: subprocess.run([sys.executable, "-c", burn], check=True))
    second = answer(lambda: None)
    assert first["cpu_s"] > 0.5
    assert second["cpu_s"] < 0.5
    assert first["elapsed_s"] > 0.5


def test_answer__counts_the_bytes_written(answer, tmp_path):
    def write():
        with open(tmp_path / "file", "wb") as stream:
            stream.write(bytes(4 * MIB))
            stream.flush()
            os.fsync(stream.fileno())

    first, second = answer(write), answer(lambda: None)
    if "io=none" not in first["source"]:
        # 0: the folder is on no disk
        assert 4 * MIB <= first["write_bytes"] < 5 * MIB or not first["write_bytes"]
        assert second["write_bytes"] < MIB


STAT = "1 (python) R 1 " + "0 " * 7 + "7 8 9 10 0 0 0 0 0 0 100 5 6\n"


@pytest.mark.parametrize("kind", ["none", "refused", "odd", "without marks"])
def test_call__where_proc_says_little(tmp_path, kind):
    own = tmp_path / str(os.getpid())
    if kind != "none":
        own.mkdir()
        (own / "stat").write_text("?" if kind == "odd" else STAT)
        (own / "status").write_text("Name: python\n")
    if kind == "refused":
        for name in ("stat", "status"):
            (own / name).unlink()
            (own / name).mkdir()  # root may read all files
    begun = begin_call(str(tmp_path))
    row = end_call(begun, 12, str(tmp_path))
    assert set(row) == set(COLUMNS)
    assert not begun.is_marked
    assert row["cpu_s"] >= 0
    assert row["peak_bytes"] > MIB  # of getrusage
    assert row["read_bytes"] is row["write_bytes"] is None
    assert row["net_rx_bytes"] == 12
    known = {"cpu=rusage", "peak=process", "io=none", "net=client"}
    assert known < set(row["source"].split())
    assert (row["rss_bytes"] is None) == (kind != "without marks")


def test_call__needs_the_standard_library_alone():
    code = (
        "from hpc_connector.telemetry.watch.call import begin_call, end_call; "
        "print(end_call(begin_call(), 7)['net_rx_bytes'])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],  # without what is installed
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "7\n", done.stderr


def make_call(k, **figures):
    row = dict.fromkeys(COLUMNS) | {"time_s": 1000.0 + k, "elapsed_s": 2.0}
    row |= {"node": f"f{k}", "rank": RANK, "pid": 7, "cpu_s": 1.5, "rss_bytes": MIB}
    return row | {"source": "cpu=rusage peak=call", "energy_source": "none"} | figures


@pytest.fixture
def run(tmp_path):
    """Return the folder of a run of one rank, with three calls of functions."""
    lines = [",".join(COLUMNS)]
    for k in range(9):
        for rank in (-1, 0):
            line = f"{1000 + k}.0,{k}.0,n1,{rank},7,{k}.0,{MIB},{MIB},1,2,,,,proc,none"
            lines.append(line)
    (tmp_path / "telemetry").mkdir()
    (tmp_path / "telemetry/n1.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "manifest.json").write_text('{"format_version": 1}')
    before = collect(tmp_path)
    for k, peak in enumerate((300, 900, None)):
        peak_bytes = None if peak is None else peak * MIB
        row = make_call(k, elapsed_s=2.0 + 7 * k, peak_bytes=peak_bytes)
        functions.append_call(tmp_path, row)
    return tmp_path, before


def test_collect__keeps_functions_apart_from_ranks(run):
    folder, before = run
    summary = collect(folder)
    calls = summary.pop("functions")
    assert summary == before
    expected = {"calls": 3, "cpu_s": 4.5, "wall_s": 27.0, "peak_bytes": 900 * MIB}
    assert {k: calls[k] for k in expected} == expected
    assert (calls["wall_p50_s"], calls["peak_source"]) == (9.0, "call")
    record = json.loads((folder / "manifest.json").read_text())
    assert record["telemetry"]["functions"] == calls
    table = pq.read_table(folder / "telemetry/telemetry.parquet").to_pylist()
    rows = [row for row in table if row["rank"] == RANK]
    assert [row["node"] for row in rows] == ["f0", "f1", "f2"]
    assert len(table) == 18 + 3
    assert [node.node for node in read_nodes(folder)] == ["n1"]


def test_read_samples__are_not_those_of_functions(run):
    folder, _ = run
    collect(folder)
    assert {s.node for s in read_samples(folder)} == {"n1"}
    (folder / "telemetry/telemetry.parquet").unlink()
    assert {s.node for s in read_samples(folder)} == {"n1"}


def test_inspect__says_what_functions_used(run, capsys):
    folder, _ = run
    assert main(["inspect", str(folder)]) == 0
    said = capsys.readouterr().out
    assert said.count("functions") == 1
    assert "CPU time of 3 calls of functions, peak" in said
    assert main(["inspect", str(folder), "--html", f"{folder}/page.html"]) == 0
    page = (folder / "page.html").read_text()
    assert page.count("of 3 calls of functions, peak") == 1


def test_read_calls__refuses_another_table(tmp_path):
    path = tmp_path / "telemetry" / functions.FUNCTIONS
    path.parent.mkdir()
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="expected the columns time_s, elapsed_s"):
        functions.read_calls(tmp_path)


def test_inspect__without_functions(run, capsys):
    folder, _ = run
    (folder / "telemetry" / functions.FUNCTIONS).unlink()
    assert main(["inspect", str(folder)]) == 0
    assert "functions" not in capsys.readouterr().out


@given(cut=st.integers(0, 200), odd=st.text(max_size=20))
@example(cut=22, odd='"')
@example(cut=200, odd="\udcff,\x85,\n")
def test_read_calls__of_a_file_that_is_cut(tmp_path_factory, cut, odd):
    folder = tmp_path_factory.mktemp("run")
    row = make_call(0, node=odd)
    functions.append_call(folder, row)
    path = folder / "telemetry" / functions.FUNCTIONS
    head, line = path.read_bytes().split(b"\n")[:2]
    path.write_bytes(head + b"\n" + line[:cut])
    functions.append_call(folder, make_call(1))
    calls = functions.read_calls(folder)
    assert calls[-1] == make_call(1)
    is_whole = line[:cut].count(b",") == len(COLUMNS) - 1
    assert len(calls) == 1 + is_whole


def make_connection_to(folder):
    settings, place = Settings({}, Source(str(folder))), Source(str(folder / "answers"))
    (folder / "ledger").mkdir()
    remote = Remote("none", None, partial(name_ledger, folder, 1, 0), "none", None)
    return Connection(settings, None, remote, "none", 0, place, watched=folder)


def test_accept__keeps_rows_of_answers_that_count_alone(tmp_path):
    connection = make_connection_to(tmp_path)
    figures = make_call(0, peak_bytes=MIB) | {"fetch_requests": 0}
    good = encode_answer((3, 4), {}, figures)
    for data in (good[:-40], encode_answer((3,), {}, figures), b""):
        with pytest.raises(ValueError, match=r"damaged|of other tasks"):
            connection.accept(0, (3, 4), data)
    with pytest.raises(ValueError, match="of another version"):
        connection.accept(0, (3, 4), encode_answer((3, 4), {}, {"wall_s": 1.0}))
    assert functions.read_calls(tmp_path) == []
    assert connection.accept(0, (3, 4), good) == 2.0
    assert functions.read_calls(tmp_path) == [make_call(0, peak_bytes=MIB)]
