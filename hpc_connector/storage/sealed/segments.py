"""Ranges of plaintext of an encrypted object: the segments they lie in, opened.

What is asked of a store is ciphertext, whole segments of it; nothing here asks. The
last segments that a thread has opened are kept, for a reader that goes on within one.
"""

import bisect
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hpc_connector.crypt4gh.body import (
    SEALED_BYTES,
    SEGMENT_BYTES,
    Ciphers,
    find_sealed,
    find_segments,
    make_ciphers,
    open_into,
)
from hpc_connector.crypt4gh.edits import Edits
from hpc_connector.crypt4gh.seal import (
    MARK_BYTES,
    PAGE_SEGMENTS,
    Seal,
    check_page,
    check_segments,
    find_page,
)
from hpc_connector.storage.address import Source
from hpc_connector.storage.requests import Wanted
from hpc_connector.storage.store import Range, Version

MOST_HELD = 8  # segments, of a thread
MOST_PAGES = 16  # of seals, 112 KiB each


class StoredSeal(NamedTuple):
    """The seal of an object, the object that it is in, and the version of that."""

    seal: Seal
    file: Source
    stored: Version


@dataclass(frozen=True)
class Body:
    """An encrypted object whose header was opened.

    Parameters
    ----------
    file, stored
        The object, and its version as it is stored.
    start
        Bytes of its header.
    session_keys
        Of its segments, 32 bytes each; secret.
    n_bytes
        Of the plaintext of all segments.
    edits
        Which pieces of that the object's reader is given.
    seal
        None without one.
    """

    file: Source
    stored: Version
    start: int
    session_keys: tuple[bytes, ...] = field(repr=False)
    n_bytes: int
    edits: Edits
    seal: StoredSeal | None = None

    @property
    def size(self) -> int:
        """Bytes that its reader is given."""
        return self.edits.size


@dataclass(frozen=True)
class Plan:
    """What has to be asked of stores for some ranges of plaintext.

    Parameters
    ----------
    pieces
        Of each range: where in the plaintext of the body its pieces are.
    runs
        Segments to open, first and end of each run, ascending.
    held
        The plaintext of segments that need not be opened, by their numbers.
    sealed
        Bytes of the object, those of each run.
    pages
        Numbers of the seal's pages to fetch.
    """

    pieces: list[list[Range]]
    runs: list[Range]
    held: dict[int, bytes]
    sealed: list[Range]
    pages: list[int]


class _Thread(threading.local):
    """The last segments that a thread has opened, by object, version and number."""

    def __init__(self) -> None:
        self.segments: dict[tuple[Source, str, int], bytes] = {}


_thread = _Thread()
_pages: dict[tuple[Source, str, int], bytes] = {}  # of seals, that were checked


def make_plan(body: Body, ranges: Iterable[Range]) -> Plan:
    """Return what has to be asked of stores for ranges of plaintext."""
    pieces = [body.edits.locate(*wanted) for wanted in ranges]
    held: dict[int, bytes] = {}
    runs: list[list[int]] = []
    for piece in sorted(piece for each in pieces for piece in each):
        first, end = _trim(body, find_segments(piece, body.n_bytes), held)
        if first >= end:
            continue
        if runs and first <= runs[-1][1]:
            runs[-1][1] = max(runs[-1][1], end)
        else:
            runs.append([first, end])
    found = [(first, end) for first, end in runs]
    return Plan(
        pieces,
        found,
        held,
        [_find_bytes(body, run) for run in found],
        _list_pages(body, found),
    )


def _trim(body: Body, segments: Range, held: dict[int, bytes]) -> Range:
    """Return segments without those at either end that this thread holds."""
    first, end = segments
    known = _thread.segments
    key = body.file, body.stored.etag
    while first < end and (found := known.get((*key, first))) is not None:
        held[first] = found
        first += 1
    while first < end and (found := known.get((*key, end - 1))) is not None:
        held[end - 1] = found
        end -= 1
    return first, end


def _find_bytes(body: Body, run: Range) -> Range:
    """Return the bytes of an object where a run of its segments is."""
    first, last = find_sealed(run, body.n_bytes)
    return body.start + first, body.start + last


