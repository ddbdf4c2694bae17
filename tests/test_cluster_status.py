"""Runs as status, logs, cancel and account see them, on a real Slurm cluster."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from hpc_connector.cluster.record import NAME, save_job
from hpc_connector.manifest import get_time
from slurm_jobs import simulate_slow, wait

COHORT = Path(__file__).parent / "data/bitepi_plink_100snps_2000/bfile.bed"

pytestmark = pytest.mark.usefixtures("cluster", "own_cache")


def ask(folder, *words, given=""):
    """Return what hpc-connector prints."""
    command = ["hpc-connector", *map(str, words)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, input=given
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def see(folder, *names):
    """Return what status says of runs, by their folders."""
    found = json.loads(ask(folder, "status", "--json", *names))
    return {one["run"]: one for one in found}


def submit(folder, *words, outs):
    """Submit a job; return its number, which stands in job.json."""
    job = ask(folder, "submit", *words)
    for k, out in enumerate(outs):
        number = f"{job}_{k}" if len(outs) > 1 else job
        log = folder / f"mdr-epistasis-{number}.out"
        record = {"job": number, "program": "mdr-epistasis", "log": str(log)}
        if not (folder / out / NAME).exists():
            save_job(folder / out, record | {"submitted": get_time()})
    return job


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Submit a long run, one that waits for it, and an array; return their folder."""
    folder = tmp_path_factory.mktemp("jobs")
    simulate_slow(folder / "slow")
    for name, ending in ((n, e) for n in "xyz" for e in (".bed", ".bim", ".fam")):
        shutil.copy(COHORT.with_suffix(ending), folder / f"{name}{ending}")
    (folder / "list").write_text("x.bed\ny.bed\nz.bed\n")
    run = ["mdr-epistasis", "run", "slow.bed", "--permutations", 600000, "--out"]
    options = ("--telemetry", "--ntasks-per-node", 2, "--time", "1:00:00")
    first = submit(folder, *options, *run, "long", outs=["long"])
    wants = ("--dependency", f"afterok:{first}")
    submit(folder, *wants, *run, "next", outs=["next"])
    run = ["mdr-epistasis", "run", "{}", "--permutations", 9, "--out", "{name}"]
    submit(folder, "--array", "list", *run, outs=list("xyz"))
    return folder


def test_status__of_a_job_that_waits_and_one_that_runs(jobs):
    wait(lambda: see(jobs, "long")["long"]["left_s"], jobs)
    found = see(jobs)
    assert set(found) == {"long", "next", "x", "y", "z"}
    long, waits = found["long"], found["next"]
    assert (long["state"], long["told_by"], long["nodes"]) == (
        "RUNNING",
        "squeue",
        "node1",
    )
    assert 0 < long["tasks_done"] < long["tasks"]
    assert 0 < long["limit_left_s"] < 3600
    assert "1500 of 1500 variants kept" in long["last_lines"][0]
    assert (waits["state"], waits["reason"]) == ("PENDING", "Dependency")
    assert waits["means"] == "it waits for another job"
    assert "variants kept" in ask(jobs, "logs", "long", "--lines", 1)


def test_inspect__while_the_job_runs(jobs):
    job = see(jobs, "long")["long"]["job"]
    said = f"The run is not over (job {job} is RUNNING): these are the figures so far."
    assert said in ask(jobs, "inspect", "long")
    assert said in ask(jobs, "telemetry", "collect", "long")
    assert "telemetry" not in json.loads((jobs / "long/manifest.json").read_text())


def read_ended(jobs, name):
    """Return the record of a run, and its attempt once the accounting knows its end."""
    ask(jobs, "account", "run", "--out", name)
    record = json.loads((jobs / name / "manifest.json").read_text())
    (attempt,) = record.get("slurm") or [{"state": "late"}]
    return attempt["state"] == "COMPLETED" and (record, attempt)


def test_account__of_each_element_of_an_array(jobs):
    """Also of the last one, whose number is the array's."""
    names = list("xyz")
    wait(lambda: all(one["is_over"] for one in see(jobs, *names).values()), jobs)
    found = see(jobs, *names)
    for k, name in enumerate(names):
        assert (found[name]["state"], found[name]["tasks"]) == (
            "COMPLETED",
            found[name]["tasks_done"],
        )
        assert found[name]["job"].endswith(f"_{k}")
        record, attempt = wait(lambda name=name: read_ended(jobs, name), jobs)
        assert attempt["job"] == record["job"]
        assert 0 < attempt["time_efficiency"] < 1
        assert 0 < attempt["memory_efficiency"] < 1
    array = found["z"]["job"].partition("_")[0]
    assert json.loads((jobs / "z/manifest.json").read_text())["job"] == array


def test_cancel__of_a_job_that_runs_and_one_that_waits(jobs):
    said = ask(jobs, "cancel", "long", "x")
    assert "was RUNNING: cancelled" in said.splitlines()[0]
    assert "is over (COMPLETED): nothing to cancel" in said.splitlines()[1]
    over = wait(lambda: (s := see(jobs, "long")["long"])["is_over"] and s, jobs)
    assert over["state"] == "CANCELLED"
    assert 0 < over["tasks_done"] < over["tasks"]
    assert "stopped on request" in ask(jobs, "logs", "long", "--follow")
    never = "DependencyNeverSatisfied"
    waits = wait(
        lambda: (s := see(jobs, "next")["next"])["reason"] == never and s, jobs
    )
    assert "never start" in waits["means"]
    ask(jobs, "cancel", "next")
    ask(jobs, "status", "--watch", "--interval", 1, "next")
    assert see(jobs, "next")["next"]["state"] == "CANCELLED"
