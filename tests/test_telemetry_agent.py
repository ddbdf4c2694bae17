"""The telemetry of a run: what is read, what is written, what is left by a kill."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.cluster.batch import Job, render_sbatch
from hpc_connector.cluster.site import Site
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest
from hpc_connector.telemetry import columns
from hpc_connector.telemetry.collect import collect
from hpc_connector.telemetry.counters import SLACK, get_cpu_s, get_cpu_steps
from hpc_connector.telemetry.records import read_nodes, read_rows
from hpc_connector.telemetry.watch import cgroup, energy, proc, ranks, session
from hpc_connector.telemetry.watch.prometheus import format_metrics
from naive_telemetry import count
from programs import PATIENCE_S, wait_for
from slurm_jobs import read_account

COHORT = Path(__file__).parent / "data/bitepi_plink_100snps_2000/bfile.bed"
BUSY = "while True: sum(range(999))"
STEP = "/system.slice/slurmstepd.scope/job_7/step_0/user/task_0"
STEP_1 = "/slurm/uid_1/job_7/step_0/task_0"

# A peak of 150 MB that is over before the first sample
SPIKE = """
import time
kept = bytes(bytearray(b"x") * (150 << 20))
del kept
print("ready", flush=True)
time.sleep(60)
"""

# Children that work and end, one after the other
PARENT = """
import subprocess, sys, time
for _ in range(4):
    subprocess.run([sys.executable, "-S", "-c", "sum(range(4_000_000))"])
