"""Whole files: encrypted, decrypted, sealed, given to other readers."""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.crypt4gh.body import (
    SEALED_BYTES,
    SEGMENT_BYTES,
    get_plain_size,
    make_ciphers,
    open_into,
)
from hpc_connector.crypt4gh.edits import make_edits
from hpc_connector.crypt4gh.header import (
    Header,
    get_header_size,
    read_header,
    reencrypt_header,
)
from hpc_connector.crypt4gh.seal import (
    MARK_BYTES,
    PAGE_SEGMENTS,
    Seal,
    check_page,
    check_segments,
    check_signer,
    check_size,
    check_uncut,
    choose_keys,
    digest_key,
    find_page,
    list_marks,
    make_seal,
    read_seal,
)
from hpc_connector.crypt4gh.writer import Writer
from hpc_connector.errors import BadInput
from hpc_connector.publish import publish
from hpc_connector.storage.address import SEAL

AT_ONCE = 16  # segments, 1 MiB: what stays in a cache; a page of a seal is 256 such


def encrypt_file(
    path: Path,
    target: Path,
    recipients: Sequence[bytes],
    signer: Ed25519PrivateKey | None = None,
) -> list[Path]:
    """Write an encrypted copy of a file, and its seal if somebody signs.

    Parameters
    ----------
    recipients
        Public keys of its readers, 32 bytes each.

    Returns
    -------
    What was written. The seal comes first into its place: a file is never there
    without it.
    """
    marks: list[bytes] = []
    n_bytes = 0
    with (
        open_input(path) as plain,
        publish(target) as stream,
        Writer(stream, recipients, tell=lambda *mark: marks.extend(mark)) as writer,
    ):
        memory = memoryview(bytearray(AT_ONCE * SEGMENT_BYTES))
        while n_read := cast("RawIOBase", plain).readinto(memory):
            n_bytes += n_read
            writer.write(memory[:n_read])
        writer.close()
        if signer:
            seal = make_seal(
                b"".join(marks),
                n_bytes,
                signer,
                name=target.name,
                created=get_time(),
                key_digests=[writer.key_digest],
            )
            save(name_seal(target), seal)
    return [target, name_seal(target)] if signer else [target]


def open_input(path: Path, mode: str = "rb", expected: str = "a file") -> BinaryIO:
    """Open a file that must be there.

    Raises
    ------
    BadInput
        It cannot be opened.
    """
    try:
        return cast("BinaryIO", open(path, mode))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}: expected {expected}") from None


def name_seal(path: Path) -> Path:
    """Return the path of the seal of an encrypted file."""
    return path.with_name(path.name + SEAL)


