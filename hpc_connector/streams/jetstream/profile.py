"""The profile of a server of NATS: by what it is trusted, and who we are for it."""

import os
import ssl
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.fields import Reader, fill

OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Profile:
    """What a server asks for.

    Parameters
    ----------
    tls
        Whether it must speak TLS, as it must with one of the files below.
    ca
        Certificates that are trusted, PEM; by default those of the system.
    certificate, certificate_key
        Ours, PEM; by default the key is in the file of the certificate.
    token, nkey
        One of both, or none: a shared secret, or the seed of an NKey, ``SU...``.
    """

    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    token: str = field(default="", repr=False)
    nkey: str = field(default="", repr=False)

    def must_encrypt(self) -> bool:
        """Return whether the server must speak TLS."""
        return self.tls or self.ca is not None or self.certificate is not None


def read_profile(path: Path | None) -> Profile:
    """Return the profile in a TOML file; one that asks for nothing without a file.

    Raises
    ------
    BadInput
        Others may read it, or it cannot be. No message has a secret.
    """
    if path is None:
        return Profile()
    given = read_secret_toml(path)
    readers: dict[Any, Reader] = {
        bool: read_switch,
        str: read_text,
        Path | None: lambda value: path.parent / read_text(value),
        "token": hide(read_text),
        "nkey": hide(read_seed),
    }
    profile = fill(Profile, given, str(path), readers)
    if profile.token and profile.nkey:
        raise BadInput(f"{path}: both token and nkey: expected one of them")
    if profile.certificate_key and not profile.certificate:
        raise BadInput(f"{path}: certificate_key without certificate")
    return profile


def read_secret_toml(path: Path) -> dict[str, Any]:
    """Return the keys of a TOML file that nobody but its owner may read."""
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & OTHERS:
                raise BadInput(
                    f"{path} is open to others (mode {mode:o}): expected chmod 600"
                )
            return tomllib.load(stream)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as TOML: {error}") from None


def read_switch(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def read_text(value: Any) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("text")
    return value


def read_seed(value: Any) -> str:
    """Return the seed of a user's NKey, which is checked."""
    try:
        import nkeys
    except ModuleNotFoundError:
        raise ValueError(
            "nkeys to be installed: pip install 'hpc_connector[streams]'"
        ) from None
    seed = read_text(value)
    try:
        nkeys.from_seed(bytearray(seed.encode())).wipe()
    except Exception:  # nkeys' own, those of base64, struct and NaCl
        raise ValueError("the seed of an NKey, SU...") from None
    return seed


def hide(read: Reader) -> Reader:
    """Return a reader whose error does not show the value."""

    def read_hidden(value: Any) -> Any:
        try:
            return read(value)
        except ValueError as error:
            expected = str(error)
        raise BadInput(f"a secret of the profile: expected {expected}")

    return read_hidden


def make_context(profile: Profile) -> ssl.SSLContext:
    """Return how a server is checked.

    Raises
    ------
    BadInput
        A file that is none, or cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=profile.ca)
    except OSError as error:  # ssl.SSLError is one
        raise BadInput(f"{profile.ca}: {error}: expected certificates, PEM") from None
    if profile.certificate:
        try:
            context.load_cert_chain(profile.certificate, profile.certificate_key)
        except OSError as error:
            files = f"{profile.certificate}, {profile.certificate_key or 'same file'}"
            raise BadInput(
                f"{files}: {error}: expected a certificate and its key, PEM"
            ) from None
    return context
