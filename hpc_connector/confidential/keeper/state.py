"""A keeper that is open: its settings, its key, its log, and what it remembers."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hpc_connector.confidential.keeper.database import Database
from hpc_connector.confidential.keeper.log import LogPlace, save_public
from hpc_connector.confidential.keeper.nonces import Nonces
from hpc_connector.confidential.keeper.settings import Settings

LOG_KEY, RUN_KEY = b"hpc_connector log key v1\0", b"hpc_connector run key v1\0"


@dataclass(frozen=True)
class Keeper:
    """A keeper that is open.

    Parameters
    ----------
    key
        That the headers of data sets are for.
    uid
        Of the user that it runs as, who alone can decode what jobs say to it.
    """

    settings: Settings
    key: X25519PrivateKey
    log: LogPlace
    database: Database
    nonces: Nonces
    uid: int


def open_keeper(settings: Settings, key: X25519PrivateKey) -> Keeper:
    """Return a keeper whose files are there and open.

    Raises
    ------
    BadInput
        One of them cannot be.
    """
    place = settings.keeper
    signer = Ed25519PrivateKey.from_private_bytes(derive(key, LOG_KEY))
    log = LogPlace(place.log, place.checkpoints, signer)
    save_public(log)
    database = Database(place.get_database())
    return Keeper(settings, key, log, database, Nonces(), os.geteuid())


def derive(key: X25519PrivateKey, use: bytes) -> bytes:
    """Return the 32 bytes of another key of the keeper, which it need not keep."""
    return HKDF(SHA256(), 32, salt=None, info=use).derive(key.private_bytes_raw())


def get_run_key(keeper: Keeper, grant: str) -> X25519PrivateKey:
    """Return the key of all runs of a grant: what they write for one that goes on.

    It opens nothing else: no data set is encrypted for it.
    """
    return X25519PrivateKey.from_private_bytes(
        derive(keeper.key, RUN_KEY + grant.encode())
    )


def read_authority(settings: Settings) -> bytes:
    """Return the certificates that a client must trust, PEM, and nothing else."""
    place = settings.keeper
    return list_certificates(place.authority or place.certificate)


def list_certificates(path: Path) -> bytes:
    """Return the certificates of a file, which may have a private key beside them."""
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    parts = path.read_bytes().split(begin)[1:]
    return b"".join(begin + part.partition(end)[0] + end + b"\n" for part in parts)
