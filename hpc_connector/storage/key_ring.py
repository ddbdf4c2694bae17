"""What opens encrypted objects in this process: an opener, and what it has opened.

The process that begins a run has an opener. Those that work for it have what that one
has opened, session keys and no other key, and can open nothing else.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.storage import address


class Opener(NamedTuple):
    """What opens the headers of a run's encrypted inputs.

    Parameters
    ----------
    open
        Takes the name of an object, for messages, its header, whole, and its seal up to
        and including the signature, which holds, or None without a seal; returns the
        ``Header`` of :mod:`hpc_connector.crypt4gh`. Raises BadInput.
    facts
        Of the opener for the manifest, as far as they are known; nothing secret.
    public
        The public key, 32 bytes, of which it opens what is encrypted to it, also later;
        None where there will be none.
    """

    open: Callable[[str, bytes, bytes | None], Any]
    facts: dict[str, Any]
    public: bytes | None = None


_opener: Opener | None = None
_trusted: tuple[bytes, ...] = ()
_opened: dict[str, Any] = {}  # bodies (storage.sealed.segments.Body) by names


def set_opener(opener: Opener | None, trusted: Iterable[bytes] = ()) -> None:
    """Have what opens headers, and the public keys of who must have sealed them."""
    global _opener, _trusted
    _opener, _trusted = opener, tuple(trusted)


def get_opener(uri: str) -> Opener:
    """Return the opener.

    Raises
    ------
    BadInput
        There is none.
    """
    if _opener is None:
        raise BadInput(
            f"{address.show(uri)} is encrypted: expected --key, that of one of its "
            "readers"
        )
    return _opener


def get_public() -> bytes | None:
    """Return the key for what only this run shall read again; None without one."""
    return _opener.public if _opener else None


def get_trusted() -> tuple[bytes, ...]:
    """Return the public keys of who must have sealed objects; none for anybody."""
    return _trusted


def get_facts() -> dict[str, Any]:
    """Return what the opener says of itself; nothing without one."""
    return dict(_opener.facts) if _opener else {}


def get_body(uri: str) -> Any:
    """Return an object that was opened, None if it was not."""
    return _opened.get(uri)


def keep_body(uri: str, body: Any) -> None:
    """Keep an object that was opened."""
    _opened[uri] = body


def get_known() -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return what was opened, and who is trusted, for a process that works for this.

    It is secret.
    """
    return dict(_opened), _trusted


def know(known: tuple[dict[str, Any], tuple[bytes, ...]]) -> None:
    """Take what another process has opened, that this one works for."""
    global _trusted
    opened, _trusted = known
    _opened.update(opened)


def forget_opened() -> None:
    """Forget what was opened: objects may have changed."""
    _opened.clear()


def forget_keys() -> None:
    """Forget what was opened, and what opens."""
    set_opener(None)
    forget_opened()
