"""The communicator, what it shares, and how it ends: the only module with MPI."""

import contextlib
import ctypes
import faulthandler
import os
import re
import shutil
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput

START_S = 600.0  # for all ranks to start; CONNECTOR_START_S says otherwise
GRACE_S = 5.0  # to finish and save, once a rank has failed
POLL_S = 0.002
WAIT_S = 20e-6  # for another rank of the node to hear from another node
FORWARD_S = 0.3
SHARED_MEMORY = "/dev/shm"
CODE_FILE = "CONNECTOR_CODE"  # set by job.sh
SEGMENTS = ("/dev/shm/mpich_shm_",)
LAUNCHED_BY_MPI = (
    "PMI_RANK",  # MPICH, Intel MPI, srun --mpi=pmi2
    "PMIX_RANK",  # Open MPI 5, srun --mpi=pmix
    "OMPI_COMM_WORLD_RANK",  # Open MPI
    "MPI_LOCALRANKID",  # Hydra: MPICH, Intel MPI
    "PMI_CONTROL_PORT",  # srun --mpi=cray_shasta
    "PALS_RANKID",  # Cray's mpiexec
    "MV2_COMM_WORLD_RANK",  # MVAPICH
)


Add = Callable[[int, int], int]


class SerialCommunicator:
    """A communicator of one rank, for machines without MPI."""

    rank = 0
    size = 1

    def Barrier(self) -> None:
        """Wait for nobody."""

    def bcast(self, value: Any, root: int = 0) -> Any:
        """Return the value."""
        return value

    def gather(self, value: Any, root: int = 0) -> list:
        """Return the values of all ranks: one."""
        return [value]

    def allgather(self, value: Any) -> list:
        """Return the values of all ranks: one."""
        return [value]

    def reduce(self, value: Any, op: Any = None, root: int = 0) -> Any:
        """Return the value, for there is no other to join it with."""
        return value


def get_mpicomm(*, serial: bool = False) -> Any:
    """Return the communicator of this run.

    MPI starts only where a launcher (mpirun, srun) started this process: a laptop or
    a login node needs none. All ranks call it.

    Parameters
    ----------
    serial
        Return a communicator of one rank even so.

    Raises
    ------
    BadInput
        This process is one of several, and each of them is alone in its MPI: all would
        do all the work, in one folder.
    """
    if serial:
        return SerialCommunicator()
    is_launched = any(name in os.environ for name in LAUNCHED_BY_MPI)
    comm = start_mpi() if is_launched else SerialCommunicator()
    if comm.size == 1 < (launched := count_launched()):
        raise BadInput(
            f"{launched} processes were started, and each is alone in its MPI: "
            "expected a launcher that fits it; see hpc-connector doctor"
        )
    return comm


def count_launched() -> int:
    """Return how many processes the innermost launcher says it started, at least 1.

    A batch script is one process, even if its ``sbatch`` was called in a step whose
    variables it inherits, and so is the shell of ``srun --pty``.
    """
    names = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]
    in_step = os.environ.get("SLURM_NTASKS") == os.environ.get("SLURM_STEP_NUM_TASKS")
    if in_step and "SLURM_PTY_PORT" not in os.environ:
        names.append("SLURM_STEP_NUM_TASKS")
    return next((int(os.environ[name]) for name in names if name in os.environ), 1)


def start_mpi() -> Any:
    """Start MPI and return the communicator of all ranks.

    A rank whose MPI does not start in time leaves, with 1 and the place in the code:
    one that waits for ranks that are not there would wait for ever.
    """
    MPI = load_mpi()
    if (network := choose_network(MPI.Get_library_version())) is not None:
        os.environ.setdefault("MPIR_CVAR_CH4_NETMOD", network)
    patience_s = float(os.environ.get("CONNECTOR_START_S", START_S))
    faulthandler.dump_traceback_later(patience_s, exit=True)
    if not MPI.Is_initialized():
        MPI.Init_thread()
    unlink_segments(MPI.COMM_WORLD)
    faulthandler.cancel_dump_traceback_later()
    return MPI.COMM_WORLD


def choose_network(library: str) -> str | None:
    """Return the network layer that MPICH needs under Slurm's PMI-1, or None.

    MPICH 5 over UCX announces 4 KB a rank, most of it the stack as it was. Slurm reads
    1,024 bytes of a PMI-1 message, and so a start in some hundreds, whose stack is not
    mostly zeros, is cut and waits for ever. The addresses of OFI have 16 bytes.
    """
    device = re.search(r"^MPICH Device:\s*ch4:(.*)", library, re.MULTILINE)
    has_both = device is not None and {"ucx", "ofi"} <= set(device[1].split())
    by_slurm = "PMI_FD" in os.environ and "SLURM_STEP_ID" in os.environ
    return "ofi" if has_both and by_slurm else None


