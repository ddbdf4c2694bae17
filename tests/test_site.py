"""The suite that a site runs of its own MPI: by each launcher, and where it fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import CLUSTER

SITE = Path(__file__).parent / "site"
SUITE = [sys.executable, "-m", "pytest", "--with-mpi"]
PATIENCE_S = 1800  # kernels may have to be compiled


def run(folder, *launch, suite=SITE):
    """Run the suite under a launcher; return how it ended, and its lines."""
    command = [*map(str, launch), *SUITE, str(suite)]
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
    )
    return done.returncode, done.stdout.splitlines()


def assert_all_passed(code, said, ranks, nodes, folder):
    """Assert that every rank passed each test: they end each together."""
    assert code == 0, "\n".join(said)
    assert f"ranks: {ranks}, nodes: {nodes}" in said
    (end,) = [line.strip("= ") for line in said if " passed in " in line]
    assert int(end.split()[0]) > 40
    assert end.split()[1:3] == ["passed", "in"]  # and none failed, or was skipped
    assert list(folder.iterdir()) == []


def test_site__under_mpirun(tmp_path):
    found = run(tmp_path, "mpirun", "-n", 4)
    assert_all_passed(*found, 4, 1, tmp_path)


@pytest.mark.usefixtures("cluster")
def test_site__under_srun_on_two_nodes(tmp_path):
    launch = [CLUSTER / "slurm-login", "srun", "--mpi=pmi2", "-N2", "-n4"]
    assert_all_passed(*run(tmp_path, *launch), 4, 2, tmp_path)


@pytest.mark.usefixtures("cluster")
def test_site__refuses_ranks_that_are_alone(tmp_path):
    launch = [CLUSTER / "slurm-login", "srun", "--mpi=none", "-n2"]
    code, said = run(tmp_path, *launch)
    assert code != 0
    errors = [line for line in said if line.startswith("ERROR: ")]
    expected = "ERROR: 2 processes were started, and each is alone in its MPI: expected"
    assert len(errors) == 2
    assert all(line.startswith(expected) for line in errors)


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ([*SUITE, SITE], "one rank: expected mpirun -n 4 or srun -n 4 before it"),
        ([*SUITE[:-1], SITE], "expected pytest-mpi, and its option --with-mpi"),
    ],
    ids=["one rank", "no option"],
)
def test_site__refuses_what_would_test_nothing(tmp_path, command, word):
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.strip() == f"ERROR: {word}"


# What a broken MPI does to the tests of a rank
FAULTS = """
import pytest
from hpc_connector.partitioner.shared_memory import share_array

pytestmark = pytest.mark.mpi

def test_wrong(comm):
    assert comm.rank != 1, "not the bytes that were sent"

def test_sound(comm):
    assert comm.allreduce(1) == comm.size

@pytest.mark.timeout(2)
def test_lost(comm):
    if comm.rank == 1:
        comm.Barrier()  # of a rank that the others do not meet
"""


def test_site__finds_a_rank_that_fails_and_ends_one_that_hangs(tmp_path):
    suite = tmp_path / "site"
    suite.mkdir()
    for name in ("conftest.py", "pytest.ini"):
        (suite / name).write_text((SITE / name).read_text())
    (suite / "test_faults.py").write_text(FAULTS)
    code, said = run(tmp_path, "mpirun", "-n", 2, suite=suite)
    assert code != 0
    (told,) = [line for line in said if "test_faults.py " in line]
    assert "F." in told  # the next test is in step again
    assert any("Timeout" in line for line in said)
    (folder,) = tmp_path.glob("site-*")
    assert (folder / "rank1.txt").exists()
