"""How ranks end at an error: with their line, and with a code for the job script."""

import os
import sys
import time

from hpc_connector.partitioner import ending
from programs import RAISING, get_end

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


def test_abort_on_error__the_line_comes_through_a_machine_that_is_behind():
    command = ["mpirun", "-n", "2", sys.executable, "-c", BEHIND + RAISING]
    for _ in range(3):
        code, lines, _ = get_end(command)
        assert lines[0] == "program: [Errno 5] Input/output error: 'genotypes.bed'"
        assert code != 0


def test_abort_on_error__keeps_the_code_of_one_rank_too(tmp_path):
    """Or the job script would take it for a launcher's, which a warning has killed."""
    path = tmp_path / "code"
    env = os.environ | {"CONNECTOR_CODE": str(path)}
    code, lines, _ = get_end([sys.executable, "-c", RAISING], env=env)
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