print("ready", flush=True)
time.sleep(60)
"""


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def start(request):
    """Return what starts a process that ends with the test."""
    begun = []

    def begin(*command, **options):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()
        process.stdout.close()


def start_agent(start, out, *options):
    command = [sys.executable, "-m", "hpc_connector.commands.telemetry.agent"]
    return start(*command, "--out", str(out), *map(str, options))


def list_rows(out):
    (path,) = (out / "telemetry").glob("*.csv")
    return read_rows(path)


def count_lines(out):
    return sum(
        path.read_bytes().count(b"\n") for path in (out / "telemetry").glob("*.csv")
    )


def read_totals(out):
    (path,) = (out / "telemetry").glob("*.json")
    return json.loads(path.read_text())


# control groups


def test_cgroup__version_2(tmp_path):
    job = "system.slice/slurmstepd.scope/job_7/"
    files = {
        "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\n",
        "memory.stat": "anon 4096\nfile 999999\n",
        "memory.peak": "8192\n",
        "io.stat": "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=5 wbytes=0 rios=1\n",
    }
    write(tmp_path, {job + name: text for name, text in files.items()})
    write(tmp_path, {"own": f"0::{STEP}\n"})
    group = cgroup.find_cgroup(str(tmp_path), str(tmp_path / "own"))
    assert group.source == "cgroup2"
    assert cgroup.read_usage(group) == cgroup.Usage(2.5, 4096, 8192, 15, 20)


def test_cgroup__version_2_of_a_kernel_without_a_peak(tmp_path):
    job = "system.slice/slurmstepd.scope/job_7/"
    files = {"cpu.stat": "usage_usec 1000000\n", "memory.stat": "anon 4096\n"}
    write(tmp_path, {job + name: text for name, text in files.items()})
    write(tmp_path, {"own": f"0::{STEP}\n"})
    group = cgroup.find_cgroup(str(tmp_path), str(tmp_path / "own"))
    assert cgroup.read_usage(group) == cgroup.Usage(1.0, 4096, None, None, None)


def test_cgroup__version_1(tmp_path):
    job = "slurm/uid_1/job_7"
    io = "8:0 Read 10\n8:0 Write 20\n8:0 Total 30\nTotal 30\n"
    write(
        tmp_path,
        {
            f"cpuacct/{job}/cpuacct.usage": "1500000000\n",
            f"memory/{job}/memory.stat": "cache 7\ntotal_cache 9\ntotal_rss 4096\n",
            f"memory/{job}/memory.max_usage_in_bytes": "8192\n",
            f"blkio/{job}/blkio.throttle.io_service_bytes_recursive": io,
            "own": f"4:memory:{STEP_1}\n3:cpu,cpuacct:{STEP_1}\n"
            f"2:blkio:{STEP_1}\n1:name=systemd:/\n0::/\n",
        },
    )
    group = cgroup.find_cgroup(str(tmp_path), str(tmp_path / "own"))
    assert group.source == "cgroup1"
    assert cgroup.read_usage(group) == cgroup.Usage(1.5, 4096, 8192, 10, 20)


@pytest.mark.parametrize(
    "own", ["0::/user.slice/session-1.scope\n", f"0::{STEP}\n", "4:memory:/\n", ""]
)
def test_cgroup__that_is_not_of_a_job_or_not_there(tmp_path, own):
    write(tmp_path, {"own": own, "user.slice/session-1.scope/cpu.stat": "x 1\n"})
    assert cgroup.find_cgroup(str(tmp_path), str(tmp_path / "own")) is None
    assert cgroup.find_cgroup(str(tmp_path), str(tmp_path / "none")) is None


# energy


def write_zones(root, **zones):
    names = {"package": "package-0", "second": "package-1"}
    for k, (name, microjoules) in enumerate(zones.items()):
        zone = f"intel-rapl:{k}"
        write(
            root,
            {
                f"{zone}/name": f"{names.get(name, name)}\n",
                f"{zone}/energy_uj": f"{microjoules}\n",
                f"{zone}/max_energy_range_uj": "1000\n",
            },
        )


def test_energy__adds_packages_and_memory_and_wraps(tmp_path):
    write_zones(tmp_path, package=900, second=0, dram=5, core=1, psys=2)
    found = energy.open_energy(str(tmp_path))
    assert energy.read_energy(found) == 0
    write_zones(tmp_path, package=100, second=50, dram=6, core=900, psys=900)
    assert energy.read_energy(found) == pytest.approx(251e-6)  # 200 + 50 + 1
    assert (found.source, found.notes) == ("rapl", [])


def test_energy__leaves_out_a_zone_that_is_refused(tmp_path, monkeypatch):
    write_zones(tmp_path, package=0, second=0)
    opened = os.open

    def refuse(path, *flags):
        if "intel-rapl:0/energy" in str(path):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *flags)

    monkeypatch.setattr(os, "open", refuse)
    found = energy.open_energy(str(tmp_path))
    write_zones(tmp_path, package=70, second=40)
    assert energy.read_energy(found) == pytest.approx(40e-6)
    assert found.notes == ["energy of intel-rapl:0 is not counted: Permission denied"]


def test_energy__without_any(tmp_path):
    found = energy.open_energy(str(tmp_path))
    assert (energy.read_energy(found), found.source) == (None, "none")


@given(st.integers(1, 10**9), st.lists(st.floats(0, 0.99)), st.data())
def test_energy__of_any_steps_below_the_range(most, shares, data):
    steps = [int(share * most) for share in shares]
    total = last = data.draw(st.integers(0, most - 1))
    found = 0
    for step in steps:
        total += step
        found += energy.get_step(last, total % most, most)
        last = total % most
    assert found == sum(steps)


# counters


@given(st.lists(st.tuples(st.integers(1, 100), st.booleans()), min_size=1))
def test_count__whatever_is_reset(steps):
    """A counter that begins again at 0, seen where it shows less than before."""
    counter, truth, value = [], 0, 0
    for step, is_reset in steps:
        if is_reset and step < value:
            value = 0
        value, truth = value + step, truth + step
        counter.append(value)
    assert all(step >= 0 for step in proc.get_increases(counter))
    assert count(counter) == truth


READINGS = st.lists(
    st.tuples(st.floats(0.1, 60), st.floats(0, 1), st.booleans()), min_size=1
)


@given(READINGS, st.floats(0.5, 256))
def test_get_cpu_steps__whatever_begins_again(readings, cores):
    """What is used is counted once, if some reading shows that all cores are busy."""
    counter, clock_s, truth = [0.0, cores], [0.0, 1.0], cores
    for time_s, share, is_reset in readings:
        used, last = share * cores * time_s, counter[-1]
        counter.append(used if is_reset and used < last else last + used)
        clock_s.append(clock_s[-1] + time_s)
        truth += used
    steps = get_cpu_steps(counter, clock_s)
    assert min(steps) >= 0
    assert sum(steps) == pytest.approx(truth)


@given(READINGS, READINGS, st.integers(1, 40))
def test_get_cpu_steps__of_a_sum_that_loses_a_process(first, second, after):
    """What the others have used before is not counted again."""
    both = list(zip(first, second, strict=False))
    clock_s, counters, truth = [0.0], [[0.0, 0.0]], [0.0]
    for (time_s, mine, _), (_, yours, _) in both:
        lost = len(clock_s) > after
        spent = [mine * time_s, 0 if lost else yours * time_s]
        last = [counters[-1][0], 0 if lost else counters[-1][1]]
        counters.append([a + b for a, b in zip(last, spent, strict=True)])
        clock_s.append(clock_s[-1] + time_s)
        truth.append(truth[-1] + sum(spent))
    steps = get_cpu_steps([sum(pair) for pair in counters], clock_s)
    times = [b - a for a, b in itertools.pairwise(clock_s)]
    most = [2 * SLACK * time + proc.TICK_S for time in times]
    assert all(step <= limit for step, limit in zip(steps, most, strict=True))
    assert sum(steps) <= truth[-1] + max(most) + 1e-6


def make_life(pid, *cpu_s, at):
    return [
        {"pid": pid, "cpu_s": used, "clock_s": float(at + k)}
        for k, used in enumerate(cpu_s)
    ]


def test_get_cpu_s__of_processes_one_after_the_other_and_at_once():
    one, two = make_life(7, 1.0, 2.0, 3.0, at=0), make_life(8, 5.0, 6.0, at=9)
    assert get_cpu_s(one + two) == [1, 2, 3, 8, 9]
    at_once = [row for pair in zip(one, two, strict=False) for row in pair]
    assert get_cpu_s(at_once) == [1, 6, 7, 8]
    again = make_life(7, 0.5, 1.5, at=20)  # the number was given again
    assert get_cpu_s(one + again) == [1, 2, 3, 3.5, 4.5]


@given(st.text(max_size=15), st.integers(0, 10**6), st.integers(0, 10**6))
def test_parse_stat__whatever_the_name(name, ticks, pages):
    fields = ["R", "1", *["0"] * 9, *[str(ticks)] * 4, *["0"] * 6, str(pages), "0"]
    line = f"7 ({name}) {' '.join(fields)} 0 0\n".encode()
    state, cpu_s, rss = proc.parse_stat(line)
    assert (state, rss) == (b"R", pages * proc.PAGE)
    assert cpu_s == pytest.approx(4 * ticks * proc.TICK_S)


def test_process__agrees_with_getrusage():
    process = proc.Process(os.getpid())
    assert process.read()
    process.read_peak()
    process.read_io()
    used = os.times()
    assert process.cpu_s == pytest.approx(sum(used[:4]), abs=1)
    assert process.peak_bytes >= process.rss_bytes > 1 << 20
    assert process.read_bytes is None or process.read_bytes >= 0
    process.close()


# the agent


def test_agent__peak_is_the_kernels_and_its_cost_is_small(tmp_path, start):
    watched = start(sys.executable, "-c", SPIKE)
    assert watched.stdout.readline() == b"ready\n"
    watcher = start_agent(start, tmp_path, "--pid", watched.pid, "--interval", "0.1")
    wait_for(lambda: count_lines(tmp_path) > 8)
    watcher.terminate()
    assert watcher.wait() == 0
    totals = read_totals(tmp_path)
    status = Path(f"/proc/{watched.pid}/status").read_text()
    marks = dict(line.split(":", 1) for line in status.splitlines())
    peak_kb = int(marks["VmHWM"].split()[0])  # not ru_maxrss: that is the parent's too
    (rank,) = totals["ranks"]
    assert rank["peak_bytes"] == pytest.approx(peak_kb * 1024, rel=0.01)
    assert rank["peak_bytes"] > 150 << 20 > totals["totals"]["max_rss_bytes"]
    assert totals["agent"]["rss_bytes"] < 20e6  # the benchmark says 15


def test_agent__counts_children_that_have_ended(tmp_path, start):
    watched = start(sys.executable, "-c", PARENT)
    watcher = start_agent(start, tmp_path, "--pid", watched.pid, "--interval", "0.01")
    assert watched.stdout.readline() == b"ready\n"
    wait_for(lambda: count_lines(tmp_path) > 1)
    watcher.terminate()
    assert watcher.wait() == 0
    used = proc.Process(watched.pid)
    used.read()
    for number in (-1, 0):
        cpu_s = [r["cpu_s"] for r in list_rows(tmp_path).rows if r["rank"] == number]
        assert cpu_s == sorted(cpu_s)
        assert cpu_s[-1] == pytest.approx(used.cpu_s, abs=0.03)
    used.close()


def test_agent__finds_the_ranks_of_its_job_alone(tmp_path, start):
    for job, rank in (("7", 0), ("7", 1), ("8", 0)):
        numbers = {"SLURM_JOB_ID": job, "PMIX_RANK": str(rank)}
        start(sys.executable, "-S", "-c", BUSY, env=os.environ | numbers)
    command = [sys.executable, "-m", "hpc_connector.commands.telemetry.agent"]
    environment = os.environ | {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "n1"}
    options = ["--out", str(tmp_path), "--interval", "0.1"]
    watcher = start(*command, *options, env=environment)
    wait_for(lambda: count_lines(tmp_path) > 12)
    watcher.terminate()
    assert watcher.wait() == 0
    assert (tmp_path / "telemetry/n1.csv").exists()
    totals = read_totals(tmp_path)
    assert sorted(rank["rank"] for rank in totals["ranks"]) == [0, 1]
    assert totals["job"] == "7"


def test_agent__ends_with_what_it_watches(tmp_path, start):
    code = "import sys; sys.stdin.read()"
    watched = start(sys.executable, "-S", "-c", code, stdin=subprocess.PIPE)
    watcher = start_agent(start, tmp_path, "--pid", watched.pid, "--interval", "0.1")
    wait_for(lambda: count_lines(tmp_path) > 1)
    watched.communicate()
    assert watcher.wait(PATIENCE_S) == 0


def test_agent__sees_a_run_that_is_over_before_it_was_ready(tmp_path):
    places = [(columns.get_name(), os.getpid())]
    agent = session.start_agent(tmp_path, places, 0)
    agent.send_signal(signal.SIGHUP)
    assert agent.wait(PATIENCE_S) == 0
    assert {row["rank"] for row in list_rows(tmp_path).rows} == {-1, 0}
    assert read_totals(tmp_path)["ranks"][0]["rank"] == 0


def test_agent__killed_leaves_rows_and_another_goes_on(tmp_path, start):
    watched = start(sys.executable, "-S", "-c", BUSY)
    for _ in range(2):
        before = count_lines(tmp_path)
        options = ("--pid", f"{watched.pid}:3", "--interval", "0.05")
        watcher = start_agent(start, tmp_path, *options)
        wait_for(lambda n=before: count_lines(tmp_path) > n + 9)
        watcher.send_signal(signal.SIGKILL)
        watcher.wait()
        (path,) = (tmp_path / "telemetry").glob("*.csv")
        with open(path, "a") as stream:
            stream.write("1795611013.456,1.0")  # as a write that was cut
    summary = collect(tmp_path)
    assert [rank["rank"] for rank in summary["ranks"]] == [3]
    assert {row["attempt"] for row in list_rows(tmp_path).rows} == {1, 2}
    assert any("2 of " in n and "lines are cut" in n for n in summary["notes"])
    assert any("its agent was killed" in note for note in summary["notes"])


def test_agent__says_where_it_was_asleep(tmp_path, start):
    watched = start(sys.executable, "-S", "-c", BUSY)
    watcher = start_agent(start, tmp_path, "--pid", watched.pid, "--interval", "0.1")
    wait_for(lambda: count_lines(tmp_path) > 8)
    watcher.send_signal(signal.SIGSTOP)
    time.sleep(1)
    n_lines = count_lines(tmp_path)
    watcher.send_signal(signal.SIGCONT)
    wait_for(lambda: count_lines(tmp_path) > n_lines)
    watcher.terminate()
    watcher.wait()
    assert max(length for _, length in read_totals(tmp_path)["gaps"]) > 0.9
    (node,) = collect(tmp_path)["nodes"]
    assert node["gap_s"] > 0.9


# Whose samples take long from the second on, as on a node that is overloaded
LATE = """
import time
from hpc_connector.telemetry.watch import agent

