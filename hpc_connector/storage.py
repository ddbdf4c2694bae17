"""Objects in S3, behind HTTP or in a folder: their versions, and ranges of their bytes.

Every range is asked of one version of an object (If-Match), and what comes back is
checked: a changed object, a short answer or a whole one is an error, never data.
"""

import bisect
import contextlib
import errno
import functools
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hpc_connector import address
from hpc_connector.address import Source, is_remote
from hpc_connector.errors import BadInput
from hpc_connector.stores import fast, plain, s3
from hpc_connector.stores.folder import FolderStore
from hpc_connector.stores.store import (
    Answer,
    Broken,
    Changed,
    Denied,
    Missing,
    Range,
    Store,
    StoreError,
    Version,
    is_strong,
)

__all__ = ["Range", "Source", "Version", "is_remote"]

logger = logging.getLogger(__name__)

NEAR_BYTES = 1 << 16  # ranges with less between them are asked for as one
MOST_BYTES = 16 << 20  # of one request
AT_ONCE = 16  # requests
TRIES = 4
TIMEOUT = "60s"  # of one request

Wanted = tuple["Source", "Version", Sequence[Range]]


@dataclass
class Traffic:
    """What this process has asked for, and received."""

    requests: int = 0
    n_bytes: int = 0


traffic = Traffic()
traffic_lock = threading.Lock()
refusing: set[Source] = set()  # whose servers refuse their own ETag


def count_traffic(requests: int, n_bytes: int) -> None:
    """Add to what this process has asked for, and received, in whatever thread."""
    with traffic_lock:
        traffic.requests += requests
        traffic.n_bytes += n_bytes


def _renew_lock() -> None:
    """Have a lock that no thread holds, which a fork has left behind."""
    global traffic_lock
    traffic_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def get_traffic() -> tuple[int, int]:
    """Return the requests of this process, and the bytes it received."""
    return traffic.requests, traffic.n_bytes


def make_source(uri: str, storage_config: dict[str, Any] | None = None) -> Source:
    """Return a source.

    Raises
    ------
    BadInput
        A URI or a setting that is not known; credentials, which would travel with
        every slice.
    """
    return Source(os.fspath(uri), s3.check_config(storage_config or {}))


def locate(source: Source) -> tuple[Store, str]:
    """Return the store of an object, and its key there.

    Every process has clients of its own, for what is on a connection that a fork has
    left in two is read by either.
    """
    scheme = address.get_scheme(source.uri)
    if not scheme:
        return FolderStore(), os.path.abspath(source.uri)
    place, key = source.uri, ""
    if scheme == "s3":
        place, key = address.get_key(source.uri)
    url = address.get_url(source.uri) if scheme != "s3" else ""
    is_fast = fast.is_usable(key)
    return open_store(place, url, source.config, os.getpid(), is_fast), key


@functools.cache
def open_store(
    place: str,
    url: str,
    config: tuple[tuple[str, str], ...],
    process: int,
    is_fast: bool,
) -> Store:
    """Return the store of a URL, or else of a bucket, for a process."""
    try:
        if is_fast and (url or not s3.has_authority(config)):
            return (
                fast.open_url(url, TIMEOUT)
                if url
                else fast.open_bucket(place, config, TIMEOUT)
            )
        return plain.WebStore(url) if url else plain.BucketStore(place, config)
    except StoreError as error:
        raise BadInput(f"{place}: {error}") from None
    except ImportError as error:
        raise BadInput(
            f"{place}: {error}: expected pip install 'hpc_connector[cloud]'"
        ) from None


@contextlib.contextmanager
def explain(source: Source) -> Iterator[None]:
    """Turn what goes wrong with an object into one line.

    Raises
    ------
    BadInput
        There is no such object, it may not be read, it has changed, or the server does
        not answer.
    """
    try:
        yield
    except Missing:
        raise NoSuchObject(f"{source.uri}: {NoSuchObject.said}") from None
    except Denied as error:
        signed = address.has_secrets(source.uri)
        said = "what signs its URL is of another object, or has expired"
        raise NotAllowed(
            f"{source.uri}: access is denied: {said}"
            if signed
            else f"{source.uri}: {error}"
        ) from None
    except Changed:
        raise BadInput(
            f"{source.uri}: it has changed since it was indexed: index it again"
        ) from None
    except (StoreError, OSError) as error:
        kind = BadInput if isinstance(error, PermissionError) else NoAnswer
        if isinstance(error, OSError):
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            error = StoreError(error.strerror or error)
        told = str(error) or type(error).__name__
        if "error sending request" in told:
            told = f"its server does not answer: {told}"
        raise kind(f"{source.uri}: {told}") from None


