"""The communicator of a process that runs alone, without MPI."""

from typing import Any


class SerialCommunicator:
    """A communicator of one rank, for machines without MPI."""

    rank = 0
    size = 1

    def Barrier(self) -> None:
        """Wait for nobody."""

    def bcast(self, value: Any, root: int = 0) -> Any:
        """Return the value."""
        return value

    def gather(self, value: Any, root: int = 0) -> list[Any]:
        """Return the values of all ranks: one."""
        return [value]

    def allgather(self, value: Any) -> list[Any]:
        """Return the values of all ranks: one."""
        return [value]

    def reduce(self, value: Any, op: Any = None, root: int = 0) -> Any:
        """Return the value, for there is no other to join it with."""
        return value
