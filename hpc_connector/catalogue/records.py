"""The records of a catalogue: data sets, their objects, indexes, policies, origins."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from hpc_connector.confidential.identity.claims import read_role
from hpc_connector.errors import BadInput
from hpc_connector.options import CATALOG
from hpc_connector.storage import address
from hpc_connector.text import pack_json

ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
REFERENCE = re.compile(rf"({ID.pattern})(?:@([1-9]\d{{0,8}}))?")

USER = re.compile(r"\w+://[^/?#@]*:[^/?#@]*@")  # and a password, in a URL
MOST_NUMBER = 2**63 - 1  # of SQLite

ACCESS = ("public", "restricted", "non-public")
ROLES = {  # of an object in its data set
    "genotypes": "genotypes, by which the data set is run",
    "variants": ".bim, .pvar",
    "individuals": ".fam, .psam, .sample",
    "labels": "who is a case",
    "index": ".tbi, .csi",
    "metadata": ".imzML, by which the data set is run",
    "spectra": ".ibd",
    "database": "of molecules",
    "result": "of a run",
    "other": "what is none of these",
}
LEAST_LEVEL, LEAST_CELL, TOP_MOST = 1, 10, 1000
MOST_LEVEL = 3
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class SliceIndex:
    """The index of an object, by which it is cut near the data.

    Parameters
    ----------
    plugin, parameters
        The format that made it, and how.
    slices_most
        Into which it can be cut; 0 where it is not known.
    of_tag, of_bytes
        Of the object that is indexed.
    """

    plugin: str
    url: str
    bytes: int
    of_tag: str
    of_bytes: int
    made: str
    slices_most: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredObject:
    """An object of a data set, as it is stored.

    Parameters
    ----------
    role
        One of :data:`ROLES`.
    bytes, tag, sha256
        Of what is stored: of the ciphertext if it is encrypted. The SHA-256 is empty
        where nobody computed it.
    encryption
        ``crypt4gh``, or empty.
    seal_signer, seal_version, object_id
        Of its seal: fingerprint of the signer, number, and the id by which a keeper
        knows it; empty and 0 without one.
    """

    role: str
    url: str
    bytes: int
    tag: str
    sha256: str = ""
    format: str = ""
    media_type: str = ""
    compression: str = ""
    encryption: str = ""
    seal_signer: str = ""
    seal_version: int = 0
    object_id: str = ""
    index: SliceIndex | None = None


@dataclass(frozen=True)
class Grant:
    """A use that is allowed: to a subject, or ``role:PATH=VALUE``, until a day."""

    to: str
    until: str
    by: str = ""
    revoked: str = ""

    def is_live(self, today: date) -> bool:
        """Return whether it holds on a day."""
        return not self.revoked and today <= date.fromisoformat(self.until)


@dataclass(frozen=True)
class Policy:
    """Who may use a data set, and for what.

    Parameters
    ----------
    roles
        One of which a user needs.
    purposes
        One of which a user must name; any if it is empty.
    until
        Last day, ``YYYY-MM-DD``; empty for no end.
    least_level
        Of the evidence by which encrypted objects are opened.
    least_cell
        Smallest count that is let out.
    keeper
        Address of who holds the keys, empty without one.
    contact
        Whom to ask.
    top_most
        Models of a federated search that are let out, at most.
    """

    roles: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    until: str = ""
    least_level: int = LEAST_LEVEL
    least_cell: int = LEAST_CELL
    grants: tuple[Grant, ...] = ()
    keeper: str = ""
    contact: str = ""
    top_most: int = TOP_MOST


@dataclass(frozen=True)
class Provenance:
    """The run that a data set is the result of."""

    run_manifest_sha256: str
    program: str
    program_version: str
    measurement: str = ""
    parents: tuple[str, ...] = ()
    job: str = ""


@dataclass(frozen=True)
class DataSet:
    """A data set in one of its versions.

    Parameters
    ----------
    created, modified
        UTC, ISO 8601.
    facts
        Read from headers, not typed: individuals, variants, pixels, polarity, ...
    """

    id: str
    title: str
    objects: tuple[StoredObject, ...]
    version: int = 1
    description: str = ""
    publisher: str = ""
    created: str = ""
    modified: str = ""
    access: str = "restricted"
    theme: str = ""
    license: str = ""
    keywords: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = Policy()
    provenance: Provenance | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what all objects are, hexadecimal."""
        return get_fingerprint(self.objects)

    @property
    def name(self) -> str:
        """The id with the version."""
        return f"{self.id}@{self.version}"

    @property
    def is_encrypted(self) -> bool:
        """Whether an object is encrypted."""
        return any(one.encryption for one in self.objects)


