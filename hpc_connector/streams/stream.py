"""What a stream can do, of whatever kind."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from hpc_connector.streams.records import START, Position, Record

Sync = Literal["each", "1s", "none"]


@dataclass(frozen=True)
class SegmentState:
    """What there is of a segment.

    Parameters
    ----------
    first
        From where its first kept record is read: START, unless some were deleted.
    tail
        Position of its last record; that of `first` if there is none.
    n_records, n_bytes
        What is kept; None where the stream does not tell. Who numbers records with
        gaps has fewer.
    writer
        Who holds it, for people; empty if nobody does, or nobody knows.
    """

    segment: int
    first: Position
    tail: Position
    n_records: int | None
    n_bytes: int | None
    is_sealed: bool
    writer: str = ""


@dataclass(frozen=True)
class StreamState:
    """What there is of a stream, by segment."""

    url: str
    created: str
    segments: tuple[SegmentState, ...]


class Stream(Protocol):
    """A stream, which may not be there before it is created.

    One thread uses it, and one process; another opens it again by its URL. It is
    connected, and a segment is held, when that is first needed.

    Every method raises BadInput, whose message names the stream, where there is none,
    its server does not answer within 5 s, or a segment is not one of it.
    """

    url: str  # without secrets

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        ...

    def create(self, n_segments: int = 1) -> None:
        """Make the stream; nothing is done if it is there with as many segments.

        Raises
        ------
        BadInput
            It is there with another number of them.
        """
        ...

    def append(
        self, segment: int, key: bytes, value: bytes, sequence: int | None = None
    ) -> Position:
        """Append a record, and return its position once it outlives this process.

        Parameters
        ----------
        sequence
            Higher than those before it. One that is there already appends nothing: the
            answer is the position of the first, whatever its value. None for the next.

        Raises
        ------
        BadInput
            The record is too long, the segment is sealed or another writer holds it, or
            the sequence is lower than the last and not there (any more).
        OSError
            The disk is full. Nothing is appended then, and it may be tried again.
        """
        ...

    def append_many(
        self,
        segment: int,
        records: Iterable[tuple[bytes, bytes]],
        sequence: int | None = None,
    ) -> Position:
        """Append records, faster than one by one; return the position of the last.

        An error leaves a beginning of them appended. With none it is the tail.

        Parameters
        ----------
        records
            Key and value of each.
        sequence
            Of the first; those behind it count on. Those that are there are left out.
        """
        ...

    def read(
        self,
        segment: int,
        position: Position = START,
        *,
        most_records: int,
        wait_s: float = 0.0,
    ) -> list[Record]:
        """Return the records behind a position, in order, as many as there are.

        Parameters
        ----------
        position
            Of a record, START, or END: behind what is there at this moment.
        most_records
            At least 1.
        wait_s
            How long to wait for the first of them; less where the segment is sealed.

        Returns
        -------
        At most `most_records`. None of them means that no more are there now. Whether
        more can come is said by :meth:`is_sealed`, asked **before** the read.

        Raises
        ------
        BadInput
            Records behind the position were deleted (the message has the position from
            which the first kept one is read); it is not one of this segment; or what is
            stored is damaged, which is named.
        """
        ...

    def tail(self, segment: int) -> Position:
        """Return the position of the last record: behind it is what is still to come.

        Of a segment without records, START, or where its kept records begin.
        """
        ...

    def is_sealed(self, segment: int) -> bool:
        """Return whether nothing can be appended to a segment any more."""
        ...

    def seal(self, segment: int | None = None) -> None:
        """End a segment, or all: nothing can be appended. A sealed one is left alone.

        Raises
        ------
        BadInput
            Another writer holds it.
        """
        ...

    def retain(self, before: int | None = None, keep_bytes: int | None = None) -> int:
        """Delete old records, never the last one of a segment; return how many bytes.

        What is deleted are the first records of a segment. A stream may keep more than
        was asked: it deletes whole files.

        Parameters
        ----------
        before
            Nanoseconds since 1970: what is older.
        keep_bytes
            Of the whole stream: the oldest, until it has no more.
        """
        ...

    def describe(self) -> StreamState:
        """Return what there is. It may read much of the stream."""
        ...

    def close(self) -> None:
        """Let go what is held, and have all on the disk that was appended.

        A stream that is used after that takes what it needs again.
        """
        ...

    def __enter__(self) -> Self:
        """Return the stream, which is closed at the end of the block."""
        ...

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        ...
