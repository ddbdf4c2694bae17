"""Nonces: a request of a job is new, and can be sent once."""

import hashlib
import hmac
import os
import threading
import time
from collections.abc import Callable

from hpc_connector.confidential.refused import Refused

LIFE_S = 60
LEAST_TAKEN = 1024  # that are kept before old ones are forgotten
RANDOM_BYTES, TIME_BYTES, MARK_BYTES = 8, 8, 16


class Nonces:
    """Makes nonces of 32 bytes, and takes each once.

    It keeps those that were taken, until they are too old: to ask for many costs no
    memory.

    Parameters
    ----------
    clock
        Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.secret = clock, os.urandom(32)
        self.taken: dict[bytes, float] = {}
        self.most = LEAST_TAKEN
        self.lock = threading.Lock()

    def make(self) -> bytes:
        """Return a nonce."""
        made = int(1000 * self.clock()).to_bytes(TIME_BYTES, "big")
        start = os.urandom(RANDOM_BYTES) + made
        return start + self.mark(start)

    def mark(self, start: bytes) -> bytes:
        """Return what only this keeper, since its start, could set behind a nonce."""
        return hmac.digest(self.secret, start, "sha256")[:MARK_BYTES]

    def take(self, nonce: bytes) -> None:
        """Take a nonce.

        Raises
        ------
        Refused
            It is not of this keeper, too old, or was taken before.
        """
        start, now_s = nonce[:-MARK_BYTES], self.clock()
        if not hmac.compare_digest(nonce[-MARK_BYTES:], self.mark(start)):
            raise Refused("nonce", "not of this keeper since it started", again=True)
        age_s = now_s - int.from_bytes(start[RANDOM_BYTES:], "big") / 1000
        if age_s > LIFE_S:
            raise Refused("nonce", f"older than {LIFE_S} s", again=True)
        digest = hashlib.sha256(nonce).digest()
        with self.lock:
            if len(self.taken) >= self.most:  # without those that are too old
                self.taken = {
                    d: end_s for d, end_s in self.taken.items() if end_s > now_s
                }
                self.most = 2 * max(len(self.taken), LEAST_TAKEN)
            if digest in self.taken:
                raise Refused("nonce", "sent before")
            self.taken[digest] = now_s + LIFE_S
