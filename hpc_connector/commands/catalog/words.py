"""Options that the commands of a catalogue share, and how they show what is in it."""

import argparse
import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from hpc_connector import cli, errors
from hpc_connector.catalogue.catalog import USUAL, Catalog, find_place, open_catalog
from hpc_connector.catalogue.journal import list_damage
from hpc_connector.catalogue.records import read_day, read_id, read_reference
from hpc_connector.cluster.site import get_site
from hpc_connector.errors import BadInput
from hpc_connector.options import local

logger = logging.getLogger(__name__)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add where the catalogue is."""
    add = parser.add_argument_group("catalogue").add_argument
    said = "file; or a folder of journals, FOLDER/, on a disk that machines share "
    said += f"(default: the site's CONNECTOR_CATALOG, else {USUAL})"
    add("--catalog", metavar="FILE", type=cli.as_type(local_place), help=said)
    said = "of the cluster, as slurm/mn5.env (default: what was sourced)"
    add("--site", type=Path, metavar="FILE", help=said)


def add_signer(parser: argparse.ArgumentParser) -> None:
    """Add the key by which what is written is signed."""
    said = (
        "private key, as hpc-connector keys new --signer makes it, that signs what is "
    )
    said += "written (default: the site's CONNECTOR_CATALOG_SIGNER, else no signature)"
    parser.add_argument("--signer", type=cli.local, metavar="KEY.pem", help=said)


def load_key(args: argparse.Namespace) -> Any:
    """Return the key that signs what a command writes, None without one."""
    chosen = getattr(args, "signer", None)
    if "signer" in args and not chosen and (name := get_site(args.site).catalog_signer):
        chosen = Path(name).expanduser()
    if not chosen:
        return None
    with explain_unsigned():
        from hpc_connector.confidential.keys import load_signer
    return load_signer(chosen)


def load_trusted(paths: Iterable[Path]) -> list[bytes]:
    """Return the public keys of signers, 32 bytes each."""
    if not paths:
        return []
    with explain_unsigned():
        from hpc_connector.confidential import keys
    return keys.load_trusted(paths)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the choice of JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def get_catalog(args: argparse.Namespace, *, is_new: bool = False) -> Catalog:
    """Open the catalogue that is chosen; say which lines of journals are damaged."""
    place, signer = find_place(args.catalog, args.site), load_key(args)
    catalog = open_catalog(place, is_new=is_new, signer=signer)
    for said in list_damage(catalog.connection):
        logger.warning("%s; it is left out", said)
    return catalog


def local_place(text: str) -> str:
    """Return a file, or a folder, of this machine, as it is written."""
    local(text)
    return text


def reference(text: str) -> str:
    """Return ``ID`` or ``ID@VERSION``."""
    read_reference(text)
    return text


def role(text: str) -> str:
    """Return a role as a policy has it: ``PATH=VALUE``; a name alone is Keycloak's."""
    from hpc_connector.confidential.identity.claims import ROLE, read_role

    found = text if "=" in text else f"{ROLE.partition('=')[0]}={text}"
    read_role(found)
    return found


def receiver(text: str) -> str:
    """Return to whom a grant is: a subject of tokens, or ``role:ROLE``."""
    word, colon, name = text.partition(":")
    if colon and word == "role":
        return f"role:{role(name)}"
    if not text or text != text.strip():
        raise BadInput("expected the subject of a token, or role:ROLE")
    return text


as_day = cli.as_type(read_day)
as_id = cli.as_type(read_id)
as_reference = cli.as_type(reference)
as_role = cli.as_type(role)
as_receiver = cli.as_type(receiver)


explain_missing = partial(
    errors.explain_missing,
    *("graphs and crates need", "catalog", "rdflib", "pyshacl", "rocrate"),
)


explain_unsigned = partial(
    errors.explain_missing,
    *("signatures need", "confidential", "cryptography"),
)


def show_table(rows: list[tuple[Any, ...]]) -> str:
    """Return rows of texts, their columns in line."""
    shown = [tuple(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    pairs = [zip(row, widths, strict=True) for row in shown]
    return "\n".join("  ".join(t.ljust(w) for t, w in row).rstrip() for row in pairs)
