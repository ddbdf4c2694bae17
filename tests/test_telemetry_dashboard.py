"""The page of a run's telemetry, and what it advises."""

import itertools
import json
import re
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import require
from hpc_connector.commands.main import main
from hpc_connector.forecast.forecast_file import FILE, read_forecasts
from hpc_connector.manifest import save_manifest
from hpc_connector.report.axes import Frame, draw_ticks, get_time_unit
from hpc_connector.report.svg import join_steps
from hpc_connector.report.telemetry.forecast_section import get_measured
from hpc_connector.telemetry import columns
from hpc_connector.telemetry.advice import make_advice
from hpc_connector.telemetry.collect import summarise
from hpc_connector.telemetry.counters import get_cpu_steps
from hpc_connector.telemetry.efficiency import get_efficiency
from hpc_connector.telemetry.records import get_order, parse_row, read_nodes
from hpc_connector.telemetry.samples import split_samples
from hpc_connector.telemetry.timeline import get_cores, get_highest, make_timeline
from programs import PATIENCE_S


def make_line(k, node, rank, cpu_s, rss):
    return f"{1000 + k}.0,{k}.0,{node},{rank},7,{cpu_s},{rss},{rss},1,2,,,,proc,none"


@pytest.fixture
def folder(tmp_path):
    """Return a run of two nodes, two ranks each, the last of which did nothing."""
    for node, first in (("<n1>", 0), ("n2", 2)):
        lines = [",".join(columns.COLUMNS)]
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
    names = ("pid", "attempt", "cpu_s", "clock_s")
    rows = [
        dict(zip(names, (7, 1, *pair), strict=True))
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
    path.write_text("\n".join([",".join(columns.COLUMNS), *lines, *again]) + "\n")
    timeline = make_timeline(read_nodes(tmp_path))
    assert timeline.edges[-1] == 109
    assert timeline.cores[0, 0] == timeline.cores[0, -1] == pytest.approx(2)
    assert np.isnan(timeline.memory_bytes[0, 5])
    assert np.isnan(timeline.ranks[0, 5])


LIFE = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(st.lists(st.tuples(LIFE, st.booleans()), min_size=1, max_size=5))
def test_readers__agree_on_what_was_used(tmp_path_factory, lives):
    """What collect sums, train is given and the page draws, over any restarts."""
    out = tmp_path_factory.mktemp("run")
    lines, pid, k = [",".join(columns.COLUMNS)], 1, 0
    for steps, is_another in lives:
        pid, used = pid + is_another, 0.0
        for step in steps:
            used, k = used + step, k + 1
            line = make_line(k, "n1", 0, round(used, 3), 9)
            lines += [line.replace(",7,", f",{pid},", 1), make_line(k, "n1", -1, 0, 9)]
    (out / "telemetry").mkdir()
    (out / "telemetry/n1.csv").write_text("\n".join([*lines, ""]))
    nodes = read_nodes(out)
    (rank,) = summarise(nodes, 1)["ranks"]
    (_, sample) = split_samples(nodes[0])
    assert sample.cpu_s[-1] == pytest.approx(rank["cpu_s"], abs=2e-3)
    assert (np.diff(sample.cpu_s) >= 0).all()
    timeline = make_timeline(nodes)
    drawn = np.nansum(timeline.ranks[0] * np.diff(timeline.edges))
    assert sample.cpu_s[0] + drawn == pytest.approx(rank["cpu_s"], abs=1e-2)


def test_parse_row__of_this_file():
    assert parse_row(make_line(1, "n1", 0, 2, 3) + "\n")["cpu_s"] == 2


def browse(page, profile):
    """Return what a browser makes of a page, and what it says of it."""
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync "
        "--enable-logging=stderr --dump-dom"
    )
    command = [require("chromium"), *options.split(), f"--user-data-dir={profile}"]
    browser = subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, timeout=PATIENCE_S
    )
    return browser.stdout, browser.stderr


