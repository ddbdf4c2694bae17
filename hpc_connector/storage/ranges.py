"""Ranges of objects, fetched together and checked.

Every range is asked of one version of an object (If-Match), and what comes back is
checked: a changed object, a short answer or a whole one is an error, never data.
"""

import bisect
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hpc_connector.errors import BadInput
from hpc_connector.storage import address
from hpc_connector.storage.address import Source
from hpc_connector.storage.requests import Wanted, read_version
from hpc_connector.storage.store import (
    Broken,
    Range,
    Version,
)
from hpc_connector.storage.stores import NoAnswer, explain
from hpc_connector.storage.traffic import count_traffic

NEAR_BYTES = 1 << 16  # ranges with less between them are asked for as one
MOST_BYTES = 16 << 20  # of one request
AT_ONCE = 16  # requests
TRIES = 4


def fetch(source: Source, version: Version, ranges: Sequence[Range]) -> list[bytes]:
    """Return ranges of one version of an object, as ``fetch_together`` does."""
    return fetch_together([(source, version, ranges)])


def fetch_together(wanted: Sequence[Wanted]) -> list[bytes]:
    """Return ranges of the bytes of some objects, each in one version, in order.

    Ranges that are near are asked for as one, long ones in pieces, several at once: all
    of them wait for one round trip.

    Raises
    ------
    BadInput
        As ``explain``; and an answer that is not the bytes that were asked for.
    """
    for source, version, ranges in wanted:
        for each in ranges:
            check_range(source, version, each)
    if any(address.is_encrypted(source.uri) for source, _, _ in wanted):
        # of an extra
        from hpc_connector.storage.sealed.plaintext import fetch_opened

        return fetch_opened(wanted, fetch_stored)
    return fetch_stored(wanted)


def fetch_into(
    source: Source, version: Version, first: int, target: memoryview
) -> None:
    """Read the bytes of one version of an object from `first` on into memory.

    Raises
    ------
    BadInput
        As :func:`fetch_together`.
    """
    if address.is_encrypted(source.uri):
        # of an extra
        from hpc_connector.storage.sealed.plaintext import read_into

        check_range(source, version, (first, first + len(target)))
        read_into(source, version, first, target, fetch_stored)
        return
    wanted = [(first, first + len(target))]
    target[:] = fetch(source, version, wanted)[0]


def check_range(source: Source, version: Version, wanted: Range) -> None:
    """Refuse bytes that an object has not.

    Raises
    ------
    BadInput
        They begin or end beyond it.
    """
    first, last = wanted
    if not 0 <= first <= last <= version.size:
        raise BadInput(f"{source.uri}: bytes {first} to {last} of {version.size}")


def fetch_stored(wanted: Sequence[Wanted]) -> list[bytes]:
    """Return ranges of objects as they are stored; see :func:`fetch_together`."""
    plans = [plan_requests(ranges) for _, _, ranges in wanted]
    requests = [
        (source, version, request)
        for (source, version, _), plan in zip(wanted, plans, strict=True)
        for request in plan
    ]
    answers = iter(fetch_all(requests))
    found = []
    for (_, _, ranges), plan in zip(wanted, plans, strict=True):
        held = dict(zip(plan, answers, strict=False))
        found += [assemble(pair, plan, held) for pair in ranges]
    return found


def plan_requests(ranges: Sequence[Range]) -> list[Range]:
    """Return the ranges to ask for: near ones merged, then cut to pieces."""
    merged: list[list[int]] = []
    for first, last in sorted(r for r in ranges if r[0] < r[1]):
        if merged and first - merged[-1][1] <= NEAR_BYTES:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return [
        (at, min(at + MOST_BYTES, last))
        for first, last in merged
        for at in range(first, last, MOST_BYTES)
    ]


def assemble(
    wanted: Range, requests: list[Range], held: dict[Range, memoryview]
) -> bytes:
    """Return a range from the answers that cover it."""
    first, last = wanted
    begin = max(bisect.bisect(requests, (first + 1,)) - 1, 0)
    end = bisect.bisect_left(requests, (last,))
    return b"".join(
        held[a, b][max(first - a, 0) : last - a] for a, b in requests[begin:end]
    )


def fetch_all(
    requests: Sequence[tuple[Source, Version, Range]],
) -> list[memoryview]:
    """Return the answers of several requests, some at once.

    By threads: they let go of Python's lock, and long answers come five times as fast
    as by coroutines.
    """
    if len(requests) <= 1:
        return [fetch_one(request) for request in requests]
    with ThreadPoolExecutor(min(AT_ONCE, len(requests))) as pool:
        return list(pool.map(fetch_one, requests))


def fetch_one(request: tuple[Source, Version, Range]) -> memoryview:
    """Return one range, or one line of what is wrong with its object."""
    with explain(request[0]):
        return fetch_range(*request)


def fetch_range(source: Source, version: Version, wanted: Range) -> memoryview:
    """Return one range; an answer that is cut or of other bytes is asked for again."""
    problem = ""
    for attempt in range(TRIES):
        if attempt:  # a sleep of 0 s gives the core away
            time.sleep(0.1 * (2**attempt - 1))
        try:
            answer = read_version(source, version, wanted)
        except Broken as error:
            count_traffic(1, 0)
            problem = str(error)
            continue
        count_traffic(1, len(answer.data))
        if answer.span == wanted and len(answer.data) == wanted[1] - wanted[0]:
            return memoryview(answer.data)
        problem = f"{len(answer.data)} bytes of {wanted[1] - wanted[0]}"
    raise NoAnswer(
        f"{source.uri}: bytes {wanted[0]} to {wanted[1]}: {TRIES} tries gave: {problem}"
    )
