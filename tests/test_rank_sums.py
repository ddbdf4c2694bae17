"""Sums of arrays over ranks, in memory that they share or by messages."""

import subprocess
import sys

import pytest

from programs import PATIENCE_S

CODE = """
import sys
import numpy as np
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.partitioner.sums import open_room, sum_arrays

comm, way = get_mpicomm(), sys.argv[1]
rng = np.random.default_rng(5)


def sum_all(n, room):
    arrays = rng.integers(0, 1 << 16, (comm.size, n)).astype(np.uint16)

    def make(into=None):
        if into is None or len(into) < 2 * n:
            return arrays[comm.rank].copy()
        found = into[: 2 * n].view(np.uint16)
        found[:] = arrays[comm.rank]
        return found

    found = sum_arrays(comm, make, for_all=way == "all", room=room)
    if way == "all" or comm.rank == 0:
        assert (found == arrays.sum(axis=0, dtype=np.uint16)).all()
    else:
        assert found is None


with open_room(comm, 1 << 20) as room:
    assert room is not None and room.shape == (comm.size, 1 << 20)
    for n in (1, 7, 500_000, 1 << 19, 600_000):
        sum_all(n, room if way == "room" else None)
print("same\\n", end="")
"""


@pytest.mark.parametrize("way", ["room", "messages", "all"])
def test_sum_arrays__is_that_of_all_ranks(way):
    """Also where an array is too large for the room."""
    done = subprocess.run(
        ["mpirun", "-n", "3", sys.executable, "-c", CODE, way],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout.split() == ["same"] * 3
