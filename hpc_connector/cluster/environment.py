"""What sbatch is told by the environment, beside what a script says."""

import re
from collections.abc import Mapping

# What else an option of sbatch is called, behind SBATCH_ or SLURM_
CALLED = {
    "array": ("ARRAY_INX",),
    "cpus-per-task": ("TRES_PER_TASK",),
    "export": ("EXPORT_ENV",),
    "mem": ("MEM_PER_NODE", "MEM_PER_CPU", "MEM_PER_GPU"),
    "mem-per-cpu": ("MEM_PER_NODE", "MEM_PER_CPU", "MEM_PER_GPU"),
    "no-requeue": ("REQUEUE",),
    "nodes": ("NNODES", "JOB_NUM_NODES"),
    "ntasks": ("NPROCS",),
    "ntasks-per-node": ("NTASKS", "NPROCS", "TASKS_PER_NODE"),
    "requeue": ("NO_REQUEUE",),
    "time": ("TIMELIMIT",),
}
# What no environment may make of a script: an array, one of whose end is waited for, or
# one without the variables of the user
NEVER = ("array", "export", "wait")
# Of Slurm's variables in a job, those that the user has set
KEPT = {"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_TIME_FORMAT"}
KEPT |= {"SLURM_EXIT_ERROR", "SLURM_KILL_BAD_EXIT", "SLURM_MPI_TYPE", "SLURM_WAIT"}
OF_A_JOB = ("SLURM_", "SLURMD_", "SRUN_")


def get_environment(environment: Mapping[str, str], script: str) -> dict[str, str]:
    """Return the environment for sbatch, which contradicts nothing of a script.

    To sbatch its variables come before the lines of a script, and the job inherits
    them: what the script says is left out, and all of the job that this is part of.
    """
    said = [*re.findall(r"^#SBATCH --([\w-]+)", script, re.M), *NEVER]
    names = {name for option in said for name in list_names(option)}
    if "SLURM_JOB_ID" in environment or "SLURM_JOBID" in environment:
        of_job = {name for name in environment if name.startswith(OF_A_JOB)}
        names |= of_job - KEPT | {"TMPDIR"}  # a folder that ends with that job
    return {name: text for name, text in environment.items() if name not in names}


def list_names(option: str) -> list[str]:
    """Return the variables that mean an option of sbatch to it, or to srun in a job.

    Examples
    --------
    >>> list_names("time")
    ['SBATCH_TIME', 'SLURM_TIME', 'SBATCH_TIMELIMIT', 'SLURM_TIMELIMIT']
    """
    names = (option.upper().replace("-", "_"), *CALLED.get(option, ()))
    return [f"{kind}_{name}" for name in names for kind in ("SBATCH", "SLURM")]
