"""The page of a run: which one it is, what it asked for, held and used, and why."""

import json
import os
import re
import socket
import subprocess

import pytest

from conftest import require
from hpc_connector.cluster.record import save_job
from hpc_connector.commands.main import main
from hpc_connector.manifest import read_manifest, save_manifest
from hpc_connector.report.telemetry.differences import explain_differences
from programs import PATIENCE_S
from slurm_fakes import put_programs
from test_telemetry_files import make_rows

MIB = 1 << 20
ATTEMPT = {
    "job": "7",
    "state": "COMPLETED",
    "nodes": "node[1-2]",
    "n_nodes": 2,
    "n_tasks": 4,
    "cores": 4,
    "node_mem_bytes": 4000 * MIB,
    "start": "2026-11-29T11:40:55",
    "elapsed_s": 60,
    "limit_s": 600,
    "cpu_s": 120.0,
    "max_rss_bytes": 1000 * MIB,
    "max_rss_tasks": 4,
}


def make_run(folder, *attempts, **more):
    """Make a run of two ranks on a node, 2 GB each, 29 s long, 52.2 s of CPU time."""
    (folder / "telemetry").mkdir(parents=True)
    (folder / "telemetry/n1.csv").write_text(make_rows())
    record = {"program": "mdr-epistasis", "version": "0.1", "status": "done"}
    record |= {"job": "7", "attempt": 2, "command": "mdr-epistasis run <x> --top 9"}
    save_manifest(folder, record | {"slurm": list(attempts)} | more)
    return folder


def make_page(folder):
    page = folder / "page.html"
    assert main(["inspect", str(folder), "--html", str(page)]) == 0
    return page.read_text()


def list_facts(page):
    """Return the facts at the top of a page."""
    found = re.search('<dl class="about">(.*?)</dl>', page)[1]
    return dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", found))


def test_inspect__names_the_run_and_how_it_ended(tmp_path):
    first = ATTEMPT | {"state": "REQUEUED", "elapsed_s": 30}
    page = make_page(make_run(tmp_path / "a", first, ATTEMPT))
    assert list_facts(page) == {
        "Run": str(tmp_path / "a"),
        "Program": "mdr-epistasis 0.1",
        "Job": "7",
        "Command": "mdr-epistasis run &lt;x&gt; --top 9",
        "End": "COMPLETED in attempt 2, as manifest.json has it",
        "Time": "1 min 0 s of 10 min 0 s asked (10%)",
        "Memory": "3.73 GiB of 3.91 GiB asked on a node (95%)",
    }


def test_inspect__of_a_job_that_failed_after_its_run_was_done(tmp_path):
    failed = ATTEMPT | {"state": "OUT_OF_MEMORY"}
    facts = list_facts(make_page(make_run(tmp_path / "a", failed)))
    assert facts["End"].startswith("OUT_OF_MEMORY in attempt 2")


def test_inspect__draws_each_attempt(tmp_path):
    first = ATTEMPT | {"state": "REQUEUED", "elapsed_s": 30, "cpu_s": 30.0}
    page = make_page(make_run(tmp_path / "a", first, ATTEMPT))
    (section,) = re.findall('<section id="attempts">.*?</section>', page, re.DOTALL)
    boxes = re.findall(
        '<rect x="([0-9.]+)" y="([0-9.]+)" width="([0-9.]+)" height="([0-9.]+)" '
        'class="(held|used)">',
        section,
    )
    assert [box[4] for box in boxes] == ["held", "used"] * 4
    heights = [float(box[3]) for box in boxes]
    shares = [heights[k + 1] / heights[k] for k in range(0, 8, 2)]
    assert shares == pytest.approx([0.25, 0.5, 0.5, 0.5], abs=0.01)
    widths = [float(box[2]) for box in boxes]
    assert widths[2] / widths[0] == pytest.approx(2, abs=0.05)
    assert "30 s of 10 min 0 s <b>5%</b>" in section
    assert "2 min 0 s of 4 min 0 s <b>50%</b>" in section
    assert "1.95 GiB of 3.91 GiB <b>50%</b>" in section
    assert "2 held by the job" in page  # cores of a node
    assert "3.91 held by the job" in page


def test_inspect__without_an_account_draws_no_attempts(tmp_path):
    page = make_page(make_run(tmp_path / "a", job=""))
    assert 'id="attempts"' not in page
    assert {"Time", "Memory", "Job"}.isdisjoint(list_facts(page))


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"cores": None},
        {"elapsed_s": "x", "state": None},
        {"limit_s": -1, "job": []},
    ],
)
def test_inspect__of_an_attempt_of_anything(found, tmp_path):
    whole = dict.fromkeys(ATTEMPT) | found
    for k, attempt in enumerate((found, whole, ATTEMPT | found)):
        assert "<h1>" in make_page(make_run(tmp_path / str(k), attempt))


# ---- figures that differ

NODE = {"node": "n1", "peak_bytes": 2000 * MIB, "source": "proc"}
SUMMARY = {"nodes": [NODE], "ranks": [{"cpu_s": 60.0}, {"cpu_s": 60.0}]}
RECORD = {"slurm": [ATTEMPT], "resources": {"wall_s": 60.0}}


def explain(attempt=(), node=(), cpu_s=60.0, wall_s=60.0):
    summary = {"nodes": [NODE | dict(node)], "ranks": [{"cpu_s": cpu_s}] * 2}
    record = {"slurm": [ATTEMPT | dict(attempt)], "resources": {"wall_s": wall_s}}
    return explain_differences(summary, record)


