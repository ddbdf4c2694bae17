"""The public keys of an issuer, asked for now and then (RFC 7517)."""

import functools
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpc_connector.confidential.identity.provider import discover
from hpc_connector.confidential.identity.web import Unreachable, get
from hpc_connector.errors import BadInput

KEPT_S = 300
PAUSE_S = 30  # between questions for a key that is not there
REST_S = 5  # after a question that was not answered


def fetch_keys(issuer: str) -> list[Mapping[str, Any]]:
    """Return the keys that an issuer publishes, as JWK.

    Raises
    ------
    Unreachable
        It publishes none.
    """
    keys = get(discover(issuer).jwks or issuer).get("keys")
    if not isinstance(keys, list):
        raise Unreachable(f"{issuer} publishes no keys: expected a key set (jwks_uri)")
    return [key for key in keys if isinstance(key, dict)]


@dataclass
class Keys:
    """The keys of one issuer; any number of threads may ask.

    Parameters
    ----------
    fetch
        Asks the issuer for all its keys.
    """

    fetch: Callable[[], list[Mapping[str, Any]]]
    get_time: Callable[[], float] = time.monotonic
    _known: list[Mapping[str, Any]] = field(default_factory=list)
    _asked_s: float = -math.inf
    _failed_s: float = -math.inf
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, name: str) -> list[Mapping[str, Any]]:
        """Return the keys of a name.

        They are asked for if those known are of 300 s ago, or if there is none of that
        name; for such a name once in 30 s, or who makes up names would have us ask the
        issuer without end.
        """
        with self._lock:
            age_s = self.get_time() - self._asked_s
            if age_s >= KEPT_S:
                self._ask()
            found = self._list(name)
            if not found and PAUSE_S <= age_s < KEPT_S:
                self._ask()
                found = self._list(name)
            return found

    def _list(self, name: str) -> list[Mapping[str, Any]]:
        return [key for key in self._known if key.get("kid") == name]

    def _ask(self) -> None:
        """Ask, but for a moment after an error: those who wait do not wait in turn."""
        if self.get_time() - self._failed_s < REST_S:
            raise Unreachable("the issuer does not answer: expected its keys")
        try:
            self._known = self.fetch()
        except BadInput:
            self._failed_s = self.get_time()
            raise
        self._asked_s = self.get_time()


@functools.lru_cache(maxsize=16)
def get_keys(issuer: str) -> Keys:
    """Return the keys of an issuer, the same for all who ask."""
    return Keys(functools.partial(fetch_keys, issuer))
