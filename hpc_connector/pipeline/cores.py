"""No core files of a process that holds keys, or what they open.

A core file would put its memory on a disk. The limit does it; to make the process
undumpable (``prctl(PR_SET_DUMPABLE, 0)``) would do more, and break MPICH, whose ranks
read the memory of each other on a node: ``process_vm_readv`` is not permitted then.
"""

import resource

_before: tuple[int, int] | None = None  # the limits that were there


def forbid_cores() -> None:
    """Have this process, and those it starts, leave no core file."""
    global _before
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    if _before is None:
        _before = limits
    resource.setrlimit(resource.RLIMIT_CORE, (0, limits[1]))


def allow_cores() -> None:
    """Give this process the limit that it had."""
    global _before
    if _before is not None:
        resource.setrlimit(resource.RLIMIT_CORE, _before)
        _before = None
