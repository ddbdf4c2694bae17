"""What clients of HTTPS share: the address of a server, and that none answers."""

import re

from hpc_connector.errors import BadInput

ADDRESS = re.compile(r"https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?/?")
PORT = 443


class NoAnswer(Exception):
    """A server does not answer now, or says so."""


def read_address(url: str, what: str = "") -> tuple[str, int]:
    """Return the host and the port of a server.

    Parameters
    ----------
    what
        Kind of server, for the message.

    Raises
    ------
    BadInput
        It is not https://HOST:PORT.
    """
    found = ADDRESS.fullmatch(url)
    if not found or int(found[2] or PORT) > 65535:
        said = f"{what} {url[:200]!r}".strip()
        raise BadInput(f"{said}: expected https://HOST:PORT")
    return found[1].strip("[]"), int(found[2] or PORT)
