"""Memory that the ranks of a node share, and give back before its end."""

import mmap
import subprocess
import sys

from programs import PATIENCE_S

CODE = """
import numpy as np
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.partitioner.shared_memory import drop_shared, share_array

comm = get_mpicomm()
with share_array(comm, (100_000,), np.int64) as large:
    with share_array(comm, (9,), np.int64) as small:
        if comm.rank == 0:
            large[:], small[:] = 7, 7
        comm.Barrier()
        drop_shared(comm, [large, small])
        comm.Barrier()
        kept = int((large == 7).sum()), int((small == 7).sum())
        assert set(np.unique(large)) <= {0, 7}
print(f"{kept}\\n", end="")  # at once: ranks share a pipe
"""


def run(*launch):
    """Return what each rank prints."""
    done = subprocess.run(
        [*launch, sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return done.stdout.splitlines()


def test_drop_shared__leaves_other_memory():
    """What is within whole pages is dropped, and no more."""
    (said,) = set(run("mpirun", "-n", "2"))
    large, small = map(int, said[1:-1].split(","))
    assert small == 9
    assert large < 2 * mmap.PAGESIZE / 8


def test_drop_shared__of_one_rank_alone():
    assert run() == ["(100000, 9)"]
    assert run("mpirun", "-n", "1") == ["(100000, 9)"]
