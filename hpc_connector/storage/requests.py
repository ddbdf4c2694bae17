"""One request for an object: its version, or a range of one version."""

import functools
import logging
from collections.abc import Sequence

from hpc_connector.errors import BadInput
from hpc_connector.storage.address import Source
from hpc_connector.storage.folder import FolderStore
from hpc_connector.storage.store import Changed, Range, Response, Version, is_strong
from hpc_connector.storage.stores import explain, locate
from hpc_connector.storage.traffic import count_traffic

Wanted = tuple[Source, Version, Sequence[Range]]  # ranges of an object

logger = logging.getLogger(__name__)

refusing: set[Source] = set()  # whose servers refuse their own ETag


def look(source: Source) -> Version:
    """Return size and tag of an object, as it is stored.

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
        if not is_strong(tag) or look(source) != version:
            raise
        refusing.add(source)
        answer = store.read(key, wanted)
    if answer.tag != version.etag and (answer.tag or not is_strong(tag)):
        raise Changed
    return answer


def read_file(source: Source, version: Version, first: int, target: memoryview) -> None:
    """Read the bytes of one version of a local file from `first` on into memory.

    Raises
    ------
    BadInput
        It cannot be read, or there is another version.
    """
    with explain(source):
        if FolderStore().read_into(source.uri, first, target, version.etag) < len(
            target
        ):
            raise Changed
