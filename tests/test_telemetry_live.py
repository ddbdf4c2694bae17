"""Nodes that are followed: what has come, what is shown of it, and when it is over."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browser import is_wider, list_faults
from hpc_connector.commands.main import main
from hpc_connector.commands.telemetry import screen
from hpc_connector.forecast import live_outlook
from hpc_connector.forecast.features import make_examples
from hpc_connector.forecast.predictor import train_predictor
from hpc_connector.forecast.windows import TARGETS, Series
from hpc_connector.locks.folder_lock import take_folder
from hpc_connector.report.telemetry.live_page import make_live_page
from hpc_connector.streams.open import open_stream
from hpc_connector.telemetry.columns import COLUMNS
from hpc_connector.telemetry.live import nodes
from hpc_connector.telemetry.live.board import Board
from hpc_connector.telemetry.live.history import History
from hpc_connector.telemetry.live.nodes import LiveNode, Spread, Step
from hpc_connector.telemetry.live.sources import FolderSource, StreamSource, Tail
from hpc_connector.telemetry.live.view import format_cores, format_lines, list_objects
from hpc_connector.telemetry.records import parse_row
from programs import PATIENCE_S, wait_for

COHORT = Path(__file__).parent / "data/bitepi_plink_100snps_2000/bfile.bed"
HEAD = f"{','.join(COLUMNS)}\n"


def make_line(k, node="n1", rank=-1, cpu_s=0.0, pid=7, start_s=1000.0, **more):
    """Return the line of a sample, `k` seconds after an agent has begun."""
    values = {"time_s": start_s + k, "elapsed_s": float(k), "node": node, "rank": rank}
    values |= {"pid": pid, "cpu_s": cpu_s, "rss_bytes": 100, "source": "proc"}
    values |= more
    return ",".join(str(values.get(name, "")) for name in COLUMNS) + "\n"


def make_sample(k, node="n1", ranks=(0.5, 1.0), start_s=1000.0, **more):
    """Return the lines of a node whose ranks use so many cores each."""
    known = {"node": node, "start_s": start_s} | more
    lines = [make_line(k, cpu_s=k * sum(ranks), pid=0, **known)]
    lines += [
        make_line(k, rank=r, cpu_s=k * cores, pid=70 + r, **known)
        for r, cores in enumerate(ranks)
    ]
    return "".join(lines)


def parse(text):
    return [parse_row(line) for line in text.splitlines(keepends=True)]


@pytest.fixture
def run(tmp_path):
    """Return the folder of telemetry of a node that has told one sample."""
    folder = tmp_path / "telemetry"
    folder.mkdir()
    (folder / "n1.csv").write_text(HEAD + make_sample(0, start_s=time.time()))
    return tmp_path


# what comes


@given(st.lists(st.integers(1, 200), max_size=20), st.integers(1, 6))
def test_tail__reads_each_line_once_however_it_grows(tmp_path_factory, cuts, n_samples):
    path = tmp_path_factory.mktemp("tail") / "n1.csv"
    text = HEAD + "".join(make_sample(k) for k in range(n_samples))
    tail, found, at = Tail(path), [], 0
    assert tail.read() == []
    for n in [*cuts, len(text)]:
        with open(path, "a") as stream:
            stream.write(text[at : at + n])
        at += n
        found += tail.read()
    assert found == parse(text)[1:]


def test_tail__of_a_long_file_begins_near_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("hpc_connector.telemetry.live.sources.TAIL_BYTES", 300)
    path = tmp_path / "n1.csv"
    path.write_text(HEAD + "".join(make_sample(k) for k in range(50)))
    rows = Tail(path).read()
    assert 0 < len(rows) < 9
    assert rows == parse(path.read_text())[-len(rows) :]


def test_tail__of_a_file_that_began_again(tmp_path):
    path = tmp_path / "n1.csv"
    path.write_text(HEAD + make_sample(0) + make_sample(1))
    tail = Tail(path)
    assert len(tail.read()) == 6
    path.write_text(HEAD + make_sample(5))
    assert tail.read() == parse(make_sample(5))


def tell(stream, segment, node, text, kind="csv"):
    stream.append(segment, f"{node}.{kind}".encode(), text.encode())


def test_stream_source__gives_rows_once_and_ends(tmp_path):
    url = f"file://{tmp_path}/stream"
    with open_stream(url) as stream:
        stream.create(3)
        tell(stream, 0, "n1", HEAD + make_sample(0))
        source = StreamSource(open_stream(url))
        (came,) = source.poll()
        assert (came.node, came.rows, came.has_ended) == (
            "n1",
            parse(make_sample(0)),
            False,
        )
        tell(stream, 0, "n1", make_sample(1))
        tell(stream, 0, "n1", "{}", "json")
        tell(stream, 1, "n2", make_sample(1, node="n2"))  # before its head is cut off
        one, two = source.poll()
        assert (one.rows, one.has_ended) == (parse(make_sample(1)), True)
        assert (two.node, two.has_ended) == ("n2", False)
        tell(stream, 0, "n1", HEAD + make_sample(0, start_s=2000.0))  # another attempt
        stream.seal(1)
        one, two = source.poll()
        assert (len(one.rows), one.has_ended) == (3, False)
        assert (two.rows, two.has_ended) == ([], True)
        source.close()


def test_stream_source__of_columns_that_are_others(tmp_path):
    url = f"file://{tmp_path}/stream"
    head = "time_s,elapsed_s,node,rank,pid,cpu_s,rss_bytes,new\n"
    with open_stream(url) as stream:
        stream.create(1)
        tell(stream, 0, "n1", head + "1.0,0.5,n1,-1,0,2.5,9,x\n")
        ((row,),) = [came.rows for came in StreamSource(open_stream(url)).poll()]
    assert (row["cpu_s"], row["rss_bytes"], row["read_bytes"]) == (2.5, 9, None)


# what it says


def test_node__figures_are_those_of_its_last_samples():
    node = LiveNode("n1")
    counters = [{"read_bytes": 1000 * k, "energy_j": 2.5 * k} for k in range(4)]
    for k, counted in enumerate(counters):
        node.add(parse(make_sample(k, ranks=(0.5, 1.0, 0.25), **counted)))
    found = node.get_figures()
    assert (found.ranks, found.memory_bytes, found.time_s) == (3, 100, 1003.0)
    assert found.cores == pytest.approx(1.75)
    npt.assert_allclose(found.rank_cores, np.quantile([0.5, 1.0, 0.25], [0.5, 0.9]))
    assert (found.read_bytes_s, found.watts) == (1000.0, 2.5)
    assert (found.write_bytes_s, found.net_rx_bytes_s) == (None, None)


def test_node__another_process_or_attempt_has_no_cores_at_first():
    node = LiveNode("n1")
    for k in range(3):
        node.add(parse(make_line(k, rank=0, cpu_s=5.0 * k, pid=70)))
    assert node.get_figures().cores == 5.0  # of its rank: another sampler has no more
    assert node.add(parse(make_line(3, rank=0, cpu_s=1.0, pid=71))) == []
    assert node.get_figures().rank_cores is None
    node.add(parse(make_line(0, rank=0, cpu_s=0.0, pid=71, start_s=2000.0)))
    (_, step) = node.add(parse(make_line(2, rank=0, cpu_s=1.0, pid=71, start_s=2000.0)))
    assert (step.cores, step.until_s) == (0.5, 2002.0)


def test_node__is_silent_after_ten_seconds_and_three_of_its_steps(monkeypatch):
    now_s = [500.0]
    monkeypatch.setattr(nodes.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(nodes.time, "time", lambda: 1001.0)
    node = LiveNode("n1")
    node.add(parse(make_sample(0) + make_sample(1)))
    for later_s, state in ((9.9, "live"), (10.0, "silent")):
        now_s[0] = 500.0 + later_s
        assert node.get_figures().state == state
    node.add(parse(make_sample(31)))  # a step of half a minute
    now_s[0] += 60
    assert node.get_figures().state == "live"
    now_s[0] += 30
    assert node.get_figures().state == "silent"
    node.has_ended = True
    assert node.get_figures().state == "ended"


def test_node__that_told_nothing_for_long_is_silent_at_once():
    node = LiveNode("n1")
    node.add(parse(make_sample(0, start_s=time.time() - 100)))
    found = node.get_figures()
    assert (found.state, found.silent_s >= 100) == ("silent", True)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([("n1", -1), ("n1", 0), ("n2", 0)]),
        st.integers(0, 60),
        st.floats(0, 8),
        st.integers(1, 9),
    ),
    min_size=1,
)


@given(STEPS)
def test_history__agrees_with_a_plain_mean(steps):
    """In order of time, as agents tell them."""
    history, kept = History(width_s=5.0, n_windows=6), {}
    for (node, rank), until_s, cores, memory in sorted(steps, key=lambda one: one[1]):
        history.add(node, [Step(rank, until_s + 1.0, 1.0, cores, memory)])
        kept.setdefault((rank, node), []).append((until_s // 5, cores, memory))
    found = history.get_timeline()
    last = max(until_s // 5 for _, until_s, _, _ in steps)
    assert found.edges[-1] == 0
    npt.assert_array_equal(np.diff(found.edges), 5.0)
    assert found.numbers == [rank for rank, _ in sorted(kept) if rank >= 0]
    series = dict(
        zip((key for key in sorted(kept) if key[0] >= 0), found.ranks, strict=True)
    )
    series |= {
        (-1, node): row for node, row in zip(found.nodes, found.cores, strict=True)
    }
    for key, row in series.items():
        for window, cores in zip(
            range(last, last - len(row), -1), row[::-1], strict=True
        ):
            mine = [c for w, c, _ in kept[key] if w == window]
            assert cores == pytest.approx(np.mean(mine)) if mine else np.isnan(cores)
    for node, row in zip(found.nodes, found.memory_bytes, strict=True):
        now = [m for w, _, m in kept[-1, node] if w == last]
        assert row[-1] == max(now) if now else np.isnan(row[-1])


def test_history__makes_room_for_many_ranks():
    history = History()
    for rank in range(200):
        history.add("n1", [Step(rank, 9.0, 1.0, rank / 200, 5.0)])
    npt.assert_allclose(history.get_timeline().ranks[:, -1], np.arange(200) / 200)


# when it is over


def test_board__is_over_once_all_have_told_their_end(run):
    board = Board([FolderSource(run)])
    board.poll()
    assert [one.state for one in board.get_view({}).figures] == ["live"]
    rows = run / "telemetry/n1.csv"
    rows.with_suffix(".json").write_text("{}")
    board.poll()
    assert board.is_over
    os.utime(rows.with_suffix(".json"), (0, 0))  # some time later, that is
    with open(rows, "a") as stream:  # of another attempt
        stream.write(make_sample(1, start_s=time.time()))
    (rows.with_name("n2.csv")).write_text(
        HEAD + make_sample(0, "n2", start_s=time.time())
    )
    board.poll()
    view = board.get_view({})
    assert [(one.node, one.state) for one in view.figures] == [
        ("n1", "live"),
        ("n2", "live"),
    ]
    assert not view.is_over


@pytest.mark.parametrize(("status", "is_over"), [("stopped", True), ("running", False)])
def test_board__of_a_run_whose_agent_was_killed(run, monkeypatch, status, is_over):
    record = {"format_version": 1, "status": status, "program": "mdr-epistasis"}
    (run / "manifest.json").write_text(json.dumps(record))
    if status == "running":
        take_folder(run)
    board = Board([FolderSource(run)])
    board.poll()
    assert not board.is_over  # the node has told something a moment ago
    monkeypatch.setattr(nodes, "SILENT_S", 0.0)
    monkeypatch.setattr(nodes, "PATIENCE", 0)
    board.poll()
    assert board.is_over is is_over
    assert board.get_view({}).states[0].program == "mdr-epistasis"


def test_board__of_several_runs_names_them(run, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "telemetry"
    other.mkdir()
    (other / "n1.csv").write_text(HEAD + make_sample(0, start_s=time.time()))
    board = Board([FolderSource(run), FolderSource(other.parent)])
    board.poll()
    names = [one.node for one in board.get_view({}).figures]
    assert sorted(names) == sorted([f"{run.name}/n1", f"{other.parent.name}/n1"])


# what is shown


def make_view(n_nodes, name="node{}", **changes):
    """Return the view of some nodes, the second of which is silent."""
    board = Board([])
    found = []
    for k in range(n_nodes):
        node = LiveNode(name.format(k))
        for second in range(3):
            text = make_sample(
                second, node.name, start_s=time.time(), read_bytes=second
            )
            board.history.add(node.name, node.add(parse(text)))
        figures = node.get_figures()
        if k == 1:
            figures = replace(figures, state="silent", silent_s=72.4)
        found.append(figures)
    return replace(board.get_view({}), figures=found, **{"is_over": False} | changes)


@given(st.integers(1, 70), st.integers(1, 100), st.integers(40, 300))
@settings(max_examples=20)
def test_screen__fits_and_counts_all_nodes(n_nodes, height, width):
    view = make_view(n_nodes)
    rows = screen.list_rows(view, height)
    names = screen.choose_columns(rows, width)
    assert names[:3] == ["node", "state", "cores"] or names[2] == "ranks"
    if names != list(screen.GROUPS[0]):
        assert screen.get_width(rows, names) <= width
    assert len(rows) <= height + 2
    if n_nodes > 1:
        assert rows[-1]["node"] == f"all {n_nodes}"
        assert rows[-1]["cores"] == format_cores(1.5 * (n_nodes - 1))
        silent = [row for row in rows if row["state"] == "silent 1 min 12 s"]
        assert len(silent) == 1
    if n_nodes > height:
        assert rows[height]["node"].startswith(f"and {n_nodes - height} more node")


def test_lines__say_what_is_known():
    told = {"node0": {"cpu": Spread(1.25, 1.75)}}
    one, two = format_lines(make_view(2, told=told))
    said = one.partition(" ")[2]
    assert said == (
        "node0 live: ranks 2, cores 1.50, P50 / P90 of its ranks 0.75 / 0.95, memory "
        "100 bytes, P50 / P90 of its ranks 100 bytes / 100 bytes, read/s 1 bytes, next "
        "P50 / P90 of cores 1.25 / 1.75"
    )
    assert "node1 silent 1 min 12 s: " in two


def test_objects__are_json():
    view = make_view(2, told={"node0": {"cpu": Spread(1.25, 1.75)}})
    one, two = json.loads(json.dumps(list_objects(view)))
    assert one["rank_cores"] == {"p50": 0.75, "p90": 0.95}
    assert one["next"] == {"cpu": {"p50": 1.25, "p90": 1.75}}
    assert (two["state"], two["next"], two["watts"]) == ("silent", {}, None)


def test_page__loads_itself_again_until_all_is_over():
    page = make_live_page(make_view(2), 5.0)
    assert '<meta http-equiv="refresh" content="5">' in page
    assert "Nothing comes from node1" in page
    assert "http-equiv" not in make_live_page(make_view(2, is_over=True), 5.0)
    assert "No rows yet" in make_live_page(make_view(0, timeline=None), 5.0)


def test_page__shows_a_name_that_is_html():
    page = make_live_page(make_view(2, name="<script>x</script>{}"), 5.0)
    assert "<script" not in page
    assert page.count("&lt;script&gt;x&lt;/script&gt;0") >= 2


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (500, True)])
def test_page__has_no_serious_fault(tmp_path, open_page, width, dark):
    (tmp_path / "page.html").write_text(make_live_page(make_view(3, is_over=True), 5.0))
    page = open_page(tmp_path / "page.html", width=width, dark=dark)
    assert list_faults(page) == []
    assert not is_wider(page)


# what is foretold


def test_foretell__of_nodes_by_a_model(tmp_path):
    board = Board([FolderSource(make_folder(tmp_path, n_samples=130))])
    board.poll()
    (series,) = live_outlook.list_series(board, 10.0)
    npt.assert_allclose(series.values[:, 0], 1.5)
    rows = {target: make_examples([series], target, 4) for target in TARGETS}
    train = np.arange(len(rows["cpu"].series)) < 5
    predictor = train_predictor(rows, train, kind="persistence", width_s=10.0)
    told = live_outlook.foretell([series], predictor, {})
    assert told["n1"]["cpu"] == pytest.approx((1.5, 1.5))
    assert told["n1"]["memory"] == pytest.approx((100.0, 100.0))
    short = Series("n1", "n1", "", 0.0, 10.0, series.values[:2])
    assert live_outlook.foretell([short], predictor, {}) == {}


def make_folder(folder, n_samples):
    """Return a folder whose node has told so many samples until now."""
    (folder / "telemetry").mkdir()
    begun_s = time.time() - n_samples
    rows = [make_sample(k, start_s=begun_s) for k in range(n_samples)]
    (folder / "telemetry/n1.csv").write_text(HEAD + "".join(rows))
    return folder


def test_read_told__is_of_the_window_that_is_now(run):
    board = Board([FolderSource(run)])
    board.poll()
    assert live_outlook.read_told(board) == {}
    values = {"last": 1.0, "p50": [1, 2, 3], "p90": [2, 3, 4], "by": ["model"]}
    ends_s = [time.time() + after for after in (-5, 1000, 2000)]
    one = {"series": "n1", "window_ends_s": ends_s, "cpu": values, "memory": values}
    path = run / "telemetry/forecast.json"
    path.write_text(json.dumps({"window_s": 10, "forecasts": [one]}))
    assert live_outlook.read_told(board)["n1"]["cpu"] == Spread(2, 3)
    path.write_text("{")
    assert live_outlook.read_told(board) == {}


# the command


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere", "nowhere: expected the folder of a run, or a URL"),
        (".", ". holds no telemetry: expected telemetry/NODE.csv in it"),
        ("file:///nowhere/at/all", "/nowhere/at/all"),
        ("kafka://host/topic", "kafka://host/topic: no stream"),
    ],
)
def test_follow__of_what_is_not_there(tmp_path, monkeypatch, capsys, place, said):
    monkeypatch.chdir(tmp_path)
    assert main(["telemetry", "follow", place]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_follow__a_run_to_its_end(tmp_path):
    """From its folder, with a page, and from its stream."""
    out, url = tmp_path / "out", f"file://{tmp_path}/stream"
    command = ["mpirun", "-n", "2", "mdr-epistasis", "run", COHORT, "--out", out]
    command += ["--telemetry-stream", url, "--quiet", "--permutations", "200000"]
    run = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: list(out.glob("telemetry/*.csv")))
    follow = ["hpc-connector", "telemetry", "follow", "--interval", "0.2", "--json"]
    words = [[*follow, out, "--page", tmp_path / "page.html"], [*follow, url]]
    seen = [subprocess.Popen(list(map(str, w)), stdout=subprocess.PIPE) for w in words]
    page = tmp_path / "page.html"
    wait_for(page.exists)
    assert "http-equiv" in page.read_text()
    first = [process.stdout.readline() for process in seen]  # while the run is live
    run.send_signal(signal.SIGTERM)
    run.wait(PATIENCE_S)
    for process, line in zip(seen, first, strict=True):
        rest = process.communicate(timeout=PATIENCE_S)[0]
        lines = [line, *rest.splitlines()]
        assert process.returncode == 0
        found = [json.loads(line) for line in lines]
        assert {one["state"] for one in found} == {"live", "ended"}
        assert found[-1]["state"] == "ended"
        assert max(one["ranks"] for one in found) == 2
    assert "http-equiv" not in page.read_text()


def test_follow__on_a_terminal_ends_by_ctrl_c(run):
    pytest.importorskip("rich")
    late = make_sample(0, start_s=time.time() + 3600)  # it has just come, for an hour
    (run / "telemetry/n1.csv").write_text(HEAD + late)
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        os.execvp("hpc-connector", ["hpc-connector", "telemetry", "follow", str(run)])
    said = b""
    while said.count(b"n1") < 2:
        said += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    while True:
        try:
            said += os.read(terminal, 4096)
        except OSError:  # its other end is closed
            break
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert said.rstrip().endswith(b"\x1b[?25h")  # the cursor is shown again
    assert re.search(rb"n1 .*live", said)
    assert b"Traceback" not in said


def test_follow__imports_no_rich_but_on_a_terminal(run):
    (run / "telemetry/n1.json").write_text("{}")
    code = (
        "import sys; from hpc_connector.commands.main import main; "
        "assert main(sys.argv[1:]) == 0; "
        "print(*{'rich', 'sklearn', 'jinja2'} & set(sys.modules), file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, "telemetry", "follow", str(run)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "\n")
    assert " n1 ended: ranks 2, " in done.stdout
