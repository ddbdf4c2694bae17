"""Appending to a segment in Pravega: each writer begins a part, and ends that before.

Who comes last takes a segment over: the part before is ended first, and read after.
What another writer was appending is then in it, and acknowledged, or is refused.
"""

import time
from collections.abc import Iterable

from hpc_connector.errors import BadInput
from hpc_connector.streams.bytestream.parts import Parts
from hpc_connector.streams.records import (
    Position,
    check_record,
    check_sequence,
    refuse_sealed,
    refuse_sequence,
)
from hpc_connector.streams.segment_layout import (
    HEAD_BYTES,
    Place,
    get_first,
    make_head,
    make_record,
    make_seal,
    name_file,
)

BATCH_BYTES = 1 << 20  # of several records in one call


class PartWriter:
    """The writer of a segment, until another one takes it over.

    Parameters
    ----------
    where
        The segment, for messages.
    roll_bytes
        Most of a part, unless one record alone is longer.
    """

    def __init__(self, parts: Parts, segment: int, where: str, roll_bytes: int) -> None:
        self.parts, self.segment, self.where = parts, segment, where
        self.roll_bytes = roll_bytes
        self.name, self.size = "", 0  # of the part that is appended to
        self.asked: object = None  # the process that does so, and alone can go on
        self.last = Place(-1)
        self.index: dict[int, Place] = {}  # the records of one part
        self.is_lost = False

    def prepare(self) -> None:
        """Take the segment, unless it is held.

        Raises
        ------
        BadInput
            It is sealed, or another writer has taken it over.
        """
        if self.is_lost:
            raise self.refuse()
        if self.name and self.asked is self.parts.calls.asked:
            return
        names = self.parts.list_names(self.segment)
        newest = names[-1] if names else ""
        n_bytes = self.parts.get_size(newest) if newest else 0
        if n_bytes and self.parts.is_seal(newest):
            raise refuse_sealed(self.where)
        if n_bytes:
            self.parts.ask("seal", newest)  # nobody else appends there any more
        self.last = self.parts.find_last(self.segment, names)
        is_begun = newest and not n_bytes
        self.begin(newest if is_begun else self.name_next())

    def name_next(self) -> str:
        """Return the name of the part that begins behind the last record."""
        return name_file(self.segment, self.last.sequence + 1)

    def begin(self, name: str) -> None:
        """Begin a part."""
        self.parts.ask("create", name)
        if self.parts.ask("begin", name):
            raise self.refuse()
        self.name, self.size = name, 0
        self.asked = self.parts.calls.asked

    def refuse(self) -> BadInput:
        """Return what is raised if another has appended."""
        names = self.parts.list_names(self.segment)
        if names and self.parts.is_seal(names[-1]):
            return refuse_sealed(self.where)
        return BadInput(
            f"{self.where}: another writer has taken it over: expected one writer a "
            "segment"
        )

    def append_many(
        self, records: Iterable[tuple[bytes, bytes]], sequence: int | None
    ) -> Position:
        """Append records, many in a call; return the position of the last."""
        self.prepare()
        number = self.last.sequence + 1 if sequence is None else sequence
        batch: list[tuple[int, bytes]] = []
        n_bytes, place = 0, self.last
        for key, value in records:
            check_record(key, value, self.where)
            if number <= self.last.sequence:
                place = self.find(number)
            else:
                check_sequence(number, self.where)
                data = make_record(number, key, value, time.time_ns())
                if batch and n_bytes + len(data) > BATCH_BYTES:
                    self.write(batch)
                    batch, n_bytes = [], 0
                batch.append((number, data))
                n_bytes += len(data)
            number += 1
        if batch:
            self.write(batch)
            place = self.last
        return place.write()

    def write(self, records: list[tuple[int, bytes]]) -> None:
        """Append records, by sequence and bytes, to one part, all or none."""
        data = b"".join(one for _, one in records)
        if self.size > HEAD_BYTES and self.size + len(data) > self.roll_bytes:
            self.parts.ask("end", self.name)
            self.begin(self.name_next())
        head = b"" if self.size else make_head(get_first(self.name))
        if not self.parts.ask("append", self.name, head + data):
            self.is_lost = True
            raise self.refuse()
        self.size += len(head)
        for sequence, one in records:
            self.last = Place(sequence, self.name, self.size)
            self.size += len(one)

    def seal(self) -> None:
        """End the segment, by a part that is a seal."""
        self.prepare()
        if self.size:
            self.begin(self.name_next())
        sequence = get_first(self.name)
        data = make_head(sequence) + make_seal(sequence)
        if not self.parts.ask("append", self.name, data):
            self.is_lost = True
            raise self.refuse()
        self.parts.ask("seal", self.name)
        self.name = ""

    def find(self, sequence: int) -> Place:
        """Return where the record of a sequence is, that was appended before.

        Raises
        ------
        BadInput
            There is none, or no more.
        """
        if sequence == self.last.sequence and self.last.byte:
            return self.last
        if sequence not in self.index:
            names = self.parts.list_names(self.segment)
            chosen = [name for name in names if get_first(name) <= sequence][-1:]
            self.index = {
                found.place.sequence: found.place
                for name in chosen
                for found in self.parts.iterate(
                    self.segment, name, HEAD_BYTES, get_first(name) - 1
                )
            }
        if sequence not in self.index:
            raise refuse_sequence(self.where, sequence, self.last.sequence)
        return self.index[sequence]
