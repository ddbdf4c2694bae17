"""Commands of encrypted files, beside the reference tool's; and all that is refused."""

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from hpc_connector.commands.main import main
from hpc_connector.confidential.keys import load_key, load_recipients, load_trusted
from hpc_connector.confidential.openers import open_by_key
from hpc_connector.crypt4gh.body import SEALED_BYTES, SEGMENT_BYTES
from hpc_connector.crypt4gh.header import (
    EDIT_LIST,
    MAGIC,
    START,
    VERSION,
    get_header_size,
    list_packets,
    seal_packets,
)
from hpc_connector.crypt4gh.seal import read_seal
from hpc_connector.errors import BadInput
from hpc_connector.storage import key_ring
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import forget, get_version
from hpc_connector.storage.ranges import fetch

GOLDEN = Path(__file__).parent / "data" / "confidential"
KEYS = GOLDEN / "keys"
FILES = {case["file"]: case for case in json.loads((GOLDEN / "files.json").read_text())}
SEALED = [name for name in FILES if (GOLDEN / f"{name}.seal").exists()]
CRYPT4GH = Path(sys.executable).with_name("crypt4gh")


@pytest.fixture
def keys(tmp_path):
    """Return a folder of keys that nobody else may read."""
    shutil.copytree(KEYS, tmp_path / "keys")
    for path in (tmp_path / "keys").iterdir():
        path.chmod(0o600)
    return tmp_path / "keys"


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "cohort.bin"
    path.write_bytes(os.urandom(300_001))
    return path


@pytest.fixture
def encrypted(plain, keys):
    words = ["--to", f"{keys}/reader.pub", "--sign", f"{keys}/signer.pem"]
    assert main(["encrypt", str(plain), *words]) == 0
    return plain.with_name("cohort.bin.c4gh")


