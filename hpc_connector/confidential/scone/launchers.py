"""How MPI is started: the variables that a launcher sets, and its command.

An attested process has the environment of its policy and no other, so that a policy
names each of them. ``mpirun`` of MPICH 5.0.2 and of Open MPI 5.0.11 were asked by
``env``; those of ``srun`` are from its manual. With fewer and fewer of them the same
``mpirun`` showed which are needed (`NEEDED`): without one of these two ranks end, hang,
or are two worlds of one.
"""

from collections.abc import Collection
from typing import NamedTuple

PMIX_URIS = tuple(f"PMIX_SERVER_URI{end}" for end in ("2", "21", "3", "4", "41"))
PMIX = (
    "PMIX_NAMESPACE",
    "PMIX_RANK",
    *PMIX_URIS,
    "PMIX_HOSTNAME",
    "PMIX_VERSION",
    "PMIX_GDS_MODULE",
    "PMIX_SECURITY_MODE",
    "PMIX_BFROP_BUFFER_TYPE",
    "PMIX_SERVER_TMPDIR",
    "PMIX_SYSTEM_TMPDIR",
    "PMIX_PARAM_FILE_PASSED",
    "PMIX_PREFIX",
)
SLURM = (
    "SLURM_PROCID",
    "SLURM_NTASKS",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
    "SLURM_JOB_NODELIST",
)
HYDRA = (
    "PMI_RANK",
    "PMI_SIZE",
    "PMI_FD",
    "PMI_HOSTNAME",
    "MPI_LOCALRANKID",
    "MPI_LOCALNRANKS",
    "HYDI_CONTROL_FD",
)
OPEN_MPI = (
    *PMIX,
    "PRTE_LAUNCHED",
    "PRTE_SHARED_FS",
    "OPAL_PREFIX",
    "OPAL_USER_PARAMS_GIVEN",
    "OMPI_ARGV",
    "OMPI_COMMAND",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "OMPI_COMM_WORLD_NODE_RANK",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_FILE_LOCATION",
    "OMPI_FIRST_RANKS",
    "OMPI_LIBDIR_LOC",
    "OMPI_MCA_PREFIXES",
    "OMPI_MCA_cpu_type",
    "OMPI_MCA_initial_wdir",
    "OMPI_MCA_num_procs",
    "OMPI_NUM_APP_CTX",
    "OMPI_TOOL_NAME",
    "OMPI_UNIVERSE_SIZE",
    "OMPI_VERSION",
    "OMPI_WORLD_LOCAL_SIZE",
    "OMPI_WORLD_SIZE",
)
NEEDED = (  # one of these sets
    frozenset({"PMI_RANK", "PMI_SIZE", "PMI_FD"}),
    *(frozenset({"PMIX_NAMESPACE", "PMIX_RANK", uri}) for uri in PMIX_URIS),
)


class Launcher(NamedTuple):
    """What starts the ranks.

    Parameters
    ----------
    command
        Its words, before those that it starts.
    variables
        Those by which a rank finds the others.
    """

    command: tuple[str, ...]
    variables: tuple[str, ...]


LAUNCHERS = {
    "pmi2": Launcher(
        ("srun", "--mpi=pmi2"),
        ("PMI_FD", "PMI_JOBID", "PMI_RANK", "PMI_SIZE", *SLURM),
    ),
    "pmix": Launcher(("srun", "--mpi=pmix"), (*PMIX, *SLURM)),
    "hydra": Launcher(("mpiexec.hydra", "-n", "$SLURM_NTASKS"), HYDRA),
    "openmpi": Launcher(("mpirun", "-n", "$SLURM_NTASKS"), OPEN_MPI),
}


def find_missing(names: Collection[str]) -> set[str]:
    """Return variables without which a rank finds no others, the fewest of them.

    Examples
    --------
    >>> find_missing(["PMI_RANK", "PMI_SIZE"])
    {'PMI_FD'}
    """
    missing = [set(need).difference(names) for need in NEEDED]
    return min(missing, key=len)
