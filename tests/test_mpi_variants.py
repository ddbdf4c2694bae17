"""Both programs give the same bytes with every MPI, and the doctor knows each."""

import json
import os
import re
import subprocess
import sys

import pytest

from conftest import require
from imzml import plant_lipids
from mpi_variants import OPEN_MPI, VARIANTS
from programs import KILLED, PATIENCE_S, RAISING, assert_same, get_end


@pytest.fixture(scope="session")
def commands(simulated, tmp_path_factory):
    """Return the command of a small run of each program, but for where it writes."""
    folder = tmp_path_factory.mktemp("variants")
    dataset, database = plant_lipids(folder)
    search = ["mdr-epistasis", "run", f"{simulated}.bed", "--permutations", "3"]
    annotate = ["metabolite-annotation", "run", dataset, "--database", database]
    annotate += ["--instrument", "FTICR", "--fdr", "1", "--pattern-cache"]
    return [[*search, "--out"], [*annotate, folder / "patterns", "--out"]]


@pytest.fixture(scope="session")
def references(commands, tmp_path_factory):
    """Return what serial runs leave."""
    folders = [tmp_path_factory.mktemp("serial") / "out" for _ in commands]
    for command, out in zip(commands, folders, strict=True):
        subprocess.run([*command, out], check=True, stderr=subprocess.DEVNULL)
    return folders


@pytest.fixture(scope="session", params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]()


def test_run__same_bytes_with_every_mpi(variant, commands, references, tmp_path):
    for n, (command, reference) in enumerate(zip(commands, references, strict=True)):
        out = tmp_path / str(n)
        done = subprocess.run(
            [variant.mpirun, "-n", "2", *command, out],
            env=variant.get_environ(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        record = json.loads((out / "manifest.json").read_text())
        assert record["resources"]["ranks"] == 2
        assert_same(out, reference)


def test_doctor__with_every_mpi(variant):
    done = subprocess.run(
        ["hpc-connector", "doctor", "--json", "--launch", variant.mpirun],
        env=variant.get_environ(),
        capture_output=True,
        text=True,
    )
    [found] = json.loads(done.stdout)["launchers"]
    facts = found["facts"]
    assert (done.returncode, found["state"]) == (0, "works"), found
    assert facts["library"].startswith(variant.named)
    assert os.path.samefile(facts["file"], variant.library)
    assert facts["shares_memory"]


def consult(variant, launch):
    """Return how two ranks with the library of a variant fare under a launcher."""
    done = subprocess.run(
        ["hpc-connector", "doctor", "--json", "--launch", launch],
        env=variant.get_environ() | OPEN_MPI,
        capture_output=True,
        text=True,
    )
    [found] = json.loads(done.stdout)["launchers"]
    return found


def test_doctor__names_an_mpirun_that_is_there_and_works(variant):
    is_open = variant.named.startswith("Open MPI")
    wrong = VARIANTS["mpich-wheel" if is_open else "debian-openmpi"]().mpirun
    found = consult(variant, wrong)
    assert found["state"] in ("alone", "fails"), found
    (named,) = re.findall(r"the mpirun of that library \((.*)\)", found["advice"][-1])
    assert consult(variant, named)["state"] == "works"


def test_abort_on_error__one_rank_that_raises_speaks_first(variant):
    code, lines, _ = get_end(
        [variant.mpirun, "-n", "3", sys.executable, "-c", RAISING],
        env=variant.get_environ(),
    )
    assert code == 1
    assert lines[0].startswith("program: [Errno 5] Input/output error: 'genotypes.bed'")


def test_share_array__ranks_that_are_killed_leave_no_memory(variant):
    """In a /dev/shm of their own, for others may run on this machine."""
    script = 'mount -t tmpfs tmpfs /dev/shm; "$@"; echo "ended $?"; ls -A /dev/shm'
    own = [require("unshare"), "-rm", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*own, variant.mpirun, "-n", "3", sys.executable, "-c", KILLED],
        env=variant.get_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0
    (ended,) = [line for line in done.stdout.splitlines() if "ended" in line]
    assert ended != "ended 0"
    assert done.stdout.endswith(f"{ended}\n")
