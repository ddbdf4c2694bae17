"""Jobs on a real Slurm cluster of virtual nodes: stopped, killed, and queued again."""

import json
import os
import re
import subprocess
from functools import partial
from pathlib import Path

import pytest

from conftest import CLUSTER
from held_runs import hold, let_go
from hpc_connector.cluster.batch import Job, render_sbatch
from hpc_connector.cluster.site import Site
from mdr_epistasis.program import main as mdr
from metabolite_annotation.program import main as annotate
from programs import PATIENCE_S, RAISING, assert_same
from slurm_jobs import (
    act_on_each,
    ask,
    read_account,
    simulate_slow,
    submit,
    wait,
    wait_for_end,
    wait_for_ledger,
)

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests/data"
SLOW = ["--permutations", "2000", "--top", "20"]  # some 5 to 15 s of one core

pytestmark = pytest.mark.usefixtures("cluster", "own_cache")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return a cohort whose search takes long enough to be stopped."""
    return simulate_slow(tmp_path_factory.mktemp("cohort") / "slow")


@pytest.fixture(scope="module")
def reference(cohort, tmp_path_factory):
    """Return the results of the search alone, in one piece."""
    out = tmp_path_factory.mktemp("reference") / "out"
    assert mdr(["run", cohort, *SLOW, "--out", str(out), "--quiet"]) == 0
    return out


def submit_held(folder, cohort, *options):
    """Submit a search that stands still in its middle; return its number."""
    run = ["mdr-epistasis", "run", cohort, *SLOW, "--out", folder / "out"]
    return submit(folder, *hold(folder), *options, *run)


def check_end(job, folder, reference, least_attempts=2):
    """Check that a job ended, after several attempts, with the known bytes."""
    state, said = wait_for_end(job, folder)
    assert state == "COMPLETED", said
    assert_same(folder / "out", reference)
    record = json.loads((folder / "out/manifest.json").read_text())
    assert record["status"] == "done"
    assert record["attempt"] >= least_attempts, said
    return record


def test_sbatch__of_the_script_for_epistasis(cohort, tmp_path):
    small = ["run", cohort, "--top", "20", "--out"]
    assert mdr([*small, str(tmp_path / "bare"), "--quiet"]) == 0
    script = ROOT / "slurm/mdr_epistasis.sbatch"
    command = ["sbatch", "--wait", script, *small, tmp_path / "out"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert_same(tmp_path / "out", tmp_path / "bare")
    record = json.loads((tmp_path / "out/manifest.json").read_text())
    assert record["resources"]["ranks"] == 4
    (figures,) = read_account(tmp_path / "out")
    assert figures["cpu_s"] > 0
    assert figures["max_rss_bytes"] > 0  # sampled once a second
    assert figures["nodes"] == "node1"


def test_submit__annotation_on_two_nodes(tmp_path):
    run = ["run", DATA / "imzml/Untreated_3_434_tiny.imzML", "--database"]
    run += [DATA / "databases/lipidmaps_2017-12-12-v2.tsv.gz", "--instrument", "FTICR"]
    run = [*map(str, run), "--out"]
    assert annotate([*run, str(tmp_path / "bare"), "--quiet"]) == 0
    options = ("--nodes", 2, "--ntasks-per-node", 2)
    job = submit(
        tmp_path, *options, "metabolite-annotation", *run, str(tmp_path / "out")
    )
    state, said = wait_for_end(job, tmp_path)
    assert state == "COMPLETED", said
    assert_same(tmp_path / "out", tmp_path / "bare")
    used = json.loads((tmp_path / "out/manifest.json").read_text())["resources"]
    assert (used["ranks"], used["nodes"]) == (4, 2)


def test_submit__an_array_after_another_job(cohort, tmp_path):
    first = submit(tmp_path, "mdr-epistasis", "run", cohort, "--out", tmp_path / "a")
    listed = tmp_path / "cohorts.txt"
    gametes = DATA / "gametes_2way_20snps_1600"
    (table,) = gametes.glob("*.tsv.gz")
    listed.write_text(f"{DATA}/bitepi_plink_100snps_2000/bfile.bed\n{table}\n")
    options = ["--array", listed, "--dependency", f"afterok:{first}"]
    run = ["mdr-epistasis", "run", "{}", "--out", tmp_path / "{name}"]
    job = submit(tmp_path, *options, *run)
    assert wait_for_end(first, tmp_path)[0] == "COMPLETED"
    for name in ("bfile", table.name.removesuffix(".tsv.gz")):
        end = tmp_path / name / "models.tsv"
        wait(end.exists, tmp_path)
    wait(lambda: not ask("squeue", "-h", "-j", job), tmp_path)


@pytest.fixture(scope="module")
def stopped(cohort, tmp_path_factory):
    """Return jobs that are stopped in three ways at once: number and folder of each."""
    jobs = {}
    ways = {
        "limit": ("--ntasks-per-node", 1, "--time", 1, "--warn", "0:45"),
        "signal": ("--ntasks-per-node", 2, "--time", 60),
        "requeue": ("--nodes", 2, "--ntasks-per-node", 1, "--time", 60),
    }
    for way, options in ways.items():
        folder = tmp_path_factory.mktemp(way)
        jobs[way] = submit_held(folder, cohort, *options), folder
    stops = {"signal": ("scancel", "--signal=USR1"), "requeue": ("scontrol", "requeue")}
    acts = {jobs[w][1]: partial(ask, *stop, jobs[w][0]) for w, stop in stops.items()}
    act_on_each(acts)
    return jobs


@pytest.mark.parametrize("way", ["signal", "requeue", "limit"])
def test_job__goes_on_where_it_was_stopped(stopped, reference, way):
    job, folder = stopped[way]
    check_end(job, folder, reference)
    attempts = read_account(folder / "out")
    assert len(attempts) >= 2
    limits = {attempt["limit_s"] for attempt in attempts}
    if way == "limit":  # Slurm may note the new one for the attempt before as well
        assert 660 in limits <= {60, 660}
        assert attempts[0]["state"] == "REQUEUED"  # before the limit, TIMEOUT after it
    else:
        said = "".join(path.read_text() for path in folder.glob("*.out"))
        assert limits == {3600}
        assert "stopped on request" in said


def test_job__goes_on_after_a_node_died(cohort, reference, tmp_path):
    job = submit_held(tmp_path, cohort, "--nodes", 2, "--ntasks-per-node", 1)
    wait_for_ledger(tmp_path)
    nodes = ask("squeue", "-h", "-j", job, "-o", "%N")
    last = ask("scontrol", "show", "hostnames", nodes).split()[-1]
    keeper = Path(f"/run/slurm-virtual/{last}.pid").read_text().strip()
    os.kill(int(keeper), 9)  # and with it all that the node runs
    try:
        check_end(job, tmp_path, reference)
    finally:
        subprocess.run([CLUSTER / "slurm-up", "--quiet"], check=True)
    assert last not in read_account(tmp_path / "out")[-1]["nodes"]


def test_job__makes_way_and_goes_on(cohort, reference, tmp_path):
    options = ("--slurm-partition", "standby", "--ntasks-per-node", 2)
    job = submit_held(tmp_path, cohort, *options)
    wait_for_ledger(tmp_path)
    urgent = ["sbatch", "--wait", "--partition=gpp", "--nodelist=node1", "--exclusive"]
    done = subprocess.run([*urgent, "--wrap=true"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    check_end(job, tmp_path, reference)


def test_job__grows_after_it_ran_out_of_memory(cohort, tmp_path):
    """Slurm kills the ranks; the next attempt has the memory that these had used."""
    run = ["mdr-epistasis", "run", cohort, "--permutations", "3000", "--out"]
    options = ("--ntasks-per-node", 2, "--mem", "150M", "--time", 60)
    job = submit(tmp_path, *options, *run, tmp_path / "out")
    state, said = wait_for_end(job, tmp_path)
    assert state == "COMPLETED", said
    attempts = read_account(tmp_path / "out")
    assert len(attempts) == 1 + said.count("ran out of memory") > 1
    given = [attempt["node_mem_bytes"] for attempt in attempts]
    assert given[-1] >= 250 << 20
    assert {attempt["limit_s"] for attempt in attempts} == {3600}


def test_submit__gives_more_memory_than_the_last_job_had(cohort, tmp_path, monkeypatch):
    """A policy without retries leaves it to the user to submit again."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[after_out_of_memory]\nretries = 0\n")
    run = ["mdr-epistasis", "run", cohort, "--permutations", "3000", "--out"]
    run += [tmp_path / "out"]
    monkeypatch.setenv("CONNECTOR_POLICY", str(policy))
    options = ("--ntasks-per-node", 2, "--mem", "280M")  # once it has begun
    state, said = wait_for_end(submit(tmp_path, *options, *run), tmp_path)
    assert state == "FAILED"
    assert "memory ran short 1 time in a row" in said
    again = ["hpc-connector", "submit", "--dry-run", "--ntasks-per-node", "2"]
    done = subprocess.run([*again, *map(str, run)], capture_output=True, text=True)
    (mib,) = re.findall("--mem=([0-9]+)M", done.stdout)
    assert int(mib) > 380
    assert "ran out of memory" in done.stderr


