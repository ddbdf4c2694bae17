"""How masked blocks are added up: over MPI, or between threads of one process."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hpc_connector.federation.masks import Numbers, add_masks, sum_blocks
from hpc_connector.partitioner.ending import wait_asleep
from hpc_connector.partitioner.sums import sum_arrays


class Transport(Protocol):
    """What a party asks of the others; all call the same methods in the same order.

    One of them scores: it is given sums, and says what is next.
    """

    @property
    def is_scorer(self) -> bool:
        """Whether this party scores."""

    def add(self, stage: int, block: int, numbers: Numbers) -> Numbers | None:
        """Return the sum of a block over sites; None to who may not see it."""

    def tell(self, value: Any) -> Any:
        """Return the value that the scorer gives, to all."""

    def gather(self, value: Any) -> list[Any]:
        """Return the values that the sites show to all, in their order."""


@dataclass(frozen=True)
class RankTransport:
    """Ranks of MPI, each a site; the first one scores.

    Parameters
    ----------
    for_all
        Whether all ranks see the sums.
    """

    comm: Any
    for_all: bool = False

    @property
    def is_scorer(self) -> bool:
        """Whether this is the first rank."""
        return bool(self.comm.rank == 0)

    def add(self, stage: int, block: int, numbers: Numbers) -> Numbers | None:
        """Return the sum of a block over ranks."""
        return sum_arrays(self.comm, numbers, for_all=self.for_all)

    def tell(self, value: Any) -> Any:
        """Return the value of the first rank."""
        wait_asleep(self.comm)
        return self.comm.bcast(value)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks."""
        wait_asleep(self.comm)
        found: list[Any] = self.comm.allgather(value)
        return found


class Room:
    """Where the threads of one process meet, each of which is a site."""

    def __init__(self, n_sites: int) -> None:
        self.barrier = threading.Barrier(n_sites)
        self.values: list[Any] = [None] * n_sites

    def exchange(self, place: int, value: Any) -> list[Any]:
        """Return the values of all, once all are here."""
        self.values[place] = value
        self.barrier.wait()
        found = list(self.values)
        self.barrier.wait()
        return found


@dataclass(frozen=True)
class ThreadTransport:
    """Threads that meet in a room; the first one scores."""

    room: Room
    place: int
    for_all: bool = False

    @property
    def is_scorer(self) -> bool:
        """Whether this is the first thread."""
        return self.place == 0

    def add(self, stage: int, block: int, numbers: Numbers) -> Numbers | None:
        """Return the sum of a block over threads."""
        blocks = self.room.exchange(self.place, numbers.copy())
        return sum_blocks(blocks) if self.for_all or self.is_scorer else None

    def tell(self, value: Any) -> Any:
        """Return the value of the first thread."""
        return self.room.exchange(self.place, value)[0]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all threads."""
        return self.room.exchange(self.place, value)


@dataclass(frozen=True)
class Link:
    """A site's way to the others: what it sends is masked, and counted.

    Parameters
    ----------
    site
        Its name.
    keys
        Of its masks with each of the others.
    sent
        Bytes and blocks that left the site, by stage.
    """

    transport: Transport
    site: str
    keys: Mapping[str, bytes]
    sent: Counter[str] = field(default_factory=Counter)

    @property
    def is_scorer(self) -> bool:
        """Whether this party scores."""
        return self.transport.is_scorer

    def add(self, stage: int, block: int, numbers: Numbers) -> Numbers | None:
        """Mask a block, in place, and return the sum over sites if it may be seen."""
        add_masks(numbers, self.keys, self.site, stage, block)
        self.sent[f"stage {stage} blocks"] += 1
        self.sent[f"stage {stage} bytes"] += numbers.nbytes
        return self.transport.add(stage, block, numbers)

    def tell(self, value: Any) -> Any:
        """Return the value that the scorer gives."""
        return self.transport.tell(value)


def get_type(n_individuals: int) -> type[np.unsignedinteger[Any]]:
    """Return the type of what is added: it holds a count of all individuals."""
    return np.uint16 if n_individuals < 1 << 16 else np.uint32
