"""Streams in JetStream, the store of a server of NATS."""

import re
from pathlib import Path

from hpc_connector.errors import BadInput, explain_missing
from hpc_connector.storage.address import split_server
from hpc_connector.streams.stream import Stream

PORT = 4222
NAME = re.compile("[A-Z0-9_]+")
EXPECTED = "nats://host:4222/NAME, in capitals, digits and _"


def open_nats(url: str, *, profile: Path | None = None) -> Stream:
    """Return the stream of a URL; nothing is connected until it is used.

    Parameters
    ----------
    url
        ``nats://host:4222/NAME``, without credentials.
    profile
        TOML file with what the server asks for, which nobody but its owner can read;
        see :class:`hpc_connector.streams.jetstream.profile.Profile`.

    Raises
    ------
    BadInput
        A URL or profile that cannot be, or nats-py is missing.
    """
    host, port, name = split_url(url)
    with explain_missing(f"{url} needs", "streams", "nats"):
        from hpc_connector.streams.jetstream.profile import read_profile
        from hpc_connector.streams.jetstream.stream import NatsStream
    return NatsStream(url, host, port, name, read_profile(profile))


def split_url(url: str) -> tuple[str, int, str]:
    """Return host, port and name of a stream.

    Examples
    --------
    >>> split_url("nats://node7/SCAN_12")
    ('node7', 4222, 'SCAN_12')
    """
    found = split_server(url, PORT)
    if found is None or not NAME.fullmatch(found[2]):
        raise BadInput(f"{url}: no stream of NATS: expected {EXPECTED}")
    return found
