"""What runs in a function: the tasks of a batch, as a rank would run them."""

import functools
import importlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hpc_connector.burst.outage import outlast
from hpc_connector.burst.package import Package, load_package
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import put
from hpc_connector.storage.traffic import get_traffic
from hpc_connector.telemetry.watch.call import begin_call, end_call

FAILED, FOUND = ".error", ".npz"
PATIENCE_S = 60.0  # for a store to take what was found


@dataclass(frozen=True)
class Payload:
    """A batch as it travels: under a kilobyte, and without credentials.

    Parameters
    ----------
    module
        Which has ``run_tasks(package, tasks)``, that returns the arrays of a ledger.
    package
        Checksum of what the tasks need.
    answer
        Where the answer goes, without its ending.
    """

    module: str
    folder: Source
    package: str
    tasks: tuple[int, ...]
    answer: Source


def run_payload(payload: Payload) -> str:
    """Run the tasks of a batch and put what they find into the store; return where.

    The answer is a ledger, with the row of telemetry of this call in it. Where there is
    one already, of this attempt, it stays.
    """
    try:
        data, ending = make_answer(payload), FOUND
    except Exception as error:
        # libraries have errors of their own, which are of this kind
        kind = MemoryError if isinstance(error, MemoryError) else type(error)
        data, ending = f"{kind.__name__}: {error}".encode(), FAILED
    place = payload.answer.beside(ending)
    outlast(partial(put, place, data, only_new=True), PATIENCE_S)
    return place.uri


def make_answer(payload: Payload) -> bytes:
    """Return the ledger of a batch as bytes."""
    begun, before = begin_call(), get_traffic()
    module = importlib.import_module(payload.module)
    arrays = module.run_tasks(
        open_package(payload.folder, payload.package), payload.tasks
    )
    requests, n_bytes = get_traffic()
    figures = {"fetch_requests": requests - before[0]}
    figures |= end_call(begun, n_bytes - before[1])
    return encode_answer(payload.tasks, arrays, figures)


@functools.cache
def open_package(folder: Source, name: str) -> Package:
    """Return a package, which the next batch in this process may need too."""
    return load_package(folder, name)


def encode_answer(
    tasks: Sequence[int], arrays: dict[str, np.ndarray], figures: dict[str, Any]
) -> bytes:
    """Return finished tasks, what they found, and figures, as the bytes of a .npz."""
    stream = io.BytesIO()
    text = np.frombuffer(json.dumps(figures).encode(), np.uint8)
    everything: Any = {"finished": np.array(tasks, np.int64), "figures": text} | arrays
    np.savez(stream, **everything)
    return stream.getvalue()


def decode_answer(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of an answer, and its figures; its checksums are checked."""
    with np.load(io.BytesIO(data)) as record:
        arrays = dict(record)
    return arrays, json.loads(arrays.pop("figures").tobytes())
