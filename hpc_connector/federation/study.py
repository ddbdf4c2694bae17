"""STUDY.toml: what all sites of a federated search have agreed on."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from hpc_connector.confidential.asking import read_address
from hpc_connector.errors import BadInput
from hpc_connector.federation.folds import MODES
from hpc_connector.federation.hub.tls import read_certificate
from hpc_connector.text import read_toml

LEAST_SITES, MOST_TOP, MOST_FOLDS = 3, 1000, 1000
MOST_PERMUTATIONS = 100_000
EXACT_VARIANTS = 20_000  # more, and consistency is not computed unless asked for
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
KEY_BYTES = 32
HUB = "hub"  # in logs, and the name of its folder


@dataclass(frozen=True)
class Site:
    """A site of a study: its name, and what others know of it, if they do.

    Parameters
    ----------
    mask_public
        Key of its masks.
    certificate
        That it shows to the hub, PEM.
    """

    name: str
    mask_public: bytes | None = None
    certificate: str | None = None


@dataclass(frozen=True)
class Hub:
    """Where masked blocks are added up, and the certificate that is shown there."""

    url: str
    certificate: str | None = None


@dataclass(frozen=True)
class Release:
    """What may be let out.

    Parameters
    ----------
    least_cell
        Individuals of a cell that is shown, where tables are released.
    least_site, least_class, least_total
        Individuals of a site, of each class of it, and of all sites.
    most_queries
        Searches of one cohort.
    columns
        ``models``, or ``tables`` of how many have which genotypes.
    """

    least_cell: int = 10
    least_site: int = 100
    least_class: int = 30
    least_total: int = 500
    most_queries: int = 1
    columns: str = "models"


@dataclass(frozen=True)
class Study:
    """What STUDY.toml says; see the fields of its tables in :data:`READERS`.

    Parameters
    ----------
    sha256
        Of the file: its identity, which is the same at all sites.
    reference
        List of variants, a .bim file or a VCF without genotypes.
    check_overlap
        Whether sites show hashes of the ids of their individuals, under a key that
        they share.
    permutations, seed
        Of labels, which each site shuffles among its own individuals.
    """

    name: str
    salt: str
    reference: Path
    sites: tuple[Site, ...]
    sha256: str
    version: int = 1
    order: int = 2
    folds: int = 10
    fold_mode: str = "dealt"
    rank_by: str = "test"
    top: int = 1000
    min_maf: float = 0.01
    max_missing: float = 0.05
    missing: str = "exclude"
    tie: str = "high"
    cvc: str = "auto"
    scorer: str = "hub"
    check_overlap: bool = False
    permutations: int = 0
    seed: int = 0
    build: str = "GRCh38"
    palindromic: str = "drop"
    variants: str = "intersection"
    release: Release = field(default_factory=Release)
    hub: Hub | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sites, in the order of the file."""
        return tuple(site.name for site in self.sites)

    def get_publics(self) -> dict[str, bytes] | None:
        """Return the public keys of masks by site; None if the study has none.

        Raises
        ------
        BadInput
            Some sites have one, and others have none.
        """
        known = {site.name: site.mask_public for site in self.sites}
        lacking = [name for name, public in known.items() if public is None]
        if lacking and len(lacking) < len(known):
            raise BadInput(
                f"site {lacking[0]} has no mask_public in the study, and others have: "
                "expected that of every site (hpc-connector federate invite)"
            )
        return None if lacking else {n: p for n, p in known.items() if p is not None}

    def is_exact(self, n_variants: int) -> bool:
        """Return whether cv_consistency is computed for so many variants."""
        if self.folds == 1:
            return False
        return self.cvc == "exact" or (
            self.cvc == "auto" and n_variants <= EXACT_VARIANTS
        )


def text(value: Any) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{value!r}: expected text")
    return value


def name(value: Any) -> str:
    """Return a name of letters, digits, dots, dashes and underscores."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise BadInput(
            f"{value!r}: expected letters, digits, dots, dashes, underscores"
        )
    return value


def whole(least: int, most: int | None = None) -> Callable[[Any], int]:
    """Return a reader of whole numbers of `least` to `most`."""
    said = f"{least} to {most}" if most is not None else f"{least} or more"

    def read(value: Any) -> int:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not is_number or value < least or (most is not None and value > most):
            raise BadInput(f"{value!r}: expected a whole number, {said}")
        return int(value)

    return read


def share(value: Any) -> float:
    """Return a number between 0 and 1."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise BadInput(f"{value!r}: expected 0..1")
    return float(value)


def one_of(*choices: Any) -> Callable[[Any], Any]:
    """Return a reader of one of some values."""

    def read(value: Any) -> Any:
        if not any(type(value) is type(one) and value == one for one in choices):
            known = ", ".join(map(repr, choices))
            raise BadInput(f"{value!r}: expected one of {known}")
        return value

    return read


def public(value: Any) -> bytes:
    """Return a public key of X25519 from base64, 32 bytes."""
    try:
        found = base64.b64decode(text(value), validate=True)
    except ValueError:
        found = b""
    if len(found) != KEY_BYTES:
        raise BadInput(f"{str(value)[:60]!r}: expected {KEY_BYTES} bytes in base64")
    return found


def address(value: Any) -> str:
    """Return https://HOST:PORT."""
    read_address(text(value))
    return str(value)


