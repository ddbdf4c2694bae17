"""MUNGE by its C library: who, on a cluster, has said something.

A credential can be decoded once, within a minute, and by one user alone.
"""

import contextlib
import ctypes
import functools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hpc_connector.confidential.refused import Refused
from hpc_connector.errors import BadInput

LIBRARY = "libmunge.so.2"
SOCKET = ""  # of munged; empty for the one that the library was built with
TTL_S = 60
START = "MUNGE:"  # of a credential
OPT_TTL, OPT_SOCKET, OPT_UID_RESTRICTION = 4, 8, 9  # munge.h, munge_opt_t
BAD_CREDENTIAL = 8  # munge_err_t: this and above is the credential's fault


class Said(NamedTuple):
    """What a credential carries, and which user made it."""

    payload: bytes
    uid: int


@functools.cache
def load_library() -> ctypes.CDLL:
    """Return the library.

    Raises
    ------
    BadInput
        It is not on this machine.
    """
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        raise BadInput(
            f"there is no {LIBRARY} here: expected the MUNGE of a cluster (Debian's "
            "libmunge2)"
        ) from None
    library.munge_ctx_create.restype = ctypes.c_void_p
    library.munge_strerror.restype = ctypes.c_char_p
    return library


@contextlib.contextmanager
def open_context(socket: str, options: Mapping[int, int]) -> Iterator[ctypes.c_void_p]:
    """Give a context of the library, by the options of its header."""
    library = load_library()
    context = ctypes.c_void_p(library.munge_ctx_create())
    try:
        if path := socket or SOCKET:
            words = ctypes.c_char_p(path.encode())
            check(library.munge_ctx_set(context, OPT_SOCKET, words))
        for option, value in options.items():
            check(library.munge_ctx_set(context, option, ctypes.c_int(value)))
        yield context
    finally:
        library.munge_ctx_destroy(context)


def check(status: int) -> None:
    """Raise where a call failed.

    Raises
    ------
    Refused
        The credential is at fault.
    OSError
        The daemon does not answer.
    """
    if status == 0:
        return
    said = load_library().munge_strerror(status).decode(errors="replace").lower()
    if status >= BAD_CREDENTIAL:
        raise Refused("munge", said)
    raise OSError(f"munge: {said}: expected munged on this machine")


def make_credential(payload: bytes, uid: int, socket: str = "") -> str:
    """Return a credential that one user can decode, once.

    Parameters
    ----------
    uid
        Of that user.

    Raises
    ------
    BadInput
        There is no MUNGE on this machine.
    OSError
        The daemon does not answer.
    """
    made = ctypes.c_void_p()
    options = {OPT_TTL: TTL_S, OPT_UID_RESTRICTION: uid}
    with open_context(socket, options) as context:
        encode = load_library().munge_encode
        check(encode(ctypes.byref(made), context, payload, len(payload)))
        return take(made, None).decode()


def read_credential(credential: str, socket: str = "") -> Said:
    """Return what a credential carries, and who made it.

    Raises
    ------
    Refused
        It was changed, is too old, was decoded before, or is for another user.
    OSError
        The daemon does not answer.
    """
    if not credential.startswith(START):
        raise Refused("munge", "expected a credential of MUNGE")
    payload, size, uid = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_uint32()
    found = *map(ctypes.byref, (payload, size, uid)), None  # without the group
    with open_context(socket, {}) as context:
        status = load_library().munge_decode(credential.encode(), context, *found)
        data = take(payload, size.value)  # which a refused one may carry too
        check(status)
    return Said(data, uid.value)


def take(pointer: ctypes.c_void_p, size: int | None) -> bytes:
    """Return what the library has allocated, and give it back.

    Parameters
    ----------
    size
        Bytes; None for a text, which ends with a zero.
    """
    if not pointer:
        return b""
    release = ctypes.CDLL(None).free
    release.argtypes, release.restype = [ctypes.c_void_p], None
    try:
        return ctypes.string_at(pointer, -1 if size is None else size)
    finally:
        release(pointer)
