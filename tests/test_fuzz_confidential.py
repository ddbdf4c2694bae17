"""A share of fuzz_confidential.py; all of it runs by command."""

import base64

import pytest

from fuzz_confidential import GOLDEN, count_faults, fuzz
from hpc_connector.crypt4gh import read_private_key
from hpc_connector.errors import BadInput


def test_readers__of_changed_headers_seals_keys_and_evidence(capsys):
    seen = fuzz(0, 2000)
    assert count_faults(seen) == 0, capsys.readouterr().out
    outcomes = {what for _, what in seen}
    assert outcomes == {"read", "bad input"}  # some changes change nothing


def make_key_file(packed):
    begin, end = (f"-----{end} CRYPT4GH PRIVATE KEY-----" for end in ("BEGIN", "END"))
    return "\n".join([begin, base64.b64encode(packed).decode(), end]).encode()


@pytest.mark.parametrize(
    "change",
    [(b"none", b"mone"), (b"none", b"nine"), (b"c4gh-v1\0\4", b"c4gh-v1\0\x2c")],
)
def test_read_private_key__of_a_damaged_file_is_not_shown(change):
    lines = (GOLDEN / "keys" / "reader.sec").read_text().split("\n")
    packed = base64.b64decode(lines[1])
    key = read_private_key(make_key_file(packed), "me.sec").private_bytes_raw()
    with pytest.raises(BadInput) as caught:
        read_private_key(make_key_file(packed.replace(*change, 1)), "me.sec")
    shown = [repr(key[at : at + 8])[2:-1] for at in range(25)]
    assert not [part for part in shown if part in str(caught.value)]


def test_read_private_key__with_bytes_that_are_no_text():
    data = (GOLDEN / "keys" / "reader.sec").read_bytes().replace(b"Yz", b"Y\xe9", 1)
    with pytest.raises(BadInput, match="its base64 is damaged"):
        read_private_key(data, "me.sec")
