"""Objects as a catalogue records them: size, tag, checksum, encryption and seal."""

import hashlib
import os
from dataclasses import replace

from hpc_connector.catalogue.records import StoredObject, refuse_secret
from hpc_connector.errors import BadInput
from hpc_connector.storage import address
from hpc_connector.storage.address import Source
from hpc_connector.storage.checksums import get_checksum
from hpc_connector.storage.ranges import fetch_stored
from hpc_connector.storage.requests import look
from hpc_connector.storage.store import Version

PIECE_BYTES = 8 << 20
ENCRYPTION = "crypt4gh"
BGZF = (".vcf.gz", ".vcf.bgz", ".bcf")  # blocks that are read alone
MEDIA = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".html": "text/html",
    ".h5": "application/x-hdf5",
    ".imzml": "application/xml",
    ".png": "image/png",
    ".txt": "text/plain",
}
OTHER_MEDIA = "application/octet-stream"


def check_name(text: str) -> str:
    """Return the name of an object as a catalogue has it: no secret, no folder of ours.

    Raises
    ------
    BadInput
        Its URL gives rights to whoever has it, or it is none.
    """
    refuse_secret(text)
    name = address.take(text)
    return name if address.is_remote(name) else os.path.abspath(name)


def make_object(role: str, name: str, *, checksum: bool) -> StoredObject:
    """Return an object as it is now.

    Raises
    ------
    BadInput
        It cannot be read.
    """
    source = Source(name)
    version = look(source)
    if version.size:
        fetch_stored([(source, version, [(0, 1)])])  # as it can be read
    kind, packed = name_format(name)
    found = StoredObject(
        role=role,
        url=name,
        bytes=version.size,
        tag=version.etag,
        sha256=hash_stored(source, version) if checksum else "",
        format=kind,
        media_type=MEDIA.get(f".{kind}", OTHER_MEDIA),
        compression=packed,
    )
    return add_seal(found) if address.is_encrypted(name) else found


def name_format(name: str) -> tuple[str, str]:
    """Return the format of an object by its name, and how it is compressed.

    Examples
    --------
    >>> name_format("s3://b/a.vcf.gz"), name_format("/x/a.bed.c4gh")
    (('vcf', 'bgzip'), ('bed', ''))
    """
    plain = address.get_name(name).lower()
    packed = "bgzip" if plain.endswith(BGZF) else ""
    for ending, word in ((".gz", "gzip"), (".bgz", "bgzip"), (".zst", "zstd")):
        if plain.endswith(ending):
            plain, packed = plain.removesuffix(ending), packed or word
    return plain.rpartition("/")[2].rpartition(".")[2], packed


def add_seal(one: StoredObject) -> StoredObject:
    """Return an encrypted object with what its seal says, if it has one.

    Raises
    ------
    BadInput
        The signature of the seal does not hold.
    """
    # of an extra
    from hpc_connector.crypt4gh.header import get_fingerprint
    from hpc_connector.crypt4gh.seal import read_seal
    from hpc_connector.storage.sealed.bodies import find_seal, read_signed

    one = replace(one, encryption=ENCRYPTION)
    place = find_seal(Source(one.url))
    if place is None:
        return one
    signed = read_signed(*place)
    seal = read_seal(signed, place[0].uri)
    return replace(
        one,
        seal_signer=get_fingerprint(seal.signer),
        seal_version=int(seal.head["version"]),
        object_id=hashlib.sha256(signed).hexdigest()[:32],
    )


def hash_stored(source: Source, version: Version) -> str:
    """Return the SHA-256 of one version of an object as it is stored.

    Raises
    ------
    BadInput
        It cannot be read, or changes meanwhile.
    """
    if not address.is_remote(source.uri):
        found = get_checksum(source.uri)
        if look(source) != version:
            raise BadInput(f"{source.uri}: it was changed while it was read")
        return found
    digest = hashlib.sha256()
    for first in range(0, version.size, PIECE_BYTES):
        last = min(first + PIECE_BYTES, version.size)
        digest.update(fetch_stored([(source, version, [(first, last)])])[0])
    return digest.hexdigest()
