"""Crypt4GH, GA4GH's format of encrypted files: bytes to bytes, nothing is opened here.

A file has a header, which holds session keys for each of its readers, and a body of
segments, each of 65,536 bytes of plaintext: any range of the plaintext needs only the
segments that it lies in.

Source: GA4GH File Encryption Standard, version 1 (samtools.github.io/hts-specs,
crypt4gh.pdf), sections 2 and 3.
"""

from hpc_connector.crypt4gh.body import (
    SEGMENT_BYTES,
    get_plain_size,
    open_segments,
)
from hpc_connector.crypt4gh.edits import Edits
from hpc_connector.crypt4gh.header import (
    Header,
    get_header_size,
    make_header,
    read_header,
    reencrypt_header,
)
from hpc_connector.crypt4gh.key_files import (
    KeyPair,
    make_keys,
    read_private_key,
    read_public_key,
)
from hpc_connector.crypt4gh.writer import Writer

__all__ = [
    "SEGMENT_BYTES",
    "Edits",
    "Header",
    "KeyPair",
    "Writer",
    "get_header_size",
    "get_plain_size",
    "make_header",
    "make_keys",
    "open_segments",
    "read_header",
    "read_private_key",
    "read_public_key",
    "reencrypt_header",
]
