"""Streams in Pravega.

Its Python client (PyPI ``pravega`` 0.3.8) can append bytes only where it expects them
to be appended, which is what keeps two writers apart; but it begins at byte 0. So each
writer begins a part of a segment, as a file is rolled, and ends the part before it.
"""

import re

from hpc_connector.errors import BadInput
from hpc_connector.storage.address import split_server
from hpc_connector.streams.bytestream.calls import Calls, check_client
from hpc_connector.streams.bytestream.stream import PravegaStream
from hpc_connector.streams.stream import Stream

PORT = 9090
NAME = re.compile(r"[A-Za-z0-9.-]+")  # of scopes and streams
EXPECTED = "pravega://HOST:9090/SCOPE/STREAM, of letters, digits, '.' and '-'"


def open_pravega(url: str) -> Stream:
    """Return the stream of a URL; nothing is called yet.

    Raises
    ------
    BadInput
        It is no such URL, or Pravega's client is not here.
    """
    host, port, scope, stream = split_url(url)
    check_client(url)
    return PravegaStream(url, Calls(host, port, url), scope, stream)


def split_url(url: str) -> tuple[str, int, str, str]:
    """Return host, port, scope and stream.

    Examples
    --------
    >>> split_url("pravega://node7/lab/scan-12")
    ('node7', 9090, 'lab', 'scan-12')
    """
    host, port, path = split_server(url, PORT) or ("", 0, "")
    names = path.split("/")
    if len(names) != 2 or not all(map(NAME.fullmatch, names)):
        raise BadInput(f"{url}: no stream in Pravega: expected {EXPECTED}")
    return host, port, names[0], names[1]
