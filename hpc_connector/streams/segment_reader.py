"""Reading file segments: the records behind a place, and the end of what there is.

Nothing is kept open between two reads: over NFS, only what is opened anew is seen as it
is by now.
"""

import contextlib
import logging
import os
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hpc_connector.streams.records import Record
from hpc_connector.streams.segment_layout import (
    BODY_AT,
    HEAD_BYTES,
    RECORD,
    SEAL_BYTES,
    SEAL_KEY,
    Damaged,
    Place,
    Whole,
    check_kept,
    get_first,
    is_seal,
    is_torn,
    list_files,
    make_head,
    refuse_place,
    walk,
)

logger = logging.getLogger(__name__)
FIRST_BYTES, PIECE_BYTES = 1 << 16, 4 << 20  # a record is shorter than the second


class End(NamedTuple):
    """Where a segment ends.

    Parameters
    ----------
    last
        Place of its last record. Without any, its byte is 0, and its sequence is that
        before the first kept.
    byte
        Of its file, behind that record and the seal.
    """

    last: Place
    byte: int
    is_sealed: bool


def read_pieces(
    path: Path, byte: int, after: int, *, is_last: bool, most: int | None = None
) -> Iterator[tuple[bytes, int, list[Whole]]]:
    """Give bytes of a file, where in it they begin, and the whole records in them.

    Parameters
    ----------
    byte
        Where a record begins.
    after
        The sequence of the record before it.
    is_last
        Whether it is the last file of its segment, which may end within a record.
    most
        Records that are wanted: then there may be more.

    Raises
    ------
    Damaged
        Behind what was given, something else is stored than records.
    """
    with open(path, "rb", buffering=0) as stream:
        check_head(path, stream.read(HEAD_BYTES), is_last=is_last)
        n_bytes, n_found = FIRST_BYTES, 0
        is_end = is_sealed = False
        while not is_end and n_found != most:
            data = os.pread(stream.fileno(), n_bytes, byte)
            is_end = len(data) < n_bytes
            left = None if most is None else most - n_found
            found = [] if is_sealed else list(islice(walk(data, after), left))
            done = 0
            if found:
                yield data, byte, found
                n_found += len(found)
                _, done, after, _, key_bytes = found[-1]
                is_sealed = key_bytes == SEAL_KEY
            byte += done
            if n_found == most or (done == len(data) and (is_last or not is_sealed)):
                continue
            is_stuck = done == 0 and n_bytes == PIECE_BYTES
            is_torn_end = is_last and is_end and not is_sealed and is_torn(data[done:])
            if (is_end or is_sealed or is_stuck) and not is_torn_end:
                raise Damaged(
                    f"{path}: damaged at byte {byte}, record {after + 1}: expected a "
                    "whole record there"
                )
            n_bytes = min(4 * n_bytes, PIECE_BYTES)


def check_head(path: Path, head: bytes, *, is_last: bool) -> None:
    """Check the first bytes of a file.

    Raises
    ------
    Damaged
        They are not those of its name.
    """
    expected = make_head(get_first(path.name))
    is_begun = is_last and len(head) < HEAD_BYTES and expected.startswith(head)
    if head != expected and not is_begun:
        raise Damaged(f"{path}: damaged at byte 0: expected {expected!r}")


def read_records(
    folder: Path, segment: int, place: Place, most: int, skipped: set[str] | None
) -> list[Record]:
    """Return the records of a segment behind a place, up to `most`.

    Parameters
    ----------
    skipped
        What was damaged and passed over, which is told once; None to raise.

    Raises
    ------
    BadInput
        Records behind the place were deleted, or it is that of none.
    Damaged
        What comes next is.
    """
    found: list[Record] = []
    files = list_files(folder, segment)
    k, byte = find_start(folder, segment, files, place)
    after, is_whole = place.sequence, True
    try:
        for name in files[k:]:
            path, before = folder / name, max(after, get_first(name) - 1)
            left, is_last = most - len(found), name == files[-1]
            if name != files[k] and is_whole:
                with pass_over(skipped):
                    check_next(path, after)
            is_whole = False
            with pass_over(skipped):
                for piece in read_pieces(
                    path, byte, before, is_last=is_last, most=left
                ):
                    found += make_records(segment, name, *piece)
                is_whole = True
            if len(found) == most:
                break
            after, byte = found[-1].sequence if found else after, HEAD_BYTES
    except Damaged:
        if not found:
            raise
    return found  # what is damaged is told to who reads on from there


@contextlib.contextmanager
def pass_over(skipped: set[str] | None) -> Iterator[None]:
    """Go on behind damage, which is told once, or say how to do so.

    Raises
    ------
    Damaged
        Nothing is to be skipped.
    """
    try:
        yield
    except Damaged as error:
        if skipped is None:
            said = f"{error}; --skip-damaged reads on at the next file"
            raise Damaged(said) from None
        if str(error) not in skipped:
            skipped.add(str(error))
            logger.warning("%s", error)