@pytest.fixture
def disk(tmp_path):
    """Return a small disk of node1, and what runs a command there."""
    folder = tmp_path / "disk"
    folder.mkdir()
    keeper = Path("/run/slurm-virtual/node1.pid").read_text().strip()
    on_node = ["nsenter", "--mount", "--pid", "-t", ask("pgrep", "-P", keeper)]
    disk = ["mount", "-t", "tmpfs", "-o", "size=96k", "disk", folder]
    subprocess.run([*on_node, *disk], check=True)
    yield folder, on_node
    subprocess.run([*on_node, "umount", "-l", folder], check=True)


ON_NODE1 = ("--slurm-partition", "standby", "--ntasks-per-node", 2)


def test_job__of_a_full_disk_goes_on_once_there_is_room(
    cohort, reference, tmp_path, disk
):
    folder, on_node = disk
    run = ["mdr-epistasis", "run", cohort, *SLOW, "--out", folder / "out"]
    state, said = wait_for_end(submit(tmp_path, *ON_NODE1, *run), tmp_path)
    assert state == "FAILED"
    assert "disk full" in said
    more = ["mount", "-o", "remount,size=64m", folder]
    subprocess.run([*on_node, *more], check=True)
    state, said = wait_for_end(submit(tmp_path, *ON_NODE1, *run), tmp_path)
    assert state == "COMPLETED", said
    subprocess.run([*on_node, "cp", "-r", folder / "out", tmp_path / "out"], check=True)
    assert_same(tmp_path / "out", reference)


