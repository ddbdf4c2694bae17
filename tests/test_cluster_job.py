"""Inside jobs of a real Slurm: warned at any moment, killed, two at a time."""

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import pytest

from held_runs import hold, let_go
from hpc_connector.cluster.batch import Job, render_sbatch
from hpc_connector.cluster.site import Site
from hpc_connector.manifest import read_manifest
from mdr_epistasis.program import main as mdr
from programs import assert_same
from slurm_jobs import (
    act_on_each,
    ask,
    read_account,
    signal_ranks,
    simulate_slow,
    submit,
    wait,
    wait_for_end,
    write_script,
    write_site,
)

ROOT = Path(__file__).parents[1]
COHORT = ROOT / "tests/data/bitepi_plink_100snps_2000/bfile.bed"
SLOW = ["--permutations", "1000", "--top", "20"]  # some 3 to 7 s of one core
WARNED = {  # what starts the ranks
    "srun": "srun --mpi=pmi2 --wait=30",
    "mpirun": "mpirun",
}

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


# Warns its job while the ranks are started, and the next attempt as they start
WARN = """#!/bin/bash
printf . >>begun
case $(<begun) in
.) kill -s USR1 $PPID & ;;
..) { sleep 0.2; kill -s USR1 $PPID; } & ;;
esac
exec "$@"
"""
# A rank that takes so long to start that it hears a warning dropped before
START = """#!/bin/bash
if [ "$(<begun)" = . ]; then exec sleep 3600; fi
exec "$@"
"""


@pytest.fixture(scope="module")
def warned(tmp_path_factory):
    """Return jobs whose first two attempts are warned as they start."""
    jobs = {}
    for way, launch in WARNED.items():
        folder = tmp_path_factory.mktemp("warned")
        warn = write_script(folder / "warn", WARN)
        start = write_script(folder / "start", START)
        site = write_site(folder, LAUNCH=f"{warn} {launch} {start}")
        run = ["mdr-epistasis", "run", COHORT, *SLOW]
        options = [*site, "--ntasks-per-node", 2]
        jobs[way] = submit(folder, *options, *run, "--out", folder / "out"), folder
    return jobs


@pytest.mark.parametrize("way", WARNED)
def test_job__that_is_warned_as_it_starts_goes_on(warned, tmp_path, way):
    job, folder = warned[way]
    state, said = wait_for_end(job, folder)
    assert state == "COMPLETED", said
    begun = len((folder / "begun").read_text())
    assert begun in (2, 3)  # the second may be done before it hears the warning
    assert f"Restarts={begun - 1} " in ask("scontrol", "show", "job", job)
    run = ["run", str(COHORT), *SLOW, "--quiet"]
    assert mdr([*run, "--out", str(tmp_path / "alone")]) == 0
    assert_same(folder / "out", tmp_path / "alone")
    assert not (folder / "out/running.json").exists()


@pytest.fixture(scope="module")
def several(cohort, tmp_path_factory):
    """Return jobs that run at the same time: number and folder of each."""
    jobs = {}

    def start(name, *options):
        folder = tmp_path_factory.mktemp("several")
        run = ["mdr-epistasis", "run", cohort, *SLOW, "--out", folder / "out"]
        jobs[name] = submit(folder, *hold(folder), *options, *run), folder

    def submit_second(folder):
        """Have another job work in the folder of the first."""
        again = ["mdr-epistasis", "run", cohort, *SLOW, "--out", folder / "out"]
        jobs["second"] = submit(folder, "--nodes", 2, *again), folder

    start("first", "--ntasks-per-node", 1)
    start("watched", "--ntasks-per-node", 2, "--telemetry")
    start("killed", "--ntasks-per-node", 1, "--nodes", 2)
    (_, first), (job, watched), (_, killed) = jobs.values()
    acts = {
        first: partial(submit_second, first),
        watched: partial(ask, "scancel", "--signal=USR1", job),
        # all ranks at once, which scancel would warn before
        killed: partial(signal_ranks, signal.SIGKILL, killed),
    }
    act_on_each(acts)
    wait_for_end(*jobs["second"])
    let_go(first)
    return jobs


def test_job__in_a_folder_where_another_works(several, reference):
    (first, folder), (second, _) = several["first"], several["second"]
    state, said = wait_for_end(second, folder)
    assert state == "FAILED", said
    assert "ExitCode=2:0" in ask("scontrol", "show", "job", second)
    (line,) = [line for line in said.splitlines() if "works there" in line]
    assert f"job {first}, process" in line
    state, said = wait_for_end(first, folder)
    assert state == "COMPLETED", said
    assert_same(folder / "out", reference)
    assert [one["job"] for one in read_account(folder / "out")] == [first]
    assert not (folder / "out/running.json").exists()


