"""Seals: golden ones, and every way in which a body may be another than was sealed."""

import json
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.crypt4gh.body import SEALED_BYTES, get_plain_size
from hpc_connector.crypt4gh.seal import (
    MARK_BYTES,
    PAGE_SEGMENTS,
    START,
    check_page,
    check_segments,
    check_signer,
    check_size,
    find_page,
    get_seal_size,
    make_seal,
    read_seal,
)
from hpc_connector.errors import BadInput

GOLDEN = Path(__file__).parent / "data" / "confidential"
SEALED = sorted(path.name for path in GOLDEN.glob("*.c4gh.seal"))
HEADER_BYTES = {
    case["file"]: case["header_bytes"]
    for case in json.loads((GOLDEN / "files.json").read_text())
}
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def read_trusted(name):
    key = load_pem_public_key((GOLDEN / "keys" / f"{name}.pub.pem").read_bytes())
    return key.public_bytes_raw()


def list_marks(body):
    """Return nonce and tag of each segment of a body."""
    segments = [
        body[at : at + SEALED_BYTES] for at in range(0, len(body), SEALED_BYTES)
    ]
    return b"".join(segment[:12] + segment[-16:] for segment in segments)


def seal_body(body, **changes):
    words = {"name": "a.c4gh", "created": "2026-11-30T00:00:00Z"} | changes
    return make_seal(list_marks(body), get_plain_size(len(body), ""), SIGNER, **words)


def check(body, data, name="a.c4gh"):
    """Check a whole body as one reads it."""
    seal = read_seal(data, f"{name}.seal")
    check_size(seal, len(body), name)
    for number in range(len(seal.head["pages"])):
        first, last = find_page(number, seal)
        page = check_page(data[first:last], number, seal, f"{name}.seal")
        at = number * PAGE_SEGMENTS
        part = body[at * SEALED_BYTES : (at + PAGE_SEGMENTS) * SEALED_BYTES]
        check_segments(part, page, at, name)
    return seal


def make_body(n_segments, rest=100):
    chance = random.Random(n_segments)
    return chance.randbytes(SEALED_BYTES * (n_segments - 1) + 28 + rest)


@pytest.mark.parametrize("name", SEALED)
def test_golden__holds(name):
    file = name.removesuffix(".seal")
    body = (GOLDEN / file).read_bytes()[HEADER_BYTES[file] :]
    seal = check(body, (GOLDEN / name).read_bytes(), file)
    check_signer(seal, [read_trusted("other_signer"), read_trusted("signer")], name)
    with pytest.raises(BadInput, match="expected one of --trust"):
        check_signer(seal, [read_trusted("other_signer")], name)


@pytest.mark.parametrize("name", SEALED)
def test_make_seal__is_the_golden_one(name):
    data = (GOLDEN / name).read_bytes()
    head = read_seal(data, name).head
    key = load_pem_private_key((GOLDEN / "keys/signer.pem").read_bytes(), None)
    body = (GOLDEN / head["name"]).read_bytes()[HEADER_BYTES[head["name"]] :]
    words = {name: head[name] for name in ("name", "created", "version")}
    assert make_seal(list_marks(body), head["plain_bytes"], key, **words) == data


CHANGES = {
    "exchanged": (lambda b: b[SEALED_BYTES : 2 * SEALED_BYTES] + b[:SEALED_BYTES]
                  + b[2 * SEALED_BYTES :], "segment 0 is not the one"),
    "repeated": (lambda b: b[:SEALED_BYTES] + b, "has 4 segments"),
    "dropped": (lambda b: b[SEALED_BYTES:], "has 2 segments"),
    "cut": (lambda b: b[: 2 * SEALED_BYTES], "has 2 segments"),
    "copied": (lambda b: b[:SEALED_BYTES] * 2 + b[2 * SEALED_BYTES :],
               "segment 1 is not the one"),
}  # fmt: skip


@pytest.mark.parametrize("how", CHANGES)
def test_check__of_segments_that_were(how):
    body = make_body(3)
    data = seal_body(body)
    check(body, data)
    change, words = CHANGES[how]
    with pytest.raises(BadInput, match=f"a.c4gh:? {words}"):
        check(change(body), data)


def test_check__of_several_pages():
    marks = random.Random(3).randbytes(MARK_BYTES * (PAGE_SEGMENTS + 5))
    words = {"name": "a", "created": ""}
    data = make_seal(marks, 65_536 * (PAGE_SEGMENTS + 5), SIGNER, **words)
    seal = read_seal(data[: get_seal_size(data, "a")], "a")
    assert len(seal.head["pages"]) == 2
    first, last = find_page(1, seal)
    assert check_page(data[first:last], 1, seal, "a") == marks[-5 * MARK_BYTES :]
    with pytest.raises(BadInput, match="page 0 was changed"):
        check_page(data[first:last], 0, seal, "a")


@settings(max_examples=300)
@given(st.integers(0, 700), st.integers(1, 255))
def test_read_seal__of_one_that_was_changed(at, change):
    data = bytearray(seal_body(make_body(2)))
    data[at % len(data)] ^= change
    with pytest.raises(BadInput, match=r"^a\.c4gh"):
        check(make_body(2), bytes(data))


@settings(max_examples=200)
@given(st.binary(max_size=80), st.integers(0, 200))
def test_read_seal__of_any_head(head, length):
    data = START.pack(b"hpcseal1", length) + head
    with pytest.raises(BadInput, match=r"^a seal"):
        read_seal(data, "a seal")


@pytest.mark.parametrize("head", ["[]", "{}", "[" * 100_000, '{"segments": "1"}'])
def test_read_seal__of_a_head_that_is_none(head):
    signed = START.pack(b"hpcseal1", len(head)) + head.encode()
    with pytest.raises(BadInput, match=r"^a seal: its head"):
        read_seal(signed + SIGNER.sign(signed), "a seal")
