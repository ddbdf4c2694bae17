"""What hpc-connector doctor says of launchers that work, fail, hang, and mislead."""

import json
import os
import signal
import subprocess

import pytest

from conftest import CLUSTER, give_up, require
from hpc_connector.commands.doctor import find_last_line, find_launchers, get_state
from hpc_connector.commands.mpi_advice import (
    ALONE,
    find_mpirun,
    get_advice,
    get_warnings,
)
from programs import PATIENCE_S, wait_for

SOUND = {"messages_arrive": True, "counts": True, "step": "done"}


def consult(*launchers, limit_s=100, before=()):
    """Return exit code and findings of the doctor."""
    command = [*before, "hpc-connector", "doctor", "--json", "--limit", limit_s]
    for launch in launchers:
        command += ["--launch", launch]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)["launchers"]


def write_launcher(folder, script):
    """Return the path of a launcher that is called with -n 2 and a command."""
    path = folder / "mpirun"
    path.write_text(f"#!/bin/bash\nshift 2\n{script}\n")
    path.chmod(0o755)
    return path


def test_doctor__mpirun_works():
    code, [found] = consult("mpirun")
    facts = found["facts"]
    assert (code, found["state"]) == (0, "works"), found
    assert (facts["size"], facts["threads"], facts["pmi"]) == (2, "multiple", "PMI")
    assert facts["library"].startswith("MPICH ")
    assert os.path.exists(facts["file"])
    assert facts["shares_memory"]
    assert 0 < facts["latency_s"] < 1
    assert facts["bytes_per_s"] > 1e6
    [host] = facts["hosts"]
    assert host["ranks"] == 2
    assert host["scratch_free_bytes"] > 0


def test_doctor__is_readable():
    command = ["hpc-connector", "doctor", "--limit", str(PATIENCE_S)]
    command += ["--launch", "mpirun", "--launch", "no-such-mpirun"]
    done = subprocess.run(command, capture_output=True, text=True)
    works, ranks, fails, why = done.stdout.splitlines()
    assert works.startswith("mpirun: works; MPICH ")
    assert "2 ranks on " in ranks
    assert fails == "no-such-mpirun: fails before a rank of ours began"
    assert why.strip() == "no-such-mpirun: No such file or directory"


def test_doctor__ranks_that_may_not_copy_from_each_other():
    """As in containers of a rank each: every rank has a user namespace of its own."""
    require("unshare")
    if subprocess.run(["unshare", "-Ur", "true"]).returncode != 0:
        give_up("user namespaces are not allowed here")
    code, [found] = consult("mpirun unshare -Ur")
    assert code == 1
    assert found["state"] in ("fails", "hangs")
    assert found["where"] == "in messages of 4 MiB"
    assert "--sharens" in found["advice"][0]


def test_doctor__a_launcher_that_hangs_is_ended(tmp_path):
    path = write_launcher(tmp_path, f"echo $$ > {tmp_path}/began; exec sleep 3600")
    code, [found] = consult(path, limit_s=5)
    assert (code, found["state"]) == (1, "hangs")
    assert not os.path.exists(f"/proc/{(tmp_path / 'began').read_text().strip()}")


def test_doctor__ends_a_launcher_if_it_is_interrupted(tmp_path):
    began = tmp_path / "began"
    path = write_launcher(tmp_path, f"echo $$ > {began}; exec sleep 3600")
    command = ["hpc-connector", "doctor", "--launch", str(path)]
    doctor = subprocess.Popen(command, stderr=subprocess.PIPE)
    wait_for(lambda: began.exists() and began.read_text())
    doctor.send_signal(signal.SIGINT)
    assert doctor.communicate(timeout=PATIENCE_S) == (None, b"")
    assert doctor.returncode == 130
    assert not os.path.exists(f"/proc/{began.read_text().strip()}")


