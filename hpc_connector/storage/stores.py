"""The store of an object, and what its errors mean."""

import contextlib
import errno
import functools
import os
from collections.abc import Iterator
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.storage import address, fast, plain, s3
from hpc_connector.storage.address import Source
from hpc_connector.storage.folder import FolderStore
from hpc_connector.storage.store import Changed, Denied, Missing, Store, StoreError

TIMEOUT = "60s"  # of one request


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
    """Return the store of a URL, or else of a bucket, for a process.

    Parameters
    ----------
    place
        The URL, or ``s3://bucket``, for messages.
    url
        To ask for; empty for a bucket.
    config
        Settings, as of a ``Source``.
    process
        Number of the process, whose clients are its own.
    is_fast
        By obstore, where it can be.
    """
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
