"""What maps a function over the chunks of an object while it is indexed."""

import functools
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from hpc_connector.burst.lithops.executor import open_executor
from hpc_connector.errors import BadInput
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.slices.data_slice import MapChunks
from hpc_connector.storage import address, key_ring

Made = TypeVar("Made")
Function = Callable[[Any], Any]


def make_with(
    backend: Any, make: Callable[[MapChunks], Made], comm: Communicator | None = None
) -> Made:
    """Return the result of `make`, which is given what maps a function over chunks.

    Parameters
    ----------
    backend
        None for this process, ``local`` for all cores, ``mpi`` for all ranks, each of
        which calls this, ``joblib``, or an object with ``map(function, items)``.
    comm
        Of the ranks, for ``mpi``.

    Raises
    ------
    BadInput
        None of these.
    """
    if backend == "mpi":
        if comm is None:
            raise BadInput("backend 'mpi': expected the communicator of the ranks")
        return make_on_ranks(comm, make)
    known = {None: map_here, "local": map_on_cores, "joblib": map_with_joblib}
    if backend is None or isinstance(backend, str):
        if backend not in known:
            names = ", ".join(sorted([*filter(None, known), "mpi"]))
            raise BadInput(f"backend {backend!r}: expected {names}, or one that maps")
        return make(known[backend])
    return make(lambda function, items: list(backend.map(function, items)))


def map_here(function: Function, items: Sequence[Any]) -> list[Any]:
    """Map a function over chunks in this process."""
    return [function(item) for item in items]


def map_on_cores(function: Function, items: Sequence[Any]) -> list[Any]:
    """Map a function over chunks in processes of their own."""
    n_workers = min(len(items), os.cpu_count() or 1) or 1
    fresh = multiprocessing.get_context("spawn")  # threads of obstore end in a fork
    known = address.get_known(), key_ring.get_known()
    with ProcessPoolExecutor(n_workers, fresh, know, known) as pool:
        return list(pool.map(function, items))


def know(urls: dict[str, Any], bodies: Any) -> None:
    """Take the secrets of the process that this one works for."""
    address.know(urls)
    key_ring.know(bodies)


def map_with_joblib(function: Function, items: Sequence[Any]) -> list[Any]:
    """Map a function over chunks as ``joblib.parallel_config`` says."""
    import joblib

    call = joblib.delayed(function)
    found: list[Any] = joblib.Parallel()(call(item) for item in items)
    return found


def make_on_ranks(comm: Communicator, make: Callable[[MapChunks], Made]) -> Made:
    """Return on all ranks what `make` makes on the first, all mapping its chunks.

    So what comes before the chunks and after them is done once. What goes wrong, on
    any rank, is raised on all.
    """
    made: Any = None
    error: Exception | None = None
    if comm.rank == 0:
        try:
            made = make(functools.partial(map_on_ranks, comm))
        except Exception as raised:
            error = raised
        comm.bcast(None)  # there are no more chunks
    else:
        while (task := comm.bcast(None)) is not None:
            do_share(comm, *task)
    told: tuple[Made, Exception | None] = comm.bcast((made, error))
    key_ring.know(comm.bcast(key_ring.get_known()))
    if told[1] is not None:
        raise told[1]
    return told[0]


def map_on_ranks(
    comm: Communicator, function: Function, items: Sequence[Any]
) -> list[Any]:
    """Map a function over chunks; the first rank calls it, the others serve it."""
    found: list[Any] = [None] * len(items)
    task = comm.bcast((function, items, key_ring.get_known()))
    for rank, share in enumerate(do_share(comm, *task)):
        if isinstance(share, Exception):
            raise share
        found[rank :: comm.size] = share
    return found


def do_share(
    comm: Communicator, function: Function, items: Sequence[Any], known: Any
) -> list[Any]:
    """Do the chunks of this rank; return on the first what all found, or why not.

    Parameters
    ----------
    known
        What the first has opened.
    """
    key_ring.know(known)
    share: Any
    try:
        share = [function(item) for item in items[comm.rank :: comm.size]]
    except Exception as error:
        share = error
    return comm.gather(share) or []


class LithopsPreprocessor:
    """Maps chunks with functions of Lithops, one a chunk.

    Parameters
    ----------
    config
        As ``open_executor`` takes it.
    """

    def __init__(self, config: dict[str, Any] | str | Path | None = None):
        self.config = config

    def map(self, function: Function, items: Sequence[Any]) -> list[Any]:
        """Map a function over chunks."""
        if not items:
            return []
        with open_executor(self.config) as executor:
            # not the function itself: Lithops gives meaning to names of parameters
            futures = executor.map(lambda chunk: function(chunk), [(x,) for x in items])
            found: list[Any] = executor.get_result(futures, show_progressbar=False)
            return found
