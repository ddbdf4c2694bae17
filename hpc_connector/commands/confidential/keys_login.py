"""``hpc-connector keys login|logout|whoami``: who the user is to keepers of keys."""

import argparse
import sys
from datetime import UTC, datetime
from typing import Any

from hpc_connector import cli
from hpc_connector.commands.confidential.words import add_token, get_token
from hpc_connector.confidential.identity.claims import (
    ROLE,
    Claims,
    Settings,
    has_role,
    read_role,
)
from hpc_connector.confidential.identity.device import Code
from hpc_connector.confidential.identity.login import (
    get_login,
    get_settings,
    log_in,
    log_out,
)
from hpc_connector.confidential.identity.tokens import validate_token
from hpc_connector.errors import BadInput

AUDIENCE, CLIENT = "hpc-connector-keeper", "hpc-connector"


def add_commands(commands: Any) -> None:
    """Add the commands to those of ``keys``."""
    login = cli.add_command(commands, "login", "log in, by a code entered in a browser")
    login.set_defaults(act=run_login)
    _add_server(login, is_needed=True)
    said = "what the server calls this program (default: %(default)s)"
    login.add_argument("--client", default=CLIENT, metavar="NAME", help=said)
    logout = cli.add_command(commands, "logout", "forget the login, here and there")
    logout.set_defaults(act=run_logout)
    whoami = cli.add_command(commands, "whoami", "say who a token makes you")
    whoami.set_defaults(act=run_whoami)
    add_token(whoami)
    _add_server(whoami.add_argument_group("of that token"), is_needed=False)


def _add_server(parser: Any, *, is_needed: bool) -> None:
    add = parser.add_argument
    said = "address of the OpenID Connect server, of Keycloak with the realm"
    add("--issuer", required=is_needed, default="", metavar="URL", help=said)
    said = "who the token is for (default: %(default)s)"
    add("--audience", default=AUDIENCE, metavar="NAME", help=said)
    said = "where a token has the role, and which (default: %(default)s)"
    add("--role", default=ROLE, metavar="PATH=VALUE", help=said)


def run_login(args: argparse.Namespace) -> int:
    """Log in; say who that is."""
    read_role(args.role)
    settings = Settings(args.issuer, args.audience, args.role)
    claims = log_in(settings, args.client, show=_show, tell=_tell)
    print(describe(claims, settings))
    return cli.DONE


def run_logout(_: argparse.Namespace) -> int:
    """Log out."""
    log_out()
    return cli.DONE


def run_whoami(args: argparse.Namespace) -> int:
    """Say who a token makes the user, once it was verified."""
    is_login = args.token_fd is None and not args.token_command
    if is_login == bool(args.issuer):
        raise BadInput(
            "expected --issuer URL with --token-fd or --token-command, or neither"
        )
    if is_login:
        login = get_login()
        settings, token = get_settings(login), login.access
    else:
        read_role(args.role)
        settings = Settings(args.issuer, args.audience, args.role)
        token = get_token(args)
    print(describe(validate_token(token, settings), settings))
    return cli.DONE


def describe(claims: Claims, settings: Settings) -> str:
    """Return one line about a user."""
    role = settings.role.partition("=")[2]
    held = "with" if has_role(claims, settings.role) else "WITHOUT"
    name = f"{claims.name} ({claims.subject})" if claims.name else claims.subject
    until = datetime.fromtimestamp(claims.expires_s, UTC).strftime("%H:%M:%S UTC")
    return f"{name} of {settings.issuer}, {held} the role {role}, until {until}"


def _show(code: Code) -> None:
    print(f"Open {code.address} and enter the code {code.user}", flush=True)


def _tell(said: str) -> None:
    print(said, file=sys.stderr, flush=True)