def test_doctor__a_queue_that_is_full(tmp_path):
    script = "echo srun: job 7 queued and waiting for resources; sleep 1000"
    _, [found] = consult(write_launcher(tmp_path, script), limit_s=5)
    assert found["state"] == "hangs"
    assert "queued" in found["last_line"]
    assert "in a job of two tasks" in found["advice"][0]


def test_doctor__no_mpi_library(tmp_path, monkeypatch):
    monkeypatch.setenv("MPI4PY_LIBMPI", str(tmp_path / "libmpi.so"))
    code, [found] = consult("mpirun")
    assert (code, found["state"]) == (1, "fails")
    assert found["where"] == "while MPI started"
    assert "cannot load MPI library" in found["last_line"]
    assert "load the MPI module" in found["advice"][0]


@pytest.mark.parametrize("launch", ["", "mpirun 'open"])
def test_doctor__refuses_what_is_no_command(launch):
    command = ["hpc-connector", "doctor", "--launch", launch]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_doctor__a_launcher_that_ignores_signals_is_ended(tmp_path):
    path = write_launcher(tmp_path, "trap '' TERM; while :; do sleep 0.1; done")
    code, [found] = consult(path, limit_s=5)
    assert (code, found["state"]) == (1, "hangs")


def test_doctor__processes_that_are_alone(tmp_path):
    path = write_launcher(tmp_path, '"$@" & "$@" & wait')
    code, [found] = consult(path)
    assert (code, found["state"]) == (1, "alone")
    assert found["advice"][0] == ALONE


def test_doctor__a_launcher_that_fails_is_quoted(tmp_path):
    path = write_launcher(tmp_path, "echo 'no license left'; exit 3")
    code, [fails, works] = consult(path, "mpirun")
    assert code == 0  # one works
    assert (fails["state"], works["state"]) == ("fails", "works")
    assert fails["last_line"] == "no license left"


@pytest.mark.parametrize(
    ("code", "facts", "sizes", "state"),
    [
        (0, SOUND, [2], "works"),
        (0, SOUND | {"shares_memory": None}, [2], "works"),
        (0, SOUND | {"shares_memory": False}, [2], "fails"),
        (0, SOUND | {"counts": False}, [2], "fails"),
        (0, SOUND | {"messages_arrive": False}, [2], "fails"),
        (0, SOUND | {"step": "try_counter"}, [2], "fails"),
        (9, SOUND, [2], "fails"),
        (None, SOUND, [2], "hangs"),
        (0, SOUND, [1, 1], "alone"),
        (0, {}, [], "fails"),
    ],
)
def test_get_state__of_what_ranks_said(code, facts, sizes, state):
    assert get_state(code, facts, sizes) == state


def test_get_warnings__name_what_is_slow_or_small():
    host = {
        "host": "node1",
        "scratch": "/home/me",
        "tmpdir": "/local",
        "is_local": False,
        "shared_free_bytes": 64 << 20,
    }
    said = get_warnings({"threads": "single", "hosts": [host]})
    assert len(said) == 4
    assert all("node1: " in line for line in said[1:])


def test_find_last_line__is_not_the_frame_of_a_launcher():
    said = (
        "boom: no fabric\n====\nsrun: error: node1: task 0: Exited with exit code 1\n"
    )
    assert find_last_line(said) == "boom: no fabric"


@pytest.mark.usefixtures("cluster")
def test_doctor__on_a_cluster():
    login = [CLUSTER / "slurm-login"]
    _, found = consult(before=login)
    states = {f["launch"]: f["state"] for f in found}
    assert states["srun --mpi=pmi2"] == "works"
    assert states["srun --mpi=pmix"] == "fails"
    [pmix] = [f for f in found if f["launch"] == "srun --mpi=pmix"]
    assert "PMI" in pmix["advice"][0]
    _, [two, none] = consult("srun -N2 --mpi=pmi2", "srun -N2 --mpi=none", before=login)
    assert two["state"] == "works"
    assert len(two["facts"]["hosts"]) == 2
    assert two["facts"]["shares_memory"] is None
    assert (none["state"], none["advice"][0]) == ("alone", ALONE)


