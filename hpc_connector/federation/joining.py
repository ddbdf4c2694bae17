"""How a site meets the others: whether all have the same study, and keys of masks."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.confidential.keys import load_key
from hpc_connector.errors import BadInput
from hpc_connector.federation.masks import get_keys, make_run
from hpc_connector.federation.site import Sizes
from hpc_connector.federation.study import Study
from hpc_connector.federation.transport import Link, Transport
from hpc_connector.storage.checksums import get_checksum

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
    transport: Transport, study: Study, hello: Hello | None, private: PrivateKey | None
) -> tuple[Link, dict[str, Sizes]]:
    """Meet the other sites; return the link with them, and what sizes they show.

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
    is_dealt = study.fold_mode == "dealt"
    shown = {one["site"]: Sizes(*one["sizes"]) for one in hellos} if is_dealt else {}
    if hello is None or private is None:
        return Link(transport, "", {}), shown
    publics = {one["site"]: one["mask_public"] for one in hellos}
    publics = study.get_publics() or publics
    nonces = {one["site"]: one["nonce"] for one in hellos}
    run = make_run(bytes.fromhex(study.sha256), transport.attempt, nonces)
    keys = get_keys(private, hello["site"], publics, run)
    return Link(transport, hello["site"], keys), shown


def make_hello(study: Study, name: str, sizes: Sizes, private: PrivateKey) -> Hello:
    """Return what a site shows to all when it joins.

    How many of each class it has is shown where folds are dealt by that, and not
    otherwise.
    """
    return {
        "study": study.sha256,
        "reference": get_checksum(str(study.reference)),
        "site": name,
        "nonce": secrets.token_bytes(32),
        "mask_public": private.public_key().public_bytes_raw(),
        "sizes": list(sizes) if study.fold_mode == "dealt" else None,
    }


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
        if one["reference"] != listed:
            raise BadInput(
                f"site {one['site']} has another list of variants "
                f"({one['reference'][:12]}, here {listed[:12]}): expected the same "
                f"{study.reference.name} at all sites"
            )
    if [one["site"] for one in hellos] != list(study.names):
        raise BadInput(
            f"joined: {', '.join(one['site'] for one in hellos)}; expected "
            f"{', '.join(study.names)}, once each"
        )
