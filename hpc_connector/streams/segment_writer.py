"""Appending to a segment of files: one writer, one write a record.

After a write that failed, the next append looks for the end of what is whole, as a new
writer does, and cuts what follows.
"""

import contextlib
import os
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.locks.process_lock import Lock, release, take
from hpc_connector.publish import sync_folder
from hpc_connector.streams.records import (
    Position,
    check_record,
    check_sequence,
    refuse_sealed,
    refuse_sequence,
)
from hpc_connector.streams.segment_layout import (
    HEAD_BYTES,
    Damaged,
    Place,
    find_whole,
    get_first,
    list_files,
    make_head,
    make_record,
    make_seal,
    name_file,
)
from hpc_connector.streams.segment_reader import (
    find_end,
    index_records,
)
from hpc_connector.streams.stream import Sync

EXPECTED = "one writer a segment"
SYNC_S = 1.0
CHECK_S = 0.1  # a look costs a third of an append
BATCH_BYTES = 1 << 20  # of several records in one write
NEW = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL


def name_lock(segment: int) -> str:
    """Return the name of the file that says who writes a segment."""
    return f"{segment:04d}.writer"


class SegmentWriter:
    """The one writer of a segment, until it is closed.

    Parameters
    ----------
    where
        The segment, for messages.
    roll_bytes
        Most of a file, unless one record alone is longer.

    Raises
    ------
    BadInput
        Another process holds the segment.
    """

    def __init__(
        self, folder: Path, segment: int, where: str, roll_bytes: int, sync: Sync
    ) -> None:
        self.folder, self.segment, self.where = folder, segment, where
        self.roll_bytes, self.sync = roll_bytes, sync
        self.file = -1  # descriptor of the last file
        self.name, self.size = "", 0  # of that, as far as its records are whole
        self.last = Place(-1)
        self.is_sealed = False
        self.check_s = 0.0  # when to look next for bytes of another
        self.index: tuple[str, array[int], array[int]] | None = None
        self.late = LateSync() if sync == "1s" else None
        self.lock_path = folder / name_lock(segment)
        self.process = os.getpid()
        lock = Lock(self.lock_path, where, "has appended there", EXPECTED, "writers")
        self.lock = take(lock)
        try:
            self.open_end()
        except BaseException:
            self.close()
            raise

    def open_end(self) -> None:
        """Find the end, and cut what is behind it: a write that was not finished."""
        files = list_files(self.folder, self.segment)
        end = find_end(self.folder, files)
        self.index = None
        self.last, self.is_sealed = end.last, end.is_sealed
        self.name = end.last.file if end.last.byte else ""
        self.size = end.byte
        if end.is_sealed:
            return
        for name in reversed(files):
            if name == self.name:
                cut_behind(self.folder / name, end.byte, end.last.sequence)
                path = self.folder / name
                self.file = os.open(path, os.O_WRONLY | os.O_APPEND)
                return
            cut_behind(self.folder / name, 0, get_first(name) - 1)

    def append(self, key: bytes, value: bytes, sequence: int | None) -> Position:
        """Append one record; see :class:`hpc_connector.streams.stream.Stream`."""
        check_record(key, value, self.where)
        self.prepare()
        if sequence is None:
            sequence = self.last.sequence + 1
        if sequence <= self.last.sequence:
            return self.find(sequence).write()
        check_sequence(sequence, self.where)
        self.write(sequence, [make_record(sequence, key, value, time.time_ns())])
        return self.last.write()

    def append_many(
        self, records: Iterable[tuple[bytes, bytes]], sequence: int | None
    ) -> Position:
        """Append records, many in a write; return the position of the last."""
        self.prepare()
        number = self.last.sequence + 1 if sequence is None else sequence
        batch: list[bytes] = []
        n_bytes = 0
        place = self.last
        for key, value in records:
            check_record(key, value, self.where)
            if number <= self.last.sequence:
                place = self.find(number)
            else:
                check_sequence(number, self.where)
                data = make_record(number, key, value, time.time_ns())
                full = n_bytes + len(data) > min(BATCH_BYTES, self.get_room())
                if batch and full:
                    self.write(number - len(batch), batch)
                    batch, n_bytes = [], 0
                batch.append(data)
                n_bytes += len(data)
            number += 1
        if batch:
            self.write(number - len(batch), batch)
            place = self.last
        return place.write()

    def seal(self) -> None:
        """End the segment, on the disk unless nothing is to be so."""
        self.prepare(may_be_sealed=True)
        if not self.is_sealed:
            sequence = self.last.sequence + 1
            self.write(sequence, [make_seal(sequence)], is_seal=True)
            self.is_sealed = True

    def prepare(self, *, may_be_sealed: bool = False) -> None:
        """Check that this segment can be appended to.

        Raises
        ------
        BadInput
            It is sealed, or another writer was there.
        """
        if self.file < 0:
            self.open_end()
        if self.is_sealed and not may_be_sealed:
            raise refuse_sealed(self.where)
        if time.monotonic() >= self.check_s:
            self.check_alone()
        if self.late:
            self.late.check()

    def check_alone(self) -> None:
        """Refuse to go on behind bytes of another writer, whatever the lock says.

        Raises
        ------
        BadInput
            There are some.
        """
        self.check_s = time.monotonic() + CHECK_S
        if self.file >= 0 and (size := os.fstat(self.file).st_size) != self.size:
            raise BadInput(
                f"{self.folder / self.name}: has {size} bytes, {self.size} of them of "
                "this writer: expected one writer a segment"
            )

    def get_room(self) -> int:
        """Return how many bytes the last file takes before it is rolled."""
        return max(0, self.roll_bytes - max(self.size, HEAD_BYTES))

    def write(
        self, sequence: int, records: list[bytes], *, is_seal: bool = False
    ) -> None:
        """Append records to one file.

        Parameters
        ----------
        sequence
            Of the first; the others count on.
        """
        data = records[0] if len(records) == 1 else b"".join(records)
        is_full = self.size > HEAD_BYTES and self.size + len(data) > self.roll_bytes
        if not self.name or (is_full and not is_seal):
            self.roll()
        try:
            if not self.size:
                self.size = write_all(self.file, make_head(get_first(self.name)))
            write_all(self.file, data)
            self.move_end(sequence, records, len(data))
        except BaseException as error:  # nobody knows how much was written
            if isinstance(error, OSError):
                error.filename = str(self.folder / self.name)
            with contextlib.suppress(OSError):  # what was acknowledged before
                self.make_durable(is_end=True)
            self.let_go()
            raise
        if self.sync != "none":
            self.make_durable()

    def move_end(self, sequence: int, records: list[bytes], n_bytes: int) -> None:
        """Move the end behind records that were written."""
        if self.index and self.index[0] == self.name:
            self.index[1].extend(range(sequence, sequence + len(records)))
            self.index[2].extend(accumulate(map(len, records[:-1]), initial=self.size))
        n, size = len(records), self.size + n_bytes
        self.last = Place(sequence + n - 1, self.name, size - len(records[-1]))
        self.size = size

    def roll(self) -> None:
        """Begin a new file."""
        self.make_durable(is_end=True)
        self.let_go()
        name = name_file(self.segment, self.last.sequence + 1)
        self.file = os.open(self.folder / name, NEW, 0o666)
        self.name, self.size = name, 0
        if self.sync != "none":
            sync_folder(self.folder)

    def find(self, sequence: int) -> Place:
        """Return where the record of a sequence is, that was appended before.

        Raises
        ------
        BadInput
            There is none, or no more.
        """
        if sequence == self.last.sequence and self.last.byte:
            return self.last
        files = list_files(self.folder, self.segment)
        names = [name for name in files if get_first(name) <= sequence]
        if names and (self.index is None or self.index[0] != names[-1]):
            self.index = (names[-1], *index_records(self.folder / names[-1], files[-1]))
        if names and self.index:
            name, sequences, places = self.index
            k = bisect_left(sequences, sequence)
            if k < len(sequences) and sequences[k] == sequence:
                return Place(sequence, name, places[k])
        raise refuse_sequence(self.where, sequence, self.last.sequence)

    def make_durable(self, *, is_end: bool = False) -> None:
        """Have what was written outlive the machine, as far as that is asked for."""
        if self.file < 0:
            return
        if self.sync == "each" or (self.late and is_end):
            os.fdatasync(self.file)
        elif self.late:
            self.late.begin(self.file)

    def let_go(self) -> None:
        """Close the last file."""
        if self.late:
            self.late.end()
        if self.file >= 0:
            os.close(self.file)
        self.file = -1

    def close(self) -> None:
        """Have all on the disk, and let another writer come."""
        try:
            self.make_durable(is_end=True)
        finally:
            self.let_go()
            if self.process == os.getpid():  # not in a child
                release(self.lock_path, self.lock)
            self.lock = ""


