"""The end of ranks: together, at an error of any, and at once where one must."""

import contextlib
import ctypes
import fcntl
import os
import stat
import sys
import termios
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hpc_connector.partitioner.communicator import Communicator, is_parallel

GRACE_S = 5.0  # to finish and save, once a rank has failed
POLL_S, FIRST_POLL_S = 0.002, 20e-6  # others are mostly near
FORWARD_S, FORWARD_STEPS = 0.3, 10
READ_S = 5.0  # for a busy machine to take what a rank has said
CODE_FILE = "CONNECTOR_CODE"  # set by job.sh


@contextlib.contextmanager
def end_together(comm: Communicator) -> Iterator[None]:
    """Let no rank go on before all are here; where some raise, one of them speaks.

    A rank that raises gives the others time to come here, so that they lose nothing.
    All wait asleep: a blocking call of MPI would burn a core.
    """
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
    limit_s = float("inf") if error is None else GRACE_S
    speaker = find_least(comm, comm.size if error is None else comm.rank, limit_s)
    if speaker not in (comm.size, comm.rank, None):
        time.sleep(2 * GRACE_S)  # until the speaker aborts all
        error = error or RuntimeError(f"rank {speaker} failed")
    if error is not None:
        raise error


def find_least(comm: Communicator, value: int, limit_s: float) -> int | None:
    """Return the least value of all ranks, None if they do not come in time."""
    if not is_parallel(comm):
        return value
    from mpi4py import MPI

    least = np.empty(1, np.int64)
    request = comm.Iallreduce(np.array([value], np.int64), least, MPI.MIN)
    end_s, poll_s = time.monotonic() + limit_s, FIRST_POLL_S
    while not request.Test():
        if time.monotonic() > end_s:
            return None
        time.sleep(poll_s)
        poll_s = min(2 * poll_s, POLL_S)
    return int(least[0])


def wait_asleep(comm: Communicator) -> None:
    """Wait until all ranks are here, without burning a core."""
    find_least(comm, 0, float("inf"))


@contextlib.contextmanager
def abort_on_error(
    comm: Communicator, code: Callable[[BaseException], int]
) -> Iterator[None]:
    """End all ranks when this one raises, with the exit code of the exception.

    `code` says the message and returns the exit code; the others would wait for ever
    in a collective that this rank does not reach.
    """
    try:
        yield
    except SystemExit:
        raise
    except BaseException as error:
        exit_code = code(error)
        if comm.size == 1:
            keep_code(exit_code)
            raise SystemExit(exit_code) from None
        sys.stdout.flush()
        sys.stderr.flush()
        end_now(comm, exit_code)


def end_now(comm: Communicator, code: int, said: str = "") -> None:
    """End all ranks from wherever this one is, with one line on stderr.

    Safe in a signal handler: an exception might land where none can pass, as in a
    callback of numba's compiler.
    """
    os.write(2, said.encode())
    keep_code(code)
    if not is_parallel(comm):
        os._exit(code)
    wait_until_forwarded()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # MPI would add a line of its own
    skip_destructors()
    comm.Abort(code)


def wait_until_forwarded() -> None:
    """Give mpirun time to forward stderr: it drops what it has not when it aborts.

    In steps, for a machine that stands still ends one long sleep at once.
    """
    end_s = time.monotonic() + READ_S
    while count_unread(2) and time.monotonic() < end_s:
        time.sleep(POLL_S)
    for _ in range(FORWARD_STEPS):
        time.sleep(FORWARD_S / FORWARD_STEPS)


def count_unread(pipe: int) -> int:
    """Return the bytes in a pipe that nobody has read, 0 where it is something else."""
    with contextlib.suppress(OSError):
        if stat.S_ISFIFO(os.fstat(pipe).st_mode):
            unread = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))  # an int of C
            return int.from_bytes(unread, sys.byteorder)
    return 0


def keep_code(code: int) -> None:
    """Write an exit code to the file that a job script waits for, if one does.

    Slurm's PMI-2 ends the ranks of an aborted run by SIGKILL, and reports that.
    """
    if path := os.environ.get(CODE_FILE):
        with contextlib.suppress(OSError):
            Path(path).write_text(f"{code}\n")


def skip_destructors() -> None:
    """Let ``exit`` end this process at once, as it would after its handlers.

    MPI's abort calls ``exit``, and in the middle of a compilation the destructors of
    LLVM crash. Where the C library is not glibc, they run.
    """
    library = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):
        library.on_exit(library._exit, None)  # called with the exit code


def print_traceback() -> None:
    """Write the traceback of the exception in hand to stderr."""
    traceback.print_exc(file=sys.stderr)
