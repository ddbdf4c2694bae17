"""Readers that go on where they were: the position is kept with the result.

A stream gives records at least once. What is computed of them has each exactly once
if the positions of the last records in it are published with it, in one file: after a
crash, the records behind them were not counted, and those before them were.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hpc_connector.publish import name_published, publish
from hpc_connector.streams.records import START, Position, Record
from hpc_connector.streams.stream import Stream

MOST_RECORDS = 1024
# Between two looks at all segments, longer each time, unless there is much to read
LEAST_POLL_S, BUSY_POLL_S, IDLE_POLL_S = 0.005, 0.25, 1.0
FIRST_POLL_S = 0.05  # of one segment

Positions = dict[int, Position]  # of the last record of each segment that is counted


def move_positions(positions: Positions, records: Iterable[Record]) -> None:
    """Move positions behind records."""
    positions.update((record.segment, record.position) for record in records)


def follow(
    stream: Stream,
    positions: Mapping[int, Position],
    *,
    most_records: int = MOST_RECORDS,
    wait_s: float = 1.0,
    segments: Iterable[int] | None = None,
) -> Iterator[list[Record]]:
    """Give the records behind positions as they come, until all segments are sealed.

    Parameters
    ----------
    positions
        By segment; those that are not in it are read from START. It is not changed.
    most_records
        Of one segment at a time.
    wait_s
        After which an empty list is given if nothing came, so that there is time for
        other things.
    segments
        Which are read, all by default.

    Yields
    ------
    Records of one segment.
    """
    numbers = range(stream.n_segments) if segments is None else segments
    at: Positions = {number: positions.get(number, START) for number in numbers}
    delay_s, heard_s = LEAST_POLL_S, time.monotonic()
    while at:
        most_found = 0
        for number in sorted(at):
            is_sealed = stream.is_sealed(number)  # before the read: then it has all
            records = stream.read(number, at[number], most_records=most_records)
            if records:
                most_found = max(most_found, len(records))
                at[number] = records[-1].position
                yield records
            elif is_sealed:
                del at[number]
        if most_found:
            heard_s = time.monotonic()
        elif at and time.monotonic() - heard_s >= wait_s:
            heard_s = time.monotonic()
            yield []
        if most_found == most_records or not at:
            delay_s = LEAST_POLL_S
            continue
        time.sleep(min(delay_s, wait_s))
        delay_s = min(2 * delay_s, BUSY_POLL_S if most_found else IDLE_POLL_S)


def wait_for_records(
    look: Callable[[], list[Record]], is_sealed: Callable[[], bool], wait_s: float
) -> list[Record]:
    """Return the first records of a segment that come, of a stream that is polled.

    Parameters
    ----------
    look
        Returns those that are there.
    is_sealed
        Returns whether no more can come.
    wait_s
        After which there are none.
    """
    end_s, delay_s = time.monotonic() + wait_s, FIRST_POLL_S
    while True:
        is_over = wait_s > 0 and is_sealed()  # before the look: then it has all
        found = look()
        left_s = end_s - time.monotonic()
        if found or is_over or left_s <= 0:
            return found
        time.sleep(min(delay_s, left_s))
        delay_s = min(1.5 * delay_s, IDLE_POLL_S)


def save_result(path: Path, result: Any, positions: Positions) -> None:
    """Publish a result of JSON, and which records are in it, in one file."""
    kept = {str(number): place for number, place in sorted(positions.items())}
    with publish(path, seeks=False) as stream:
        stream.write(json.dumps({"positions": kept, "result": result}).encode())


def read_result(path: Path) -> tuple[Any, Positions]:
    """Return a result and its positions; None and none if there is no file."""
    try:
        kept = json.loads(name_published(path).read_bytes())
    except FileNotFoundError:
        return None, {}
    return kept["result"], {int(k): place for k, place in kept["positions"].items()}
