"""File segments, read one byte after the other: slow and obvious."""

import struct
import zlib


def read_file(data):
    """Return the records of a file as (byte, sequence, time, key, value), and its end.

    A seal has the key None. The end is the byte behind the last whole record.
    """
    assert data[:8] == b"hpcstrm1"
    records, at = [], 16
    while at + 24 <= len(data):
        checksum, n = struct.unpack("<II", data[at : at + 8])
        sequence, time_ns = struct.unpack("<QQ", data[at + 8 : at + 24])
        body = data[at + 24 : at + 24 + n]
        if len(body) < n or zlib.crc32(data[at + 4 : at + 24 + n]) != checksum:
            break
        key_bytes = int.from_bytes(body[:2], "little")
        if key_bytes == 0xFFFF:
            key, value = None, body[2:]
        else:
            key, value = body[2 : 2 + key_bytes], body[2 + key_bytes :]
        records.append((at, sequence, time_ns, key, value))
        at += 24 + n
    return records, at


def read_segment(folder, segment):
    """Return the records of a segment as (position, sequence, time, key, value)."""
    found = []
    for path in sorted(folder.glob(f"{segment:04d}-*.seg")):
        for at, sequence, time_ns, key, value in read_file(path.read_bytes())[0]:
            if key is not None:
                place = f"{sequence}:{path.name}:{at}"
                found.append((place, sequence, time_ns, key, value))
    return found
