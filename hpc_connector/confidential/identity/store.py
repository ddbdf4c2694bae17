"""The login of a user, in the folder in memory that the system keeps for each."""

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from hpc_connector.errors import BadInput

VARIABLE = "XDG_RUNTIME_DIR"
FORMAT_VERSION = 1
MOST_BYTES = 1 << 17
OTHERS = stat.S_IRWXG | stat.S_IRWXO
AGAIN = "expected hpc-connector keys login"


@dataclass(frozen=True)
class Login:
    """A login: at which server, by which client, and its tokens, which are secrets.

    Parameters
    ----------
    expires_s
        End of the access token, seconds since 1970.
    refresh
        Empty if the server gives none.
    """

    issuer: str
    audience: str
    role: str
    client: str
    expires_s: float
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    format_version: int = FORMAT_VERSION


def get_folder() -> Path:
    """Return the folder of the login; it may not be there yet.

    Raises
    ------
    BadInput
        The system keeps none for us, or others may enter it: nothing is stored then.
    """
    place = os.environ.get(VARIABLE, "")
    instead = "expected --token-fd N or --token-command WORDS instead of a login"
    if not place.startswith("/"):
        raise BadInput(f"{VARIABLE} names no folder to keep a token in: {instead}")
    try:
        found = os.stat(place)
    except OSError as error:
        raise BadInput(f"{VARIABLE}: {place}: {error.strerror}: {instead}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise BadInput(f"{VARIABLE}: {place} is no folder: {instead}")
    if found.st_uid != os.geteuid() or found.st_mode & OTHERS:
        raise BadInput(f"{VARIABLE}: {place} is open to others: {instead}")
    return Path(place, "hpc_connector")


@contextlib.contextmanager
def locked() -> Iterator[Path]:
    """Give the path of the login, which no other process of the user changes now.

    Raises
    ------
    BadInput
        There is no folder for it; see :func:`get_folder`.
    """
    folder = get_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield folder / "token.json"
    finally:
        os.close(held)


def save(path: Path, login: Login) -> None:
    """Write a login, for its owner alone from its first byte on."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(os.open(partial, flags, 0o600), "w") as stream:
        json.dump(asdict(login), stream)
    partial.replace(path)


def read(path: Path) -> Login:
    """Return the login.

    Raises
    ------
    BadInput
        There is none, others may read it, or it is of another version.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
            found = os.fstat(stream.fileno())
            if found.st_uid != os.geteuid() or found.st_mode & OTHERS:
                raise BadInput(f"{path} is open to others: expected chmod 600")
            data = stream.read(MOST_BYTES)
    except FileNotFoundError:
        raise BadInput(f"nobody has logged in: {AGAIN}") from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}: {AGAIN}") from None
    try:
        login = Login(**json.loads(data))
    except (ValueError, TypeError, RecursionError):
        raise BadInput(f"{path} is no login: {AGAIN}") from None
    fits = [type(getattr(login, each.name)) is each.type for each in fields(login)]
    if not all(fits) or login.format_version != FORMAT_VERSION:
        raise BadInput(f"{path} is of another version: {AGAIN}")
    return login
