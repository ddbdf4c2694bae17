"""Tables of telemetry to one Parquet file, a piece at a time."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.publish import publish
from hpc_connector.telemetry.columns import COLUMNS
from hpc_connector.telemetry.records import NUMBERS, TEXTS
from hpc_connector.telemetry.tables import Words, has_value

GROUP = 1 << 15  # rows of a group of the file; what it says of groups is kept
SAVED = (*COLUMNS, "attempt")
REPEATED = [*TEXTS, "rank", "pid", "attempt"]  # which a dictionary makes small


@contextlib.contextmanager
def open_table(path: Path) -> Iterator[Callable[[np.ndarray, Words], None]]:
    """Give what writes the next rows of a Parquet file, which is there at the end.

    Raises
    ------
    BadInput
        There is no pyarrow.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise BadInput(
            "telemetry collect needs pyarrow: pip install 'hpc_connector[telemetry]'"
        ) from None
    kinds = dict.fromkeys(SAVED, pa.int64())
    kinds |= dict.fromkeys(NUMBERS, pa.float64()) | dict.fromkeys(TEXTS, pa.string())
    schema = pa.schema(list(kinds.items()))
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": REPEATED}
    options |= {"data_page_size": 1 << 16, "write_batch_size": 256}  # one a column
    options["memory_pool"] = pa.system_memory_pool()  # others keep what is given back
    with (
        publish(path, "open") as stream,
        pq.ParquetWriter(stream, schema, **options) as writer,
    ):
        waiting: list[Any] = []

        def flush() -> None:
            if waiting:
                table = pa.Table.from_batches(waiting, schema)
                writer.write_table(table, row_group_size=len(table))
                waiting.clear()

        def save(table: np.ndarray, words: Words) -> None:
            if not len(table):
                return
            columns = [make_column(table, name, words) for name in SAVED]
            waiting.append(pa.record_batch(columns, schema=schema))
            if sum(map(len, waiting)) >= GROUP:
                flush()

        yield save
        flush()


def make_column(table: np.ndarray, name: str, words: Words) -> Any:
    """Return a column for pyarrow, from its memory.

    ``pa.array`` would load pandas, and a cast all functions that pyarrow has: each
    takes more memory than the rows.
    """
    import pyarrow as pa

    parts: tuple[Any, ...]
    known = has_value(table, name)
    bits = None if known.all() else np.packbits(known, bitorder="little")
    if name in TEXTS:
        kind, parts = pa.string(), make_texts(table[name], words)
    else:
        kind = pa.float64() if name in NUMBERS else pa.int64()
        parts = (np.ascontiguousarray(table[name]),)
    buffers = [None if part is None else pa.py_buffer(part) for part in (bits, *parts)]
    return pa.Array.from_buffers(kind, len(table), buffers)


def make_texts(numbers: np.ndarray, words: Words) -> tuple[np.ndarray, bytes]:
    """Return where each text ends, from 0 on, and all texts."""
    texts = [*(word.encode() for word in words), b""]  # NO_WORD is the last
    lengths = np.array([len(text) for text in texts])[numbers]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return ends, b"".join([texts[number] for number in numbers.tolist()])
