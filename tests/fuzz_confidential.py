"""Change headers, bodies, seals, keys and evidence: data, or one line of bad input.

    python tests/fuzz_confidential.py [INPUTS] [--seed N] [--only NAME]

A share of it is in the suite (test_fuzz_confidential.py); a minute for 100,000 inputs.
Files are changed as tests/fuzz.py changes them. What a tag or a signature would refuse
at once is also changed before it is sealed. A reader that raises anything but BadInput,
says more than a line, shows a secret, or takes more than 20 seconds, is shown with the
seed of its input, and the exit code is 1.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hpc_connector.confidential.evidence import tpm
from hpc_connector.confidential.evidence.check import Approved, Node, check_evidence
from hpc_connector.confidential.openers import open_by_key
from hpc_connector.crypt4gh import (
    get_plain_size,
    open_segments,
    read_header,
    read_private_key,
    read_public_key,
    reencrypt_header,
)
from hpc_connector.crypt4gh.edits import make_edits
from hpc_connector.crypt4gh.header import open_packets, seal_packets
from hpc_connector.crypt4gh.seal import (
    MARK_BYTES,
    START,
    check_page,
    check_segments,
    check_size,
    find_page,
    read_seal,
)
from hpc_connector.errors import BadInput
from hpc_connector.loader import files as loader
from hpc_connector.storage import key_ring
from hpc_connector.storage.objects import forget

GOLDEN = Path(__file__).parent / "data" / "confidential"
LIMIT_S = 20
WORDS = (
    *(b"", b"\0", b"\xff" * 4, b"\0\0\0\x80", b"crypt4gh", b"hpcseal1", b"\n", b"{}"),
    *(b"1" * 5000, b"-1", b"1e999", b"null", b"[" * 3000, b'"a"', b"\xff\xfe", b":"),
)
NAME = "a file"


class Corpus(NamedTuple):
    """What is changed, and what reads it."""

    name: str
    data: bytes
    read: Callable[[bytes, np.random.Generator], object]


def read_key(name: str):
    """Return a private key of the golden files."""
    return read_private_key((GOLDEN / "keys" / f"{name}.sec").read_bytes(), name)


KEY = read_key("reader")
PUBLIC = KEY.public_key().public_bytes_raw()
SIGNER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
OBJECT = GOLDEN / "plain_200001.c4gh"
WHOLE = next(
    one["plain_sha256"]
    for one in json.loads((GOLDEN / "files.json").read_text())
    if one["file"] == OBJECT.name
)
SEALED_BODY = OBJECT.read_bytes()


def change(data: bytes, rng: np.random.Generator) -> bytes:
    """Return data with some changes, mostly one."""
    for _ in range(rng.geometric(0.6)):
        at, to = np.sort(rng.integers(0, len(data) + 1, 2)).tolist()
        to = min(to, at + int(rng.integers(1, 64)))
        word = WORDS[rng.integers(len(WORDS))]
        kind = rng.integers(6)
        if kind == 0:
            data = data[:at]
        elif kind == 1 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << rng.integers(8)]) + data[at + 1 :]
        elif kind == 2:
            data = data[:at] + word + data[to:]
        elif kind == 3:
            data = data[:to] + data[at:to] + data[to:]
        elif kind == 4:
            data = data[:at] + data[to:]
        else:
            number = struct.pack("<I", int(rng.choice(NUMBERS)))
            data = data[:at] + number + data[at + 4 :]
    return data


NUMBERS = (0, 1, 2, 63, 64, 65, 107, 108, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 20)


def read_file(data: bytes, rng: np.random.Generator) -> None:
    """Open a file; the plaintext must be of a size that its edits say."""
    header = read_header(data, KEY, NAME)
    reencrypt_header(data, KEY, [PUBLIC], NAME)
    size = get_plain_size(len(data) - header.size, NAME)
    edits = make_edits(header.edits, size, NAME)
    assert 0 <= edits.size <= size
    edits.locate(0, edits.size)
    open_segments(memoryview(data)[header.size :], header.session_keys, 0, NAME)


def read_packets(data: bytes, rng: np.random.Generator) -> None:
    """Open a header whose packets were changed before they were sealed."""
    packets = [change(packet, rng) for packet in open_packets(data, KEY, NAME)]
    body = data[read_header(data, KEY, NAME).size :]
    read_file(seal_packets(packets, [PUBLIC]) + body, rng)


def compare_seal(data: bytes, rng: np.random.Generator) -> None:
    """Check a seal, and what it is of."""
    seal = read_seal(data, NAME)
    header = read_header(SEALED_BODY, KEY, NAME)
    body = memoryview(SEALED_BODY)[header.size :]
    check_size(seal, len(body), NAME)
    begin, end = find_page(0, seal)
    page = check_page(data[begin:end], 0, seal, NAME)
    check_segments(body, page, 0, NAME)
    assert len(page) % MARK_BYTES == 0


def sign_head(data: bytes, rng: np.random.Generator) -> None:
    """Check a seal whose head was changed before it was signed."""
    head = json.loads(data[START.size : read_seal(data, NAME).size - 64])
    head["signer"] = base64.b64encode(SIGNER.public_key().public_bytes_raw()).decode()
    key = str(rng.choice(list(head)))
    if rng.integers(4):
        head[key] = VALUES[rng.integers(len(VALUES))]
    packed = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    if rng.integers(2):
        packed = change(packed, rng)
    signed = START.pack(data[:8], len(packed)) + packed
    pages = data[read_seal(data, NAME).size :]
    compare_seal(signed + SIGNER.sign(signed) + pages, rng)


VALUES = (
    *(None, True, -1, 0, 1, 4, 4096, 2**63, 1e300, "", "x", [], {}, [None], ["0" * 64]),
    *([1], [[]], {"a": []}, "\ud800", "\0", 10**400, float("nan"), ["x"] * 5),
)


def read_keys(data: bytes, rng: np.random.Generator) -> None:
    """Read a key file, of both kinds."""
    for read in (read_private_key, read_public_key):
        with contextlib.suppress(BadInput):
            read(data, NAME)
    read_private_key(data, NAME, b"wrong")


def make_quote() -> tuple[bytes, Node]:
    """Return a quote and its signature, made by hand, and the node it is of."""
    key = generate_private_key(SECP256R1())
    attest = struct.pack(">IH", tpm.MAGIC, tpm.QUOTE) + b"\0\x02ab" + b"\0\x20"
    attest += tpm.get_extra_data(b"n" * 32, b"p" * 32, "ab" * 32) + bytes(25)
    attest += struct.pack(">IHB", 1, tpm.SHA256, 3) + b"\xff\0\0\0\x20" + bytes(32)
    return attest, Node(key.public_key(), ["00" * 32])


QUOTE, NODE = make_quote()


def read_evidence(data: bytes, rng: np.random.Generator) -> None:
    """Check evidence that a job might send."""
    with_bad_quote(data)
    try:
        evidence = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(evidence, dict):
        policy = Approved(["ab" * 32], ["n1"], {"n1": NODE}, ["ab" * 48])
        said = {"nonce": b"n" * 32, "job_public": b"p" * 32, "measurement": "ab" * 32}
        check_evidence(evidence, **said, policy=policy, now=1.75e9)


def with_bad_quote(data: bytes) -> None:
    """Read bytes as a quote, and as a signature."""
    for read in (tpm.read_quote, tpm.read_signature):
        with contextlib.suppress(BadInput):
            read(data)


def read_object(data: bytes, rng: np.random.Generator) -> None:
    """Read a file as runs do, with a seal beside it, one of both changed."""
    seal = OBJECT.with_name(f"{OBJECT.name}.seal").read_bytes()
    if data == OBJECT.read_bytes():
        seal = change(seal, rng)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, OBJECT.name)
        path.write_bytes(data)
        path.with_name(f"{path.name}.seal").write_bytes(seal)
        key_ring.set_opener(open_by_key(KEY))
        forget()
        plain = loader.read_file(str(path))
        assert hashlib.sha256(plain).hexdigest() == WHOLE


def make_corpora() -> list[Corpus]:
    """Return what is changed."""
    found = [Corpus("object", OBJECT.read_bytes(), read_object)]
    found.append(Corpus("object seal", OBJECT.read_bytes(), read_object))
    names = "plain_0 plain_1 plain_65537 two_readers edit_list edit_list_open_end"
    for name in names.split():
        data = (GOLDEN / f"{name}.c4gh").read_bytes()
        found.append(Corpus(f"header {name}", data[:400], read_file))
        found.append(Corpus(f"packets {name}", data, read_packets))
    found.append(Corpus("body", (GOLDEN / "plain_1.c4gh").read_bytes(), read_file))
    seal = (GOLDEN / "plain_200001.c4gh.seal").read_bytes()
    found += [Corpus("seal", seal, compare_seal), Corpus("head", seal, sign_head)]
    for name in ("reader.sec", "reader.pub", "reader_passphrase.sec"):
        data = (GOLDEN / "keys" / name).read_bytes()
        found.append(Corpus(f"key {name}", data, read_keys))
    found.append(Corpus("quote", QUOTE, read_evidence))
    quote = {
        "quoted": base64.b64encode(QUOTE).decode(),
        "signature": "ABgACwABAQABAQ==",
    }
    dcap = GOLDEN.parent / "dcap"
    collateral = json.loads((dcap / "tdx_quote_collateral.json").read_bytes())
    processor = {
        "quote": base64.b64encode((dcap / "tdx_quote").read_bytes()).decode(),
        "collateral": collateral,
    }
    for evidence in ({"tpm": {"n1": quote}}, {"dcap": {"n1": processor}}):
        data = json.dumps(evidence).encode()
        found.append(Corpus(f"evidence {min(evidence)}", data, read_evidence))
    return found


UNCHANGED = (read_packets, sign_head)  # which change what they open themselves


def get_secrets() -> list[str]:
    """Return what no message may show."""
    header = read_header((GOLDEN / "plain_1.c4gh").read_bytes(), KEY, NAME)
    secrets = [KEY.private_bytes_raw(), *header.session_keys]
    return [form for s in secrets for form in (s.hex(), repr(s)[2:-1])]


SECRETS = get_secrets()


def try_one(corpus: Corpus, seed: int) -> str:
    """Read what was changed; return what came of it."""
    rng = np.random.default_rng(seed)
    data = corpus.data
    if corpus.read not in UNCHANGED and corpus.name != "object seal":
        data = change(data, rng)
    signal.alarm(LIMIT_S)
    try:
        corpus.read(data, rng)
    except BadInput as error:
        said = str(error)
        if "\n" in said or len(said) > 2000:
            return "more than a line"
        return "a secret" if any(s in said for s in SECRETS) else "bad input"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    finally:
        signal.alarm(0)
    return "read"


def stop(*_: object) -> None:
    """End a reader that hangs."""
    raise TimeoutError(f"no answer in {LIMIT_S} s")


def fuzz(first: int, last: int, only: str = "") -> Counter:
    """Try the seeds from the first to the last; count what came of each kind."""
    corpora = [corpus for corpus in make_corpora() if only in corpus.name]
    before = signal.signal(signal.SIGALRM, stop)
    seen: Counter = Counter()
    for seed in range(first, last):
        corpus = corpora[seed % len(corpora)]
        outcome = try_one(corpus, seed)
        seen[corpus.name, outcome] += 1
        if outcome not in ("read", "bad input"):
            print(f"{corpus.name}: seed {seed}: {outcome}", flush=True)
    signal.signal(signal.SIGALRM, before)
    return seen


def count_faults(seen: Counter) -> int:
    """Return how many were not answered well."""
    return sum(n for (_, w), n in seen.items() if w not in ("read", "bad input"))


def main() -> int:
    """Try as many inputs as are asked for; return 1 if one was not answered well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", nargs="?", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="NAME")
    args = parser.parse_args()
    start_s = time.perf_counter()
    seen = fuzz(args.seed, args.seed + args.inputs, args.only)
    names = sorted({name for name, _ in seen})
    for name in names:
        print(name, {what: n for (c, what), n in sorted(seen.items()) if c == name})
    took = f"{time.perf_counter() - start_s:.0f} s"
    faults = count_faults(seen)
    print(f"{seen.total()} inputs of {len(names)} kinds, {faults} faults, {took}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
