"""The language of SCONE's policies, 0.3.0 to 0.3.12, as dataclasses.

A field is a key of the language, and what is known of its value: what `lint` checks,
what the JSON Schema says and what `render` writes are all taken from here.

Source: SCONE Session Language (v0.3.x), sconedocs.github.io/CAS_session_lang_0_3.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

UPDATE_POLICIES = (
    "rollback_protected",
    "rollback_protected_reinitializable",
    "ephemeral",
    "no_rollback_protection",
)
BINARY_FORMATS = ("bin", "hex", "base64", "base64url", "base32", "base32nopad")
KEY_FORMATS = ("pem", "pkcs8:pem", "der", "pkcs8:der")
CERTIFICATE_FORMATS = (
    "crt",
    "crt:pem",
    "crt:der",
    "privatekey",
    *(f"privatekey:{name}" for name in KEY_FORMATS),
    "chain",
    "pkcs12-with-private-key",
)
PGP_FORMATS = tuple(
    f"{half}:{name}"
    for half in ("privatekey", "publickey")
    for name in ("asciiarmored", "binary", "base64")
)
FORMATS: dict[str, tuple[str, ...]] = {  # of a secret, by its kind
    "ascii": (),
    "binary": BINARY_FORMATS,
    "private-key": KEY_FORMATS,
    "public-key": ("spki:pem", "spki:der"),
    "x509": CERTIFICATE_FORMATS,
    "x509-ca": CERTIFICATE_FORMATS,
    "aad-token": (),
    "config-fragment": (),
    "pgp-key": PGP_FORMATS,
    "jwt": (),
}
OLD_FORMATS = ("hex", "crt", "key", "chain")  # behind a dot, until CAS 5.2


class Key(NamedTuple):
    """What is known of a key, beside its type.

    Parameters
    ----------
    name
        In the language, where it is no name of Python's.
    digits
        Of a number in hex, 0 for other values.
    one_of
        All values that it can have, empty for any.
    refers
        The section in which something of that name must be.
    since
        The version that brought it, where an older one must not have it.
    """

    name: str = ""
    digits: int = 0
    one_of: tuple[str, ...] = ()
    refers: str = ""
    since: tuple[int, ...] = ()


def key(**known: Any) -> Any:
    """Return a field that need not be given, with what is known of it."""
    return field(default=None, metadata={"key": Key(**known)})


@dataclass(frozen=True)
class Peer:
    """Another session, of this CAS or of another, as secrets are given to it."""

    session: str | None = None
    session_hash: str | None = key(digits=64)
    namespace: str | None = None
    cas_url: str | None = None
    cas_key: str | None = None
    cas_software_key: str | None = None


@dataclass(frozen=True)
class Import(Peer):
    """What is taken from another session."""

    secret: str | None = None
    volume: str | None = None


@dataclass(frozen=True)
class VolumeExport(Peer):
    """A session that is given a volume."""

    to: Peer | str | None = None
    update_policy: str | None = key(one_of=UPDATE_POLICIES)
    volume_alias: str | None = None


@dataclass(frozen=True)
class Signer:
    """Who signed an enclave, and as which product."""

    mrsigner: str | None = key(digits=64)
    isvprodid: int | None = None
    isvsvn: int | None = None
    isvsvn_min: int | None = None
    isvsvn_max: int | None = None


@dataclass(frozen=True)
class Attestation:
    """An enclave that is let in: by its measurement, its signer, or both."""

    mrenclave: str | tuple[str, ...] | None = key(digits=64)
    signer: Signer | str | None = None


@dataclass(frozen=True)
class Service:
    """A program and how it starts.

    Of the environment, ``@@NAME`` is a variable that the host sets.
    """

    name: str
    image_name: str | None = key(refers="images")
    command: str | tuple[str, ...] | None = None
    pwd: str | None = None
    attestation: Attestation | tuple[Attestation | str, ...] | str | None = None
    mrenclaves: str | tuple[str, ...] | None = key(digits=64)
    platforms: str | tuple[str, ...] | None = None
    one_time_password_shared_secret: str | None = None
    environment: Mapping[str, str] | None = None
    fspf_path: str | None = None
    fspf_key: str | None = key(digits=64)
    fspf_tag: str | None = key(digits=32)
    fspf_update_policy: str | None = key(one_of=UPDATE_POLICIES)
    persistency: str | None = None


@dataclass(frozen=True)
class ImageVolume:
    """Where an image has a volume."""

    name: str
    path: str | None = None
    update_policy: str | None = key(one_of=UPDATE_POLICIES)


@dataclass(frozen=True)
class InjectionFile:
    """A file in memory, in which secrets stand."""

    path: str | None = None
    content: str | None = None
    permission: str | None = None


@dataclass(frozen=True)
class Image:
    """The files of a service."""

    name: str
    volumes: tuple[ImageVolume, ...] | None = None
    injection_files: tuple[InjectionFile | str, ...] | None = None
    provide_secrets: tuple[str, ...] | None = key(refers="secrets")


@dataclass(frozen=True)
class Volume:
    """Files that are encrypted, or at least authenticated."""

    name: str
    files: str | None = key(one_of=("encrypted", "authenticated-only"))
    fspf_key: str | None = key(digits=64)
    fspf_tag: str | None = key(digits=32)
    export: VolumeExport | tuple[VolumeExport | str, ...] | str | None = None
    import_: Import | str | None = key(name="import")  # noqa: RUF009


@dataclass(frozen=True)
class Secret:
    """A value that CAS makes, is given here, or has from another session."""

    name: str
    kind: str | None = key(one_of=tuple(FORMATS))
    value: Any = None
    size: int | None = None
    key_type: str | None = None
    migrate: bool | None = None
    private_key: str | None = key(refers="secrets")
    issuer: str | None = key(refers="secrets")
    common_name: str | None = None
    endpoint: str | None = key(one_of=("server", "client"))
    dns: str | tuple[str, ...] | None = None
    san: str | tuple[str, ...] | None = None
    valid_for: str | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    application_secret: str | None = None
    certificate_thumbprint: str | None = None
    signer: str | None = key(refers="secrets")
    alg: str | None = None
    validity: Any = None
    payload: Any = None
    export: Peer | tuple[Peer | str, ...] | str | None = None
    export_public: bool | None = None
    import_: Import | str | None = key(name="import")  # noqa: RUF009
    import_akv: Any = None


@dataclass(frozen=True)
class AttestationSecurity:
    """How enclaves are attested, and which faults of their machines are borne."""

    mode: str | None = key(one_of=("hardware", "none", "maa"))
    tolerate: str | tuple[str, ...] | None = None
    ignore_advisories: str | tuple[str, ...] | None = None
    trusted_scone_qe_pubkeys: str | tuple[str, ...] | None = None
    one_time_password_shared_secret: str | None = None
    must_be_sgx_local: bool | None = None
    url: str | None = None
    certificates: str | tuple[str, ...] | None = None
    min_rsa_signing_key_size: int | None = None


@dataclass(frozen=True)
class Security:
    """What all services of a session are held to."""

    attestation: AttestationSecurity | str | None = None
    singleton_enclaves: bool | None = None
    service_access_token: str | None = None


@dataclass(frozen=True)
class AccessPolicy:
    """Who may read a session, change it, and make others in its namespace."""

    read: Any = None
    update: Any = None
    create_sessions: Any = None
    list_sessions: Any = None


@dataclass(frozen=True)
class Session:
    """A policy."""

    name: str
    version: str
    predecessor: str | None = key(digits=64)
    namespace_hash: str | None = key(digits=64, since=(0, 3, 11))
    salt: str | None = key(digits=32, since=(0, 3, 12))
    services: tuple[Service, ...] | None = None
    images: tuple[Image, ...] | None = None
    volumes: tuple[Volume, ...] | None = None
    secrets: tuple[Secret, ...] | None = None
    access_policy: AccessPolicy | str | None = None
    security: Security | str | None = None
    secret_config: Any = None
    creator: Any = None


def list_keys(kind: type) -> dict[str, tuple[str, Key]]:
    """Return the keys of a part of the language: name of the field, what is known."""
    found = {}
    for one in dataclasses.fields(kind):
        known = one.metadata.get("key", Key())
        found[known.name or one.name] = one.name, known
    return found


def as_plain(value: Any) -> Any:
    """Return a part of a policy as maps, lists and text, without what is not given."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        keys = list_keys(type(value)).items()
        given = {name: getattr(value, own) for name, (own, _) in keys}
        return {n: as_plain(v) for n, v in given.items() if v is not None}
    if isinstance(value, tuple):
        return [as_plain(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value
