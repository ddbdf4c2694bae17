"""A stream beside a run: it is there before any work, and fails without harm."""

from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.streams.open import open_stream
from hpc_connector.streams.records import OtherSegments


def prepare_stream(
    url: str, n_writers: int, whose: str, profile: Path | None = None
) -> None:
    """Make a stream with a segment for each writer, unless there is one that does.

    Parameters
    ----------
    whose
        A segment is, for the message: "rank", "node".
    profile
        See :func:`open_stream`.

    Raises
    ------
    BadInput
        It cannot be made or reached, has fewer segments, or one that is sealed.
    """
    with open_stream(url, profile=profile) as stream:
        try:
            stream.create(n_writers)
        except OtherSegments:
            if (n := stream.n_segments) < n_writers:
                raise BadInput(
                    f"{url} has {n} segments: expected one a {whose}, {n_writers}, or "
                    "the URL of a new stream"
                ) from None
        if any(stream.is_sealed(segment) for segment in range(n_writers)):
            raise BadInput(f"{url} is sealed: expected the URL of a new stream")
