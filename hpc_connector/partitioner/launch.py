"""The start of MPI: by whom this process was started, and with which library."""

import contextlib
import faulthandler
import os
import re
from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.partitioner.communicator import Communicator, ParallelCommunicator
from hpc_connector.partitioner.single import SerialCommunicator

START_S = 600.0  # for all ranks to start; CONNECTOR_START_S says otherwise
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
# How variables of a rank begin, which are not empty where a launcher sets them
HANDED_ON = ("PMI_", "PMIX_", "MPI_LOCAL", "HYDI_", "OMPI_COMM_WORLD_")


def get_mpicomm(*, serial: bool = False) -> Communicator:
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
    unset_empty()
    is_launched = any(name in os.environ for name in LAUNCHED_BY_MPI)
    comm = start_mpi() if is_launched else SerialCommunicator()
    if comm.size == 1 < (launched := count_launched()):
        raise BadInput(
            f"{launched} processes were started, and each is alone in its MPI: "
            "expected a launcher that fits it; see hpc-connector doctor"
        )
    return comm


def unset_empty() -> None:
    """Unset the variables of a rank that are empty.

    An enclave of SCONE has so those that its policy names and its launcher has not set;
    a PMIx with an empty ``PMIX_SERVER_URI41`` does not start.
    """
    for name, value in list(os.environ.items()):
        if not value and name.startswith(HANDED_ON):
            del os.environ[name]


def count_launched() -> int:
    """Return how many processes the innermost launcher says it started, at least 1.

    A batch script is one process, even if its ``sbatch`` was called in a step whose
    variables it inherits, and so is the shell of ``srun --pty``. An enclave has of
    Slurm's variables those that a policy names: it is taken for a task of a step.
    """
    names = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]
    step = os.environ.get("SLURM_STEP_NUM_TASKS")
    in_step = step == os.environ.get("SLURM_NTASKS")
    in_enclave = not step and "SLURM_SUBMIT_DIR" not in os.environ
    if (in_step or in_enclave) and "SLURM_PTY_PORT" not in os.environ:
        names.append("SLURM_NTASKS")
    return next((int(os.environ[name]) for name in names if os.environ.get(name)), 1)


def start_mpi() -> ParallelCommunicator:
    """Start MPI and return the communicator of all ranks.

    A rank whose MPI does not start in time leaves, with 1 and the place in the code:
    one that waits for ranks that are not there would wait for ever.
    """
    load_mpi()
    from mpi4py import MPI

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


def load_mpi() -> None:
    """Load mpi4py and the MPI that it finds, without starting it."""
    try:
        import mpi4py

        mpi4py.rc(initialize=False, finalize=True)
        from mpi4py import MPI  # noqa: F401 -- loads the library
    except ImportError:
        raise BadInput(
            "started by an MPI launcher, but mpi4py is not installed: expected "
            "pip install 'hpc_connector[mpi]'"
        ) from None
    except RuntimeError as error:  # of mpi4py, which looks for the library
        raise BadInput(
            f"mpi4py: {error}: expected the MPI module of this machine to be loaded"
        ) from None


def unlink_segments(comm: Communicator) -> None:
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
