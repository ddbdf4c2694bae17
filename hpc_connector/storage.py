"""Objects in S3, behind HTTP or in a folder: their versions, and ranges of their bytes.

Every range is asked of one version of an object (If-Match), and what comes back is
checked: a changed object, a short answer or a whole one is an error, never data.
"""

import bisect
import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hpc_connector.errors import BadInput

REMOTE = ("s3://", "http://", "https://")
NEAR_BYTES = 1 << 16  # ranges with less between them are asked for as one
MOST_BYTES = 16 << 20  # of one request
AT_ONCE = 16  # requests
TRIES = 4
TIMEOUT = "60s"  # of one request
SECRET = ("key", "secret", "token", "password", "credential")

Range = tuple[int, int]  # first byte, last + 1
Wanted = tuple["Source", "Version", Sequence[Range]]


@dataclass(frozen=True)
class Source:
    """Where an object is; who may read it is up to the standard chain.

    Parameters
    ----------
    uri
        ``s3://bucket/key``, ``http(s)://...``, ``file:///path`` or a path.
    config
        Settings of the store, such as ``endpoint_url``; no credentials.
    """

    uri: str
    config: tuple[tuple[str, str], ...] = ()

    def beside(self, ending: str) -> "Source":
        """Return the source whose name has an ending more."""
        return Source(self.uri + ending, self.config)


@dataclass(frozen=True)
class Version:
    """Size and entity tag of an object: another object has others."""

    size: int
    etag: str


@dataclass
class Traffic:
    """What this process has asked for, and received."""

    requests: int = 0
    n_bytes: int = 0


traffic = Traffic()
traffic_lock = threading.Lock()


def count_traffic(requests: int, n_bytes: int) -> None:
    """Add to what this process has asked for, and received, in whatever thread."""
    with traffic_lock:
        traffic.requests += requests
        traffic.n_bytes += n_bytes


def get_traffic() -> tuple[int, int]:
    """Return the requests of this process, and the bytes it received."""
    return traffic.requests, traffic.n_bytes


def make_source(uri: str, storage_config: dict[str, Any] | None = None) -> Source:
    """Return a source.

    Raises
    ------
    BadInput
        Credentials among the settings: they would travel with every slice.
    """
    config = {name: str(value) for name, value in (storage_config or {}).items()}
    for name in config:
        if any(word in name.lower() for word in SECRET):
            raise BadInput(
                f"storage_config: {name}: expected credentials from the environment or "
                "~/.aws, for slices travel"
            )
    return Source(str(uri), tuple(sorted(config.items())))


@functools.cache
def open_store(place: str, config: tuple[tuple[str, str], ...]) -> Any:
    """Return the store of a bucket, a server or the file system."""
    from obstore.store import HTTPStore, LocalStore, S3Store

    retry: Any = {"max_retries": TRIES, "retry_timeout": timedelta(seconds=60)}
    options: Any = {"timeout": TIMEOUT, "connect_timeout": "10s", "allow_http": True}
    scheme, _, name = place.partition("://")
    if scheme == "file":
        return LocalStore()
    if scheme in ("http", "https"):
        return HTTPStore(place, client_options=options, retry_config=retry)
    given = dict(config)
    endpoint = given.get("endpoint_url") or os.environ.get(
        "AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL")
    )
    region = given.get("region_name") or os.environ.get("AWS_REGION", "us-east-1")
    settings: Any = {"region": region, "conditional_put": "etag"}
    if endpoint:
        # not "endpoint": that of the environment would go before it
        settings |= {"aws_endpoint_url_s3": endpoint}
        settings |= {"virtual_hosted_style_request": False}
    return S3Store(
        name,
        config=settings,
        credential_provider=get_credentials(place),
        client_options=options,
        retry_config=retry,
    )


def get_credentials(place: str) -> Any:
    """Return what finds credentials: environment, ~/.aws, role of the machine.

    Raises
    ------
    BadInput
        There are none.
    """
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider(boto3.Session())
    except Exception as error:  # of botocore or obstore, of many kinds
        raise BadInput(
            f"{place}: no credentials: expected AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY, or ~/.aws: {error}"
        ) from None


def locate(source: Source) -> tuple[Any, str]:
    """Return the store of an object, and its path there."""
    parts = urlsplit(source.uri)
    if parts.scheme in ("s3", "http", "https") and parts.netloc and parts.path[1:]:
        place = f"{parts.scheme}://{parts.netloc}"
        return open_store(place, source.config), parts.path[1:]
    if parts.scheme in ("", "file"):
        path = parts.path if parts.scheme else source.uri
        return open_store("file://", ()), str(Path(path).absolute()).lstrip("/")
    raise BadInput(
        f"{source.uri}: expected s3://bucket/key, http://host/path, or a file"
    )