class LateSync:
    """Has a file on the disk a second after it was written to, by a thread."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.file = -1
        self.error: OSError | None = None
        self.timer: threading.Timer | None = None

    def begin(self, file: int) -> None:
        """Have a file on the disk in a second, unless that is to happen anyway."""
        if self.file < 0:
            self.file = file
            self.timer = threading.Timer(SYNC_S, self.sync)
            self.timer.daemon = True
            self.timer.start()

    def sync(self) -> None:
        """Have the file on the disk now."""
        with self.guard:
            file, self.file = self.file, -1
            try:
                if file >= 0:
                    os.fdatasync(file)
            except OSError as error:
                self.error = error

    def end(self) -> None:
        """Leave the file alone, which is closed next."""
        with self.guard:
            self.file = -1
        if self.timer:
            self.timer.cancel()
            self.timer = None

    def check(self) -> None:
        """Raise the error of a sync that failed."""
        if self.error:
            error, self.error = self.error, None
            raise error


def write_all(file: int, data: bytes) -> int:
    """Write bytes, in one call unless the system takes less; return how many."""
    done = os.write(file, data)
    while done < len(data):
        done += os.write(file, data[done:])
    return done


def cut_behind(path: Path, byte: int, after: int) -> None:
    """Cut a file where its last whole record ends; without any it is removed.

    Raises
    ------
    Damaged
        Whole records follow: it is no unfinished write.
    """
    with open(path, "rb") as stream:
        stream.seek(byte)
        rest = stream.read()
    if (found := find_whole(rest, after)) >= 0:
        raise Damaged(
            f"{path}: damaged at byte {byte}, record {after + 1}: a whole record "
            f"follows at byte {byte + found}, so that nothing is cut"
        )
    if byte == 0:
        path.unlink()
    elif rest:
        os.truncate(path, byte)
