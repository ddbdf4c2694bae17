"""One run at a time in a folder: who holds it, and what is left by one that is over."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hpc_connector.errors import BadInput
from hpc_connector.locks.folder_lock import release_folder, take_folder
from hpc_connector.locks.holder import get_birth, get_namespace
from hpc_connector.manifest import read_manifest
from mdr_epistasis.program import main
from programs import PATIENCE_S, assert_same, make_command, wait_for

DATA = Path(__file__).parent / "data"
COHORT = f"{DATA}/bitepi_plink_100snps_2000/bfile.bed"
ANNOTATION = [f"{DATA}/imzml/Untreated_3_434_tiny.imzML", "--instrument", "FTICR"]
ANNOTATION += ["--database", f"{DATA}/databases/lipidmaps_2017-12-12-v2.tsv.gz"]
SLOW = {
    "mdr_epistasis": [COHORT, "--permutations", "20000"],
    "metabolite_annotation": ANNOTATION,
}
SQUEUE = """#!/bin/sh
# as Slurm 22.05 to 25.05: what is over is not listed, what is unknown is an error
case "$3" in
7) echo "7 RUNNING" ;;
8) echo "8 PENDING" ;;
9) ;;
10) echo "11 RUNNING"; echo "10 COMPLETED" ;;
12) echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1 ;;
13) echo "13 COMPLETING" ;;
*) echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Put a squeue on PATH that knows some jobs; this is job 1."""
    path = tmp_path / "bin/squeue"
    path.parent.mkdir()
    path.write_text(SQUEUE)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "1")


def hold(out, **changes):
    """Write the lock of another run; return what it says."""
    out.mkdir(exist_ok=True)
    holder = {"host": "elsewhere", "pid": 3, "job": "", "started": "2026-11-29T10:00"}
    text = json.dumps(holder | {"birth": "5", "namespace": "pid:[1]"} | changes)
    (out / "running.json").write_text(text)
    return text


def hold_here(out, pid, **changes):
    """Write the lock of a process of this machine."""
    birth, namespace = get_birth(pid), get_namespace()
    here = {"host": os.uname().nodename, "birth": birth, "namespace": namespace}
    return hold(out, pid=pid, **(here | changes))


def end_process():
    """Return the number of a process that is over."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_take_folder__says_who_works_there(tmp_path):
    lock = take_folder(tmp_path / "a/out")
    holder = json.loads((tmp_path / "a/out/running.json").read_text())
    assert json.loads(lock) == holder
    assert (holder["host"], holder["pid"]) == (os.uname().nodename, os.getpid())
    assert holder["job"] == os.environ.get("SLURM_JOB_ID", "")
    with pytest.raises(
        BadInput, match=rf"process {os.getpid()} on .*one run at a time"
    ):
        take_folder(tmp_path / "a/out")
    release_folder(tmp_path / "a/out", lock)
    assert list((tmp_path / "a/out").iterdir()) == []
    assert take_folder(tmp_path / "a/out")


@pytest.mark.parametrize("job", ["8", "9", "10", "99", "1"])
def test_take_folder__of_a_job_that_is_over(tmp_path, squeue, job):
    """Or waits to begin again; or is this one, that has begun again."""
    hold(tmp_path, job=job)
    lock = take_folder(tmp_path)
    assert json.loads(lock)["job"] == "1"
    assert (tmp_path / "running.json").read_text() == lock


@pytest.mark.parametrize("job", ["7", "13"])
def test_take_folder__of_a_job_that_runs(tmp_path, squeue, job):
    before = hold(tmp_path, job=job)
    with pytest.raises(BadInput, match=rf"job {job}, process 3 on elsewhere") as error:
        take_folder(tmp_path)
    assert "remove" not in str(error.value)
    assert (tmp_path / "running.json").read_text() == before


def test_take_folder__of_a_job_that_the_user_likes_not_to_see(tmp_path, monkeypatch):
    (tmp_path / "squeue").write_text(
        '#!/bin/sh\n[ "$SQUEUE_STATES" ] || echo 7 RUNNING\n'
    )
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SQUEUE_STATES", "PENDING")
    hold(tmp_path / "out", job="7")
    with pytest.raises(BadInput, match="job 7, process 3 on elsewhere"):
        take_folder(tmp_path / "out")


