"""Blocks on a disk: one after another in a file, each behind its header.

What a crash has left of the last one is cut off: nobody was told that it is there.
"""

import os
import struct
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
from isal import isal_zlib

from hpc_connector.errors import BadInput
from hpc_connector.federation.hub.wire import (
    HEADER,
    Header,
    check_crc,
    get_bytes,
    make_header,
    pack_header,
    read_header,
)
from hpc_connector.federation.masks import Numbers
from hpc_connector.publish import sync_folder

Name = tuple[int, int]  # stage and number
CRC = struct.Struct("<I")  # of what stands before numbers


class Kept(NamedTuple):
    """Where the numbers of a block are, and of which messages they are the sum.

    Parameters
    ----------
    crcs
        CRC-32 of the message of each site.
    """

    at: int
    header: Header
    crcs: tuple[int, ...]


class BlockFile:
    """A file of blocks, to which more are added, and that threads share.

    Parameters
    ----------
    n_sites
        Whose messages a block is the sum of.
    """

    def __init__(self, path: Path, n_sites: int = 0) -> None:
        self.path, self.crcs = path, struct.Struct(f"<{n_sites}I")
        self.start_size = HEADER.size + self.crcs.size + CRC.size
        self.kept: dict[Name, Kept] = {}
        self.lock = threading.Lock()
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.end = self.scan()
        os.truncate(self.file, self.end)
        sync_folder(path.parent)

    def scan(self) -> int:
        """Find the blocks of the file; return where the last whole one ends."""
        size, at = os.fstat(self.file).st_size, 0
        while at + self.start_size <= size:
            try:
                header, crcs = self.read_start(at)
                kept = Kept(at + self.start_size, header, crcs)
                if kept.at + header.n_bytes > size:
                    break
                self.read(kept)
            except BadInput:
                break
            self.kept[header.stage, header.block] = kept
            at = kept.at + header.n_bytes
        return at

    def read_start(self, at: int) -> tuple[Header, tuple[int, ...]]:
        """Return what stands before the numbers of a block.

        Raises
        ------
        BadInput
            It is not what was written: another name would give its sum to another.
        """
        data = os.pread(self.file, self.start_size, at)
        before = data[: -CRC.size]
        if CRC.unpack(data[-CRC.size :]) != (isal_zlib.crc32(before),):
            raise BadInput(f"{self.path}, byte {at}: expected the start of a block")
        crcs = self.crcs.unpack(before[HEADER.size :])
        return read_header(before[: HEADER.size]), crcs

    def put(self, name: Name, numbers: Numbers, crcs: tuple[int, ...] = ()) -> None:
        """Add a block; it is on the disk when this returns, and so are those before."""
        header = make_header(*name, numbers)
        before = pack_header(header) + self.crcs.pack(*crcs)
        before += CRC.pack(isal_zlib.crc32(before))
        with self.lock:
            at = self.end
            write_all(self.file, memoryview(before), at)
            write_all(self.file, get_bytes(numbers), at + len(before))
            self.end = at + len(before) + header.n_bytes
        os.fdatasync(self.file)
        self.kept[name] = Kept(at + len(before), header, crcs)

    def get(self, name: Name) -> Numbers:
        """Return the numbers of a block, which must be there."""
        return self.read(self.kept[name])

    def read(self, kept: Kept) -> Numbers:
        """Return the numbers of a block.

        Raises
        ------
        BadInput
            They are not those that were written.
        """
        numbers = np.empty(kept.header.size, kept.header.dtype)
        view, at = numbers.view(np.uint8).data, 0
        while at < len(view) and (n := os.preadv(self.file, [view[at:]], kept.at + at)):
            at += n
        try:
            check_crc(kept.header, numbers)
        except BadInput as error:
            raise BadInput(f"{self.path}: {error}") from None
        return numbers

    def close(self) -> None:
        """Close the file."""
        os.close(self.file)


def write_all(file: int, data: memoryview, at: int) -> None:
    """Write bytes at a place of a file."""
    while len(data):
        n = os.pwrite(file, data, at)
        data, at = data[n:], at + n
