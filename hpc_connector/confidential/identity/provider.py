"""An OpenID Connect server, as it describes itself (Discovery 1.0)."""

from dataclasses import dataclass
from typing import Any

from hpc_connector.confidential.identity.web import check_address, get
from hpc_connector.errors import BadInput

WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class Provider:
    """Where a server has what we ask for; empty where it has not."""

    issuer: str
    jwks: str
    token: str
    device: str
    revocation: str


def discover(issuer: str) -> Provider:
    """Return the addresses of a server.

    Raises
    ------
    BadInput
        The document is of another issuer, or an address is not https.
    Unreachable
        There is none.
    """
    check_address(issuer, "issuer")
    found = get(issuer.rstrip("/") + WELL_KNOWN)
    if found.get("issuer") != issuer:
        raise BadInput(
            f"{issuer} calls itself otherwise: expected its own name of itself "
            "(issuer, to the letter)"
        )
    return Provider(
        issuer,
        jwks=_read(found, "jwks_uri"),
        token=_read(found, "token_endpoint"),
        device=_read(found, "device_authorization_endpoint"),
        revocation=_read(found, "revocation_endpoint"),
    )


def _read(found: dict[str, Any], name: str) -> str:
    return check_address(found[name], name) if name in found else ""
