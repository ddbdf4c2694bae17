"""How the tests of a site run: pytest in every rank, and all ranks in step.

    srun -n 4 python -m pytest --with-mpi tests/site

from a folder that all nodes see. Rank 0 reports; the reports of the others are files
of a folder ``site-*``, which stays where something fails.
"""

import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest

# What is installed is tested: with `python -m pytest`, a checkout would come first.
CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:] = [place for place in sys.path if Path(place).resolve() != CHECKOUT]

import hpc_connector  # noqa: E402
from hpc_connector import cli  # noqa: E402
from hpc_connector.errors import BadInput  # noqa: E402
from hpc_connector.partitioner.ending import abort_on_error, find_least  # noqa: E402
from hpc_connector.partitioner.launch import get_library, get_mpicomm, get_threads  # noqa: E402

GRACE_S = 5.0  # for the others to end a test that has failed on this rank
COMM, APART = pytest.StashKey(), pytest.StashKey()  # the second keeps ranks in step
FOLDER, FAILED = pytest.StashKey(), pytest.StashKey()


@pytest.hookimpl(tryfirst=True)  # before pytest asks where to write and to report
def pytest_configure(config):
    """Start MPI, and give the ranks one folder; refuse what is no site to test."""
    comm = config.stash[COMM] = start_ranks(config)
    config.stash[APART] = comm.Dup()
    with abort_on_error(comm, lambda error: cli.explain("tests/site", error)):
        folder = config.stash[FOLDER] = make_folder(comm)
        config.option.basetemp = folder / f"rank{comm.rank}"
        if comm.rank > 0:
            sys.stdout = open(folder / f"rank{comm.rank}.txt", "w", 1)  # noqa: SIM115


def start_ranks(config):
    """Return the communicator of all ranks."""
    if not config.getoption("--with-mpi", default=False):
        raise pytest.UsageError("expected pytest-mpi, and its option --with-mpi")
    try:
        comm = get_mpicomm()
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None
    if comm.size == 1:
        raise pytest.UsageError("one rank: expected mpirun -n 4 or srun -n 4 before it")
    return comm


def make_folder(comm):
    """Return a folder below the current one, which the ranks of all nodes must see."""
    made = tempfile.mkdtemp(prefix="site-", dir=Path.cwd()) if comm.rank == 0 else ""
    folder = Path(comm.bcast(made))
    if not folder.is_dir():
        raise BadInput(
            f"{socket.gethostname()} does not see {folder}: expected to be started "
            "in a folder that all nodes see"
        )
    comm.Barrier()
    return folder


def pytest_report_header(config):
    """Say what is tested, and on what."""
    comm, library = config.stash[COMM], get_library()
    hosts = set(comm.allgather(socket.gethostname()))
    return [
        f"installed: {Path(hpc_connector.__file__).parent}",
        f"MPI: {library['library']} ({library['file']}), threads {get_threads()}",
        f"ranks: {comm.size}, nodes: {len(hosts)}",
    ]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Let a test that fails on one rank fail on all, before any begins the next."""
    comm = pyfuncitem.config.stash[APART]
    try:
        result = yield
    except BaseException:
        find_least(comm, comm.rank, GRACE_S)
        raise
    failed = find_least(comm, comm.size, float("inf"))
    if failed != comm.size:
        pytest.fail(f"rank {failed} failed: see its report", pytrace=False)
    return result


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """Say where the reports of the other ranks are."""
    if exitstatus:
        said = f"other ranks: {config.stash[FOLDER]}/rank*.txt"
        terminalreporter.write_line(said)


def pytest_sessionfinish(session, exitstatus):
    """Keep whether a rank failed."""
    failed = session.config.stash[APART].allgather(int(exitstatus))
    session.config.stash[FAILED] = any(failed)


def pytest_unconfigure(config):
    """Remove the folder once no rank needs it, unless something failed."""
    if config.stash.get(FAILED, True):
        return
    config.stash[APART].Barrier()
    if config.stash[COMM].rank == 0:
        shutil.rmtree(config.stash[FOLDER])


@pytest.fixture(scope="session")
def comm(request):
    """Return the communicator of all ranks."""
    return request.config.stash[COMM]
