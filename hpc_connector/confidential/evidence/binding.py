"""What the quotes of a job are for: its nonce, its key and its code, as one digest."""

import hashlib

WORD = "evidence"  # of refusals


def hash_binding(
    label: bytes, nonce: bytes, job_public: bytes, measurement: str
) -> bytes:
    """Return the SHA-256 that a quote is made for, 32 bytes.

    Parameters
    ----------
    label
        Of the kind of quote: one kind is not taken for another.
    nonce, job_public
        32 bytes each.
    measurement
        64 hex digits.
    """
    said = nonce + job_public + bytes.fromhex(measurement)
    return hashlib.sha256(label + said).digest()