def load_mpi() -> Any:
    """Return mpi4py's MPI, not started."""
    try:
        import mpi4py

        mpi4py.rc(initialize=False, finalize=True)
        from mpi4py import MPI
    except ImportError:
        raise BadInput(
            "started by an MPI launcher, but mpi4py is not installed: expected "
            "pip install 'hpc_connector[mpi]'"
        ) from None
    except RuntimeError as error:  # of mpi4py, which looks for the library
        raise BadInput(
            f"mpi4py: {error}: expected the MPI module of this machine to be loaded"
        ) from None
    return MPI


def unlink_segments(comm: Any) -> None:
    """Unlink the files by which the ranks of a node found the memory they share.

    The memory lives on while it is mapped, and so a run that is killed leaves nothing:
    MPICH would leave half a megabyte a rank in /dev/shm, for ever.
    """
    comm.Barrier()  # all have found it
    with contextlib.suppress(FileNotFoundError):  # on another system than Linux
        maps = Path("/proc/self/maps").read_text().splitlines()
        for name in {line.split()[-1] for line in maps}:
            if name.startswith(SEGMENTS):
                Path(name).unlink(missing_ok=True)


def get_library() -> dict[str, str]:
    """Return name, ABI and file of the MPI that is loaded, and maybe not started."""
    from mpi4py import MPI

    maps = Path("/proc/self/maps").read_text().splitlines()
    files = {line.split()[-1] for line in maps if "/libmpi" in line}
    name, *_ = re.split("[,\n]", MPI.Get_library_version())
    module = Path(MPI.__file__).name.split(".")  # MPI.mpich.cpython-311.so, of a wheel
    return {
        "library": " ".join(name.replace("Version:", "").split()),
        "abi": module[1] if len(module) == 4 else "its own",
        "file": min(files, key=len, default="unknown"),
    }


def get_threads() -> str:
    """Return the level of threads of the MPI that has been started."""
    from mpi4py import MPI

    levels = {v: k for k, v in vars(MPI).items() if k.startswith("THREAD_")}
    return levels[MPI.Query_thread()].removeprefix("THREAD_").lower()


def is_serial(comm: Any) -> bool:
    """Return whether a communicator is one of a single rank without MPI."""
    return isinstance(comm, SerialCommunicator)


def get_node(comm: Any) -> tuple[int, int, int]:
    """Return rank on the node, ranks of the node, and the number of nodes."""
    if is_serial(comm):
        return 0, 1, 1
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    rank, size = node.rank, node.size
    nodes = sum(r == 0 for r in comm.allgather(rank))
    node.Free()
    return rank, size, nodes


@contextlib.contextmanager
def share_array(comm: Any, shape: tuple[int, ...], dtype: Any) -> Iterator[np.ndarray]:
    """Give the ranks of a node one array, not filled, in a shared-memory window."""
    if is_serial(comm):
        yield np.empty(shape, dtype)
        return
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if node.rank == 0:
        check_shared_memory(n_bytes)
    with end_together(node):
        try:
            own_bytes = n_bytes if node.rank == 0 else 0
            window = MPI.Win.Allocate_shared(own_bytes, 1, comm=node)
        except MPI.Exception as error:
            raise MemoryError(f"{n_bytes:,} bytes to share: {error}") from None
    memory: Any = window.Shared_query(0)[0]
    array = np.frombuffer(memory, dtype).reshape(shape)
    yield array
    del array
    window.Free()
    node.Free()


def check_shared_memory(n_bytes: int) -> None:
    """Raise where a window is larger than what a container may share, often 64 MB.

    MPI would grant it, and a signal end the rank that first writes beyond.
    """
    with contextlib.suppress(FileNotFoundError):
        if n_bytes > (free := shutil.disk_usage(SHARED_MEMORY).free):
            raise MemoryError(
                f"{n_bytes:,} bytes of genotypes, but {SHARED_MEMORY} has {free:,} free"
            )


@contextlib.contextmanager
def end_together(comm: Any) -> Iterator[None]:
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


def find_least(comm: Any, value: int, limit_s: float) -> int | None:
    """Return the least value of all ranks, None if they do not come in time."""
    if is_serial(comm):
        return value
    from mpi4py import MPI

    least = np.empty(1, np.int64)
    request = comm.Iallreduce(np.array([value], np.int64), least, MPI.MIN)
    end_s = time.monotonic() + limit_s
    while not request.Test():
        if time.monotonic() > end_s:
            return None
        time.sleep(POLL_S)
    return int(least[0])


