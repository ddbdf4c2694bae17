"""Objects as wholes: their versions, small ones beside others, lists, writes."""

import contextlib
import functools
import logging
from collections.abc import Sequence

from hpc_connector.errors import BadInput
from hpc_connector.storage import address
from hpc_connector.storage.address import Source
from hpc_connector.storage.store import Changed, Range, Response, Version, is_strong
from hpc_connector.storage.stores import (
    NoSuchObject,
    NotAllowed,
    explain,
    locate,
    open_store,
)
from hpc_connector.storage.traffic import count_traffic

logger = logging.getLogger(__name__)

refusing: set[Source] = set()  # whose servers refuse their own ETag


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
    """Return an object in the version that a run saw first; see ``forget``."""
    source = Source(path)
    return source, get_version(source)


def forget() -> None:
    """Forget versions, warnings and clients: a run begins, which sees what is now.

    The secrets of URLs stay, for options are read before a run begins.
    """
    for known in (get_object, warn_of_tag, open_store):
        known.cache_clear()
    refusing.clear()
    address.forget_derived()


def read_version(source: Source, version: Version, wanted: Range) -> Response:
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
    """Return bytes and version of what may stand beside an object, as ``read_whole``.

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
