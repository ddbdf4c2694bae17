"""Reading all of a stream, to find what is damaged."""

from dataclasses import dataclass, replace
from pathlib import Path

from hpc_connector.streams.file_segments import FileStream
from hpc_connector.streams.follow import MOST_RECORDS
from hpc_connector.streams.segment_layout import (
    HEAD_BYTES,
    RECORD,
    SEAL_KEY,
    Damaged,
    find_whole,
    get_first,
)
from hpc_connector.streams.segment_reader import check_next, read_pieces
from hpc_connector.streams.stream import Stream


@dataclass(frozen=True)
class Verified:
    """What a segment has.

    Parameters
    ----------
    n_bytes
        Of keys and values.
    faults
        What is wrong, a line each.
    """

    segment: int
    n_records: int
    n_bytes: int
    is_sealed: bool
    faults: tuple[str, ...] = ()


def verify_stream(stream: Stream) -> list[Verified]:
    """Read all records of a stream; of files, also what is behind damage."""
    if isinstance(stream, FileStream):
        return [verify_files(stream, k) for k in range(stream.n_segments)]
    return [verify_records(stream, k) for k in range(stream.n_segments)]


def verify_records(stream: Stream, segment: int) -> Verified:
    """Read a segment of any stream; its sequences must go up."""
    position = stream.describe().segments[segment].first
    is_sealed = stream.is_sealed(segment)
    found, after = Verified(segment, 0, 0, is_sealed), -1
    while records := stream.read(segment, position, most_records=MOST_RECORDS):
        for record in records:
            if record.sequence <= after:
                said = f"{stream.url}: segment {segment}: record {record.sequence} at "
                said += f"{record.position} comes behind {after}"
                found = replace(found, faults=(*found.faults, said))
            after = record.sequence
        n_bytes = sum(len(record.key) + len(record.value) for record in records)
        found = replace(
            found,
            n_records=found.n_records + len(records),
            n_bytes=found.n_bytes + n_bytes,
        )
        position = records[-1].position
    return found


def verify_files(stream: FileStream, segment: int) -> Verified:
    """Read all files of a segment."""
    files = stream.list_files(segment)
    found, after = Verified(segment, 0, 0, False), -1
    for name in files:
        faults: list[str] = []
        if name != files[0] and not found.faults:
            try:
                check_next(stream.folder / name, after)
            except Damaged as error:
                faults.append(str(error))
        one, after = verify_file(stream.folder / name, is_last=name == files[-1])
        found = Verified(
            segment,
            found.n_records + one.n_records,
            found.n_bytes + one.n_bytes,
            one.is_sealed,
            (*found.faults, *faults, *one.faults),
        )
    return found


def verify_file(path: Path, *, is_last: bool) -> tuple[Verified, int]:
    """Read a file of a segment; return also the sequence of its last record."""
    n_records = n_bytes = 0
    byte, after = HEAD_BYTES, get_first(path.name) - 1
    is_sealed, faults = False, []
    try:
        for _, start, wholes in read_pieces(path, byte, after, is_last=is_last):
            is_sealed = wholes[-1][4] == SEAL_KEY
            records = wholes[: len(wholes) - is_sealed]
            n_records += len(records)
            n_bytes += sum(one[1] - one[0] - RECORD.size for one in records)
            byte, after = start + wholes[-1][1], wholes[-1][2]
        with open(path, "rb") as stream:
            stream.seek(byte)
            if (found := find_whole(stream.read(), after)) >= 0:
                faults.append(
                    f"{path}: damaged at byte {byte}, record {after + 1}: a whole "
                    f"record follows at byte {byte + found}"
                )
    except Damaged as error:
        faults.append(str(error))
    return Verified(0, n_records, n_bytes, is_sealed, tuple(faults)), after