def test_explain_differences__of_figures_that_agree():
    assert explain_differences(SUMMARY, RECORD) == explain() == []
    assert explain(cpu_s=60.5, wall_s=59.5) == []
    assert explain_differences(SUMMARY, {}) == []
    assert explain_differences(SUMMARY, RECORD | {"resources": 3}) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"attempt": {"max_rss_bytes": 1500 * MIB}},
            "Memory of a node: 2.93 GiB (2 ranks of 1.46 GiB) by Slurm's MaxRSS, 1.95 "
            "GiB by the agent. Slurm counts what ranks share once for each",
        ),
        (
            {"attempt": {"max_rss_bytes": 500 * MIB}, "node": {"source": "cgroup2"}},
            "misses a peak between. The agent has the kernel's mark of the whole job",
        ),
        (
            {"attempt": {"max_rss_bytes": 3000 * MIB, "max_rss_tasks": 2}},
            "2.93 GiB by Slurm's MaxRSS, 1.95 GiB by the agent. The agent has ended",
        ),
        ({"cpu_s": 50.0}, "CPU time: 2 min 0 s by Slurm, 1 min 40 s of the ranks"),
        ({"cpu_s": 90.0}, "Slurm has none of a step that was killed"),
        ({"wall_s": 20.0}, "Time: 20 s of the program by its manifest, 1 min 0 s of"),
        ({"wall_s": 99.0}, "They are not of one attempt"),
    ],
)
def test_explain_differences__says_why(changes, words):
    (said,) = explain(**changes)
    assert words in said


def test_inspect__says_why_figures_differ(tmp_path, capsys):
    run = make_run(tmp_path / "a", ATTEMPT, resources={"wall_s": 20.0})
    assert main(["inspect", str(run)]) == 0
    said = capsys.readouterr().out
    assert "10%  efficiency of time" in said
    assert "The job took 1 min 0 s of the 10 min 0 s asked." in said
    assert said.count(" by Slurm") == 3
    assert "Why figures differ" in make_page(run)


# ---- while the run goes on


@pytest.mark.parametrize("command", [["inspect"], ["telemetry", "collect"]])
def test_inspect__of_a_run_that_goes_on_says_so(command, tmp_path, monkeypatch, capsys):
    line = "7_3|9|RUNNING|5:00|2026-01-01T03:00:00|node1|None\n"
    put_programs(monkeypatch, tmp_path / "bin", squeue=line)
    run = make_run(tmp_path / "a", status="running")
    save_job(run, {"job": "7_3", "submitted": "2026-01-01T00:00:00+00:00"})
    before = read_manifest(run)
    assert main([*command, str(run)]) == 0
    said = "The run is not over (job 7_3 is RUNNING): these are the figures so far."
    assert said in capsys.readouterr().out
    assert read_manifest(run) == before
    if command == ["inspect"]:
        assert said in make_page(run)


def test_inspect__of_a_process_that_works_says_so(tmp_path, monkeypatch, capsys):
    put_programs(monkeypatch, tmp_path / "bin")
    run = make_run(tmp_path / "a", status="running", job="")
    lock = {"host": socket.gethostname(), "pid": os.getpid()}
    (run / "running.json").write_text(json.dumps(lock))
    assert main(["inspect", str(run)]) == 0
    assert "The run is not over (it is RUNNING)" in capsys.readouterr().out


def test_collect__keeps_a_manifest_that_was_written_meanwhile(tmp_path, monkeypatch):
    run = make_run(tmp_path / "a", status="stopped")

    def join(parts):
        save_manifest(run, read_manifest(run) | {"status": "done"})
        return {"notes": [], "nodes": [], "ranks": []}

    monkeypatch.setattr("hpc_connector.telemetry.collect.join_parts", join)
    assert main(["telemetry", "collect", str(run)]) == 0
    assert read_manifest(run)["status"] == "done"
    assert "telemetry" in read_manifest(run)


# ---- telemetry that says little


def test_inspect__of_a_node_without_memory_takes_that_of_its_ranks(tmp_path, capsys):
    run = make_run(tmp_path / "a")
    rows = re.sub(",-1,(.*),4000000000\n", ",-1,\\1,0\n", make_rows())
    assert rows.count(",0\n") == 30
    (run / "telemetry/n1.csv").write_text(rows)
    assert main(["inspect", str(run), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["peak_bytes"] == 4 * 10**9
    assert "there is no memory in the rows of the node (rank -1)" in summary["notes"][0]
    assert summary["nodes"][0]["cpu_s"] == 52.2


@pytest.mark.parametrize("rss", [1, 2000, 1 << 20])
def test_inspect__of_memory_that_no_program_fits_in_advises_none(rss, tmp_path, capsys):
    """As of a sampler that writes kilobytes."""
    run = make_run(tmp_path / "a")
    (run / "telemetry/n1.csv").write_text(make_rows(rss=rss))
    assert main(["inspect", str(run)]) == 0
    said = capsys.readouterr().out
    assert "less than any program does" in said
    assert "--mem=" not in said


def test_inspect__of_a_run_with_its_job_holds_in_a_browser(tmp_path):
    first = ATTEMPT | {"state": "REQUEUED", "elapsed_s": 30, "cpu_s": 30.0}
    run = make_run(tmp_path / "a", first, ATTEMPT)
    make_page(run)
    options = "--headless --no-sandbox --disable-gpu --enable-logging=stderr --dump-dom"
    command = [require("chromium"), *options.split(), "--window-size=420,3000"]
    command += [f"--user-data-dir={tmp_path}/profile", (run / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count('class="meter"') == 3 + 2 * 3
    assert "NaN" not in done.stdout