@pytest.mark.parametrize("job", ["12", ""])
def test_take_folder__where_nothing_tells(tmp_path, squeue, job):
    """Slurm does not answer, or there is no job."""
    hold(tmp_path, job=job)
    with pytest.raises(BadInput, match=rf"; remove {tmp_path}/running.json if that"):
        take_folder(tmp_path)


def test_take_folder__of_a_job_that_slurm_may_hide(tmp_path, squeue, monkeypatch):
    hold(tmp_path, job="99")
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(BadInput, match="remove"):
        take_folder(tmp_path)


def test_take_folder__without_squeue(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    hold(tmp_path, job="7")
    with pytest.raises(BadInput, match="remove"):
        take_folder(tmp_path)
    noon = "2026-11-29T12:00:00 "  # as job.sh knows
    monkeypatch.setenv("CONNECTOR_RUNNING", f"{noon}6\n7\n8")
    with pytest.raises(BadInput, match="job 7"):
        take_folder(tmp_path)
    monkeypatch.setenv("CONNECTOR_RUNNING", f"{noon}6\n78")
    hold(tmp_path, job="7", started="2026-11-29T12:00:03+00:00")
    with pytest.raises(BadInput, match="remove"):  # it has begun since
        take_folder(tmp_path)
    hold(tmp_path, job="7")
    assert take_folder(tmp_path)


@pytest.mark.parametrize("restarts", [0, 1])
def test_take_folder__of_another_run_of_this_job(
    restarts, tmp_path, squeue, monkeypatch
):
    """By hand on two nodes of a job; one that was queued again is another attempt."""
    if restarts:
        monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
    hold(tmp_path, job="1", restarts="0")
    if restarts:
        assert json.loads(take_folder(tmp_path))["restarts"] == "1"
    else:
        with pytest.raises(BadInput, match="job 1, process 3 on elsewhere"):
            take_folder(tmp_path)


def test_take_folder__of_a_process_that_is_over(tmp_path):
    hold_here(tmp_path, end_process(), job="7")
    assert take_folder(tmp_path)


def test_take_folder__of_a_number_that_is_used_again(tmp_path):
    hold_here(tmp_path, os.getppid(), birth="1")
    assert take_folder(tmp_path)


def test_take_folder__of_a_process_of_another_namespace(tmp_path):
    """A container's numbers are not ours."""
    hold_here(tmp_path, end_process(), namespace="pid:[1]")
    with pytest.raises(BadInput, match="remove"):
        take_folder(tmp_path)


def test_take_folder__of_a_process_that_nobody_has_waited_for(tmp_path):
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    hold_here(tmp_path, process.pid, birth="5")
    assert take_folder(tmp_path)
    process.wait()


NOTHING = ["", "null", "[]", "{}", '{"pid": "3"}', '{"pid": true}', '{"pid": -1}']


@pytest.mark.parametrize("text", [*NOTHING, "[" * 9999])
def test_take_folder__whose_lock_says_nothing(tmp_path, text):
    (tmp_path / "running.json").write_text(text)
    with pytest.raises(BadInput, match=rf"{tmp_path}/running.json: cannot be read"):
        take_folder(tmp_path)


@pytest.mark.parametrize("is_stale", [False, True])
def test_take_folder__by_many_at_a_time(tmp_path, is_stale):
    n = 8
    gate = threading.Barrier(n)

    def take(out):
        gate.wait()
        with contextlib.suppress(BadInput):
            return take_folder(out)

    with ThreadPoolExecutor(n) as pool:
        for k in range(20):
            out = tmp_path / str(k)
            if is_stale:
                hold_here(out, end_process())
            (lock,) = filter(None, pool.map(take, [out] * n))
            assert (out / "running.json").read_text() == lock
            assert [path.name for path in out.iterdir()] == ["running.json"]


def test_release_folder__leaves_the_lock_of_another(tmp_path):
    lock = take_folder(tmp_path)
    other = hold(tmp_path)
    release_folder(tmp_path, lock)
    assert (tmp_path / "running.json").read_text() == other


def begin(ranks, program, out, *options):
    """Start a run that goes on until it is stopped, and wait for its first task."""
    command = make_command(
        ranks, *SLOW[program], "--out", out, *options, program=program, hold=1
    )
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: any(out.glob("ledger/*.npz")))
    return process


