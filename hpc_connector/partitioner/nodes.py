"""The nodes of a run: their first ranks, what these send, and who sends to them."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.partitioner.communicator import Communicator, is_parallel
from hpc_connector.partitioner.ending import FIRST_POLL_S, POLL_S
from hpc_connector.partitioner.single import SerialCommunicator

ASK, ANSWER = 1, 2  # tags of messages


@dataclass(frozen=True)
class Nodes:
    """The node of this rank among all; the first rank of each is its host.

    Parameters
    ----------
    here
        Communicator of the ranks of this node.
    hosts
        Communicator of the first ranks of all nodes; None but on these.
    number
        Of this node; that of rank 0 is 0.
    ranks
        Numbers of the first ranks of all nodes.
    """

    here: Communicator
    hosts: Communicator | None
    number: int
    ranks: Sequence[int]

    def gather(self, data: bytes) -> list[bytes] | None:
        """Return what hosts send, in the order of nodes, on rank 0; None elsewhere."""
        return self.hosts.gather(data) if self.hosts else None


@contextlib.contextmanager
def open_nodes(comm: Communicator) -> Iterator[Nodes]:
    """Give the nodes of a communicator; all ranks call it together."""
    if not is_parallel(comm):
        alone = SerialCommunicator()
        yield Nodes(alone, alone, 0, [0])
        return
    from mpi4py import MPI

    here = comm.Split_type(MPI.COMM_TYPE_SHARED)
    is_host = here.rank == 0
    hosts = comm.Split(0 if is_host else MPI.UNDEFINED)
    ranks: list[int] = [r for r, first in enumerate(comm.allgather(is_host)) if first]
    number = here.bcast(ranks.index(comm.rank) if is_host else None)
    yield Nodes(here, hosts if is_host else None, number, ranks)
    if is_host:
        hosts.Free()
    here.Free()


@contextlib.contextmanager
def open_post(comm: Communicator) -> Iterator["Post"]:
    """Give messages between ranks which no other message of MPI is taken for.

    Raises
    ------
    BadInput
        This MPI lets one thread of a process call it; a host would not hear.
    """
    if not is_parallel(comm):
        raise BadInput("a run of one process has no other node to write to")
    from mpi4py import MPI

    if MPI.Query_thread() != MPI.THREAD_MULTIPLE:
        raise BadInput(
            "this MPI lets one thread of a rank call it: expected MPI_THREAD_MULTIPLE, "
            "for hosts of actions hear ranks of other nodes meanwhile; see "
            "hpc-connector doctor"
        )
    own = comm.Dup()
    yield Post(own)
    own.Free()


class Post:
    """Messages of ranks to hosts, and their answers; all wait asleep.

    Parameters
    ----------
    comm
        Of mpi4py, for this alone.
    """

    def __init__(self, comm: Any) -> None:
        self._comm = comm

    def ask(self, rank: int, message: bytes) -> bytes:
        """Send a message to a host; return its answer."""
        self._comm.Send(message, rank, ASK)
        poll_s = FIRST_POLL_S
        while (answer := self._take(rank, ANSWER)) is None:
            time.sleep(poll_s)
            poll_s = min(2 * poll_s, POLL_S)
        return bytes(answer[1])

    def answer(self, rank: int, answer: bytes) -> None:
        """Send an answer to a rank."""
        self._comm.Send(answer, rank, ANSWER)

    def listen(
        self, hear: Callable[[int, bytearray], None], is_over: threading.Event
    ) -> None:
        """Hand on each message with the rank that sent it, until all is over."""
        poll_s = FIRST_POLL_S
        while not is_over.wait(poll_s):
            poll_s = min(2 * poll_s, POLL_S)
            while message := self._take(-1, ASK):
                hear(*message)
                poll_s = FIRST_POLL_S

    def _take(self, rank: int, tag: int) -> tuple[int, bytearray] | None:
        """Return a message and its rank, if there is one; -1 is of any rank."""
        from mpi4py import MPI

        status = MPI.Status()
        source = MPI.ANY_SOURCE if rank < 0 else rank
        message = self._comm.Improbe(source, tag, status)
        if message is None:
            return None
        data = bytearray(status.Get_count(MPI.BYTE))
        message.Recv(data)
        return status.Get_source(), data