def _list_pages(body: Body, runs: Sequence[Range]) -> list[int]:
    """Return the pages of a seal that runs of segments need and that are not known."""
    if body.seal is None:
        return []
    pages = {
        page
        for first, end in runs
        for page in range(first // PAGE_SEGMENTS, (end - 1) // PAGE_SEGMENTS + 1)
    }
    return sorted(page for page in pages if _key_page(body.seal, page) not in _pages)


def _key_page(seal: StoredSeal, page: int) -> tuple[Source, str, int]:
    return seal.file, seal.stored.etag, page


def list_wanted(body: Body, plan: Plan) -> list[Wanted]:
    """Return what a plan asks of stores: runs of segments, then pages of the seal."""
    wanted: list[Wanted] = [(body.file, body.stored, plan.sealed)]
    if body.seal and plan.pages:
        places = [find_page(page, body.seal.seal) for page in plan.pages]
        wanted.append((body.seal.file, body.seal.stored, places))
    return wanted


def check_runs(
    body: Body, plan: Plan, sealed: Sequence[memoryview], pages: Sequence[bytes]
) -> None:
    """Compare runs of segments with the seal of their object, if it has one.

    Raises
    ------
    BadInput
        They are not those that were sealed, or the seal was changed.
    """
    if body.seal is None:
        return
    found = dict(zip(plan.pages, pages, strict=True))
    for (first, end), data in zip(plan.runs, sealed, strict=True):
        while first < end:
            number, within = divmod(first, PAGE_SEGMENTS)
            n = min(end - first, PAGE_SEGMENTS - within)
            page = _get_page(body.seal, number, found)
            marks = memoryview(page)[MARK_BYTES * within :]
            name = body.file.uri
            check_segments(data[: n * SEALED_BYTES], marks, first, name)
            first, data = first + n, data[n * SEALED_BYTES :]


def _get_page(seal: StoredSeal, number: int, found: dict[int, bytes]) -> bytes:
    """Return a page of a seal, that was checked now or before."""
    key = _key_page(seal, number)
    if number in found:
        page = check_page(found[number], number, seal.seal, seal.file.uri)
        while len(_pages) >= MOST_PAGES:
            _pages.pop(next(iter(_pages), key), None)
        _pages[key] = page
        return page
    return _pages[key]


def read_pieces(
    body: Body,
    plan: Plan,
    sealed: Sequence[memoryview],
    pieces: Sequence[Range],
    target: memoryview,
) -> None:
    """Read pieces of the plaintext of a body, one after the other, to their place.

    Parameters
    ----------
    sealed
        The runs of segments of the plan, which were checked.

    Raises
    ------
    BadInput
        A segment that no key opens.
    """
    ciphers = make_ciphers(body.session_keys)
    at = 0
    for first, last in pieces:
        _read_piece(body, plan, sealed, (first, last), ciphers, target[at:])
        at += last - first


def _read_piece(
    body: Body,
    plan: Plan,
    sealed: Sequence[memoryview],
    piece: Range,
    ciphers: Ciphers,
    target: memoryview,
) -> None:
    """Read a piece: segments that lie in it into their place, others by themselves."""
    first, last = piece
    number, end = find_segments(piece, body.n_bytes)
    whole = end if last == body.n_bytes else last // SEGMENT_BYTES
    while number < end:
        begin = SEGMENT_BYTES * number
        if begin >= first and number < whole and number not in plan.held:
            data = _find_sealed(plan, sealed, number, whole - number)
            n = -(-len(data) // SEALED_BYTES)
            stop = min(SEGMENT_BYTES * (number + n), body.n_bytes)
            here = target[begin - first : stop - first]
            open_into(data, ciphers, number, body.file.uri, here)
            number += n
        else:
            segment = _open_alone(body, plan, sealed, number, ciphers)
            a, b = max(first, begin), min(last, begin + len(segment))
            target[a - first : b - first] = segment[a - begin : b - begin]
            number += 1


def _find_sealed(
    plan: Plan, sealed: Sequence[memoryview], number: int, n_most: int
) -> memoryview:
    """Return consecutive segments from one on, as they are stored: those of its run."""
    k = bisect.bisect_right(plan.runs, number, key=lambda run: run[0]) - 1
    first, end = plan.runs[k]
    n = min(n_most, end - number)
    at = SEALED_BYTES * (number - first)
    return sealed[k][at : at + SEALED_BYTES * n]


def _open_alone(
    body: Body,
    plan: Plan,
    sealed: Sequence[memoryview],
    number: int,
    ciphers: Ciphers,
) -> bytes:
    """Return a segment of which a part is wanted, and keep it for what comes next."""
    key = body.file, body.stored.etag, number
    if number in plan.held:
        return plan.held[number]
    data = _find_sealed(plan, sealed, number, 1)
    n_bytes = min(SEGMENT_BYTES, body.n_bytes - SEGMENT_BYTES * number)
    plain = bytearray(n_bytes)
    open_into(data, ciphers, number, body.file.uri, memoryview(plain))
    found = plan.held[number] = bytes(plain)
    held = _thread.segments
    while len(held) >= MOST_HELD:
        del held[next(iter(held))]
    held[key] = found
    return found
