"""Writing a file: a fresh session key, a fresh nonce for each segment."""

import io
import os
from collections.abc import Callable, Sequence
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hpc_connector.crypt4gh.body import SEALED_BYTES, SEGMENT_BYTES
from hpc_connector.crypt4gh.header import (
    KEY_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    make_header,
)
from hpc_connector.crypt4gh.seal import digest_key

Tell = Callable[[bytes, bytes], None]


class Writer(io.RawIOBase):
    """A stream of plaintext whose file is encrypted; it cannot seek.

    Parameters
    ----------
    stream
        Where the file goes; it stays open.
    recipients
        Public keys of those who can read it, 32 bytes each.
    writer
        Whose key seals the header; by default one that nobody keeps.
    tell
        Called with the nonce and the tag of each segment, as a seal records them.
    """

    def __init__(
        self,
        stream: BinaryIO,
        recipients: Sequence[bytes],
        writer: X25519PrivateKey | None = None,
        tell: Tell | None = None,
    ) -> None:
        """Write the header."""
        if not recipients:
            raise ValueError("expected at least one recipient")
        session_key = os.urandom(KEY_BYTES)
        self.key_digest = digest_key(session_key)  # as a seal records it
        self._stream, self._tell = stream, tell
        self._cipher = ChaCha20Poly1305(session_key)
        self._left = bytearray()
        self._sealed = memoryview(bytearray(SEALED_BYTES))
        stream.write(make_header([session_key], recipients, writer=writer))

    def writable(self) -> bool:
        """Return that it is written to."""
        return True

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        """Encrypt what makes whole segments, and keep the rest for later."""
        view = memoryview(data).cast("B")
        at = 0
        if self._left:
            at = min(len(view), SEGMENT_BYTES - len(self._left))
            self._left += view[:at]
            if len(self._left) < SEGMENT_BYTES:
                return len(view)
            self._seal(self._left)
            self._left = bytearray()
        whole = at + (len(view) - at) // SEGMENT_BYTES * SEGMENT_BYTES
        for begin in range(at, whole, SEGMENT_BYTES):
            self._seal(view[begin : begin + SEGMENT_BYTES])
        self._left += view[whole:]
        return len(view)

    def close(self) -> None:
        """Write the last segment; without plaintext there is none."""
        left, self._left = self._left, bytearray()
        try:
            if left and not self.closed:
                self._seal(left)
        finally:
            super().close()

    def _seal(self, segment: bytes | bytearray | memoryview) -> None:
        sealed = self._sealed[: NONCE_BYTES + len(segment) + TAG_BYTES]
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        nonce[:] = os.urandom(NONCE_BYTES)
        self._cipher.encrypt_into(nonce, segment, None, rest)
        self._stream.write(sealed)
        if self._tell:
            self._tell(bytes(nonce), bytes(rest[-TAG_BYTES:]))