@contextlib.contextmanager
def explain(source: Source) -> Iterator[None]:
    """Turn what goes wrong with an object into one line.

    Raises
    ------
    BadInput
        There is no such object, it may not be read, it has changed, or the server does
        not answer.
    """
    from obstore import exceptions as known

    try:
        yield
    except (known.BaseError, OSError) as error:
        told = next((said for kind, said in REASONS if isinstance_of(error, kind)), "")
        first_line = str(error).splitlines()[0][:200]
        if "error sending request" in first_line:
            told = f"its server does not answer: {first_line}"
        kind = NoSuchObject if told == NoSuchObject.said else BadInput
        raise kind(f"{source.uri}: {told or first_line}") from None


class NoSuchObject(BadInput):
    """There is no object of that name."""

    said = "no such object"


REASONS = (
    ("NotFoundError", NoSuchObject.said),
    ("FileNotFoundError", NoSuchObject.said),
    ("PermissionDeniedError", "access is denied: expected other credentials or rights"),
    ("UnauthenticatedError", "the credentials are not accepted"),
    ("PreconditionError", "it has changed since it was indexed: index it again"),
)


def isinstance_of(error: BaseException, name: str) -> bool:
    """Return whether an exception is of a kind, by the name of its class."""
    return any(kind.__name__ == name for kind in type(error).__mro__)


def get_version(source: Source) -> Version:
    """Return size and entity tag of an object.

    Raises
    ------
    BadInput
        It cannot be read, or its server gives no entity tag.
    """
    import obstore

    store, path = locate(source)
    with explain(source):
        found = obstore.head(store, path)
    count_traffic(1, 0)
    if not found["e_tag"]:
        raise BadInput(f"{source.uri}: expected a server that gives an ETag")
    return Version(found["size"], found["e_tag"])


def is_remote(path: str) -> bool:
    """Return whether a path is that of an object in a store."""
    return path.startswith(REMOTE)


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
    import obstore
    from obstore.exceptions import GenericError, NotSupportedError  # 200 for 206

    store, path = locate(source)
    options: Any = {"range": wanted, "if_match": version.etag}
    problem = ""
    for attempt in range(TRIES):
        time.sleep(0.1 * (2**attempt - 1))
        try:
            answer = obstore.get(store, path, options=options)
            data = memoryview(answer.bytes())
        except (GenericError, NotSupportedError) as error:
            count_traffic(1, 0)
            problem = str(error).splitlines()[0][:200]
            continue
        count_traffic(1, len(data))
        if answer.range == wanted and len(data) == wanted[1] - wanted[0]:
            if answer.meta["e_tag"] not in (None, version.etag):
                raise BadInput(f"{source.uri}: it has changed since it was indexed")
            return data
        problem = f"{len(data)} bytes of {wanted[1] - wanted[0]}"
    raise BadInput(
        f"{source.uri}: bytes {wanted[0]} to {wanted[1]}: {TRIES} tries gave: {problem}"
    )


def read_whole(source: Source) -> tuple[bytes, Version] | None:
    """Return the bytes of a small object and its version, None if there is none."""
    import obstore

    store, path = locate(source)
    try:
        with explain(source):
            answer = obstore.get(store, path)
            data = bytes(answer.bytes())
    except NoSuchObject:
        count_traffic(1, 0)
        return None
    count_traffic(1, len(data))
    return data, Version(len(data), answer.meta["e_tag"] or get_version(source).etag)


def get_size(source: Source) -> int | None:
    """Return the bytes of an object, None if there is none."""
    try:
        return get_version(source).size
    except NoSuchObject:
        return None


def list_names(folder: Source) -> list[str]:
    """Return the names of the objects in a folder, the folder left out."""
    import obstore

    store, path = locate(folder)
    count_traffic(1, 0)
    with explain(folder):
        found = [o["path"] for page in obstore.list(store, path) for o in page]
    return sorted(name.removeprefix(path).lstrip("/") for name in found)


def delete(sources: Sequence[Source]) -> None:
    """Remove objects; one that is not there is no error."""
    import obstore

    for source in sources:
        store, path = locate(source)
        count_traffic(1, 0)
        with contextlib.suppress(NoSuchObject), explain(source):
            obstore.delete(store, path)


def check_writable(source: Source) -> None:
    """Refuse what cannot be written to, before there is anything to write.

    Raises
    ------
    BadInput
        A server of HTTP.
    """
    if source.uri.startswith(("http://", "https://")):
        raise BadInput(
            f"{source.uri} cannot be written: expected a folder or bucket for the "
            "index (metadata)"
        )


def put(source: Source, data: bytes | memoryview, *, only_new: bool) -> Version | None:
    """Write an object; return its version, None if there is one that may not change."""
    import obstore

    store, path = locate(source)
    count_traffic(1, 0)
    try:
        with explain(source):
            mode: Any = "create" if only_new else "overwrite"
            written = obstore.put(store, path, data, mode=mode)
    except BadInput:
        if only_new and read_whole(source) is not None:
            return None
        raise
    return Version(len(data), written["e_tag"] or get_version(source).etag)
