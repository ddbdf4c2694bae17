"""``keeper.toml``: where a keeper listens, whom it believes, and who may have what."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hpc_connector.confidential.evidence.check import REGISTERS, Node
from hpc_connector.confidential.evidence.levels import MOST_LEVEL
from hpc_connector.confidential.evidence.tpm import load_attestation_key
from hpc_connector.confidential.identity.claims import Settings as Oidc
from hpc_connector.confidential.identity.claims import read_role
from hpc_connector.confidential.identity.web import check_address
from hpc_connector.errors import BadInput
from hpc_connector.fields import Reader, fill, whole
from hpc_connector.text import read_toml

HEX = frozenset("0123456789abcdef")
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Place:
    """Where a keeper listens, and its files.

    Parameters
    ----------
    listen
        Host and port.
    certificate
        Its certificate and those above it, PEM.
    certificate_key
        The private key of the certificate, PEM; by default it is in that file too.
    authority
        What a client must trust, PEM; by default the certificate.
    key
        Its private key of Crypt4GH, to which data sets are encrypted.
    log, checkpoints, database
        Of what it did; the checkpoints on another disk. By default the database lies
        beside the log.
    """

    listen: tuple[str, int]
    certificate: Path
    key: Path
    log: Path
    checkpoints: Path
    certificate_key: Path | None = None
    authority: Path | None = None
    database: Path | None = None

    def get_database(self) -> Path:
        """Return the path of the database."""
        return self.database or self.log.with_name("keeper.db")


@dataclass(frozen=True)
class Munge:
    """Which munged is asked (empty: the usual one), and the clusters that it serves."""

    clusters: tuple[str, ...]
    socket: str = ""


@dataclass(frozen=True)
class Policy:
    """Who may have a data set, and by what.

    Parameters
    ----------
    owner, purpose
        As its owner says it.
    roles
        One of which a person needs beside that of ``[oidc]``; none if it is empty.
    least_level
        Of the evidence.
    programs, measurements
        That may open it; any if they are empty. Without measurements no level above 0
        is proved.
    enclaves, tcb_statuses
        Of level 3: approved ones (MRENCLAVE or MRTD), and which states of their
        processors, in Intel's words, are good enough.
    most_hours
        Of a grant.
    """

    owner: str
    purpose: str = ""
    roles: tuple[str, ...] = ()
    least_level: int = 1
    programs: tuple[str, ...] = ()
    measurements: tuple[str, ...] = ()
    enclaves: tuple[str, ...] = ()
    tcb_statuses: tuple[str, ...] = ("UpToDate",)
    most_hours: float = 24


@dataclass(frozen=True)
class NodeTold:
    """A node as the file tells it: key of its TPM (PEM), approved digests, PCRs."""

    key: str
    pcrs: tuple[str, ...]
    registers: tuple[int, ...] = tuple(REGISTERS)


@dataclass(frozen=True)
class Settings:
    """All that ``keeper.toml`` says.

    Parameters
    ----------
    subjects
        User numbers of the cluster, by the subjects of tokens.
    data
        Policies of data sets.
    nodes
        How the TPMs of nodes sign, and how those boot when all is right.
    values
        Files with secrets by their names, by sessions, as a CAS gives them.
    """

    keeper: Place
    oidc: Oidc
    munge: Munge
    subjects: Mapping[str, int]
    data: Mapping[str, Policy]
    nodes: Mapping[str, Node] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)


def text(value: Any) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Return a list of texts."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("a list of texts")
    return tuple(value)


def above_zero(unit: str) -> Callable[[Any], float]:
    """Return a reader of a number of a unit, above 0."""

    def read(value: Any) -> float:
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise ValueError(f"{unit} above 0")
        return float(value)

    return read


def issuer(value: Any) -> str:
    """Return the address of an OpenID Connect server."""
    return check_address(value, "issuer")


def role(value: Any) -> str:
    """Return the path of a claim, and what its list must hold."""
    read_role(text(value))
    return str(value)


def roles(value: Any) -> tuple[str, ...]:
    """Return a list of roles."""
    return tuple(role(one) for one in texts(value))


def level(value: Any) -> int:
    """Return a level of evidence."""
    if type(value) is not int or not 0 <= value <= MOST_LEVEL:
        raise ValueError(f"a level of 0 to {MOST_LEVEL}")
    return value


def digests(value: Any) -> tuple[str, ...]:
    """Return a list of SHA-256."""
    return list_hex(value, (64,))


def enclaves(value: Any) -> tuple[str, ...]:
    """Return a list of MRENCLAVE (SHA-256) and MRTD (SHA-384)."""
    return list_hex(value, (64, 96))


def list_hex(value: Any, lengths: tuple[int, ...]) -> tuple[str, ...]:
    """Return a list of texts of hex digits."""
    found = texts(value)
    if not all(len(one) in lengths and set(one) <= HEX for one in found):
        raise ValueError(f"{' or '.join(map(str, lengths))} lower-case hex digits each")
    return found


def registers(value: Any) -> tuple[int, ...]:
    """Return numbers of PCRs."""
    if not isinstance(value, list) or not all(type(one) is int for one in value):
        raise ValueError("a list of numbers")
    return tuple(value)


def address(value: Any) -> tuple[str, int]:
    """Return a host and a port."""
    host, _, port = text(value).rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("HOST:PORT")
    return host.strip("[]"), int(port)


def place(value: Any, folder: Path) -> Path:
    """Return a path, which stands in the folder of the file that names it."""
    return folder / Path(text(value)).expanduser()


PLACE_FILES = (
    "certificate",
    "key",
    "log",
    "checkpoints",
    "certificate_key",
    "authority",
    "database",
)
OIDC: dict[str, Reader] = {
    "issuer": issuer,
    "audience": text,
    "role": role,
    "most_life_s": above_zero("seconds"),
}
MUNGE: dict[str, Reader] = {"clusters": texts, "socket": text}
POLICY: dict[str, Reader] = {
    "owner": text,
    "purpose": text,
    "roles": roles,
    "least_level": level,
    "programs": texts,
    "measurements": digests,
    "enclaves": enclaves,
    "tcb_statuses": texts,
    "most_hours": above_zero("hours"),
}
NODE: dict[str, Reader] = {"key": text, "pcrs": digests, "registers": registers}
SECTIONS = ("keeper", "oidc", "munge", "subjects", "data", "nodes", "values")
NEEDED = SECTIONS[:5]


def read_settings(path: Path) -> Settings:
    """Return the settings of a keeper.

    Raises
    ------
    BadInput
        A key that there is not, a value that cannot be, or something is missing.
    """
    given, folder = read_toml(path), path.absolute().parent
    for name in given:
        if name not in SECTIONS:
            known = ", ".join(SECTIONS)
            raise BadInput(f"{path}: unknown key {name}; expected one of {known}")
    sections = {name: get_table(given, name, str(path)) for name in SECTIONS}
    file = partial(place, folder=folder)
    readers: dict[str, Reader] = {"listen": address, **dict.fromkeys(PLACE_FILES, file)}
    return Settings(
        take(Place, sections["keeper"], f"{path}: [keeper]", readers),
        take(Oidc, sections["oidc"], f"{path}: [oidc]", OIDC),
        take(Munge, sections["munge"], f"{path}: [munge]", MUNGE),
        take_map(sections["subjects"], f"{path}: [subjects]", whole),
        take_policies(sections["data"], str(path)),
        take_nodes(sections["nodes"], str(path), file),
        {
            name: take_map(table, f"{path}: [values.{name}]", file)
            for name, table in sections["values"].items()
        },
    )


def get_table(given: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """Return a section of a file.

    Raises
    ------
    BadInput
        It is needed and missing, or is none.
    """
    if name not in given and name in NEEDED:
        raise BadInput(f"{where}: [{name}] is missing")
    found = given.get(name, {})
    if not isinstance(found, dict):
        raise BadInput(f"{where}: {name} = {found!r}: expected a section [{name}]")
    return found


def take(
    kind: type[Kind], given: Any, where: str, readers: Mapping[str, Reader]
) -> Kind:
    """Return a dataclass of a section.

    Raises
    ------
    BadInput
        A key is not known, is missing, or cannot be so.
    """
    if not isinstance(given, dict):
        raise BadInput(f"{where}: {given!r}: expected a section")
    try:
        return fill(kind, given, where, readers)
    except TypeError:  # a field without a default
        lacking = [name for name in readers if name not in given]
        raise BadInput(f"{where}: expected also {lacking[0]}") from None


def take_map(given: Any, where: str, read: Callable[[Any], Kind]) -> dict[str, Kind]:
    """Return a section whose keys are free.

    Raises
    ------
    BadInput
        A value cannot be.
    """
    if not isinstance(given, dict):
        raise BadInput(f"{where}: {given!r}: expected a section")
    found = {}
    for key, value in given.items():
        try:
            found[key] = read(value)
        except ValueError as error:
            raise BadInput(f"{where}: {key} = {value!r}: expected {error}") from None
    return found


def take_policies(given: Mapping[str, Any], where: str) -> dict[str, Policy]:
    """Return the policies of data sets.

    Raises
    ------
    BadInput
        One wants evidence of a code, and does not say of which.
    """
    found = {}
    for name, table in given.items():
        here = f'{where}: [data."{name}"]'
        policy = take(Policy, table, here, POLICY)
        if policy.least_level and not policy.measurements:
            raise BadInput(
                f"{here}: least_level = {policy.least_level} without measurements: "
                "expected those of hpc-connector keys measure, or least_level = 0"
            )
        found[name] = policy
    return found


def take_nodes(
    given: Mapping[str, Any], where: str, file: Callable[[Any], Path]
) -> dict[str, Node]:
    """Return how nodes sign, by their names.

    Raises
    ------
    BadInput
        A key cannot be read, or one of a node is not as it must be.
    """
    found = {}
    for name, table in given.items():
        here = f"{where}: [nodes.{name}]"
        told = take(NodeTold, table, here, NODE)
        try:
            pem = file(told.key).read_bytes()
        except OSError as error:
            raise BadInput(f"{here}: {told.key}: {error.strerror}") from None
        key = load_attestation_key(pem, f"{here}: {told.key}")
        found[name] = Node(key, told.pcrs, told.registers)
    return found
