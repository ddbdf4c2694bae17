"""Both kinds of communicator have what runs ask for; mypy checks the signatures."""

import subprocess
import sys

from hpc_connector.partitioner.communicator import Communicator, is_parallel
from hpc_connector.partitioner.single import SerialCommunicator
from programs import PATIENCE_S

OF_MPI4PY = """
from mpi4py import MPI
from hpc_connector.partitioner.communicator import Communicator, is_parallel

print(isinstance(MPI.COMM_SELF, Communicator), is_parallel(MPI.COMM_SELF))
"""


def test_communicator__of_a_process_that_runs_alone():
    comm = SerialCommunicator()
    assert isinstance(comm, Communicator)
    assert not is_parallel(comm)


def test_communicator__of_mpi4py():
    """In a process of its own: the import starts MPI."""
    done = subprocess.run(
        [sys.executable, "-c", OF_MPI4PY],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.stdout.split(), done.stderr) == (["True", "True"], "")


def test_communicator__lacks_a_call():
    assert not isinstance(object(), Communicator)
