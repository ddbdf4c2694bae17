"""How ranks end at an error: with their line, and with a code for the job script."""

import os
import subprocess
import sys
import time

from hpc_connector.partitioner import ending
from programs import PATIENCE_S, RAISING

# The process that forwards what a rank says stands still for a second
BEHIND = """
import os, signal, subprocess
from hpc_connector.partitioner.launch import get_mpicomm
comm = get_mpicomm()
if comm.rank == comm.size - 1:
    parent = os.getppid()
    wake = f"exec >/dev/null 2>&1; sleep 1; kill -CONT {parent}"
    subprocess.Popen(["sh", "-c", wake], start_new_session=True)
    os.kill(parent, signal.SIGSTOP)
"""


def end(code, *launch, **variables):
    """Return how a program ends that raises: code and lines of stderr."""
    done = subprocess.run(
        [*launch, sys.executable, "-c", code],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    return done.returncode, done.stderr.splitlines()


def test_abort_on_error__the_line_comes_through_a_machine_that_is_behind():
    for _ in range(3):
        code, lines = end(BEHIND + RAISING, "mpirun", "-n", "2")
        assert lines[0] == "program: [Errno 5] Input/output error: 'genotypes.bed'"
        assert code != 0


def test_abort_on_error__keeps_the_code_of_one_rank_too(tmp_path):
    """Or the job script would take it for a launcher's, which a warning has killed."""
    path = tmp_path / "code"
    code, lines = end(RAISING, CONNECTOR_CODE=str(path))
    assert (code, path.read_text()) == (1, "1\n")
    assert lines == ["program: [Errno 5] Input/output error: 'genotypes.bed'"]


def test_wait_until_forwarded__ends_where_nobody_reads(monkeypatch, tmp_path):
    monkeypatch.setattr(ending, "READ_S", 0.1)
    reading, writing = os.pipe()
    os.write(writing, b"said")
    assert ending.count_unread(writing) == 4
    stderr = os.dup(2)
    os.dup2(writing, 2)
    try:
        began_s = time.monotonic()
        ending.wait_until_forwarded()
        assert time.monotonic() - began_s >= 0.1 + ending.FORWARD_S
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    os.read(reading, 4)
    assert ending.count_unread(writing) == 0
    os.close(reading)
    os.close(writing)
    with open(tmp_path / "file", "wb") as file:
        assert ending.count_unread(file.fileno()) == 0
