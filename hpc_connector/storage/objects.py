"""Objects as wholes: their versions, small ones beside others, lists, writes."""

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.storage import address, key_ring
from hpc_connector.storage.address import Source
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.requests import look, refusing, warn_of_tag
from hpc_connector.storage.store import Version
from hpc_connector.storage.stores import (
    NoSuchObject,
    NotAllowed,
    explain,
    locate,
    open_store,
)
from hpc_connector.storage.traffic import count_traffic


def get_version(source: Source) -> Version:
    """Return size and tag of an object; of an encrypted one, the plaintext's size.

    Raises
    ------
    BadInput
        It cannot be read, or its server says nothing that tells versions apart; it is
        encrypted, and cannot be opened.
    """
    found = look(source)
    if not address.is_encrypted(source.uri):
        return found
    # of an extra
    from hpc_connector.storage.sealed.bodies import open_body

    return Version(open_body(source, found).size, found.etag)


@functools.cache
def get_object(path: str) -> tuple[Source, Version]:
    """Return an object in the version that a run saw first; see ``forget``."""
    source = Source(path)
    return source, get_version(source)


def get_body(path: str) -> Any:
    """Return an encrypted object, opened (``storage.sealed.segments.Body``)."""
    return key_ring.get_body(get_object(path)[0].uri)


def get_stored(path: str) -> tuple[Source, Version]:
    """Return an encrypted object in the version that is stored."""
    body = get_body(path)
    return body.file, body.stored


def know_copy(path: str, copy: str) -> None:
    """Take a file for a copy of an encrypted object, opened as that one is."""
    source = Source(copy)
    body = replace(get_body(path), file=source, stored=look(source))
    key_ring.keep_body(source.uri, body)


def forget() -> None:
    """Forget versions, warnings and clients: a run begins, which sees what is now.

    The secrets of URLs stay, for options are read before a run begins.
    """
    for known in (get_object, warn_of_tag, open_store):
        known.cache_clear()
    refusing.clear()
    address.forget_derived()
    key_ring.forget_opened()


def list_beside(uri: str, ending: str, *, without: str = "") -> list[str]:
    """Return the names that what stands beside an object may have, as ``beside``.

    Of an encrypted object first that of an encrypted one. Where somebody has to have
    sealed the objects it is the only one, for a plain one may be anybody's.
    """
    if not address.is_encrypted(uri):
        return [address.beside(uri, ending, without=without)]
    without = without or address.ENCRYPTED
    endings = [ending + address.ENCRYPTED, ending]
    names = [address.beside(uri, each, without=without) for each in endings]
    return names[:1] if key_ring.get_trusted() else names


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
    if address.is_encrypted(source.uri):
        return read_opened(source)
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


def read_opened(source: Source) -> tuple[bytes, Version] | None:
    """Return the plaintext of an encrypted object as :func:`read_whole`."""
    try:
        version = get_version(source)
    except NoSuchObject:
        return None
    return fetch(source, version, [(0, version.size)])[0], version


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
