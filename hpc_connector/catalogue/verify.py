"""Whether the objects of a catalogue are what they were when they were added."""

import functools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from hpc_connector.catalogue.catalog import Catalog
from hpc_connector.catalogue.lookup import count_signed, get, list_faults, list_ids
from hpc_connector.catalogue.objects import add_seal, hash_stored
from hpc_connector.catalogue.records import DataSet, SliceIndex, StoredObject
from hpc_connector.errors import BadInput
from hpc_connector.storage.address import Source
from hpc_connector.storage.requests import look
from hpc_connector.storage.store import Version
from hpc_connector.storage.stores import NoAnswer, NoSuchObject

AT_ONCE = 16
AGAIN = "expected hpc-connector catalog add of it again"


class Fault(NamedTuple):
    """What is wrong with an object; `later` where its store did not answer."""

    dataset: str
    url: str
    said: str
    later: bool = False


class Verified(NamedTuple):
    """What was looked at, and what is wrong with it; bytes that were read."""

    data_sets: int
    objects: int
    bytes: int
    faults: list[Fault]
    signed: int = 0  # events that have a signature


def verify(
    catalog: Catalog,
    references: Sequence[str] = (),
    *,
    full: bool = False,
    trusted: Sequence[bytes] = (),
) -> Verified:
    """Compare objects and indexes with what is recorded of them, 16 at once.

    Parameters
    ----------
    references
        Of data sets; all, and the chain of events, if there are none.
    full
        Read all bytes for their SHA-256; without it none is read.
    trusted
        Public keys, 32 bytes each, of those who may write to the catalogue.

    Raises
    ------
    BadInput
        A data set that is not in the catalogue.
    """
    chosen = [get(catalog, name) for name in references or list_ids(catalog)]
    pairs = [(one, each) for one in chosen for each in one.objects]
    said = [] if references else list_faults(catalog, trusted)
    faults = [Fault("", "", each) for each in said]
    check = functools.partial(check_object, full=full)
    with ThreadPoolExecutor(AT_ONCE, "verify") as pool:
        found = list(pool.map(check, *zip(*pairs, strict=True))) if pairs else []
    faults += [fault for some in found for fault in some]
    n_bytes = sum(each.bytes for _, each in pairs) if full else 0
    n_signed = 0 if references else count_signed(catalog)
    return Verified(len(chosen), len(pairs), n_bytes, faults, n_signed)


def check_object(one: DataSet, each: StoredObject, *, full: bool) -> list[Fault]:
    """Return what is wrong with an object of a data set, and with its index."""
    try:
        said = list(find_changes(each, full=full))
    except NoAnswer as error:
        return [Fault(one.name, each.url, _cut(each.url, str(error)), later=True)]
    except BadInput as error:
        said = [_cut(each.url, str(error))]
    return [Fault(one.name, each.url, each_said) for each_said in said]


def _cut(url: str, said: str) -> str:
    """Return a message without the name that it begins with."""
    return said.removeprefix(f"{url}: ")


def find_changes(each: StoredObject, *, full: bool) -> Iterable[str]:
    """Yield a phrase for each thing that is not as it is recorded."""
    source = Source(each.url)
    try:
        version = look(source)
    except NoSuchObject:
        yield f"it is gone: {AGAIN}, or another place"
        return
    if version.size != each.bytes:
        yield f"it has {version.size:,} bytes, and had {each.bytes:,}: {AGAIN}"
    elif full:
        yield from find_other_bytes(each, source, version)
    elif each.tag and version.etag != each.tag:  # of what was imported it is not known
        yield f"it has changed: {AGAIN}"
    if each.index:
        yield from find_index_faults(each.index, version)


def find_other_bytes(
    each: StoredObject, source: Source, version: Version
) -> Iterable[str]:
    """Yield what the bytes of an object, and its seal, say."""
    if not each.sha256:
        yield f"no SHA-256 is recorded: {AGAIN}, without --no-checksum"
    elif hash_stored(source, version) != each.sha256:
        yield f"its bytes have changed: {AGAIN}"
    if each.encryption and add_seal(each) != each:
        yield f"its seal is another: {AGAIN}"


def find_index_faults(index: SliceIndex, version: Version) -> Iterable[str]:
    """Yield what is wrong with the index of an object that has a version now."""
    if (index.of_tag, index.of_bytes) != (version.etag, version.size):
        yield "its index is stale: index it again, hpc-connector catalog index"
        return
    try:
        found = look(Source(index.url))
    except NoSuchObject:
        yield "its index is gone: index it again, hpc-connector catalog index"
        return
    if found.size != index.bytes:
        yield "its index has changed: index it again, hpc-connector catalog index"