def test_find_launchers__the_one_of_the_site(monkeypatch):
    monkeypatch.setenv("CONNECTOR_LAUNCH", "srun --mpi=pmix --wait=30")
    assert find_launchers() == ["srun --mpi=pmix --wait=30"]


MPICH = {"library": "MPICH 4.0.2", "file": "unknown"}
OPEN = {"library": "Open MPI v4.1.4", "file": "unknown"}


def write_mpirun(folder, said, name="mpirun"):
    """Return the path of an mpirun that says of which MPI it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("below", ["lib", "lib64", "lib/x86_64-linux-gnu/openmpi/lib"])
def test_find_mpirun__above_the_library(tmp_path, below):
    path = write_mpirun(tmp_path / "bin", "mpirun (Open MPI) 4.1.4")
    facts = OPEN | {"file": str(tmp_path / below / "libmpi.so.40.30.4")}
    assert find_mpirun(facts, "mpirun") == path


def test_find_mpirun__on_path_and_not_the_one_that_failed(tmp_path, monkeypatch):
    wrong = write_mpirun(tmp_path / "a", "HYDRA build details: Version: 4.0.2")
    other = write_mpirun(tmp_path / "b", "mpirun (Open MPI) 3.1.0", "mpiexec")
    right = write_mpirun(tmp_path / "c", "mpirun (Open MPI) 4.1.4", "mpirun.openmpi")
    dead = tmp_path / "d"
    write_mpirun(dead, "")
    (dead / "mpirun").write_text("#!/nowhere/interpreter\n")
    folders = [dead, *(tmp_path / name for name in "abc")]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))
    assert find_mpirun(OPEN, "mpirun") == right
    assert find_mpirun(OPEN, right) == other
    assert find_mpirun(MPICH, "srun --mpi=pmix") == wrong
    assert find_mpirun(MPICH, f"{wrong} -v") is None
    assert find_mpirun({"library": "Cray MPICH", "file": "unknown"}, "mpirun") is None
    assert find_mpirun({}, "mpirun") is None


def advise(launch, said, facts=OPEN):
    return "; ".join(get_advice(launch, "fails", facts, said))


def test_get_advice__names_nothing_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    [_, said] = get_advice("mpirun", "alone", OPEN, "")
    assert said == f"load the module of {OPEN['file']}, which has its mpirun"
    assert "srun" not in advise("mpirun", "unsupported PMI version PMIx", MPICH)
    write_mpirun(tmp_path, "none pmi2 pmix pmix_v4", "srun")
    for state in ("alone", "fails"):
        said = get_advice("srun --mpi=pmix", state, MPICH, "unsupported PMI version")
        assert "use srun --mpi=pmi2" in said[-1]
        assert "pmix" not in said[-1]


def test_get_advice__fits_the_mpi_and_the_container(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    old = write_mpirun(tmp_path / "old", "--bind --nv", "singularity")
    new = write_mpirun(tmp_path / "new", "--bind --sharens", "apptainer")
    killed = "process_vm_readv failed (errno 1)"
    assert "--sharens" not in advise(f"mpirun {old} exec image.sif", killed, MPICH)
    assert "MPIR_CVAR_CH4_CMA_ENABLE=0" in advise(f"srun {old} exec i", killed, MPICH)
    assert f"add --sharens to {new} exec" in advise(f"srun {new} exec i", killed)
    assert "OMPI_MCA_btl_vader_single_copy_mechanism=none" in advise("mpirun", killed)
    assert "OMPI_MCA_osc=^rdma" in advise("srun", "MPI_ERR_WIN: invalid window")
    assert "OMPI" not in advise("srun", "MPI_ERR_WIN: invalid window", MPICH)


def test_get_advice__as_root():
    said = advise("mpirun", "mpirun has detected an attempt to run as root.")
    assert "OMPI_ALLOW_RUN_AS_ROOT=1 and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1" in said
    assert "PRTE" not in said