def check_next(path: Path, after: int) -> None:
    """Check that a file goes on behind the one before it.

    Parameters
    ----------
    after
        The sequence of the last record of that.

    Raises
    ------
    Damaged
        There must have been another between them.
    """
    if (first := get_first(path.name)) != after + 1:
        raise Damaged(
            f"{path}: begins with record {first} and not {after + 1}: expected the "
            "files between them"
        )


def make_records(
    segment: int, name: str, data: bytes, byte: int, wholes: list[Whole]
) -> list[Record]:
    """Return the records in bytes of a file, without a seal."""
    at = RECORD.size
    return [
        Record(
            segment,
            f"{sequence}:{name}:{byte + start}",
            sequence,
            data[start + at : start + at + key_bytes],
            data[start + at + key_bytes : end],
            time_ns,
        )
        for start, end, sequence, time_ns, key_bytes in wholes
        if key_bytes != SEAL_KEY
    ]


def find_start(
    folder: Path, segment: int, files: list[str], place: Place
) -> tuple[int, int]:
    """Return which of the files of a segment has what is behind a place, and its byte.

    Raises
    ------
    BadInput
        Records behind it were deleted, or it is that of none.
    """
    where = f"{folder}: segment {segment}"
    if check_kept(place, files, where):
        return 0, HEAD_BYTES
    if place.file in files and place.byte >= HEAD_BYTES:
        end = get_record_end(folder / place.file, place)
        if end:
            return files.index(place.file), end
    found = find_record(folder, files, place.sequence)
    if found is None:
        raise refuse_place(place, where)
    k = files.index(found.file)
    return k, get_record_end(folder / found.file, found)


def get_record_end(path: Path, place: Place) -> int:
    """Return the byte behind a record; 0 if it is not where it is said to be."""
    with open(path, "rb", buffering=0) as stream:
        head = os.pread(stream.fileno(), RECORD.size, place.byte)
        if len(head) < RECORD.size:
            return 0
        size = BODY_AT + RECORD.unpack(head)[1]
        data = os.pread(stream.fileno(), min(size, PIECE_BYTES), place.byte)
    for _, end, sequence, _, _ in walk(data, place.sequence - 1):
        return place.byte + end if sequence == place.sequence else 0
    return 0


def find_record(folder: Path, files: list[str], sequence: int) -> Place | None:
    """Return where the record of a sequence is, None if it is nowhere."""
    for name in reversed(files):
        if get_first(name) > sequence:
            continue
        pieces = read_pieces(
            folder / name, HEAD_BYTES, get_first(name) - 1, is_last=name == files[-1]
        )
        for _, byte, wholes in pieces:
            for start, _, number, _, key_bytes in wholes:
                if number == sequence and key_bytes != SEAL_KEY:
                    return Place(sequence, name, byte + start)
        return None
    return None


def find_end(folder: Path, files: list[str]) -> End:
    """Return where a segment ends.

    Parameters
    ----------
    files
        Of the segment.

    Raises
    ------
    Damaged
        The last file is.
    """
    for name in reversed(files):
        last = Place(get_first(name) - 1, name)
        stop, is_sealed = HEAD_BYTES, False
        for _, byte, wholes in read_pieces(
            folder / name, HEAD_BYTES, last.sequence, is_last=name == files[-1]
        ):
            is_sealed = wholes[-1][4] == SEAL_KEY
            stop = byte + wholes[-1][1]
            for start, _, sequence, _, key_bytes in wholes[-2:]:
                if key_bytes != SEAL_KEY:
                    last = Place(sequence, name, byte + start)
        if last.byte or is_sealed or name == files[0]:
            return End(last, stop, is_sealed)
    return End(Place(-1), HEAD_BYTES, False)


def may_be_sealed(folder: Path, files: list[str]) -> bool:
    """Return whether the last bytes of a segment look like a seal."""
    if not files:
        return False
    with open(folder / files[-1], "rb", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        data = os.pread(stream.fileno(), SEAL_BYTES, max(0, size - SEAL_BYTES))
    return is_seal(data)


def index_records(path: Path, last: str) -> tuple["array[int]", "array[int]"]:
    """Return the sequences of the records of a file, and their bytes.

    Parameters
    ----------
    last
        Name of the last file of its segment.
    """
    sequences, places = array("Q"), array("Q")
    after = get_first(path.name) - 1
    for _, byte, wholes in read_pieces(
        path, HEAD_BYTES, after, is_last=path.name == last
    ):
        sequences.extend(whole[2] for whole in wholes)
        places.extend(byte + whole[0] for whole in wholes)
    return sequences, places
