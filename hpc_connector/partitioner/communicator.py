"""What a run asks of a communicator, MPI's or that of a process that runs alone."""

from typing import Any, NoReturn, Protocol, TypeGuard, runtime_checkable

from hpc_connector.partitioner.single import SerialCommunicator


@runtime_checkable
class Communicator(Protocol):
    """The ranks of a run: mpi4py's communicator, or :class:`SerialCommunicator`.

    All ranks call a method together, as in MPI. Values are pickled, so these calls are
    for small ones; large arrays lie in memory that the ranks of a node share.
    """

    @property
    def rank(self) -> int:
        """Number of this rank, 0 .. size - 1."""

    @property
    def size(self) -> int:
        """Number of ranks."""

    def Barrier(self) -> None:
        """Wait until all ranks are here."""

    def bcast(self, obj: Any, /, root: int = 0) -> Any:
        """Return the value that `root` gives, on all ranks."""

    def gather(self, obj: Any, /, root: int = 0) -> list[Any] | None:
        """Return the values of all ranks, in their order, on `root`; None elsewhere."""

    def allgather(self, obj: Any, /) -> list[Any]:
        """Return the values of all ranks, in their order, on all ranks."""

    def reduce(self, obj: Any, /, op: Any = ..., root: int = 0) -> Any:
        """Return the values of all ranks joined by `op` on `root`; None elsewhere."""


class ParallelCommunicator(Communicator, Protocol):
    """A communicator of mpi4py, with what this folder alone asks of MPI itself."""

    def Split_type(self, split_type: int, /) -> Any:
        """Return the communicator of the ranks that share something, as memory."""

    def Split(self, color: int, /) -> Any:
        """Return the communicator of the ranks of a colour."""

    def Dup(self) -> Any:
        """Return a communicator of the same ranks, whose messages are its own."""

    def Iallreduce(self, sendbuf: Any, recvbuf: Any, op: Any = ..., /) -> Any:
        """Begin to join arrays of all ranks; return the request."""

    def Iprobe(self) -> bool:
        """Return whether there is a message; MPI goes on with others meanwhile."""

    def Send(self, buf: Any, dest: int, /) -> None:
        """Send an array to a rank."""

    def Recv(self, buf: Any, source: int, /) -> None:
        """Receive an array from a rank."""

    def Abort(self, errorcode: int = 0, /) -> NoReturn:
        """End all ranks."""


def is_parallel(comm: Communicator) -> TypeGuard[ParallelCommunicator]:
    """Return whether a communicator is MPI's, also one of a single rank."""
    return not isinstance(comm, SerialCommunicator)