def get_fingerprint(objects: Sequence[StoredObject]) -> str:
    """Return the SHA-256 over objects in order: URL, bytes, SHA-256 or tag."""
    lines = [f"{o.url}\0{o.bytes}\0{o.sha256 or o.tag}\n" for o in objects]
    data = "".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.sha256(data).hexdigest()


def read_id(text: str) -> str:
    """Return an id of a data set.

    Raises
    ------
    BadInput
        It is none.
    """
    if not ID.fullmatch(text):
        raise BadInput(
            f"{text}: expected an id of 1 to 64 of a-z, 0-9, '.', '_' and '-', a "
            "letter or digit first"
        )
    return text


def read_reference(text: str) -> tuple[str, int]:
    """Return id and version of a reference; version 0 is the newest.

    Examples
    --------
    >>> read_reference("cohort-1"), read_reference("catalog:cohort-1@2")
    (('cohort-1', 0), ('cohort-1', 2))

    Raises
    ------
    BadInput
        It is no reference.
    """
    match = REFERENCE.fullmatch(text.removeprefix(CATALOG))
    if match is None:
        raise BadInput(f"{text}: expected ID or ID@VERSION of a data set")
    return match[1], int(match[2] or 0)


def read_day(text: str) -> str:
    """Return a day, ``YYYY-MM-DD``.

    Raises
    ------
    BadInput
        It is none.
    """
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadInput(f"{text}: expected a day, YYYY-MM-DD") from None


def get_today() -> date:
    """Return the day now in UTC."""
    return datetime.now(UTC).date()


def check_data_set(one: DataSet) -> DataSet:
    """Return a data set that may stand in a catalogue.

    Raises
    ------
    BadInput
        It may not; the message has why.
    """
    read_id(one.id)
    if not one.title.strip():
        raise BadInput(f"{one.id}: expected a title")
    if not one.objects:
        raise BadInput(f"{one.id}: expected one object or more")
    if one.access not in ACCESS:
        raise BadInput(f"{one.id}: access {one.access}: expected {', '.join(ACCESS)}")
    if one.access == "public" and (one.policy.roles or one.is_encrypted):
        why = "has a role" if one.policy.roles else "has an encrypted object"
        raise BadInput(f"{one.id} {why}: expected restricted or non-public access")
    for each in one.objects:
        if each.role not in ROLES:
            raise BadInput(f"{each.url}: role {each.role}: expected {', '.join(ROLES)}")
    if one.policy.until:
        read_day(one.policy.until)
    for role in one.policy.roles:
        read_role(role)
    _check_secrets(one)
    return one


def _check_secrets(one: DataSet) -> None:
    """Refuse addresses that give rights to whoever has them."""
    named = [one.theme, one.license, one.policy.keeper]
    for each in one.objects:
        named += [each.url, each.index.url if each.index else ""]
    for text in named:
        refuse_secret(text)


def refuse_secret(text: str) -> None:
    """Refuse an address, of whatever scheme, that gives rights to whoever has it.

    Raises
    ------
    BadInput
        It does; what is secret is not in the message.
    """
    scheme, mark, rest = text.partition("://")
    query = rest.replace("#", "&" if "?" in rest else "?").replace(";", "&")
    if mark and (address.has_secrets(f"https://{query}") or USER.match(text)):
        shown = re.split("[?#]", f"{scheme}://{rest.rpartition('@')[2]}")[0]
        raise BadInput(
            f"{shown}: expected a name without what signs it or logs in: a catalogue "
            "keeps no secret"
        )