sample = agent.sample
agent.sample = lambda node, at_s, step_s: (
    time.sleep(1.2 * (at_s > 0.05)), sample(node, at_s, step_s)
)
agent.watch_node("{out}", {{{pid}: 0}}, 0.1, None)
"""


def test_agent__that_was_late_does_not_take_it_for_a_clock_that_was_set(
    tmp_path, start
):
    watched = start(sys.executable, "-S", "-c", BUSY)
    code = LATE.format(out=tmp_path, pid=watched.pid)
    watcher = start(sys.executable, "-c", code)
    wait_for(lambda: count_lines(tmp_path) > 6)
    watcher.terminate()
    assert watcher.wait() == 0
    assert list_rows(tmp_path).notes == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pid", "99999999"], "--pid 99999999: there is no such process"),
        (["--interval", "0"], "0: expected 0.01..3600"),
        (["--pid", "x"], "argument --pid: invalid"),
    ],
)
def test_agent__bad_input(tmp_path, options, message):
    command = ["hpc-connector", "telemetry", "agent", "--out", tmp_path, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr


def test_agent__imports_nothing_heavy():
    code = (
        "import sys, hpc_connector.commands.telemetry.agent; "
        "print({'numpy', 'dataclasses', 'subprocess', 'email'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], **WITH_PATH)
    assert done.stdout == "set()\n", done.stderr


ROOT = Path(__file__).parents[1]
WITH_PATH = {
    "env": os.environ | {"PYTHONPATH": str(ROOT)},
    "capture_output": True,
    "text": True,
}


# the rows, read again


def make_rows(n, *, step_s=0.0):
    """Return the text of n samples of a node and a rank; the clock is set half-way."""
    lines = [",".join(columns.COLUMNS)]
    for k in range(n):
        time_s = 1000 + k + (step_s if k >= n // 2 else 0)
        lines.append(f"{time_s:.3f},{k:.3f},n1,-1,0,{k}.5,9,10,1,2,3,4,,proc,none")
        lines.append(f"{time_s:.3f},{k:.3f},n1,0,77,{k}.5,9,10,,,,,,proc,none")
    return "\n".join(lines) + "\n"


TEXT = make_rows(4)


@given(cut=st.integers(len(TEXT.split("\n")[0]) + 1, len(TEXT)))
def test_read_rows__of_a_file_that_is_cut_anywhere(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "n1.csv"
    path.write_text(TEXT[:cut])
    read = read_rows(path)
    assert len(read.rows) == TEXT[:cut].count("\n") - 1
    assert any("lines are cut" in note for note in read.notes) == (
        TEXT[cut - 1] != "\n"
    )


def test_read_rows__says_that_the_clock_was_set(tmp_path):
    write(tmp_path, {"telemetry/n1.csv": make_rows(4, step_s=-60)})
    summary = collect(tmp_path)
    said = "n1: the clock was set by -60.0 s after 1.0 s; elapsed_s is not touched"
    assert sum(said in note for note in summary["notes"]) == 1
    assert summary["nodes"][0]["wall_s"] == 3


def test_read_rows__refuses_another_table(tmp_path):
    write(tmp_path, {"telemetry/n1.csv": "a,b\n1,2\n"})
    with pytest.raises(BadInput, match=r"n1\.csv: expected the columns time_s,"):
        collect(tmp_path)


def test_read_nodes__of_another_sampler(tmp_path):
    """Columns in another order, some more, some fewer; both nodes in one file."""
    lines = ["\ufeffnode,rank,extra,cpu_s,rss_bytes,elapsed_s,time_s"]
    for node in ("n1", '"n2, rack 7"'):
        for k in range(4):
            lines += [f"{node},{r},x,{k}.5,9e3,{k},{1000 + k}" for r in (-1, 0)]
    lines += ["n1,0,x,nan,9,5,1005", "n1,0,x,1,inf,6,1006", ""]
    write(tmp_path, {"telemetry/trace.csv": "\r\n".join(lines)})
    first, second = read_nodes(tmp_path)
    assert (first.node, second.node) == ("n1", "n2, rack 7")
    assert len(first.rows) == len(second.rows) == 8
    assert first.rows[0]["rss_bytes"] == 9000
    assert {row["attempt"] for row in first.rows + second.rows} == {1}
    assert "2 of 18 lines are cut or hold no sample" in first.notes[0]
    summary = collect(tmp_path)
    assert [rank["cpu_s"] for rank in summary["ranks"]] == [3.5, 3.5]
    assert [rank["peak_bytes"] for rank in summary["ranks"]] == [9000, 9000]
    assert [node["wall_s"] for node in summary["nodes"]] == [3, 3]


def test_read_nodes__gives_what_was_collected_without_the_rows(tmp_path):
    write(tmp_path, {"telemetry/n1.csv": TEXT + TEXT.partition("\n")[2]})
    write(tmp_path, {"telemetry/n2.csv": TEXT.replace(",n1,", ",n2,")})
    collect(tmp_path)
    read = [node.rows for node in read_nodes(tmp_path)]
    assert {row["attempt"] for row in read[0]} == {1, 2}
    for path in (tmp_path / "telemetry").glob("*.csv"):
        path.unlink()
    assert [node.rows for node in read_nodes(tmp_path)] == read


def test_collect__counts_once_what_two_agents_saw(tmp_path):
    """The second agent found the same process; a third run had its number again."""
    head, *lines = TEXT.splitlines()
    later = make_rows(4).splitlines()[1:]
    for first_s, used in ((2000, 4), (3000, 0)):
        for line in later:
            words = line.split(",")
            words[0] = str(first_s + float(words[1]))
            words[5] = str(used + float(words[5]))
            lines.append(",".join(words))
    write(tmp_path, {"telemetry/n1.csv": "\n".join([head, *lines, ""])})
    summary = collect(tmp_path)
    assert summary["ranks"][0]["cpu_s"] == 7.5 + 3.5
    assert summary["nodes"][0]["cpu_s"] == 7.5 + 3.5
    assert summary["nodes"][0]["wall_s"] == 9


def test_collect__says_that_there_is_none(tmp_path, capsys):
    assert main(["telemetry", "collect", str(tmp_path)]) == 2
    assert "holds no telemetry: expected telemetry/NODE.csv" in capsys.readouterr().err


def test_collect__of_two_nodes(tmp_path):
    from pyarrow.parquet import read_table

    second = TEXT.replace(",n1,0,77,3.5", ",n2,1,77,7.5").replace(",n1,0,", ",n2,1,")
    write(tmp_path, {"telemetry/n1.csv": TEXT})
    write(tmp_path, {"telemetry/n2.csv": second.replace(",n1,-1,", ",n2,-1,")})
    summary = collect(tmp_path)
    assert [rank["cpu_s"] for rank in summary["ranks"]] == [3.5, 7.5]
    assert summary["imbalance"] == pytest.approx(7.5 / 5.5 - 1, abs=1e-4)
    assert summary["utilisation"] == pytest.approx(11 / 6, abs=1e-4)
    table = read_table(tmp_path / "telemetry/telemetry.parquet")
    assert table.column_names == [*columns.COLUMNS, "attempt"]
    assert table["node"].to_pylist() == ["n1"] * 8 + ["n2"] * 8
    assert table["energy_j"].null_count == 16


# Prometheus

SERIES = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\\n]|\\.)*",?)*)\} (\S+)')


def parse_metrics(text):
    """Return the values by name and labels, and the kind of each name."""
    values, kinds = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            name, labels, value = SERIES.fullmatch(line).groups()
            pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)
            values[name, tuple(sorted(dict(pairs).items()))] = float(value)
    return values, kinds


def test_prometheus__text_can_be_parsed():
    node = dict.fromkeys(columns.COLUMNS[5:]) | {"cpu_s": 1.5, "energy_j": 2.0}
    node |= {"source": "cgroup2", "energy_source": "rapl"}
    watched = [ranks.Rank(k, []) for k in range(2)]
    watched[1].peak_bytes = 1 << 40
    text = format_metrics({"jobid": "7", "node": 'a"b\\'}, node, watched)
    values, kinds = parse_metrics(text)
    common = (("jobid", "7"), ("node", r"a\"b\\"))
    assert values["hpcc_rank_peak_memory_bytes", (*common, ("rank", "1"))] == 1 << 40
    joules = (*common, ("source", "rapl"))
    assert values["hpcc_node_energy_joules_total", joules] == 2
    assert ("hpcc_node_read_bytes_total", common) not in values
    assert all((kind == "counter") == n.endswith("_total") for n, kind in kinds.items())
    assert {name for name, _ in values} == set(kinds)


def test_prometheus__file_is_there_while_the_agent_is(tmp_path, start):
    watched = start(sys.executable, "-S", "-c", BUSY)
    path = tmp_path / "job.prom"
    options = ("--pid", watched.pid, "--interval", "0.1", "--prometheus", path)
    watcher = start_agent(start, tmp_path, *options)
    wait_for(path.exists)
    values, _ = parse_metrics(path.read_text())
    assert {name for name, _ in values} >= {"hpcc_rank_cpu_seconds_total"}
    watcher.terminate()
    assert watcher.wait() == 0
    assert not path.exists()


# runs and jobs


def test_run__on_two_ranks_has_its_telemetry(tmp_path):
    out = tmp_path / "out"
    command = ["mpirun", "-n", "2", "mdr-epistasis", "run", COHORT, "--out", out]
    command += ["--telemetry", "--quiet", "--permutations", "50"]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    record = read_manifest(out)
    summary = record["telemetry"]
    assert [rank["rank"] for rank in summary["ranks"]] == [0, 1]
    peak = max(rank["peak_bytes"] for rank in summary["ranks"])
    assert peak >= record["resources"]["max_rss_bytes"]
    cpu_s = sum(rank["cpu_s"] for rank in summary["ranks"])
    assert cpu_s >= record["resources"]["cpu_s"] - 0.1
    assert (out / summary["file"]).exists()
    assert "telemetry" not in record["parameters"]
    (rows,) = (out / "telemetry").glob("*.csv")
    before = rows.read_bytes()
    subprocess.run(
        [*command, "--resume"], check=True, capture_output=True, timeout=PATIENCE_S
    )
    assert rows.read_bytes() == before  # of a complete run nothing is watched


def test_run__in_a_folder_of_another_is_not_watched(tmp_path):
    write(tmp_path, {"mine.txt": "x"})
    command = ["mdr-epistasis", "run", COHORT, "--out", tmp_path, "--telemetry"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_submit__asks_for_it(capsys, tmp_path):
    command = ["submit", "--dry-run", "--telemetry", "--mem", "1G", "mdr-epistasis"]
    assert main([*command, "run", str(COHORT), "--out", str(tmp_path / "out")]) == 0
    assert "\nCONNECTOR_TELEMETRY=1\n" in capsys.readouterr().out
    assert "\nCONNECTOR_TELEMETRY=" not in render_sbatch(Job("x"), Site())


@pytest.mark.usefixtures("cluster", "own_cache")
def test_job__on_two_nodes_is_watched(tmp_path):
    command = ["hpc-connector", "submit", "--telemetry", "--nodes", "2"]
    command += ["--ntasks-per-node", "1", "--mem", "900M", "mdr-epistasis", "run"]
    command += [COHORT, "--out", tmp_path / "out", "--quiet", "--permutations", "50"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    manifest = tmp_path / "out/manifest.json"
    wait_for(
        lambda: manifest.exists() and "telemetry" in read_manifest(tmp_path / "out")
    )
    summary = read_manifest(tmp_path / "out")["telemetry"]
    assert len({node["node"] for node in summary["nodes"]}) == 2
    assert [rank["rank"] for rank in summary["ranks"]] == [0, 1]
    assert len({rank["node"] for rank in summary["ranks"]}) == 2
    assert summary["notes"] == []
    (job,) = read_account(tmp_path / "out")
    assert (job["cores"], job["node_mem_bytes"]) == (2, 900 << 20)
