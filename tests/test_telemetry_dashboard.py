"""The page of a run's telemetry, and what it advises."""

import json
import re
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import require
from hpc_connector.program import main
from hpc_connector.telemetry import agent
from hpc_connector.telemetry.advice import make_advice
from hpc_connector.telemetry.counters import get_cpu_steps
from hpc_connector.telemetry.nodes import parse_row, read_nodes
from hpc_connector.telemetry.timeline import get_cores, get_highest, make_timeline


def make_line(k, node, rank, cpu_s, rss):
    return f"{1000 + k}.0,{k}.0,{node},{rank},7,{cpu_s},{rss},{rss},1,2,,,,proc,none"


@pytest.fixture
def folder(tmp_path):
    """Return a run of two nodes, two ranks each, the last of which did nothing."""
    for node, first in (("<n1>", 0), ("n2", 2)):
        lines = [",".join(agent.COLUMNS)]
        for k in range(30):
            lines.append(make_line(k, node, -1, 2.0 * k, (200 + k) << 20))
            for rank in (first, first + 1):
                lines.append(make_line(k, node, rank, k * (rank != 3), 100 << 20))
        path = tmp_path / f"telemetry/{node}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return tmp_path


COUNTER = st.lists(st.floats(0, 1e6), min_size=2, max_size=50)


@given(COUNTER, st.integers(2, 130))
def test_get_cores__keeps_the_cpu_time(counter, n_edges):
    clock_s = np.arange(len(counter)) * 1.5
    names = ("pid", "cpu_s", "clock_s")
    rows = [
        dict(zip(names, (7, *pair), strict=True))
        for pair in zip(counter, clock_s.tolist(), strict=True)
    ]
    edges = np.linspace(0, clock_s[-1], n_edges)
    spent = np.nansum(get_cores(rows, clock_s, edges) * np.diff(edges))
    assert spent == pytest.approx(sum(get_cpu_steps(counter, clock_s)), abs=1e-3)


@given(st.lists(st.integers(0, 1 << 40), min_size=2), st.integers(2, 130))
def test_get_highest__keeps_the_highest(values, n_edges):
    rows = [{"rss_bytes": value} for value in values]
    clock_s = np.arange(len(rows)) * 1.5
    edges = np.linspace(0, clock_s[-1], n_edges)
    assert np.nanmax(get_highest(rows, clock_s, edges)) == max(values)


def test_make_timeline__of_attempts(tmp_path):
    lines = [make_line(k, "n1", r, 2.0 * k, 9) for k in range(10) for r in (-1, 0)]
    again = [line.replace("10", "11", 1) for line in lines]  # 100 s later
    path = tmp_path / "telemetry/n1.csv"
    path.parent.mkdir()
    path.write_text("\n".join([",".join(agent.COLUMNS), *lines, *again]) + "\n")
    timeline = make_timeline(read_nodes(tmp_path))
    assert timeline.edges[-1] == 109
    assert timeline.cores[0, 0] == timeline.cores[0, -1] == pytest.approx(2)
    assert np.isnan(timeline.memory_bytes[0, 5])


def test_parse_row__of_this_file():
    assert parse_row(make_line(1, "n1", 0, 2, 3))["cpu_s"] == 2


def test_inspect__holds_in_a_browser(folder, tmp_path):
    page = tmp_path / "page.html"
    assert main(["inspect", str(folder), "--html", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import|<script", text)
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync "
        "--enable-logging=stderr --dump-dom"
    )
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    browser = subprocess.run(
        [require("chromium"), *options.split(), profile, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    shown = browser.stdout
    assert "CONSOLE" not in browser.stderr
    assert "<h1>4 ranks on 2 nodes</h1>" in shown
    assert (shown.count("<svg"), shown.count("<tr>")) == (3, 5)
    assert shown.count('class="busy10"') == 3 * 29
    assert shown.count('class="busy0"') == 29
    assert "&lt;n1&gt;" in shown
    assert "<n1>" not in shown


def test_inspect__prints_what_to_do(folder, capsys):
    assert main(["inspect", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "75%  utilisation of cores" in said
    assert "Rank 0 worked 33% more than the mean rank" in said
    assert "--mem=252M" in said
    assert main(["inspect", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["imbalance"] == pytest.approx(
        1 / 3, 1e-3
    )


def test_inspect__without_telemetry(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == 2
    assert "holds no telemetry" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"utilisation": 0.2}, "busy 20% of the time"),
        ({"utilisation": 1.7}, "1.7 cores for each"),
        ({"imbalance": 0.5}, "Rank 1 worked 50% more"),
        ({"wall_s": 4.0}, "The run took 4.0 s"),
        ({"gap_s": 9.0}, "not seen for 9.0 s"),
        ({"utilisation": None, "imbalance": None}, "--mem=110M"),
    ],
)
def test_make_advice__says(changes, words):
    node = {"wall_s": 100.0, "gap_s": 0.0, "peak_bytes": 100 << 20}
    summary = {
        "utilisation": 0.95,
        "imbalance": 0.01,
        "nodes": [node | changes],
        "ranks": [{"rank": 0, "cpu_s": 1.0}, {"rank": 1, "cpu_s": 2.0}],
    }
    said = make_advice(summary | changes)
    assert any(words in line for line in said)
    assert len(said) == 1 + ("--mem=110M" not in words)
