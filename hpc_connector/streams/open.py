"""Which kind of stream a URL names."""

from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.storage.address import get_scheme
from hpc_connector.streams.stream import Stream, Sync

EXPECTED = "file:///folder, nats://host:4222/NAME or pravega://host:9090/scope/stream"
SERVERS = {  # how a stream of each is written
    "nats": "nats://host:4222/NAME, and --profile for them",
    "pravega": "pravega://HOST:9090/SCOPE/STREAM",
}


def open_stream(
    url: str,
    *,
    profile: Path | None = None,
    sync: Sync = "1s",
    skip_damaged: bool = False,
) -> Stream:
    """Return the stream of a URL, by its scheme.

    Parameters
    ----------
    url
        ``file:///folder``, ``nats://host:4222/NAME`` or
        ``pravega://host:9090/scope/stream``; no credentials.
    profile
        File with the credentials and certificates of a server of NATS.
    sync
        When a file stream outlives the machine: ``each`` record, ``1s`` after it at
        most, or when the system likes.
    skip_damaged
        Whether a reader of a file stream goes on behind what is damaged, at the next
        file, instead of raising.

    Raises
    ------
    BadInput
        A URL of another kind, or with credentials, or its library is missing.
    """
    scheme = get_scheme(url)
    if scheme in SERVERS and {*"@?"} & {*url}:
        raise BadInput(
            f"{scheme}://***: no credentials in a URL: expected {SERVERS[scheme]}"
        )
    if profile is not None and scheme != "nats":
        raise BadInput(f"{url}: takes no --profile: expected nats://host:4222/NAME")
    if scheme == "file":
        from hpc_connector.streams.file_segments import FileStream

        return FileStream(url, sync=sync, skip_damaged=skip_damaged)
    if scheme == "nats":
        from hpc_connector.streams.nats import open_nats

        nats: Stream = open_nats(url, profile=profile)
        return nats
    if scheme == "pravega":
        from hpc_connector.streams.pravega import open_pravega

        pravega: Stream = open_pravega(url)
        return pravega
    raise BadInput(f"{url}: no stream: expected {EXPECTED}")
