"""Quotes of TPM 2.0: how a node was booted, signed by its TPM.

Source: Trusted Platform Module Library, part 2 (Structures), revision 1.59:
TPMS_ATTEST (10.12.12), TPMS_QUOTE_INFO (10.12.1), TPMT_SIGNATURE (11.3.4). All numbers
are big endian. A key that only signs what its TPM made (restricted) signs nothing that
begins with the magic number for anybody else.
"""

import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hpc_connector.confidential.evidence.binding import WORD, hash_binding
from hpc_connector.confidential.refused import Refused
from hpc_connector.errors import BadInput

MAGIC, QUOTE = 0xFF544347, 0x8018
SHA256, ECDSA = 0x000B, 0x0018
CLOCK = struct.Struct(">QIIBQ")  # clock, resets, restarts, safe; version of firmware
LABEL = b"hpc_connector tpm v1\0"


@dataclass(frozen=True)
class Quote:
    """What a TPM says in a quote.

    Parameters
    ----------
    extra_data
        What it was asked to sign.
    registers
        Numbers of the PCRs of SHA-256 that it is of.
    digest
        SHA-256 of the values of those registers, one after the other.
    """

    extra_data: bytes
    registers: tuple[int, ...]
    digest: bytes


def get_extra_data(nonce: bytes, job_public: bytes, measurement: str) -> bytes:
    """Return what a TPM must sign for a job: 32 bytes; see :func:`hash_binding`."""
    return hash_binding(LABEL, nonce, job_public, measurement)


class Fields:
    """Reads fields one after the other; refuses what is cut."""

    def __init__(self, data: bytes) -> None:
        """Stand at the first."""
        self.data, self.at = data, 0

    def take(self, n_bytes: int) -> bytes:
        """Return so many bytes."""
        found = self.data[self.at : self.at + n_bytes]
        if len(found) < n_bytes:
            raise Refused(WORD, f"a quote is cut at byte {len(self.data)}")
        self.at += n_bytes
        return found

    def number(self, n_bytes: int) -> int:
        """Return a number of so many bytes."""
        return int.from_bytes(self.take(n_bytes), "big")

    def sized(self) -> bytes:
        """Return bytes that stand behind their length, two bytes."""
        return self.take(self.number(2))

    def end(self) -> None:
        """Refuse what follows."""
        if self.at != len(self.data):
            raise Refused(WORD, f"a quote goes on behind its end, byte {self.at}")


def read_quote(attest: bytes) -> Quote:
    """Return what is in a TPMS_ATTEST that is a quote.

    Raises
    ------
    Refused
        It is none, or of other registers than those of SHA-256.
    """
    fields = Fields(attest)
    if fields.number(4) != MAGIC or fields.number(2) != QUOTE:
        raise Refused(WORD, "not a quote that a TPM made")
    fields.sized()  # name of the key
    extra_data = fields.sized()
    fields.take(CLOCK.size)
    registers: list[int] = []
    for _ in range(fields.number(4)):
        if (kind := fields.number(2)) != SHA256:
            raise Refused(WORD, f"registers of hash {kind:#06x}: expected SHA-256")
        bits = fields.take(fields.number(1))
        registers += [n for n in range(8 * len(bits)) if bits[n // 8] >> n % 8 & 1]
    digest = fields.sized()
    fields.end()
    return Quote(extra_data, tuple(registers), digest)


def read_signature(data: bytes) -> bytes:
    """Return the DER of a TPMT_SIGNATURE, which must be ECDSA with SHA-256.

    Raises
    ------
    Refused
        It is another, or cut.
    """
    fields = Fields(data)
    kinds = fields.number(2), fields.number(2)
    if kinds != (ECDSA, SHA256):
        raise Refused(WORD, "a quote that is not signed by ECDSA with SHA-256")
    r, s = (int.from_bytes(fields.sized(), "big") for _ in range(2))
    fields.end()
    return encode_dss_signature(r, s)


def load_attestation_key(pem: bytes, name: str) -> ec.EllipticCurvePublicKey:
    """Return the public key that the quotes of a node are signed by.

    Raises
    ------
    BadInput
        It is none, or not on P-256.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise BadInput(f"{name} is no public key of PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise BadInput(f"{name}: expected an ECDSA key on P-256, to sign quotes")
    return key


def verify_quote(
    attest: bytes, signature: bytes, key: ec.EllipticCurvePublicKey
) -> Quote:
    """Return what a quote says, once its signature was found to hold.

    Parameters
    ----------
    attest
        TPMS_ATTEST.
    signature
        TPMT_SIGNATURE.

    Raises
    ------
    Refused
        It does not hold, or is no quote.
    """
    try:
        key.verify(read_signature(signature), attest, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused(WORD, "the signature of a quote does not hold") from None
    return read_quote(attest)
