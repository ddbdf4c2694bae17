"""How a site meets the others: whether all have the same study, and keys of masks."""

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.catalogue.records import check_number, read_id
from hpc_connector.confidential.keys import load_key
from hpc_connector.errors import BadInput
from hpc_connector.federation.masks import get_keys, make_run
from hpc_connector.federation.overlap import Overlaps, find_overlaps
from hpc_connector.federation.site import Sizes
from hpc_connector.federation.study import Study
from hpc_connector.federation.transport import Link, Transport
from hpc_connector.run_record import FromCatalogue
from hpc_connector.storage.checksums import get_checksum

FINGERPRINT = re.compile("[0-9a-f]{64}")
PrivateKey = X25519PrivateKey
Hello = dict[str, Any]


def load_mask_key(path: str | None, study: Study, name: str) -> PrivateKey:
    """Return the private key of the masks of a site; a new one if the study has none.

    Raises
    ------
    BadInput
        The study names another, or one and none is given.
    """
    publics = study.get_publics()
    if publics is None:
        if path is not None:
            raise BadInput(f"--mask-key: study {study.name} has no mask_public")
        return X25519PrivateKey.generate()
    if path is None:
        raise BadInput(
            f"study {study.name} has a mask_public of every site: expected --mask-key"
        )
    private = load_key(Path(path))
    if private.public_key().public_bytes_raw() != publics[name]:
        raise BadInput(f"{path} is not the key of site {name} in study {study.name}")
    return private


def join(
    transport: Transport,
    study: Study,
    hello: Hello | None,
    private: PrivateKey | None,
) -> tuple[Link, dict[str, Sizes], Overlaps]:
    """Meet the other sites; return the link with them, and what they show.

    That is their sizes, and which individuals are at two sites.

    Parameters
    ----------
    hello, private
        Of a site; None of a hub, which shows nothing and has no masks.

    Raises
    ------
    BadInput
        One has another study, or another list of variants.
    """
    hellos = transport.gather(hello)
    check_hellos(study, hellos)
    overlaps = find_overlaps(study, hellos)
    is_dealt = study.fold_mode == "dealt"
    shown = {one["site"]: Sizes(*one["sizes"]) for one in hellos} if is_dealt else {}
    if hello is None or private is None:
        return Link(transport, "", {}), shown, overlaps
    publics = {one["site"]: one["mask_public"] for one in hellos}
    publics = study.get_publics() or publics
    nonces = {one["site"]: one["nonce"] for one in hellos}
    run = make_run(bytes.fromhex(study.sha256), transport.attempt, nonces)
    keys = get_keys(private, hello["site"], publics, run)
    named = {one["site"]: read_datasets(one) for one in hellos if one.get("datasets")}
    link = Link(transport, hello["site"], keys, datasets=named)
    return link, shown, overlaps


def make_hello(
    study: Study,
    name: str,
    sizes: Sizes,
    private: PrivateKey,
    datasets: Sequence[FromCatalogue] = (),
) -> Hello:
    """Return what a site shows to all when it joins.

    How many of each class it has is shown where folds are dealt by that, and not
    otherwise.

    Parameters
    ----------
    datasets
        Of a catalogue, that its cohort is.
    """
    return {
        "study": study.sha256,
        "reference": get_checksum(str(study.reference)),
        "site": name,
        "nonce": secrets.token_bytes(32),
        "mask_public": private.public_key().public_bytes_raw(),
        "sizes": list(sizes) if study.fold_mode == "dealt" else None,
        "datasets": [dict(one) for one in datasets],
    }


def read_datasets(hello: Hello) -> list[FromCatalogue]:
    """Return the data sets that a site says its cohort is.

    Raises
    ------
    BadInput
        It says something else.
    """
    try:
        return [_read_dataset(one) for one in hello["datasets"]]
    except (BadInput, TypeError, KeyError) as error:
        said = f"site {hello['site']}: what it says of its data sets: {error}"
        raise BadInput(said) from None


def _read_dataset(told: Any) -> FromCatalogue:
    name, version = read_id(told["id"]), told["version"]
    check_number(version, "version")
    if not FINGERPRINT.fullmatch(told["fingerprint"]):
        raise BadInput(f"{told['fingerprint'][:80]!r}: expected a SHA-256")
    return FromCatalogue(id=name, version=version, fingerprint=told["fingerprint"])


def check_listed(study: Study, hello: Hello, listed: str) -> None:
    """Refuse a site of another list.

    Parameters
    ----------
    listed
        SHA-256 of the list that is here.

    Raises
    ------
    BadInput
        What the site has.
    """
    if hello["reference"] != listed:
        raise BadInput(
            f"site {hello['site']} has another list of variants "
            f"({str(hello['reference'])[:12]}, here {listed[:12]}): expected the same "
            f"{study.reference.name} at all sites"
        )


def check_hellos(study: Study, hellos: Sequence[Hello]) -> None:
    """Refuse sites of another study, of another list, or not those of the study.

    Raises
    ------
    BadInput
        Which one, and what it has.
    """
    listed = get_checksum(str(study.reference))
    for one in hellos:
        if one["study"] != study.sha256:
            raise BadInput(
                f"site {one['site']} has another study ({one['study'][:12]}, here "
                f"{study.sha256[:12]}): expected the same file at all sites"
            )
        check_listed(study, one, listed)
    if [one["site"] for one in hellos] != list(study.names):
        raise BadInput(
            f"joined: {', '.join(one['site'] for one in hellos)}; expected "
            f"{', '.join(study.names)}, once each"
        )
