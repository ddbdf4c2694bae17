"""What the slices of any text must hold."""

import gzip
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pysam

from hpc_connector.slices import CloudObject, DataSlice
from hpc_connector.slices.data_slice import Format
from hpc_connector.storage.traffic import traffic

KINDS = ("plain", "gzip", "members", "bgzip")
MOST_PICKLE_BYTES = 2048


def pack(path: Path, kind: str, text: bytes) -> Path:
    """Write text, packed in a way; `members` are several of gzip, and padding."""
    if kind == "plain":
        path.write_bytes(text)
    elif kind == "gzip":
        path.write_bytes(gzip.compress(text, 4))
    elif kind == "members":
        step = len(text) // 3 + 1
        parts = [gzip.compress(text[n : n + step], 1) for n in (0, step, 2 * step)]
        path.write_bytes(parts[0] + parts[1] + bytes(99) + parts[2] + bytes(9))
    else:
        with pysam.BGZFile(str(path), "wb") as file:
            file.write(text)
    return path


def open_indexed(format: Format, path: Path, backend: Any = None) -> CloudObject:
    """Return an object with its index."""
    return CloudObject.from_path(format, str(path)).preprocess(backend)


def check_partition(
    co: CloudObject,
    strategy: Callable[..., list[DataSlice]],
    option: str,
    numbers: Iterable[int],
    text: bytes,
) -> None:
    """Check that slices of any number give the text, and travel."""
    assert co.is_preprocessed()
    for number in numbers:
        before = traffic.n_bytes
        parts = co.partition(strategy, **{option: number})
        assert traffic.n_bytes == before
        sent = [DataSlice.from_json(part.to_json()) for part in parts]
        assert sent == [pickle.loads(pickle.dumps(part)) for part in parts] == parts
        assert max(len(pickle.dumps(part)) for part in parts) < MOST_PICKLE_BYTES
        assert co.format.join([part.get() for part in sent]) == text


def measure_most_bytes(parts: Iterable[DataSlice]) -> int:
    """Return the most bytes received for a slice, its index's included."""
    most = 0
    for part in parts:
        before = traffic.n_bytes
        part.get()
        most = max(most, traffic.n_bytes - before)
    return most
