"""How a site meets the others: whether all have the same study, and keys of masks."""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.confidential.keys import load_key
from hpc_connector.errors import BadInput
from hpc_connector.federation.masks import get_keys, make_run
from hpc_connector.federation.site import Sizes
from hpc_connector.federation.study import Study
from hpc_connector.federation.transport import Link, Transport

PrivateKey = X25519PrivateKey


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
    transport: Transport, study: Study, name: str, sizes: Sizes, private: PrivateKey
) -> tuple[Link, dict[str, Sizes]]:
    """Meet the other sites; return the link with them, and what sizes they show.

    How many of each class a site has is shown where folds are dealt by that, and not
    otherwise.

    Raises
    ------
    BadInput
        One has another study.
    """
    is_dealt = study.fold_mode == "dealt"
    hello = {
        "study": study.sha256,
        "site": name,
        "nonce": secrets.token_bytes(32),
        "mask_public": private.public_key().public_bytes_raw(),
        "sizes": sizes if is_dealt else None,
    }
    others = transport.gather(hello)
    for other in others:
        if other["study"] != study.sha256:
            raise BadInput(
                f"site {other['site']} has another study ({other['study'][:12]}, here "
                f"{study.sha256[:12]}): expected the same file at all sites"
            )
    publics = {other["site"]: other["mask_public"] for other in others}
    publics = study.get_publics() or publics
    nonces = {other["site"]: other["nonce"] for other in others}
    run = make_run(bytes.fromhex(study.sha256), 1, nonces)
    keys = get_keys(private, name, publics, run)
    shown = {other["site"]: other["sizes"] for other in others} if is_dealt else {}
    return Link(transport, name, keys), shown
