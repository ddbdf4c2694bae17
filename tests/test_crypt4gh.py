"""Crypt4GH: golden files, the reference tool both ways, ranges, and damaged files."""

import contextlib
import hashlib
import io
import json
import random
from pathlib import Path

import crypt4gh.keys
import crypt4gh.lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.crypt4gh import (
    SEGMENT_BYTES,
    Writer,
    get_header_size,
    get_plain_size,
    make_header,
    make_keys,
    open_segments,
    read_header,
    read_private_key,
    read_public_key,
    reencrypt_header,
)
from hpc_connector.crypt4gh.body import find_sealed, find_segments
from hpc_connector.crypt4gh.edits import make_edits
from hpc_connector.crypt4gh.key_files import NeedsPassphrase
from hpc_connector.errors import BadInput

GOLDEN = Path(__file__).parent / "data" / "confidential"
FILES = {case["file"]: case for case in json.loads((GOLDEN / "files.json").read_text())}
SIZES = (0, 1, 65_535, 65_536, 65_537, 200_001)


def read_key(name, passphrase=b""):
    path = GOLDEN / "keys" / f"{name}.sec"
    return read_private_key(path.read_bytes(), path.name, passphrase)


def read_public(name):
    path = GOLDEN / "keys" / f"{name}.pub"
    return read_public_key(path.read_bytes(), path.name)


def read_range(data, key, first, last, name="a file"):
    """Return a range of the plaintext of a file that is in memory."""
    header = read_header(data, key, name)
    body = memoryview(data)[header.size :]
    size = get_plain_size(len(body), name)
    edits = make_edits(header.edits, size, name)
    found = []
    for begin, end in edits.locate(first, last):
        segments = find_segments((begin, end), size)
        a, b = find_sealed(segments, size)
        plain = open_segments(body[a:b], header.session_keys, segments[0], name)
        shift = segments[0] * SEGMENT_BYTES
        found.append(bytes(plain[begin - shift : end - shift]))
    return b"".join(found)


def encrypt(plain, recipients, pieces=None):
    """Return an encrypted file; written in pieces of such sizes, in turn."""
    stream = io.BytesIO()
    with Writer(stream, recipients) as writer:
        at, k = 0, 0
        while at < len(plain):
            n = pieces[k % len(pieces)] if pieces else len(plain)
            writer.write(plain[at : at + n])
            at, k = at + n, k + 1
    return stream.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_golden__ranges_are_those_of_the_plaintext(name):
    case, data = FILES[name], (GOLDEN / name).read_bytes()
    for reader in case["readers"]:
        key = read_key(reader)
        assert get_header_size(data, name) == case["header_bytes"]
        plain = read_range(data, key, 0, case["plain_bytes"])
        assert hashlib.sha256(plain).hexdigest() == case["plain_sha256"]
        for first, last, sha256 in case["ranges"]:
            found = read_range(data, key, first, last)
            assert hashlib.sha256(found).hexdigest() == sha256


@pytest.mark.parametrize("name", FILES)
def test_golden__is_closed_to_others(name):
    strangers = {"owner", "reader", "job", "stranger"} - {*FILES[name]["readers"]}
    for stranger in strangers:
        with pytest.raises(BadInput, match=f"{name}: no packet for this key"):
            read_header((GOLDEN / name).read_bytes(), read_key(stranger), name)


@pytest.mark.parametrize("size", SIZES)
def test_writer__is_read_by_the_reference_tool(size):
    plain = random.Random(size).randbytes(size)
    data = encrypt(plain, [read_public("owner"), read_public("reader")])
    for reader in ("owner", "reader"):
        secret = read_key(reader).private_bytes_raw()
        target = io.BytesIO()
        crypt4gh.lib.decrypt([(0, secret, None)], io.BytesIO(data), target)
        assert target.getvalue() == plain


