"""How masked blocks are added up: over MPI, or between threads of one process."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.federation.masks import (
    Numbers,
    Part,
    cut_parts,
    mask_parts,
    sum_blocks,
)
from hpc_connector.partitioner.ending import wait_asleep
from hpc_connector.partitioner.sums import sum_arrays
from hpc_connector.run_record import FromCatalogue

Raw = NDArray[np.uint8]
Count = Callable[[], Numbers | Iterator[Part]]


class Make(Protocol):
    """Counts and masks a block."""

    def __call__(self, into: Raw | None = None) -> Numbers:
        """Return the masked block, at the beginning of some memory if that will do."""


class Transport(Protocol):
    """What a party asks of the others; all call the same methods in the same order.

    One of them scores: it is given sums, and says what is next. It may be a site, or a
    hub, which has no genotypes. What is told are nested dicts and lists of text,
    numbers, bytes and arrays.
    """

    @property
    def is_scorer(self) -> bool:
        """Whether this party scores."""

    @property
    def attempt(self) -> int:
        """Number of this attempt of the search, which is known once all have met."""

    def add(self, stage: int, block: int, make: Make | None) -> Numbers | None:
        """Return the sum of a block over sites; None to who may not see it.

        Parameters
        ----------
        make
            Returns the masked block, called only if it is to be sent: one whose sum is
            known from before is not counted again. None of a party without genotypes.
        """

    def tell(self, value: Any) -> Any:
        """Return the value that the scorer gives, to all."""

    def gather(self, value: Any) -> list[Any]:
        """Return the values that the sites show to all, in their order.

        A party without genotypes gives None, which is not among them.
        """


@dataclass(frozen=True)
class RankTransport:
    """Ranks of MPI, each a site; the first one scores.

    Parameters
    ----------
    for_all
        Whether all ranks see the sums.
    room
        Memory for blocks that all ranks share, from ``open_room``.
    """

    comm: Any
    for_all: bool = False
    room: Raw | None = None
    attempt: int = 1

    @property
    def is_scorer(self) -> bool:
        """Whether this is the first rank."""
        return bool(self.comm.rank == 0)

    def add(self, stage: int, block: int, make: Make | None) -> Numbers | None:
        """Return the sum of a block over ranks."""
        assert make is not None
        return sum_arrays(self.comm, make, for_all=self.for_all, room=self.room)

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
    """Where the threads of one process meet, each of which is a party."""

    def __init__(self, n_parties: int) -> None:
        self.barrier = threading.Barrier(n_parties)
        self.values: list[Any] = [None] * n_parties

    def exchange(self, place: int, value: Any) -> list[Any]:
        """Return the values of all, once all are here."""
        self.values[place] = value
        self.barrier.wait()
        found = list(self.values)
        self.barrier.wait()
        return found


@dataclass(frozen=True)
class ThreadTransport:
    """Threads that meet in a room, each a site; one more may be a hub.

    Parameters
    ----------
    scorer
        Place of who scores.
    """

    room: Room
    place: int
    for_all: bool = False
    scorer: int = 0
    attempt: int = 1

    @property
    def is_scorer(self) -> bool:
        """Whether this thread scores."""
        return self.place == self.scorer

    def add(self, stage: int, block: int, make: Make | None) -> Numbers | None:
        """Return the sum of a block over threads."""
        blocks = self.gather(None if make is None else make().copy())
        return sum_blocks(blocks) if self.for_all or self.is_scorer else None

    def tell(self, value: Any) -> Any:
        """Return the value of the thread that scores."""
        return self.room.exchange(self.place, value)[self.scorer]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all threads that have one."""
        values = self.room.exchange(self.place, value)
        return [one for one in values if one is not None]


@dataclass(frozen=True)
class Link:
    """A party's way to the others: what it sends is masked, and counted.

    Parameters
    ----------
    site
        Its name.
    keys
        Of its masks with each of the others; none of a hub.
    sent
        Bytes and blocks that left the site, by stage.
    datasets
        Of a catalogue, that sites say their cohorts are, by the names of sites.
    """

    transport: Transport
    site: str
    keys: Mapping[str, bytes]
    sent: Counter[str] = field(default_factory=Counter)
    datasets: Mapping[str, list[FromCatalogue]] = field(default_factory=dict)

    @property
    def is_scorer(self) -> bool:
        """Whether this party scores."""
        return self.transport.is_scorer

    def add(
        self, stage: int, block: int, count: Count | None, n: int, dtype: Any
    ) -> Numbers | None:
        """Mask a block, and return the sum over sites if it may be seen.

        Parameters
        ----------
        count
            Returns the numbers of this site, in one or by parts; None of a hub, which
            has none.
        n, dtype
            How many they are, and uint16 or uint32; they count as sent also where an
            earlier process has sent them.
        """
        if count is None:
            return self.transport.add(stage, block, None)
        self.sent[f"stage {stage} blocks"] += 1
        self.sent[f"stage {stage} bytes"] += n * np.dtype(dtype).itemsize
        make = partial(self.mask, stage, block, count, n, dtype)
        return self.transport.add(stage, block, make)

    def mask(
        self,
        stage: int,
        block: int,
        count: Count,
        n: int,
        dtype: Any,
        into: Raw | None = None,
    ) -> Numbers:
        """Return the numbers of a block under the masks of this site."""
        n_bytes = n * np.dtype(dtype).itemsize
        if into is None or len(into) < n_bytes:
            into = np.empty(n_bytes, np.uint8)
        numbers, counted = into[:n_bytes].view(dtype), count()
        parts = cut_parts(counted) if isinstance(counted, np.ndarray) else counted
        return mask_parts(parts, self.keys, self.site, stage, block, numbers)

    def tell(self, value: Any) -> Any:
        """Return the value that the scorer gives.

        Raises
        ------
        BadInput
            It gives an error, which ends the search.
        """
        told = self.transport.tell(value)
        if isinstance(told, dict) and "error" in told:
            raise BadInput(told["error"])
        return told


def get_type(n_individuals: int) -> type[np.unsignedinteger[Any]]:
    """Return the type of what is added: it holds a count of all individuals."""
    return np.uint16 if n_individuals < 1 << 16 else np.uint32
