"""Plaintext of encrypted objects: planned, its ciphertext fetched, opened.

What fetches is given, for it stands above: :func:`hpc_connector.storage.ranges`.
"""

from collections.abc import Callable, Sequence

from hpc_connector.crypt4gh.body import SEGMENT_BYTES
from hpc_connector.errors import BadInput
from hpc_connector.storage import address, key_ring
from hpc_connector.storage.address import Source
from hpc_connector.storage.encrypted import (
    Body,
    Plan,
    check_runs,
    list_wanted,
    make_plan,
    read_pieces,
)
from hpc_connector.storage.requests import Wanted
from hpc_connector.storage.store import Version

Fetch = Callable[[Sequence[Wanted]], list[bytes]]
STEP_BYTES = 16 * SEGMENT_BYTES  # of a file at once: its ciphertext stays in the cache


def fetch_opened(wanted: Sequence[Wanted], fetch: Fetch) -> list[bytes]:
    """Return ranges of objects, some of which are encrypted, in order.

    Parameters
    ----------
    fetch
        Returns ranges of objects as they are stored.
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
    """
    body = find_body(source, version)
    step = STEP_BYTES if not address.is_remote(source.uri) else len(target)
    at, end = first, first + len(target)
    while at < end:
        to = min(-(-(at + step) // SEGMENT_BYTES) * SEGMENT_BYTES, end)
        plan = make_plan(body, [(at, to)])
        answers = fetch(list_wanted(body, plan))
        n_runs = len(plan.sealed)
        sealed = [memoryview(answer) for answer in answers[:n_runs]]
        check_runs(body, plan, sealed, answers[n_runs:])
        here = target[at - first : to - first]
        read_pieces(body, plan, sealed, plan.pieces[0], here)
        at = to


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