@pytest.mark.parametrize("size", SIZES)
def test_read_header__of_the_reference_tool(size):
    plain, target = random.Random(size).randbytes(size), io.BytesIO()
    own = read_key("owner").private_bytes_raw()
    recipients = [(0, own, read_public("reader"))]
    crypt4gh.lib.encrypt(recipients, io.BytesIO(plain), target)
    assert read_range(target.getvalue(), read_key("reader"), 0, size) == plain


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 150_000), min_size=1, max_size=4), st.integers(0, 300_000)
)
def test_writer__in_pieces_of_any_size(pieces, size):
    plain = random.Random(size).randbytes(size)
    data = encrypt(plain, [read_public("reader")], pieces)
    assert len(data) == 124 + size + 28 * -(-size // SEGMENT_BYTES)
    assert read_range(data, read_key("reader"), 0, size) == plain


def test_read_range__ten_thousand_of_them():
    chance = random.Random(1)
    plain = chance.randbytes(300_001)
    data, key = encrypt(plain, [read_public("reader")]), read_key("reader")
    header = read_header(data, key, "a file")
    body, size = data[header.size :], len(plain)
    for _ in range(10_000):
        first, last = sorted(chance.choices(range(size + 1), k=2))
        last = min(last, first + 3000)
        segments = find_segments((first, last), size)
        a, b = find_sealed(segments, size)
        opened = open_segments(body[a:b], header.session_keys, segments[0], "")
        shift = segments[0] * SEGMENT_BYTES
        assert opened[first - shift : last - shift] == plain[first:last]


def test_open_segments__by_several_session_keys():
    chance = random.Random(2)
    files = [
        encrypt(chance.randbytes(SEGMENT_BYTES), [read_public("reader")]) for _ in "ab"
    ]
    headers = [read_header(data, read_key("reader"), "") for data in files]
    keys = [key for header in headers for key in header.session_keys]
    header = make_header(keys, [read_public("job")])
    opened = read_header(header, read_key("job"), "")
    assert opened.session_keys == tuple(keys)
    body = files[1][124:] + files[0][124:]
    expected = b"".join(
        open_segments(data[124:], h.session_keys, 0, "")
        for data, h in zip(files[::-1], headers[::-1], strict=True)
    )
    assert open_segments(body, opened.session_keys, 0, "") == expected


def test_reencrypt_header__keeps_keys_and_edits():
    data = (GOLDEN / "edit_list.c4gh").read_bytes()
    (reader,) = FILES["edit_list.c4gh"]["readers"]
    before = read_header(data, read_key(reader), "")
    again = reencrypt_header(data, read_key(reader), [read_public("stranger")], "")
    after = read_header(again, read_key("stranger"), "")
    assert after[1:] == before[1:]
    with pytest.raises(BadInput, match="no packet"):
        read_header(again, read_key(reader), "")
    target = io.BytesIO()
    secret = read_key("stranger").private_bytes_raw()
    moved = io.BytesIO(again + data[before.size :])
    crypt4gh.lib.decrypt([(0, secret, None)], moved, target)
    digest = hashlib.sha256(target.getvalue()).hexdigest()
    assert digest == FILES["edit_list.c4gh"]["plain_sha256"]


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(0, 200), st.data())
def test_edits__are_pieces_of_the_plaintext(numbers, size, data):
    plain = bytes(range(size % 256)) * 2
    plain = plain[:size].ljust(size, b"x")
    if sum(numbers) > size:
        with pytest.raises(BadInput, match="edit list reaches to byte"):
            make_edits(numbers, size, "a file")
        return
    kept, at = b"", 0
    for k, n in enumerate(numbers):
        kept, at = kept + plain[at : at + n] * (k % 2), at + n
    if len(numbers) % 2:
        kept += plain[at:]
    edits = make_edits(numbers, size, "a file")
    assert edits.size == len(kept)
    first = data.draw(st.integers(0, len(kept)))
    last = data.draw(st.integers(first, len(kept)))
    found = b"".join(plain[a:b] for a, b in edits.locate(first, last))
    assert found == kept[first:last]


@pytest.mark.parametrize("passphrase", [b"", b"a secret"])
def test_make_keys__are_read_by_the_reference_tool(passphrase, tmp_path):
    pair = make_keys(passphrase)
    (tmp_path / "own.sec").write_bytes(pair.private)
    (tmp_path / "own.pub").write_bytes(pair.public)
    own = read_private_key(pair.private, "own.sec", passphrase)
    ask = lambda: passphrase.decode()  # noqa: E731
    theirs = crypt4gh.keys.get_private_key(str(tmp_path / "own.sec"), ask)
    assert theirs == own.private_bytes_raw()
    public = own.public_key().public_bytes_raw()
    assert crypt4gh.keys.get_public_key(str(tmp_path / "own.pub")) == public
    assert read_public_key(pair.public, "own.pub") == public


def test_read_private_key__asks_for_its_passphrase():
    phrase = (GOLDEN / "keys" / "reader_passphrase.txt").read_bytes().strip()
    with pytest.raises(NeedsPassphrase, match="needs its passphrase"):
        read_key("reader_passphrase")
    with pytest.raises(NeedsPassphrase, match="is wrong"):
        read_key("reader_passphrase", b"no")
    assert read_key("reader_passphrase", phrase)


def test_open_segments__says_which_is_damaged():
    plain = bytes(3 * SEGMENT_BYTES)
    data = bytearray(encrypt(plain, [read_public("reader")]))
    data[124 + 65_564 + 700] ^= 1
    with pytest.raises(BadInput, match="cohort: segment 1 is damaged"):
        read_range(bytes(data), read_key("reader"), 0, len(plain), "cohort")
    read_range(bytes(data), read_key("reader"), 0, SEGMENT_BYTES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: b"crypt4gi" + d[8:], "is not Crypt4GH"),
        (lambda d: b"BAM\x01" + d[4:], "is not Crypt4GH"),
        (lambda d: d[:8] + b"\x02\0\0\0" + d[12:], "of version 2"),
        (lambda d: d[:12] + bytes(4) + d[16:], "without packets"),
        (lambda d: d[:60], "ends within its header"),
        (lambda d: d[:12] + b"\xff\xff\xff\xff" + d[16:], "header of over"),
        (lambda d: d[:16] + b"\xff\xff\xff\x0f" + d[20:], "header of over"),
        (lambda d: d[:16] + b"\x04\0\0\0" + d[20:], "packet 1 of 4 bytes is too short"),
        (lambda d: d[:130], "is cut: it ends within segment 0"),
    ],
)
def test_read_range__of_what_is_no_file(change, words):
    data = encrypt(b"plain" * 100, [read_public("reader")])
    with pytest.raises(BadInput, match=words):
        read_range(change(data), read_key("reader"), 0, 1)


@settings(max_examples=300)
@given(st.data())
def test_read_header__of_anything(data):
    found = bytearray(encrypt(b"plain", [read_public("reader")])[:124])
    for _ in range(data.draw(st.integers(1, 6))):
        found[data.draw(st.integers(0, 123))] = data.draw(st.integers(0, 255))
    cut = bytes(found[: data.draw(st.integers(0, 124))])
    with contextlib.suppress(BadInput):
        assert len(read_header(cut, read_key("reader"), "a file").session_keys) == 1