class NoAnswer(BadInput):
    """Its store does not answer, or not as it should; it may later."""


class NoSuchObject(BadInput):
    """There is no object of that name."""

    said = "no such object"


class NotAllowed(BadInput):
    """It may not be read, or not written."""


def get_version(source: Source) -> Version:
    """Return size and tag of an object.

    Raises
    ------
    BadInput
        It cannot be read, or its server says nothing that tells versions apart.
    """
    store, key = locate(source)
    with explain(source):
        found = store.look(key)
    count_traffic(1, 0)
    if not found.etag:
        raise BadInput(
            f"{source.uri}: its server gives weak ETags only, or none, and no "
            "Last-Modified, so that a change would not be seen: expected either, or a "
            "copy of it in a bucket or folder"
        )
    if not is_strong(found.etag):
        warn_of_tag(source)
    return found


@functools.cache
def warn_of_tag(source: Source) -> None:
    """Say once that a change of an object may be missed."""
    logger.warning(
        "%s: its server gives weak ETags only, or none: a change is seen by size and "
        "Last-Modified, to the second; for more copy it to a bucket or folder",
        source.uri,
    )


@functools.cache
def get_object(path: str) -> tuple[Source, Version]:
    """Return an object in the version that this process saw first."""
    source = Source(path)
    return source, get_version(source)


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
        for first, last in ranges:
            if not 0 <= first <= last <= version.size:
                raise BadInput(
                    f"{source.uri}: bytes {first} to {last} of {version.size}"
                )
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


def read_version(source: Source, version: Version, wanted: Range) -> Answer:
    """Return a range of one version of an object.

    A server that refuses an ETag it gives itself is asked without it: of what version
    an answer is says the answer.

    Raises
    ------
    Changed
        There is another version.
    """
    store, key = locate(source)
    tag = "" if source in refusing else version.etag
    try:
        answer = store.read(key, wanted, tag)
    except Changed:
        if not is_strong(tag) or get_version(source) != version:
            raise
        refusing.add(source)
        answer = store.read(key, wanted)
    if answer.tag != version.etag and (answer.tag or not is_strong(tag)):
        raise Changed
    return answer


def read_beside(source: Source) -> tuple[bytes, Version] | None:
    """Return what ``read_whole`` does of what may stand beside an object.

    None too if it may not be read: who signs a URL signs one object, and S3 denies
    what is not there to who may not list it.
    """
    try:
        return read_whole(source)
    except NotAllowed:
        if address.is_remote(source.uri):
            return None
        raise


def read_whole(source: Source) -> tuple[bytes, Version] | None:
    """Return the bytes of a small object and its version, None if there is none."""
    store, key = locate(source)
    try:
        with explain(source):
            answer = store.read(key)
    except NoSuchObject:
        count_traffic(1, 0)
        return None
    count_traffic(1, len(answer.data))
    data = bytes(answer.data)
    return data, Version(len(data), answer.tag or get_version(source).etag)


def get_size(source: Source) -> int | None:
    """Return the bytes of an object, None if there is none."""
    try:
        return get_version(source).size
    except NoSuchObject:
        return None


def list_names(folder: Source) -> list[str]:
    """Return the names of the objects in a folder, the folder left out."""
    store, key = locate(folder)
    count_traffic(1, 0)
    with explain(folder):
        return store.list(key)


def delete(sources: Sequence[Source]) -> None:
    """Remove objects; one that is not there is no error."""
    for source in sources:
        store, key = locate(source)
        count_traffic(1, 0)
        with contextlib.suppress(NoSuchObject), explain(source):
            store.remove(key)


def check_writable(source: Source) -> None:
    """Refuse what cannot be written to, before there is anything to write.

    Raises
    ------
    BadInput
        A server of HTTP.
    """
    if address.get_scheme(source.uri) in address.WEB:
        raise BadInput(
            f"{source.uri} cannot be written: expected a folder or bucket for the "
            "index (metadata)"
        )


def put(source: Source, data: bytes | memoryview, *, only_new: bool) -> Version | None:
    """Write an object; return its version, None if there is one that may not change."""
    store, key = locate(source)
    count_traffic(1, 0)
    try:
        with explain(source):
            tag = store.write(key, data, only_new=only_new)
    except BadInput:
        if only_new and read_whole(source) is not None:
            return None
        raise
    return Version(len(data), tag or get_version(source).etag)