def to_json(record: Any) -> dict[str, Any]:
    """Return a record as JSON has it; what is empty is left out."""
    found: dict[str, Any] = _trim(asdict(record))
    return found


def _trim(told: Any) -> Any:
    """Return what is told as JSON's types, without what is empty in it."""
    if isinstance(told, dict):
        kept = {name: _trim(value) for name, value in told.items()}
        return {n: v for n, v in kept.items() if v not in ("", None, [], {})}
    return [_trim(one) for one in told] if isinstance(told, list | tuple) else told


def from_json(told: Mapping[str, Any], where: str) -> DataSet:
    """Return a data set of JSON.

    Raises
    ------
    BadInput
        It is none, or may not stand in a catalogue.
    """
    try:
        objects = tuple(_read_object(one) for one in told["objects"])
        policy = dict(told.get("policy", {}))
        grants = tuple(Grant(**one) for one in policy.pop("grants", ()))
        origin = told.get("provenance")
        found = _make(
            DataSet,
            {
                **told,
                "objects": objects,
                "policy": _make(Policy, policy | {"grants": grants}),
                "provenance": _make(Provenance, origin) if origin else None,
            },
        )
        check_kinds(found)
        return check_data_set(found)
    except BadInput:
        raise
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BadInput(f"{where}: it is no data set: {error}") from None


def _read_object(told: Mapping[str, Any]) -> StoredObject:
    index = told.get("index")
    return StoredObject(**{**told, "index": SliceIndex(**index) if index else None})


def _make(kind: type[Kind], told: Mapping[str, Any]) -> Kind:
    """Return a dataclass of a mapping, whose lists are tuples in it."""
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in told.items()})


def check_kinds(one: DataSet) -> None:
    """Refuse values of other types than those of a record.

    Raises
    ------
    TypeError
        There is one.
    """
    _check_kinds(one)
    for each in one.objects:
        _check_kinds(each)
        if each.index:
            check_index(each.index)
    _check_kinds(one.policy)
    for grant in one.policy.grants:
        _check_kinds(grant)
        date.fromisoformat(grant.until)
    if one.provenance:
        _check_kinds(one.provenance)
    if not all(isinstance(text, str) for pair in one.facts.items() for text in pair):
        raise TypeError("facts: expected texts")


def check_index(index: SliceIndex) -> None:
    """Refuse values of other types than those of an index.

    Raises
    ------
    TypeError
        There is one.
    """
    _check_kinds(index)
    if not isinstance(index.parameters, Mapping):
        raise TypeError("parameters: expected an object")


def _check_kinds(record: Any) -> None:
    for each in fields(record):
        value = getattr(record, each.name)
        if each.type is str and not isinstance(value, str):
            raise TypeError(f"{each.name}: expected a text")
        if each.type is int:
            check_number(value, each.name)
        if each.type == tuple[str, ...] and not (
            isinstance(value, tuple) and all(isinstance(v, str) for v in value)
        ):
            raise TypeError(f"{each.name}: expected texts")


def check_number(value: Any, name: str) -> None:
    """Refuse what is no number of a record.

    Raises
    ------
    TypeError
        It is that.
    """
    if type(value) is not int or not 0 <= value <= MOST_NUMBER:
        raise TypeError(f"{name}: expected a whole number of 0 or more")


def check_text(told: Any) -> None:
    """Refuse text that no file can hold: half of a surrogate pair, a name's odd bytes.

    Raises
    ------
    BadInput
        There is some.
    """
    try:
        pack_json(told)
    except UnicodeEncodeError as error:
        found = ascii(error.object[error.start : error.end])
        raise BadInput(f"{found} in a name or text: expected UTF-8") from None