def test_job__in_the_folder_of_one_that_was_killed(several, cohort, reference):
    killed, folder = several["killed"]
    state, said = wait_for_end(killed, folder)
    assert state == "FAILED", said
    holder = json.loads((folder / "out/running.json").read_text())
    assert holder["job"] == killed
    run = ["mdr-epistasis", "run", cohort, *SLOW, "--out", folder / "out"]
    job = submit(folder, "--ntasks-per-node", 2, *run)
    state, said = wait_for_end(job, folder)
    assert state == "COMPLETED", said
    assert_same(folder / "out", reference)
    assert read_manifest(folder / "out")["attempt"] == 2


def test_job__whose_agent_outlives_the_warning(several, reference):
    job, folder = several["watched"]
    state, said = wait_for_end(job, folder)
    assert state == "COMPLETED", said
    assert_same(folder / "out", reference)
    record = read_manifest(folder / "out")
    assert record["attempt"] == 2
    assert "stopped on request" in said
    assert "agent of" not in said
    summary = record["telemetry"]
    assert summary["notes"] == []
    assert all(rank["cpu_s"] > 0 for rank in summary["ranks"]), summary


def test_job__has_the_memory_that_inspect_advises(tmp_path):
    run = ["mdr-epistasis", "run", COHORT, "--permutations", 3000, "--out"]
    options = ["--telemetry", "--ntasks-per-node", 2]
    job = submit(tmp_path, *options, *run, tmp_path / "a")
    state, said = wait_for_end(job, tmp_path)
    assert state == "COMPLETED", said
    ask("hpc-connector", "inspect", tmp_path / "a", "--html", tmp_path / "page")
    advised = re.search(r"--mem=(\d+M)", (tmp_path / "page").read_text())[1]
    job = submit(tmp_path, *options, "--mem", advised, *run, tmp_path / "b")
    state, said = wait_for_end(job, tmp_path)
    assert state == "COMPLETED", said
    assert read_manifest(tmp_path / "b")["telemetry"]["notes"] == []


def test_sbatch__of_the_script_within_a_job(tmp_path):
    """Whose memory is of another kind, or more than this one has."""
    script = ROOT / "slurm/mdr_epistasis.sbatch"
    for outer, inner in (("--mem-per-cpu=300M", ""), ("--mem=3000M", "--mem=1200M")):
        run = f"sbatch {inner} {script} run {COHORT} --out {outer[2:7]}"
        wrap = [outer, "--ntasks=1", "--cpus-per-task=2", f"--wrap={run}"]
        ask("sbatch", f"--chdir={tmp_path}", f"--output={tmp_path}/outer", *wrap)
    for name in ("mem-p", "mem=3"):
        end = tmp_path / name / "models.tsv"
        wait(end.exists, tmp_path)


STAND_IN = """#!/bin/bash
echo "${NUMBA_CACHE_DIR%/*}" $(stat -c '%a %U' "${NUMBA_CACHE_DIR%/*}")
ls -R "$NUMBA_CACHE_DIR"
mkdir -p "$NUMBA_CACHE_DIR/kernels_1"
touch "$NUMBA_CACHE_DIR/kernels_1/add.$(id -un).nbc"
"""


def test_job__of_two_users_on_a_node_without_tmpdir():
    """Each has a folder of its own, which goes; nothing of the other is loaded."""
    users = [pwd.getpwuid(os.getuid()).pw_name, "daemon"]
    add = ["sacctmgr", "-i", "add", "user", "daemon", "account=bsc00"]
    subprocess.run(add, check=False)  # where it is no user of the cluster yet
    place = Path(tempfile.mkdtemp(dir="/tmp"))  # where both may read
    try:
        place.chmod(0o777)
        for name in ("mdr-epistasis", "hpc-connector"):
            (place / name).write_text(STAND_IN if name == "mdr-epistasis" else "")
            (place / name).chmod(0o755)
        site = Site(
            setup=f"unset TMPDIR; PATH={place}:$PATH", launch="srun", account="bsc00"
        )
        script = render_sbatch(Job("mdr-epistasis", (("run",),), 2, 1), site)
        environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": f"{place}/cache"}
        (place / "cache").mkdir(mode=0o777)
        (place / "cache").chmod(0o777)
        said = {}
        for user in users:
            command = ["runuser", "-u", user, "--", "sbatch", "--wait"]
            done = subprocess.run(
                [*command, "--chdir=/tmp", f"--output={place}/{user}.out"],
                input=script,
                env=environment,
                text=True,
                cwd=place,
                capture_output=True,
            )
            assert done.returncode == 0, done.stderr
            said[user] = (place / f"{user}.out").read_text()
            lines = said[user].splitlines()
            found = re.fullmatch(r"(/tmp/hpc_connector\.\S+) 700 (\S+)", lines[0])
            assert found[2] == user
            assert not Path(found[1]).exists()
        assert f"add.{users[0]}.nbc" not in said["daemon"]
        assert "are not kept" in said["daemon"]
    finally:
        shutil.rmtree(place)
