"""Plaintext of encrypted objects: planned, its ciphertext fetched, opened.

What fetches is given, for it stands above: :func:`hpc_connector.storage.ranges`.
"""

import threading
from collections.abc import Callable, Sequence

from hpc_connector.crypt4gh.body import SEGMENT_BYTES
from hpc_connector.errors import BadInput
from hpc_connector.storage import address, key_ring
from hpc_connector.storage.address import Source
from hpc_connector.storage.requests import Wanted, read_file
from hpc_connector.storage.sealed.segments import (
    Body,
    Plan,
    check_runs,
    list_wanted,
    make_plan,
    read_pieces,
)
from hpc_connector.storage.store import Version

Fetch = Callable[[Sequence[Wanted]], list[bytes]]
STEP_SEGMENTS = 16  # of a file at once: what was read stays in the cache


class _Thread(threading.local):
    """Memory that a thread reads files into."""

    def __init__(self) -> None:
        self.buffer = bytearray()


_thread = _Thread()


def fetch_opened(wanted: Sequence[Wanted], fetch: Fetch) -> list[bytes]:
    """Return ranges of objects, some of which are encrypted, in order.

    Parameters
    ----------
    fetch
        Returns ranges of objects as they are stored.

    Raises
    ------
    BadInput
        One was not opened, was changed, or cannot be read.
    """
    plans: list[tuple[Body, Plan] | int] = []
    asked: list[Wanted] = []
    for source, version, ranges in wanted:
        if not address.is_encrypted(source.uri):
            asked.append((source, version, ranges))
            plans.append(len(ranges))
            continue
        body = find_body(source, version)
        plan = make_plan(body, ranges)
        asked += list_wanted(body, plan)
        plans.append((body, plan))
    answers = iter(fetch(asked))
    found: list[bytes] = []
    for each in plans:
        if isinstance(each, int):
            found += [next(answers) for _ in range(each)]
            continue
        body, plan = each
        sealed = [memoryview(next(answers)) for _ in plan.sealed]
        check_runs(body, plan, sealed, [next(answers) for _ in plan.pages])
        for pieces in plan.pieces:
            plain = bytearray(sum(last - first for first, last in pieces))
            read_pieces(body, plan, sealed, pieces, memoryview(plain))
            found.append(bytes(plain))
    return found


def read_into(
    source: Source, version: Version, first: int, target: memoryview, fetch: Fetch
) -> None:
    """Read the plaintext of an encrypted object from `first` on into memory.

    Of a file in steps; of what is in a store all at once, for each request waits.

    Raises
    ------
    BadInput
        It was not opened, was changed, or cannot be read.
    """
    body = find_body(source, version)
    is_file = not address.is_remote(source.uri)
    step = STEP_SEGMENTS * SEGMENT_BYTES if is_file else len(target)
    at, end = first, first + len(target)
    while at < end:
        to = min(-(-(at + step) // SEGMENT_BYTES) * SEGMENT_BYTES, end)
        plan = make_plan(body, [(at, to)])
        if is_file and not plan.pages:
            sealed, pages = read_runs(body, plan), list[bytes]()
        else:
            answers = fetch(list_wanted(body, plan))
            sealed = [memoryview(answer) for answer in answers[: len(plan.sealed)]]
            pages = answers[len(plan.sealed) :]
        check_runs(body, plan, sealed, pages)
        here = target[at - first : to - first]
        read_pieces(body, plan, sealed, plan.pieces[0], here)
        at = to


def read_runs(body: Body, plan: Plan) -> list[memoryview]:
    """Return the segments of a plan from a file, in memory that the next call uses."""
    n_bytes = sum(last - first for first, last in plan.sealed)
    if len(_thread.buffer) < n_bytes:
        _thread.buffer = bytearray(n_bytes)
    view, at, found = memoryview(_thread.buffer), 0, []
    for first, last in plan.sealed:
        found.append(view[at : at + last - first])
        read_file(body.file, body.stored, first, found[-1])
        at += last - first
    return found


def find_body(source: Source, version: Version) -> Body:
    """Return an encrypted object of which a version was seen.

    Raises
    ------
    BadInput
        It was not opened in this process, nor in that it works for.
    """
    body: Body | None = key_ring.get_body(source.uri)
    if body is None or body.stored.etag != version.etag:
        key_ring.get_opener(source.uri)  # says what is missing
        raise BadInput(f"{source.uri} was not opened: expected its version to be asked")
    return body
