"""Encrypted files that the standard allows and few write, and one cut as it is read."""

import os
import struct
from io import BytesIO

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.confidential.files import AT_ONCE, read_segments
from hpc_connector.crypt4gh import make_header, read_header
from hpc_connector.crypt4gh.body import SEALED_BYTES
from hpc_connector.errors import BadInput


@pytest.mark.parametrize("n_bytes", [0, 1, 40, 60, 200])
@pytest.mark.parametrize("method", [0, 1, 7])
def test_read_header__passes_over_packets_that_it_cannot_open(n_bytes, method):
    """Of a method that is not known, a packet may be shorter than ours are."""
    key, session_key = X25519PrivateKey.generate(), os.urandom(32)
    public = key.public_key().public_bytes_raw()
    header = make_header([session_key], [public])
    odd = struct.pack("<II", 8 + n_bytes, method) + bytes(n_bytes)
    data = header[:12] + struct.pack("<I", 2) + odd + header[16:]
    found = read_header(data, key, "a file")
    assert (found.size, found.session_keys) == (len(data), (session_key,))


def test_read_segments__of_a_file_that_is_cut_meanwhile(tmp_path):
    """Between two segments, where a body alone does not show it."""
    whole = bytes(AT_ONCE * SEALED_BYTES)
    segments = read_segments(tmp_path / "x.c4gh", BytesIO(whole), 2 * len(whole), ())
    assert next(segments) == (0, whole)
    with pytest.raises(BadInput, match="was cut while it was read"):
        next(segments)