def wait_asleep(comm: Any) -> None:
    """Wait until all ranks are here, without burning a core."""
    find_least(comm, 0, float("inf"))


@contextlib.contextmanager
def count_tickets(
    comm: Any, n: int
) -> Iterator[tuple[Callable[[], int], Callable[[], None]]]:
    """Give all ranks what takes the next of n tickets, and what ends that early.

    The first returns n where no ticket is left. Each node has a counter in memory that
    its ranks share, so the counter of all is asked once for as many tickets as a node
    has ranks, and is not overrun by any number of nodes.
    """
    if is_serial(comm):
        tickets = iter(range(n))

        def drop_all() -> None:
            deque(tickets, maxlen=0)

        yield lambda: next(tickets, n), drop_all
        return
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    width = node.size
    with (
        open_counters(comm, 1) as add_to_all,
        open_counters(node, 1 + -(-n // width)) as add_here,
        serve_nodes(comm),
        end_together(comm),
    ):

        def end() -> None:
            add_to_all(0, n)
            add_here(0, n)

        yield lambda: take_ticket(n, width, add_here, add_to_all), end
    node.Free()


def take_ticket(n: int, width: int, add_here: Add, add_to_all: Add) -> int:
    """Return the next ticket of this node, n where none is left.

    Parameters
    ----------
    width
        Tickets that a node takes at once.
    add_here, add_to_all
        Add to a counter and return what it was. The first counter of a node is of its
        tickets; each of the others has the first ticket of those taken at once, and 1
        more, once that is known.
    """
    number = add_here(0, 1)
    if number >= n:
        return n
    group, place = divmod(number, width)
    if place == 0:
        first = add_to_all(0, width)
        add_here(1 + group, first + 1)
        return min(first, n)
    while not (known := add_here(1 + group, 0)):
        time.sleep(WAIT_S)
    return min(known - 1 + place, n)


@contextlib.contextmanager
def open_counters(comm: Any, n: int) -> Iterator[Add]:
    """Give ranks counters, and what adds to one of them and returns what it was.

    They are one-sided (``MPI_Fetch_and_op``) and lie on rank 0. They are locked once: a
    lock for each call would wait until rank 0 has finished its task.
    """
    from mpi4py import MPI

    try:
        window = MPI.Win.Allocate(8 * n if comm.rank == 0 else 0, 8, comm=comm)
    except MPI.Exception as error:
        raise BadInput(
            f"this MPI cannot count between these ranks ({error}): expected one with "
            "one-sided communication; see hpc-connector doctor"
        ) from None
    if comm.rank == 0:
        memory: Any = window.tomemory()
        np.frombuffer(memory, np.int64)[:] = 0
    comm.Barrier()
    window.Lock_all(MPI.MODE_NOCHECK)
    before = np.zeros(1, np.int64)

    def add(counter: int, step: int) -> int:
        window.Fetch_and_op(np.array([step], np.int64), before, 0, counter, MPI.SUM)
        window.Flush(0)
        return int(before[0])

    yield add
    window.Unlock_all()
    window.Free()


@contextlib.contextmanager
def serve_nodes(comm: Any) -> Iterator[None]:
    """Answer other nodes while this rank computes, if it is rank 0.

    Without hardware for it, MPI reads its messages only inside a call.
    """
    from mpi4py import MPI

    nodes = get_node(comm)[2]
    if comm.rank != 0 or nodes == 1 or MPI.Query_thread() != MPI.THREAD_MULTIPLE:
        yield
        return
    is_over = threading.Event()

    def serve() -> None:
        while not is_over.wait(POLL_S):
            comm.Iprobe()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield
    finally:
        is_over.set()
        server.join()


@contextlib.contextmanager
def abort_on_error(comm: Any, code: Callable[[BaseException], int]) -> Iterator[None]:
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
            raise SystemExit(exit_code) from None
        sys.stdout.flush()
        sys.stderr.flush()
        end_now(comm, exit_code)


def end_now(comm: Any, code: int, said: str = "") -> None:
    """End all ranks from wherever this one is, with one line on stderr.

    Safe in a signal handler: an exception might land where none can pass, as in a
    callback of numba's compiler.
    """
    os.write(2, said.encode())
    keep_code(code)
    if is_serial(comm):
        os._exit(code)
    time.sleep(FORWARD_S)  # mpirun drops what it has not forwarded when it aborts
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # MPI would add a line of its own
    skip_destructors()
    comm.Abort(code)


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
