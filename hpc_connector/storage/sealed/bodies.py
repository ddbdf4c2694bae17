"""Opening of encrypted objects: header and seal are read, the body is not."""

import logging
import posixpath

from hpc_connector.crypt4gh.body import get_plain_size
from hpc_connector.crypt4gh.edits import make_edits
from hpc_connector.crypt4gh.header import get_header_size
from hpc_connector.crypt4gh.seal import (
    check_signer,
    check_size,
    choose_keys,
    get_seal_size,
    read_seal,
)
from hpc_connector.errors import BadInput
from hpc_connector.storage import address, key_ring
from hpc_connector.storage.address import SEAL, Source
from hpc_connector.storage.ranges import fetch_stored
from hpc_connector.storage.requests import look
from hpc_connector.storage.sealed.segments import Body, StoredSeal
from hpc_connector.storage.store import Version
from hpc_connector.storage.stores import NoSuchObject, NotAllowed

FIRST_BYTES = 1 << 16  # what a header, or the head of a seal, seldom exceeds
NO_DIGESTS = (
    "%s: its seal does not name session keys, and holds against those alone who do not "
    "know the public key of a reader: expected hpc-connector seal make once more"
)

logger = logging.getLogger(__name__)


def open_body(file: Source, stored: Version) -> Body:
    """Return an encrypted object, opened in this process or in that it works for.

    Parameters
    ----------
    stored
        Its version as it is stored.

    Raises
    ------
    BadInput
        It is not encrypted, is not for the reader, or is cut; its seal does not hold,
        or is not of who is trusted.
    """
    known: Body | None = key_ring.get_body(file.uri)
    if known is not None and known.stored == stored:
        return known
    opener, name = key_ring.get_opener(file.uri), file.uri
    header = read_header(file, stored)
    n_stored = stored.size - len(header)
    seal, signed = None, None
    if place := find_seal(file):
        signed = read_signed(*place)
        seal = StoredSeal(read_seal(signed, place[0].uri), *place)
        check_seal(seal, file)
        check_size(seal.seal, n_stored, name)
    n_bytes = get_plain_size(n_stored, name)
    _, session_keys, edits = opener.open(name, header, signed)
    if seal:
        session_keys = choose_keys(seal.seal, session_keys, name)
        if key_ring.get_trusted() and "key_digests" not in seal.seal.head:
            logger.info(NO_DIGESTS, name)
    pieces = make_edits(edits, n_bytes, name)
    sizes = len(header), tuple(session_keys), n_bytes
    body = Body(file, stored, *sizes, pieces, seal)
    key_ring.keep_body(name, body)
    return body


def read_header(file: Source, stored: Version) -> bytes:
    """Return the header of an encrypted object, whole.

    Raises
    ------
    BadInput
        It has none, or ends within it.
    """
    data, n_wanted = b"", FIRST_BYTES
    while len(data) < n_wanted:
        last = min(n_wanted, stored.size)
        data = fetch_stored([(file, stored, [(0, last)])])[0]
        size = get_header_size(data, file.uri)
        if size > stored.size:
            raise BadInput(
                f"{file.uri} ends within its header, after {stored.size} bytes"
            )
        if size <= len(data):
            return data[:size]
        n_wanted = size
    return data


def find_seal(file: Source) -> tuple[Source, Version] | None:
    """Return the seal beside an encrypted object; None if there is none, nor need be.

    Raises
    ------
    BadInput
        There is none, though somebody must have sealed the object.
    """
    beside = file.beside(SEAL)
    try:
        return beside, look(beside)
    except (NoSuchObject, NotAllowed):
        if key_ring.get_trusted():
            raise BadInput(f"{beside.uri} is missing: --trust needs a seal") from None
        return None


def read_signed(beside: Source, version: Version) -> bytes:
    """Return a seal up to and including its signature."""
    first = min(FIRST_BYTES, version.size)
    (data,) = fetch_stored([(beside, version, [(0, first)])])
    size = get_seal_size(data, beside.uri)
    if size > len(data) < version.size:
        last = min(size, version.size)
        (data,) = fetch_stored([(beside, version, [(0, last)])])
    return data[:size]


def check_seal(stored: StoredSeal, file: Source) -> None:
    """Compare a seal whose signature holds with who is trusted, and with its object.

    Raises
    ------
    BadInput
        It is of another signer, or of an object of another name.
    """
    seal, name = stored.seal, stored.file.uri
    if trusted := key_ring.get_trusted():
        check_signer(seal, trusted, name)
    if seal.head["name"] != posixpath.basename(address.cut_query(file.uri)):
        raise BadInput(f"{name} is the seal of {seal.head['name']}")
