"""Log in, stay logged in, log out."""

import time
from collections.abc import Callable
from pathlib import Path

from hpc_connector.confidential.identity import store
from hpc_connector.confidential.identity.claims import Claims, Settings
from hpc_connector.confidential.identity.device import (
    Code,
    Tokens,
    ask_code,
    renew,
    revoke,
    wait_for_tokens,
)
from hpc_connector.confidential.identity.provider import discover
from hpc_connector.confidential.identity.store import Login
from hpc_connector.confidential.identity.tokens import validate_token
from hpc_connector.errors import BadInput

LEFT_S = 30  # of a token that is used: it is to hold until it has arrived


def log_in(
    settings: Settings,
    client: str,
    *,
    show: Callable[[Code], None],
    tell: Callable[[str], None],
) -> Claims:
    """Log a user in by the device flow, and keep the login.

    Parameters
    ----------
    show
        Shows the code to the user.
    tell
        Says what happens meanwhile.

    Raises
    ------
    BadInput
        Of the device flow; or the token is not for us, and nothing is kept.
    """
    store.get_folder()  # who cannot keep a token need not ask for one
    provider = discover(settings.issuer)
    code = ask_code(provider, client, settings.audience)
    show(code)
    tokens = wait_for_tokens(provider, client, code, tell=tell)
    with store.locked() as path:
        return _keep(path, settings, client, tokens)


def _keep(path: Path, settings: Settings, client: str, tokens: Tokens) -> Claims:
    claims = validate_token(tokens.access, settings)
    kept = Login(
        settings.issuer,
        settings.audience,
        settings.role,
        client,
        claims.expires_s,
        tokens.access,
        tokens.refresh,
    )
    store.save(path, kept)
    return claims


def get_login() -> Login:
    """Return the login of the user, with a token that holds; renewed if it must be.

    Raises
    ------
    BadInput
        There is none, or it has ended.
    """
    with store.locked() as path:
        login = store.read(path)
        if login.expires_s - time.time() > LEFT_S:
            return login
        if not login.refresh:
            raise BadInput(f"the token has expired: {store.AGAIN}")
        tokens = renew(discover(login.issuer), login.client, login.refresh)
        _keep(path, get_settings(login), login.client, tokens)
        return store.read(path)


def get_settings(login: Login) -> Settings:
    """Return whose tokens a login is of."""
    return Settings(login.issuer, login.audience, login.role)


def get_user() -> Claims:
    """Return who has logged in, by a token that was verified.

    Raises
    ------
    BadInput
        Nobody has, or the token does not hold.
    """
    login = get_login()
    return validate_token(login.access, get_settings(login))


def log_out() -> None:
    """Forget the login here, and then at its server.

    Raises
    ------
    BadInput
        There is none; or the server did not hear of it, and what is here is gone.
    """
    with store.locked() as path:
        try:
            login = store.read(path)
        finally:
            path.unlink(missing_ok=True)
    provider = discover(login.issuer)
    if provider.revocation:
        revoke(provider, login.client, login.refresh or login.access)