def top(value: Any) -> int:
    """Return how many models are let out, which is at most MOST_TOP."""
    found = whole(1)(value)
    if found > MOST_TOP:
        raise BadInput(f"{found} models: a study lets out {MOST_TOP} at most")
    return found


READERS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "study": {
        "name": name,
        "version": one_of(1),
        "salt": text,
        "order": one_of(2),
        "folds": whole(1, MOST_FOLDS),
        "fold_mode": one_of(*MODES),
        "rank_by": one_of("test", "train", "whole"),
        "top": top,
        "min_maf": share,
        "max_missing": share,
        "missing": one_of("exclude", "level"),
        "tie": one_of("high", "low"),
        "cvc": one_of("auto", "exact", "none"),
        "scorer": one_of("hub", "sites"),
        "check_overlap": one_of(False, True),
        "permutations": whole(0, MOST_PERMUTATIONS),
        "seed": whole(0, (1 << 64) - 1),
    },
    "variants": {
        "reference": text,
        "build": one_of("GRCh37", "GRCh38"),
        "palindromic": one_of("drop", "frequency"),
        "variants": one_of("intersection", "union"),
    },
    "release": {
        "least_cell": whole(2),
        "least_site": whole(1),
        "least_class": whole(1),
        "least_total": whole(1),
        "most_queries": whole(1),
        "columns": one_of("models", "tables"),
    },
    "site": {"name": name, "mask_public": public, "certificate": read_certificate},
    "hub": {"url": address, "certificate": read_certificate},
}
NOT_LET_OUT = {
    "all_models": "the errors of all models are not let out",
    "export_folds": "who is in which fold is not let out",
}


def read_study(path: Path) -> Study:
    """Read STUDY.toml.

    Raises
    ------
    BadInput
        It cannot be read, or a value in it cannot be; the message has which.
    """
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    found = read_toml(path)
    if unknown := sorted(found.keys() - READERS.keys()):
        raise BadInput(
            f"{path}: unknown table [{unknown[0]}]; expected {', '.join(READERS)}"
        )
    tables = {kind: read_table(path, kind, found.get(kind, {})) for kind in TABLES}
    sites = found.get("site", [])
    if not isinstance(sites, list):
        raise BadInput(f"{path}: site: expected [[site]] for each site")
    read = [read_table(path, "site", one) for one in sites]
    known = tables["study"] | tables["variants"]
    check_given(path, known, read)
    reference = path.parent / known.pop("reference")
    hub = read_hub(path, found, read)
    return Study(
        **known,
        reference=reference,
        sites=tuple(Site(**one) for one in read),
        sha256=sha256,
        release=Release(**tables["release"]),
        hub=hub,
    )


def read_hub(
    path: Path, found: Mapping[str, Any], sites: list[dict[str, Any]]
) -> Hub | None:
    """Return the hub of a study, None without one; no two parties are one."""
    hub = read_table(path, "hub", found["hub"]) if "hub" in found else None
    if hub is not None and "url" not in hub:
        raise BadInput(f"{path}: expected hub.url")
    shown = [one["certificate"] for one in [*sites, hub or {}] if "certificate" in one]
    if hub is None and shown:
        raise BadInput(f"{path}: a certificate without a hub: expected [hub] url")
    if len(shown) != len(set(shown)):
        raise BadInput(f"{path}: two parties have one certificate: expected their own")
    if hub is not None and any(one["name"] == HUB for one in sites):
        raise BadInput(f"{path}: a site is named {HUB}: expected another name")
    return None if hub is None else Hub(**hub)


TABLES = ("study", "variants", "release")


def read_table(path: Path, kind: str, given: Any) -> dict[str, Any]:
    """Return the values of a table of STUDY.toml, each read as :data:`READERS` says."""
    if not isinstance(given, Mapping):
        raise BadInput(f"{path}: {kind}: expected a table [{kind}]")
    found = {}
    for key, value in given.items():
        where = f"{path}: {kind}.{key}"
        if key in NOT_LET_OUT:
            raise BadInput(f"{where}: {NOT_LET_OUT[key]}")
        if key not in READERS[kind]:
            known = ", ".join(READERS[kind])
            raise BadInput(f"{where}: unknown; expected one of {known}")
        try:
            found[key] = READERS[kind][key](value)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
    return found


def check_given(
    path: Path, known: Mapping[str, Any], sites: list[dict[str, Any]]
) -> None:
    """Refuse a study that lacks what it must have, or that has too few sites."""
    needed = {each.name for each in fields(Study) if each.default is MISSING}
    needed &= READERS["study"].keys() | READERS["variants"].keys()
    for key in sorted(needed - known.keys()):
        table = "study" if key in READERS["study"] else "variants"
        raise BadInput(f"{path}: expected {table}.{key}")
    names = [one.get("name") for one in sites]
    if None in names:
        raise BadInput(f"{path}: site {names.index(None) + 1} has no name")
    if "all" in names:
        raise BadInput(f"{path}: a site is named all: expected another name")
    keys = [one["mask_public"] for one in sites if "mask_public" in one]
    if len(keys) != len(set(keys)):
        raise BadInput(f"{path}: two sites have one mask_public: expected their own")
    if twice := sorted({one for one in names if one and names.count(one) > 1}):
        raise BadInput(f"{path}: two sites are named {twice[0]}")
    if len(names) < LEAST_SITES:
        raise BadInput(
            f"{path}: {len(names)} sites: expected {LEAST_SITES} or more, for of two "
            "each would learn the counts of the other from the sum"
        )
