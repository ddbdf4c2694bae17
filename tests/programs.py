"""How tests run the program, and compare what it leaves."""

import json
import os
import signal
import subprocess
import sys
import time

PATIENCE_S = 300  # for what comes within seconds: only what hangs takes as long
OUTPUTS = ("models.tsv", "annotations.tsv", "results.h5")

# A program, saving its ledger after every task, and those of annotations small
SAVING = (
    "import sys; from hpc_connector.pipeline import ranks; ranks.SAVE_EVERY_S = 0.0; "
    "from {program}.program import main; {more}sys.exit(main(sys.argv[1:]))"
)
MORE = {
    "mdr_epistasis": "",
    "metabolite_annotation": (
        "from metabolite_annotation import tasks; tasks.IONS_A_TASK = 200; "
    ),
}

# Hands out no task behind some until the run is stopped, or the file is there that HELD
# names, if only after all patience
HOLDING = """
import os, time

take, end_s = ranks.Queue.take, time.monotonic() + 3600
go = os.environ.get("HELD", "")


def hold(queue):
    while queue.n_taken >= {n} and time.monotonic() < end_s:
        if queue.is_stopped.is_set() or os.path.exists(go):
            break
        time.sleep(0.01)
    return take(queue)


ranks.Queue.take = hold
"""

# The last rank raises, while the others would go on beyond all patience
RAISING = """
import time
from hpc_connector import cli
from hpc_connector.partitioner.ending import abort_on_error
from hpc_connector.partitioner.launch import get_mpicomm

comm = get_mpicomm()
with abort_on_error(comm, lambda error: cli.explain("program", error)):
    if comm.rank == comm.size - 1:
        raise OSError(5, "Input/output error", "genotypes.bed")
    time.sleep(3600)
"""


# All ranks hold what they share, and are killed
KILLED = """
import os, signal
import numpy as np
from hpc_connector.partitioner.tickets import count_tickets
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.partitioner.shared_memory import share_array

comm = get_mpicomm()
with share_array(comm, (9,), np.int64) as shared, count_tickets(comm, 9) as (take, _):
    shared[take()] = 1
    comm.Barrier()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def write_code(program, hold=None, more=""):
    """Return the code of a program that saves often, and may wait after some tasks."""
    holding = HOLDING.format(n=hold) if hold else ""
    return SAVING.format(program=program, more=MORE[program] + more + holding)


def make_command(ranks, *options, program="mdr_epistasis", hold=None):
    """Return the command of a run on some ranks, that saves often.

    Parameters
    ----------
    hold
        After so many tasks, up to one more for each other rank, the run waits until it
        is stopped or killed. All of them come into its ledger; it needs to have more.
    """
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    code = write_code(program, hold)
    return [*launch, sys.executable, "-c", code, "run", *map(str, options)]


def get_end(command, **options):
    """Return how a program ends: code, lines of stderr but for the log, seconds."""
    start_s = time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, **options
    )
    logged = ("variants kept", "isotope patterns", "spectra, ")
    lines = [
        line
        for line in done.stderr.splitlines()
        if not any(words in line for words in logged)
    ]
    return done.returncode, lines, time.monotonic() - start_s


def end_after(command, delay_s, number):
    """Return the exit code of a program that gets a signal after some seconds."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        process.communicate(timeout=delay_s)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, number)
    try:
        said = process.communicate(timeout=PATIENCE_S)[1].decode()
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert "Traceback" not in said, said
    return process.returncode


def check_end_after(command, delay_s, number, out):
    """Return the exit code of a run that gets a signal; it must be one that may be.

    Only while MPI starts, before the run has written its manifest, MPICH's mpirun joins
    the signal of one rank with the 1 of another by "or", or gives 255 if it lost them.
    """
    manifest = out / "manifest.json"
    before = manifest.read_bytes() if manifest.exists() else None
    code = end_after(command, delay_s, number)
    after = manifest.read_bytes() if manifest.exists() else None
    starting = (number | 1, 255) if after == before else ()
    assert code in (0, 75, number, -number, 128 + number, *starting), code
    return code


def wait_for(condition, timeout_s=PATIENCE_S):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def overwrite(path, data):
    """Write a file again, until its time tells: that goes in steps of some ms."""
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:
        path.write_bytes(data)


def assert_same(out, reference):
    """Assert that two runs left the same bytes."""
    folders = ("all_models/*", "images/*")
    files = [p.relative_to(reference) for f in folders for p in reference.glob(f)]
    files += [name for name in OUTPUTS if (reference / name).exists()]
    assert len(files) >= 2
    for name in files:
        assert (out / name).read_bytes() == (reference / name).read_bytes(), name
    assert not list(out.rglob("*.partial"))


def write_run(folder, name, peak_mb, **changes):
    """Write the manifest of a run whose functions had a peak."""
    plan = {"cpu_s": 1.0, "serial_s": 1.0, "tasks": 9, "reasons": []}
    plan |= {"node_bytes": 100 * (1 << 20), "rank_bytes": 500 * (1 << 20)}
    record = {"format_version": 1, "program": "mdr-epistasis", "status": "done"}
    record |= {
        "finished": name,
        "plan": plan,
        "burst": {"backend": "localhost", "peak_bytes": peak_mb * (1 << 20)},
    }
    path = folder / name / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record | changes))