def refuse(capsys, *words):
    """Return the one line of a command that ends with code 2."""
    capsys.readouterr()
    assert main([*map(str, words)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    return said[0]


@pytest.mark.parametrize("name", FILES)
def test_decrypt__golden(name, keys, tmp_path):
    out = tmp_path / "plain"
    for reader in FILES[name]["readers"]:
        words = ["--key", f"{keys}/{reader}.sec", "--out", str(out)]
        assert main(["decrypt", str(GOLDEN / name), *words]) == 0
        digest = hashlib.sha256(out.read_bytes()).hexdigest()
        assert digest == FILES[name]["plain_sha256"]
        assert out.stat().st_mode & 0o777 == 0o600


def test_encrypt__is_decrypted_by_the_reference_tool(encrypted, plain, keys):
    command = [CRYPT4GH, "decrypt", "--sk", keys / "reader.sec"]
    with open(encrypted, "rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True)
    assert done.stdout == plain.read_bytes()


def test_decrypt__of_the_reference_tool(plain, keys, tmp_path):
    command = [CRYPT4GH, "encrypt", "--sk", keys / "owner.sec"]
    command += ["--recipient_pk", keys / "reader.pub"]
    with open(plain, "rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True)
    file, out = tmp_path / "theirs.c4gh", tmp_path / "plain"
    file.write_bytes(done.stdout)
    words = ["--key", f"{keys}/reader.sec", "--out", str(out)]
    assert main(["decrypt", str(file), *words]) == 0
    assert out.read_bytes() == plain.read_bytes()


def test_decrypt__to_standard_output(encrypted, plain, keys, capfdbinary):
    words = ["--key", f"{keys}/reader.sec", "--out", "-"]
    assert main(["decrypt", str(encrypted), *words]) == 0
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == plain.read_bytes()


@pytest.mark.parametrize("out", [False, True])
def test_reencrypt__for_another_reader(out, encrypted, plain, keys, tmp_path):
    words = ["--key", f"{keys}/reader.sec", "--to", f"{keys}/job.pub"]
    target = tmp_path / "other.c4gh" if out else encrypted
    words += ["--out", str(target)] if out else []
    assert main(["keys", "reencrypt", str(encrypted), *words]) == 0
    words = ["--key", f"{keys}/job.sec", "--out", f"{tmp_path}/plain"]
    assert main(["decrypt", str(target), *words]) == 0
    assert (tmp_path / "plain").read_bytes() == plain.read_bytes()


def test_reencrypt__of_a_longer_header_needs_a_file(encrypted, keys, capsys):
    words = ["--key", keys / "reader.sec", "--to", keys / "job.pub"]
    words += ["--to", keys / "owner.pub"]
    before = encrypted.read_bytes()
    said = refuse(capsys, "keys", "reencrypt", encrypted, *words)
    assert "expected --out FILE" in said
    assert encrypted.read_bytes() == before


@pytest.mark.parametrize("name", SEALED)
def test_seal_verify__golden(name, capsys):
    words = ["--trust", f"{KEYS}/other_signer.pub.pem"]
    words += ["--trust", f"{KEYS}/signer.pub.pem"]
    assert main(["seal", "verify", str(GOLDEN / name), *words]) == 0
    assert "as sealed, version 1" in capsys.readouterr().out


def test_seal_make__by_a_reader(encrypted, keys):
    encrypted.with_name("cohort.bin.c4gh.seal").unlink()
    words = ["--key", f"{keys}/reader.sec", "--sign", f"{keys}/other_signer.pem"]
    words += ["--seal-version", "3"]
    assert main(["seal", "make", str(encrypted), *words]) == 0
    trusted = ["--trust", f"{keys}/other_signer.pub.pem"]
    assert main(["seal", "verify", str(encrypted), *trusted]) == 0


def cut(path):
    os.truncate(path, 124 + 65_564)


def exchange(path):
    data = path.read_bytes()
    first, second = data[124 : 124 + 65_564], data[124 + 65_564 : 124 + 2 * 65_564]
    path.write_bytes(data[:124] + second + first + data[124 + 2 * 65_564 :])


@pytest.mark.parametrize(
    ("change", "words"),
    [(cut, "has 1 segments"), (exchange, "segment 0 is not the one that was sealed")],
)
def test_decrypt__of_what_was_not_sealed(
    change, words, encrypted, keys, tmp_path, capsys
):
    change(encrypted)
    out = tmp_path / "plain"
    options = ["--key", keys / "reader.sec", "--out", out]
    assert words in refuse(capsys, "decrypt", encrypted, *options)
    options = ["--trust", keys / "signer.pub.pem"]
    assert words in refuse(capsys, "seal", "verify", encrypted, *options)
    assert not list(tmp_path.glob("plain*"))


def add_packet(path, content, reader):
    """Add a packet to the header of a file, by the public key of a reader alone."""
    data = path.read_bytes()
    packets = list_packets(data, "it")
    more = list_packets(seal_packets([content], load_recipients([reader])), "more")
    start = START.pack(MAGIC, VERSION, len(packets) + 1)
    body = data[START.size + sum(map(len, packets)) :]
    path.write_bytes(start + b"".join(packets + more) + body)


@pytest.fixture
def trusting(keys):
    """Have this process read what the signer has sealed, by the key of the reader."""
    trusted = load_trusted([keys / "signer.pub.pem"])
    key_ring.set_opener(open_by_key(load_key(keys / "reader.sec")), trusted)
    yield
    key_ring.forget_keys()
    forget()


@pytest.mark.usefixtures("trusting")
def test_edit_list__of_anybody_is_not_what_was_sealed(
    encrypted, keys, tmp_path, capsys
):
    """A header can be given one without a session key: a public key is enough."""
    edits = struct.pack("<IIQ", EDIT_LIST, 1, 5)
    add_packet(encrypted, edits, keys / "reader.pub")
    out, key = tmp_path / "plain", keys / "reader.sec"
    words = ["decrypt", encrypted, "--key", key, "--out", out]
    trust = ["--trust", keys / "signer.pub.pem"]
    assert "has an edit list, which a seal does not" in refuse(capsys, *words, *trust)
    assert main([*map(str, words)]) == 0
    with pytest.raises(BadInput, match="has an edit list"):
        get_version(Source(str(encrypted)))


def forge(sealed, plain, session_key):
    """Return a segment of another plaintext and key, of the nonce and tag of one.

    Whoever chooses the key knows what Poly1305 computes: sixteen bytes near the end are
    those that make the tag what it was. None where they would be more than sixteen.
    """
    nonce, tag, prime = sealed[:12], sealed[-16:], (1 << 130) - 5
    cipher = ChaCha20Poly1305(session_key)
    data = cipher.encrypt(nonce, plain, None)[:-16]
    stream = Cipher(ChaCha20(session_key, bytes(4) + nonce), mode=None).encryptor()
    block = stream.update(bytes(32))
    r = int.from_bytes(block[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    s, total = int.from_bytes(block[16:], "little"), 0
    for at in range(0, len(data) - 16, 16):
        total = (total + int.from_bytes(data[at : at + 16], "little") + (1 << 128)) * r
        total %= prime
    lengths = (len(data) << 64) + (1 << 128)
    wanted = (int.from_bytes(tag, "little") - s) % (1 << 128)
    inverse = pow(r, -1, prime)
    for carry in range(4):
        last = ((wanted + (carry << 128)) * inverse - lengths) * inverse - total
        last = last % prime - (1 << 128)
        if 0 <= last < 1 << 128 and wanted + (carry << 128) < prime:
            return nonce + data[:-16] + last.to_bytes(16, "little") + tag
    return None


@pytest.mark.usefixtures("trusting")
def test_session_key__of_anybody_is_not_what_was_sealed(
    encrypted, keys, tmp_path, capsys
):
    """A header can be given one; by it a segment can have the tag that was sealed."""
    data = encrypted.read_bytes()
    size = get_header_size(data, "it")
    made = (
        (
            session_key,
            forge(data[size:][:SEALED_BYTES], bytes(SEGMENT_BYTES), session_key),
        )
        for session_key in iter(lambda: os.urandom(32), b"")
    )
    session_key, forged = next(pair for pair in made if pair[1])
    encrypted.write_bytes(data[:size] + forged + data[size + SEALED_BYTES :])
    add_packet(encrypted, bytes(8) + session_key, keys / "reader.pub")
    out, trust = tmp_path / "plain", ["--trust", keys / "signer.pub.pem"]
    words = ["decrypt", encrypted, "--key", keys / "reader.sec", "--out", out]
    assert "segment 0 is damaged" in refuse(capsys, *words, *trust)
    source = Source(str(encrypted))
    with pytest.raises(BadInput, match="segment 0 is damaged"):
        fetch(source, get_version(source), [(0, 10)])
    encrypted.with_name("cohort.bin.c4gh.seal").unlink()
    assert main([*map(str, words)]) == 0  # it opens, but for the seal
    assert out.read_bytes()[: SEGMENT_BYTES - 16] == bytes(SEGMENT_BYTES - 16)


def test_seal_make__names_the_session_keys_that_are_used(encrypted, keys, capsys):
    seal = encrypted.with_name("cohort.bin.c4gh.seal")
    before = read_seal(seal.read_bytes(), "before").head["key_digests"]
    add_packet(encrypted, bytes(8) + os.urandom(32), keys / "reader.pub")
    words = ["--key", keys / "reader.sec", "--sign", keys / "signer.pem"]
    assert main(["seal", "make", str(encrypted), *map(str, words)]) == 0
    assert read_seal(seal.read_bytes(), "it").head["key_digests"] == before


CORES = """
import resource, sys
from hpc_connector.commands.main import main
resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
code = main(sys.argv[1:])
print(code, resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


def test_key__is_in_no_core_file_of_a_command(encrypted, keys, tmp_path):
    command = [sys.executable, "-c", CORES, "decrypt", encrypted, "--out"]
    command += [tmp_path / "plain", "--key", keys / "reader.sec"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "0"]


def test_decrypt__refuses(encrypted, keys, tmp_path, capsys):
    def decrypt(file, key, *more):
        out = tmp_path / "plain"
        return refuse(capsys, "decrypt", file, "--key", key, "--out", out, *more)

    trust = "--trust", keys / "other_signer.pub.pem"
    reader = keys / "reader.sec"
    assert "no packet for this key" in decrypt(encrypted, keys / "job.sec")
    assert "expected one of --trust" in decrypt(encrypted, reader, *trust)
    assert "is a public key: expected the private" in decrypt(
        encrypted, keys / "reader.pub"
    )
    assert "needs its passphrase" in decrypt(encrypted, keys / "reader_passphrase.sec")
    reader.chmod(0o644)
    assert "open to others (mode 644): expected chmod 600" in decrypt(encrypted, reader)
    reader.chmod(0o600)
    seal = encrypted.with_name("cohort.bin.c4gh.seal")
    shutil.copy(GOLDEN / "plain_1.c4gh.seal", seal)
    assert "is the seal of plain_1.c4gh" in decrypt(encrypted, reader)
    seal.unlink()
    assert "--trust needs a seal" in decrypt(encrypted, reader, *trust)
    assert not (tmp_path / "plain").exists()


def test_commands__of_a_file_that_is_not_there(keys, tmp_path, capsys):
    none, reader = tmp_path / "none", keys / "reader.sec"
    out, sign = tmp_path / "out", keys / "signer.pem"
    for words in (
        ["encrypt", none, "--to", keys / "reader.pub"],
        ["encrypt", keys, "--to", keys / "reader.pub"],
        ["encrypt", none, "--to", none],
        ["decrypt", none, "--key", reader, "--out", out],
        ["decrypt", none, "--key", none, "--out", out],
        ["seal", "make", none, "--key", reader, "--sign", sign],
        ["seal", "verify", none, "--trust", keys / "signer.pub.pem"],
        ["keys", "reencrypt", none, "--key", reader, "--to", keys / "job.pub"],
    ):
        assert re.search(r"/(none|keys): .*: expected a ", refuse(capsys, *words))


def test_commands__without_cryptography():
    code = (
        "import sys; sys.modules['cryptography'] = None; "
        "from hpc_connector.commands.main import main; sys.exit(main(['keys', 'new']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'hpc_connector[confidential]'" in done.stderr


def test_encrypt__writes_nothing_for_a_recipient_who_is_none(plain, keys, capsys):
    before = sorted(plain.parent.iterdir())
    words = ["--to", keys / "reader.pub", "--to", keys / "reader.sec"]
    assert "is not a crypt4gh public key" in refuse(capsys, "encrypt", plain, *words)
    assert sorted(plain.parent.iterdir()) == before


@pytest.mark.parametrize("passphrase", ["", "a secret"])
def test_keys_new__can_be_used(passphrase, plain, tmp_path):
    more = []
    if passphrase:
        (tmp_path / "phrase").write_text(f"{passphrase}\n")
        more = ["--passphrase-fd"]

    def call(*words):
        if not more:
            return main([*map(str, words)])
        with open(tmp_path / "phrase", "rb") as stream:
            return main([*map(str, words), *more, str(stream.fileno())])

    assert call("keys", "new", tmp_path / "me") == 0
    assert (tmp_path / "me.sec").stat().st_mode & 0o777 == 0o600
    assert main(["encrypt", str(plain), "--to", str(tmp_path / "me.pub")]) == 0
    file, out = plain.with_name("cohort.bin.c4gh"), tmp_path / "plain"
    assert call("decrypt", file, "--key", tmp_path / "me.sec", "--out", out) == 0
    assert out.read_bytes() == plain.read_bytes()


def test_keys_new__with_a_passphrase_that_did_not_come(tmp_path, capsys):
    """Who names where it comes from wants no key without one."""
    with open(os.devnull, "rb") as stream:
        words = ["keys", "new", tmp_path / "me", "--passphrase-fd", stream.fileno()]
        assert "its first line is empty" in refuse(capsys, *words)
    assert not list(tmp_path.glob("me*"))


def test_keys_new__writes_what_nobody_has_open(tmp_path):
    """A half file of others, which they can read or have linked, is not written to."""
    half = tmp_path / "me.sec.partial"
    half.touch(0o666)
    (tmp_path / "other.sec.partial").symlink_to(tmp_path / "elsewhere")
    with half.open("rb") as stream:
        assert main(["keys", "new", str(tmp_path / "me")]) == 0
        assert stream.read() == b""
    assert (tmp_path / "me.sec").stat().st_mode & 0o777 == 0o600
    assert main(["keys", "new", str(tmp_path / "other")]) == 0
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "other.sec").is_symlink()


def test_keys_new__never_writes_over_a_key(tmp_path, capsys):
    assert main(["keys", "new", str(tmp_path / "me"), "--signer"]) == 0
    before = (tmp_path / "me.pem").read_bytes()
    said = refuse(capsys, "keys", "new", tmp_path / "me", "--signer")
    assert "expected the name of a new key" in said
    assert (tmp_path / "me.pem").read_bytes() == before
