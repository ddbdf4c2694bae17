"""Who asks a keeper by a token, and which roles they have."""

from collections.abc import Sequence

from hpc_connector.confidential.identity.claims import Claims, has_role
from hpc_connector.confidential.identity.tokens import validate_token
from hpc_connector.confidential.keeper.settings import Settings
from hpc_connector.confidential.refused import Refused

BEARER = "Bearer "


def check_person(settings: Settings, authorization: str) -> Claims:
    """Return what the token of a request says, whose holder has the role.

    Raises
    ------
    Refused
        ``token``: there is none, or it does not hold; ``role``: not of this person.
    """
    if not authorization.startswith(BEARER):
        raise Refused("token", "expected one: hpc-connector keys login")
    try:
        claims = validate_token(authorization.removeprefix(BEARER), settings.oidc)
    except Refused as refused:
        raise Refused("token", str(refused)) from None
    need_role(claims, [settings.oidc.role])
    return claims


def need_role(claims: Claims, roles: Sequence[str]) -> None:
    """Refuse who has none of some roles.

    Raises
    ------
    Refused
        By the word ``role``.
    """
    if not any(has_role(claims, role) for role in roles):
        raise Refused("role", f"expected {' or '.join(roles)}")