def test_job__with_nowhere_to_write_says_so(cohort, tmp_path, disk):
    folder, on_node = disk
    read_only = ["mount", "-o", "remount,ro", folder]
    subprocess.run([*on_node, *read_only], check=True)
    run = ["mdr-epistasis", "run", cohort, "--out", folder / "out"]
    job = submit(tmp_path, *ON_NODE1, *run)
    state, said = wait_for_end(job, tmp_path)
    assert state == "FAILED"
    assert "ExitCode=2:0" in ask("scontrol", "show", "job", job)
    assert "cannot write" in said
    assert "Read-only file system" in said


def test_job__ends_with_the_message_and_code_of_a_rank_that_raises(tmp_path):
    """Slurm's PMI-2 kills all ranks, and would report that."""
    job = Job("python", (("-c", RAISING),), 2, 2)
    done = subprocess.run(
        ["sbatch", "--wait", "--output", tmp_path / "said"],
        timeout=PATIENCE_S,
        input=render_sbatch(job, Site()),
        text=True,
        cwd=tmp_path,
        capture_output=True,
    )
    said = (tmp_path / "said").read_text()
    assert done.returncode == 1, said
    assert said.startswith("program: [Errno 5] Input/output error")
    assert not list(tmp_path.glob(".*"))


def test_job__without_accounting(cohort, tmp_path):
    up = [CLUSTER / "slurm-up", "--quiet"]
    subprocess.run([*up, "--no-accounting"], check=True)
    try:
        job = submit(
            tmp_path, "mdr-epistasis", "run", cohort, "--out", tmp_path / "out"
        )
        state, said = wait_for_end(job, tmp_path)
    finally:
        subprocess.run(up, check=True)
    assert state == "COMPLETED", said
    assert "slurm" not in json.loads((tmp_path / "out/manifest.json").read_text())


def test_submit__passes_on_what_slurm_refuses(cohort, tmp_path):
    run = ["mdr-epistasis", "run", cohort, "--out", tmp_path / "out"]
    command = ["hpc-connector", "submit", "--qos", "gp_fast", *map(str, run)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Invalid qos" in done.stderr.splitlines()[-1]


def has_samples(out, n):
    """Return whether both nodes of a run have so many samples of its rank."""
    files = (out / "telemetry").glob("node*.csv")
    enough = [path.read_text().count("proc") >= 2 * n for path in files]
    return len(enough) == 2 and all(enough)


def test_submit__sized_by_the_run_before(cohort, reference, tmp_path):
    program = ["mdr-epistasis", "run", cohort]
    first, second = tmp_path / "first", tmp_path / "second"
    options = ("--nodes", 2, "--ntasks-per-node", 1, "--telemetry", "--time", 60)
    job = submit(tmp_path, *hold(tmp_path), *options, *program, *SLOW, "--out", first)
    wait(lambda: has_samples(first, 40), tmp_path)  # seconds, enough to train on
    let_go(tmp_path)
    state, said = wait_for_end(job, tmp_path)
    assert state == "COMPLETED", said
    summary = json.loads((first / "manifest.json").read_text())["telemetry"]
    assert [rank["rank"] for rank in summary["ranks"]] == [0, 1]
    assert len(summary["nodes"]) == 2
    model = str(tmp_path / "model")
    for words in (
        ["train", str(first), "--out", model, "--window", "1", "--lags", "3"],
        ["forecast", str(first), "--model", model],
    ):
        ask("hpc-connector", "telemetry", *words)
    assert (first / "telemetry/forecast.json").exists()

    command = ["hpc-connector", "submit", "--deadline", "1d", "--history", first]
    done = subprocess.run(
        [*command, *program, *SLOW, "--out", second],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "1 run in" in done.stderr
    state, said = wait_for_end(done.stdout.strip(), tmp_path)
    assert state == "COMPLETED", said
    assert_same(second, reference)
