"""What is asked of a real Slurm: options, limits, growth, and what the job gets."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from hpc_connector.cluster.record import read_job
from hpc_connector.commands.submit import read_memory, read_time
from slurm_jobs import ask, wait, wait_for_end, wait_for_ledger

DATA = Path(__file__).parent / "data"
RUN = ["mdr-epistasis", "run", f"{DATA}/bitepi_plink_100snps_2000/bfile.bed"]
LONG = [*RUN, "--permutations", "10000000"]  # never ends
SITE = """\
export SBATCH_ACCOUNT=root SBATCH_QOS=normal SBATCH_PARTITION=acc
export SBATCH_TIMELIMIT=7 SBATCH_MEM_PER_CPU=77 SBATCH_MEM_PER_NODE=777
export SBATCH_EXPORT=NONE SBATCH_ARRAY_INX=0-3 SBATCH_JOB_NAME=other
export SBATCH_WAIT=1 SBATCH_COMMENT=kept SBATCH_NICE=5
export SLURM_MEM_PER_CPU=77 SLURM_NTASKS=9 SLURM_TIMELIMIT=7 SLURM_QOS=normal
"""

pytestmark = pytest.mark.usefixtures("cluster", "own_cache")


def submit(folder, *words, before=""):
    """Submit a job in a shell that has said something before; return its number."""
    command = f"{before}\nhpc-connector submit {shlex.join(map(str, words))}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def get_fields(job):
    """Return what the controller knows of a job, by its names."""
    return dict(
        word.partition("=")[::2]
        for word in ask("scontrol", "show", "job", "--oneliner", job).split()
    )


@pytest.fixture
def cancelled():
    """Return a list of jobs that end with the test."""
    jobs = []
    yield jobs
    subprocess.run(["scancel", *jobs], check=True)


def test_submit__options_win_over_what_was_sourced(tmp_path, cancelled):
    options = "--account bsc00 --qos gp_resa --partition gpp --time 11 --mem 900M"
    options += " --nodes 2 --ntasks 6 --sbatch --hold"
    job = submit(tmp_path, *options.split(), *RUN, "--out", "out", before=SITE)
    cancelled.append(job)
    found = get_fields(job)
    wanted = {
        "Account": "bsc00",
        "QOS": "gp_resa",
        "Partition": "gpp",
        "TimeLimit": "00:11:00",
        "MinMemoryNode": "900M",
        "NumNodes": "2-2",
        "NumTasks": "6",
        "JobName": "mdr-epistasis",
    }
    assert wanted.items() <= found.items()
    assert "ArrayJobId" not in found
    assert read_job(tmp_path / "out")["job"] == job


def test_submit__in_a_job_with_memory_by_the_processor(tmp_path):
    """The job inside gets nothing of the one outside, and all of its environment."""
    outer = tmp_path / "outer.sh"
    words = shlex.join(["hpc-connector", "submit", "--account", "bsc00", *RUN])
    outer.write_text(
        "#!/bin/bash\n#SBATCH --ntasks=1 --cpus-per-task=2 --mem-per-cpu=300M\n"
        f"#SBATCH --time=5 --output=outer.out\nexport SBATCH_EXPORT=NONE OWN=kept\n"
        f"export CONNECTOR_SETUP='echo own is $OWN'\n"
        f"{words} --out out\n"
    )
    command = ["sbatch", "--parsable", "--wait", outer]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = (tmp_path / "outer.out").read_text()
    assert done.returncode == 0, said
    job = read_job(tmp_path / "out")["job"]
    assert said.splitlines()[-1] == job
    state, said = wait_for_end(job, tmp_path)
    assert state == "COMPLETED", said
    assert "own is kept" in said
    assert (tmp_path / "out/models.tsv").exists()


def test_submit__ranks_get_what_the_script_sets(tmp_path):
    """Also where the job gets next to nothing."""
    path = os.environ["PATH"]
    setup = f'export PATH={shlex.quote(path)} OWN=set; srun sh -c "echo rank: \\$OWN"'
    before = f"export CONNECTOR_SETUP={shlex.quote(setup)}"
    options = ["--export", "NONE", "--ntasks", 2]  # the setup runs on both
    job = submit(tmp_path, *options, *RUN, "--out", tmp_path / "out", before=before)
    state, said = wait_for_end(job, tmp_path)
    assert state == "COMPLETED", said
    assert said.count("rank: set") == 2


def test_submit__no_more_time_than_the_default_partition_has(tmp_path, cancelled):
    ask("scontrol", "update", "PartitionName=gpp", "MaxTime=5")
    try:
        options = ["--deadline", "1d", "--history", "none", "--sbatch", "--hold"]
        job = submit(tmp_path, *options, *RUN, "--out", "out")
        cancelled.append(job)
        assert get_fields(job)["TimeLimit"] == "00:05:00"
        command = ["hpc-connector", "submit", "--time", "6", *RUN, "--out", "out"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2
        assert "--time: 360 s, the default partition gpp gives 300 s" in done.stderr
    finally:
        ask("scontrol", "update", "PartitionName=gpp", "MaxTime=3-0")


@pytest.fixture
def small_qos():
    """Give jobs of two QOS little of what they will run short of."""
    change = ("sacctmgr", "-i", "modify", "qos")
    ask(*change, "gp_debug", "set", "MaxWall=00:01:00")
    ask(*change, "acc_debug", "set", "MaxTRESPerNode=mem=150M")
    yield
    ask(*change, "gp_debug", "set", "MaxWall=02:00:00")
    ask(*change, "acc_debug", "set", "MaxTRESPerNode=mem=-1")


@pytest.mark.usefixtures("small_qos")
def test_job__does_not_grow_beyond_its_qos(tmp_path, cancelled):
    """Without more time it goes on with the same, without more memory it stops."""
    run, jobs = [*LONG, "--out", "out"], {}
    options = {"gp_debug": ["--time", 1], "acc_debug": ["--mem", "150M"]}
    for qos, more in options.items():
        folder = tmp_path / qos
        folder.mkdir()
        jobs[qos] = submit(folder, "--qos", qos, "--ntasks", 2, *more, *run)
        cancelled.append(jobs[qos])
    wait_for_ledger(tmp_path / "gp_debug")
    ask("scancel", "--signal=USR1", "--batch", jobs["gp_debug"])
    wait(lambda: get_fields(jobs["gp_debug"])["Restarts"] != "0", tmp_path / "gp_debug")
    found = get_fields(jobs["gp_debug"])
    assert found["TimeLimit"] == "00:01:00"
    assert found["Reason"] not in ("QOSMaxWallDurationPerJobLimit", "JobHeldUser")
    said = "".join(path.read_text() for path in tmp_path.glob("gp_debug/*.out"))
    assert "no more than 60 s may be given; the same time again" in said
    state, said = wait_for_end(jobs["acc_debug"], tmp_path / "acc_debug")
    assert state == "FAILED", said
    assert said.count("memory ran short: no more than 157,286,400 bytes may be") == 1


def test_submit__check_asks_slurm(tmp_path):
    options = ["--check", "--nodes", 2, "--ntasks", 2]
    said = submit(tmp_path, *options, *RUN, "--out", "out")
    expected = (
        r"Job \d+ to start at \S+ using 2 processors on nodes \S+ in partition gpp"
    )
    assert re.fullmatch(expected, said)
    assert not (tmp_path / "out").exists()
    assert str(tmp_path) not in ask("squeue", "-h", "-o", "%Z")


SIZES = ["20g", "20GB", "20gb", "100", "100M", "1.5G", "1.5T", "0", "0G", "-1", "nan"]
SIZES += ["UNLIMITED", "20K", "20MiB", "20P", "20 G", "5B", "1024k"]
TIMES = ["5", "0", "5:30", "1:00:00", "1-0", "1-2:30", "1-2:30:10", "INFINITE"]
TIMES += ["unlimited", "inf", "1.5", "nan", "1:2:3:4", "+5", "1:75", "-2-1"]


@pytest.mark.parametrize(
    ("option", "read", "texts"),
    [("--mem", read_memory, SIZES), ("--time", read_time, TIMES)],
)
def test_options__are_taken_as_sbatch_takes_them(option, read, texts):
    for text in texts:
        command = ["sbatch", "--test-only", f"{option}={text}", "--wrap", "true"]
        said = subprocess.run(command, capture_output=True, text=True).stderr
        is_refused = f"Invalid {option} specification" in said
        if is_refused:
            with pytest.raises(ValueError, match="expected"):
                read(text)
        else:
            assert read(text) > 0