def get_time() -> str:
    """Return the time, as seals have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def save(path: Path, data: bytes) -> None:
    """Write a small file."""
    with publish(path) as stream:
        stream.write(data)


def read_start(stream: BinaryIO, name: str) -> bytes:
    """Return the header of a file, whole, and stand behind it."""
    data = b""
    while len(data) < (size := get_header_size(data, name)):
        more = stream.read(size - len(data))
        if not more:
            raise BadInput(f"{name} ends within its header, after {len(data)} bytes")
        data += more
    return data


def decrypt_file(
    path: Path,
    target: BinaryIO,
    key: X25519PrivateKey,
    trusted: Sequence[bytes] = (),
) -> None:
    """Write the plaintext of a file to a stream; check its seal if it has one.

    Parameters
    ----------
    trusted
        Public keys of signers, one of whom must have sealed it; empty for anybody or
        nobody.

    Raises
    ------
    BadInput
        It is not for this key, is damaged, or is not what was sealed.
    """

    def open_header(name: str, header: bytes, seal: bytes | None) -> Header:
        opened = read_header(header, key, name)
        if trusted:
            check_uncut(opened.edits, name)
        return opened

    decrypt_by(open_header, path, target, trusted)


def decrypt_by(
    open_header: Callable[[str, bytes, bytes | None], Header],
    path: Path,
    target: BinaryIO,
    trusted: Sequence[bytes] = (),
) -> None:
    """Write the plaintext of a file, whose header something opens; as decrypt_file."""
    name = str(path)
    with open_input(path) as stream:
        start = read_start(stream, name)
        header = open_header(name, start, None)
        n_bytes = os.fstat(stream.fileno()).st_size - len(start)
        size = get_plain_size(n_bytes, name)
        sealed = open_seal(path, n_bytes, trusted)
        keys = header.session_keys
        ciphers = make_ciphers(choose_keys(sealed[0], keys, name) if sealed else keys)
        edits = make_edits(header.edits, size, name)
        plain = memoryview(bytearray(AT_ONCE * SEGMENT_BYTES))
        for first, data in read_segments(path, stream, n_bytes, sealed):
            at = first * SEGMENT_BYTES
            here = plain[: get_plain_size(len(data), name)]
            if pieces := edits.keep(at, at + len(here)):
                open_into(data, ciphers, first, name, here)
                for begin, end in pieces:
                    target.write(here[begin - at : end - at])


def read_segments(
    path: Path, stream: BinaryIO, n_bytes: int, sealed: tuple[Seal, bytes] | None
) -> Iterator[tuple[int, memoryview]]:
    """Yield the segments of a body, some at a time, with the number of their first.

    They stand in the same memory, one after the other.

    Parameters
    ----------
    stream
        Of the file, at the begin of its body.
    n_bytes
        Of the body.
    sealed
        Its seal, as open_seal returns it.
    """
    memory = memoryview(bytearray(AT_ONCE * SEALED_BYTES))
    page = b""
    for first in range(0, -(-n_bytes // SEALED_BYTES), AT_ONCE):
        data = memory[: n_bytes - first * SEALED_BYTES]
        if cast("RawIOBase", stream).readinto(data) != len(data):
            raise BadInput(f"{path} was cut while it was read")
        if sealed:
            seal, marks = sealed
            number, within = divmod(first, PAGE_SEGMENTS)
            if not within:
                begin, end = find_page(number, seal)
                page = check_page(marks[begin:end], number, seal, str(name_seal(path)))
            check_segments(data, page[MARK_BYTES * within :], first, str(path))
        yield first, data


def open_seal(
    path: Path, n_bytes: int, trusted: Sequence[bytes]
) -> tuple[Seal, bytes] | None:
    """Return the seal of a file and its bytes; None if it has none, and needs none.

    Raises
    ------
    BadInput
        It does not hold, is of a signer who is not trusted, or is missing though
        somebody must have sealed the file.
    """
    beside = name_seal(path)
    try:
        data = beside.read_bytes()
    except FileNotFoundError:
        if trusted:
            raise BadInput(f"{beside} is missing: --trust needs a seal") from None
        return None
    seal = read_seal(data, str(beside))
    if seal.head["name"] != path.name:
        raise BadInput(f"{beside} is the seal of {seal.head['name']}")
    if trusted:
        check_signer(seal, trusted, str(beside))
    check_size(seal, n_bytes, str(path))
    return seal, data


def read_marks(path: Path, key: X25519PrivateKey) -> tuple[bytes, int, set[str]]:
    """Return nonce and tag of each segment of a file, which the key opens; its size.

    Also the digests of the session keys that have opened a segment: a header may have
    others, which are nobody's word.
    """
    name, marks, size, used = str(path), list[bytes](), 0, set[str]()
    with open_input(path) as stream:
        header = read_header(read_start(stream, name), key, name)
        get_plain_size(os.fstat(stream.fileno()).st_size - header.size, name)
        ciphers = make_ciphers(header.session_keys)
        digests = {
            id(cipher): digest_key(session_key)
            for cipher, session_key in zip(ciphers, header.session_keys, strict=True)
        }
        plain = memoryview(bytearray(SEGMENT_BYTES))
        while sealed := stream.read(SEALED_BYTES):
            here = plain[: get_plain_size(len(sealed), name)]
            open_into(sealed, ciphers, len(marks), name, here)
            used.add(digests[id(ciphers[0])])  # the one that opened it
            size += len(here)
            marks += list_marks(sealed)
    return b"".join(marks), size, used


def seal_file(
    path: Path, key: X25519PrivateKey, signer: Ed25519PrivateKey, version: int = 1
) -> Path:
    """Write the seal of a file that the key can open, beside it; return its path."""
    marks, size, used = read_marks(path, key)
    seal = make_seal(
        marks,
        size,
        signer,
        name=path.name,
        created=get_time(),
        version=version,
        key_digests=used,
    )
    save(name_seal(path), seal)
    return name_seal(path)


def verify_seal(path: Path, trusted: Sequence[bytes]) -> Seal:
    """Return the seal of a file, of which every segment was compared with it.

    Raises
    ------
    BadInput
        It is missing, is of another file or signer, or a segment is not the one that
        was sealed.
    """
    with open_input(path) as stream:
        start = read_start(stream, str(path))
        n_bytes = os.fstat(stream.fileno()).st_size - len(start)
        sealed = open_seal(path, n_bytes, trusted)
        if sealed is None:
            raise BadInput(f"{name_seal(path)} is missing: expected a seal to verify")
        for _ in read_segments(path, stream, n_bytes, sealed):
            pass
    return sealed[0]


def reencrypt_file(
    path: Path, key: X25519PrivateKey, recipients: Sequence[bytes], target: Path | None
) -> Path:
    """Give a file to other readers; its body is as it was.

    Parameters
    ----------
    target
        Of the file for them; None to write over its header, which must be as long.

    Returns
    -------
    The path of the file.
    """
    name = str(path)
    with open_input(path, "rb" if target else "r+b") as stream:
        before = read_start(stream, name)
        after = reencrypt_header(before, key, recipients, name)
        if target is None:
            if len(after) != len(before):
                raise BadInput(
                    f"{name}: the header would have {len(after)} bytes, it has "
                    f"{len(before)}: expected --out FILE"
                )
            os.pwrite(stream.fileno(), after, 0)
            return path
        with publish(target) as copy:
            copy.write(after)
            while piece := stream.read(AT_ONCE * SEALED_BYTES):
                copy.write(piece)
    return target