def test_inspect__holds_in_a_browser(folder, tmp_path):
    page = tmp_path / "page.html"
    assert main(["telemetry", "forecast", str(folder), "--window", "2"]) == 0
    assert main(["inspect", str(folder), "--html", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import|<script", text)
    shown, said = browse(page, tmp_path / "profile")
    assert "CONSOLE" not in said
    assert "<h1>4 ranks on 2 nodes</h1>" in shown
    assert (shown.count("<svg"), shown.count("<tr>")) == (3 + 4, 5)
    assert shown.count('class="busy10"') == 3 * 29
    assert shown.count('class="busy0"') == 29
    assert shown.count('<rect class="band"') + shown.count('class="band"><title') == 12
    assert "CPU of &lt;n1&gt;: 2.0 cores in the next 2 s, at most 2.0 cores" in shown
    assert "&lt;n1&gt;" in shown
    assert "<n1>" not in shown
    assert "NaN" not in shown


def test_inspect__of_a_single_sample_draws_no_time(folder, tmp_path):
    for path in (folder / "telemetry").glob("*.csv"):
        path.write_text("\n".join(path.read_text().splitlines()[:4]) + "\n")
    assert main(["inspect", str(folder), "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "There is one sample of each rank" in page
    assert "<svg" not in page


# ---- what is foretold


def test_inspect__says_what_is_foretold(folder, capsys):
    assert main(["telemetry", "forecast", str(folder), "--window", "2"]) == 0
    capsys.readouterr()
    assert main(["inspect", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "CPU of n2: 2.0 cores in the next 2 s, at most 2.0 cores in nine of" in said
    assert "Memory of n2: 227.00 MiB in the next 2 s, at most 22" in said
    path = folder / "telemetry/n2.csv"
    more = [make_line(k, "n2", -1, 2.0 * k, 9) for k in range(30, 33)]
    path.write_text(path.read_text() + "\n".join(more) + "\n")
    assert main(["inspect", str(folder), "--json"]) == 0  # the run has gone on
    told = json.loads(capsys.readouterr().out)["forecast"]
    assert any("in the 2 s after 28 s" in line for line in told)


def test_forecast__is_drawn_behind_the_windows_it_was_made_from(folder):
    assert main(["telemetry", "forecast", str(folder), "--window", "2"]) == 0
    nodes = read_nodes(folder)
    samples = {s.node: s for node in nodes for s in split_samples(node) if s.rank < 0}
    told = read_forecasts(folder, list(samples))
    assert [(one.node, one.target) for one in told] == [
        *itertools.product(("<n1>", "n2"), ("cpu", "memory"))
    ]
    for one in told:
        begins_s, values = get_measured(one, samples[one.node])
        assert begins_s[-1] + one.width_s == pytest.approx(one.made_s)
        assert values[-1] == pytest.approx(one.last)


def cut(record):
    return {"window_s": 2.0}


def change(name, value):
    def apply(record):
        record["forecasts"][0]["cpu"][name] = value
        return record

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        change("p90", [1.0]),
        change("p50", [1.0, float("nan"), 1.0]),
        change("last", None),
        change("by", []),
        lambda record: record | {"window_s": 0},
        lambda record: [record],
    ],
)
def test_inspect__notes_a_damaged_forecast(folder, tmp_path, capsys, damage):
    assert main(["telemetry", "forecast", str(folder), "--window", "2"]) == 0
    path = folder / "telemetry" / FILE
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    page = tmp_path / "page.html"
    assert main(["inspect", str(folder), "--html", str(page)]) == 0
    assert "forecast.json: damaged, so there is no forecast" in page.read_text()
    assert 'id="forecast"' not in page.read_text()


def test_forecast__of_a_bare_folder_lies_where_it_is_looked_for(folder, capsys):
    bare = folder / "telemetry"
    for _ in range(2):
        assert main(["telemetry", "forecast", str(bare), "--window", "2"]) == 0
    capsys.readouterr()
    assert main(["inspect", str(bare)]) == 0
    assert "CPU of n2: 2.0 cores in the next 2 s" in capsys.readouterr().out


def test_inspect__of_a_clock_that_steps_back_has_no_chart(folder, tmp_path):
    assert main(["telemetry", "forecast", str(folder), "--window", "2"]) == 0
    path = folder / "telemetry/n2.csv"
    head, *lines = path.read_text().splitlines()
    lines[30:33], lines[60:63] = lines[60:63], lines[30:33]
    path.write_text("\n".join([head, *lines, ""]))
    page = tmp_path / "page.html"
    assert main(["inspect", str(folder), "--html", str(page)]) == 0
    assert "No chart: n2: the clock steps back by" in page.read_text()
    (folder / "telemetry" / FILE).unlink()
    assert main(["inspect", str(folder), "--html", str(page)]) == 0
    assert "steps back" not in page.read_text()


def test_inspect__without_a_forecast_says_nothing_of_one(folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["inspect", str(folder), "--html", str(page)]) == 0
    assert "orecast" not in page.read_text()


# ---- efficiency

NODE = {"node": "n1", "core_s": 40.0, "peak_bytes": 1 << 30, "source": "cgroup2"}
USED = {"nodes": [NODE], "ranks": [{"cpu_s": 10.0}, {"cpu_s": 20.0}]}
JOB = {"cores": 4, "elapsed_s": 15, "node_mem_bytes": 4 << 30}


@pytest.mark.parametrize(
    ("job", "cores", "memory", "words"),
    [
        (JOB, 0.5, 0.25, ("of the 1 min 0 s of cores that the job", "no fault")),
        (None, 0.75, None, ("2 ranks of 2 threads could", "is not known")),
        (JOB | {"cores": 0, "node_mem_bytes": 0}, 0.75, None, ("2 ranks", "not known")),
        (JOB | {"cores": 1}, 2.0, 0.25, ("More than 100%", "no fault")),
        (JOB | {"node_mem_bytes": 1 << 29}, 0.5, 2.0, ("held", "page cache")),
    ],
)
def test_get_efficiency__says_of_what(job, cores, memory, words):
    found = get_efficiency(USED, {"slurm": [job]} if job else {}, 2)
    assert (found["cores"]["share"], found["memory"]["share"]) == (cores, memory)
    assert words[0] in found["cores"]["said"]
    assert words[1] in found["memory"]["said"]


@given(
    st.floats(0, 1e9), st.floats(0.001, 1e9), st.integers(0, 1 << 50), st.integers(1)
)
def test_get_efficiency__above_100_percent_is_explained(used_s, held_s, used, held):
    node = NODE | {"core_s": held_s, "peak_bytes": used, "source": "proc"}
    summary = {"nodes": [node], "ranks": [{"cpu_s": used_s}]}
    job = {"cores": 0, "elapsed_s": 1, "node_mem_bytes": held}
    for found in get_efficiency(summary, {"slurm": [job]}, 1).values():
        assert (found["share"] > 1) == ("More than 100%" in found["said"])


def test_inspect__prints_efficiency(folder, capsys):
    job = {"job": "7", "elapsed_s": 58, "cores": 2, "node_mem_bytes": 458 << 20}
    save_manifest(folder, {"program": "sim", "slurm": [job]})
    assert main(["inspect", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "75%  efficiency of cores" in said
    assert "50%  efficiency of memory" in said
    assert "Ranks used 1 min 27 s of CPU time of the 1 min 56 s of cores that" in said
    assert "The peak of <n1> was 229.00 MiB, of the 458.00 MiB that" in said


# ---- charts


@given(
    st.lists(st.one_of(st.just(float("nan")), st.floats(0, 99)), max_size=30),
    st.floats(0.1, 1000),
)
def test_join_steps__is_broken_where_nothing_is_known(values, width):
    at = width * np.arange(len(values))
    path = join_steps(lambda x: x, lambda y: y, at, width, values)
    known = np.isfinite(values)
    parts = int((known & ~np.r_[False, known[:-1]]).sum()) if len(values) else 0
    assert path.count("M") == parts
    assert path.count("H") == known.sum()


@given(st.floats(1, 1e7))
def test_time_unit__gives_few_numbers(end_s):
    size, unit = get_time_unit(end_s)
    assert {"s": 1, "min": 60, "h": 3600}[unit] == size
    frame = Frame(0, 0, 100, 100)
    drawn = draw_ticks(frame.make_x(0, end_s), (0, end_s), frame, unit=size)
    places = [float(x) for x in re.findall(r'<text x="([\d.]+)"', drawn)]
    assert 3 <= len(places) <= 12
    assert places == sorted(set(places))
    assert places[-1] <= 100


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_get_order__counts(numbers):
    names = [f"rack{n % 3}-node{n}" for n in numbers]
    expected = sorted(numbers, key=lambda n: (n % 3, n))
    assert sorted(names, key=get_order) == [f"rack{n % 3}-node{n}" for n in expected]


def test_inspect__prints_what_to_do(folder, capsys):
    assert main(["inspect", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "75%  utilisation of cores" in said
    assert "Rank 0 worked 33% more than the mean rank" in said
    assert "--mem=340M" in said
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
        ({"utilisation": None, "imbalance": None}, "--mem=198M"),
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
    assert len(said) == 1 + ("--mem=198M" not in words)