def ask_again(ranks, program, out, *options):
    """Run in the same folder; return the exit code and the lines of stderr."""
    command = make_command(
        ranks, *SLOW[program], "--out", out, *options, program=program
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("program", SLOW)
@pytest.mark.parametrize("ranks", [1, 2])
def test_run__is_not_done_twice_at_a_time(tmp_path, program, ranks):
    out = tmp_path / "out"
    first = begin(ranks, program, out)
    for options in ([], ["--resume"]):
        code, lines = ask_again(ranks, program, out, *options)
        assert code == 2, lines
        (line,) = [line for line in lines if "works there since" in line]
        assert f"on {os.uname().nodename}" in line
        assert lines == [line]
    first.terminate()
    said = first.communicate(timeout=PATIENCE_S)[1]
    assert not (out / "running.json").exists(), said


def test_run__goes_on_after_one_that_was_killed(tmp_path):
    """It holds the lock until then, and leaves it behind."""
    quick = ["run", COHORT, "--permutations", "9", "--quiet", "--out"]
    assert main([*quick, str(tmp_path / "reference")]) == 0
    command = make_command(1, *quick[1:], tmp_path / "out", hold=1)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(lambda: any(tmp_path.glob("out/ledger/*.npz")))
    process.kill()
    process.wait()
    assert (tmp_path / "out/running.json").exists()
    assert main([*quick, str(tmp_path / "out"), "--resume"]) == 0
    assert_same(tmp_path / "out", tmp_path / "reference")
    assert not (tmp_path / "out/running.json").exists()
    assert main([*quick, str(tmp_path / "out"), "--resume"]) == 0  # it is complete
    assert main([*quick, str(tmp_path / "out")]) == 2


def test_run__that_is_complete_is_not_refused(tmp_path):
    run = ["run", COHORT, "--quiet", "--out", str(tmp_path / "out")]
    assert main(run) == 0
    record = read_manifest(tmp_path / "out")
    other = hold(tmp_path / "out")
    assert main([*run, "--resume"]) == 0
    assert read_manifest(tmp_path / "out") == record
    assert (tmp_path / "out/running.json").read_text() == other


def test_run__of_bad_input_leaves_no_lock(tmp_path, capsys):
    (tmp_path / "bad.txt").write_text("X1\tClass\n9\t1\n")
    assert main(["run", str(tmp_path / "bad.txt"), "--out", str(tmp_path / "a/b")]) == 2
    assert not (tmp_path / "a").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").touch()
    run = ["run", str(tmp_path / "bad.txt"), "--out", str(tmp_path / "mine")]
    assert main([*run, "--resume"]) == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("how", ["raise OSError(5, 'no')", "time.sleep(99)"])
def test_run__that_fails_or_is_stopped_leaves_no_lock(tmp_path, how, ranks):
    """The last rank fails, or all are stopped where they compute nothing."""
    code = f"""
import sys, time
from pathlib import Path
from hpc_connector.options import RunOptions
from hpc_connector.pipeline.program import open_session


def run(comm):
    assert Path("out/running.json").exists()
    comm.Barrier()
    if comm.rank == comm.size - 1:
        Path("begun").touch()
        {how}
    time.sleep(99)


args = RunOptions(out=Path("out"), resume=True)
with open_session("x", args, lambda args: args) as (comm, _):
    run(comm)
"""
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    process = subprocess.Popen(
        [*launch, sys.executable, "-c", code],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for((tmp_path / "begun").exists)
    if "sleep" in how:
        process.send_signal(signal.SIGUSR1)
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == (75 if "sleep" in how else 1), said
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
