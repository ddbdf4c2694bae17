"""Where a command has its token from: an open file, a command, the last login."""

import os
import shlex
import subprocess

from hpc_connector.confidential.identity.device import TOKEN
from hpc_connector.confidential.identity.login import get_login
from hpc_connector.confidential.keys import open_descriptor
from hpc_connector.errors import BadInput

MOST_BYTES = 1 << 16
PATIENCE_S = 120  # of a command


def load_token(*, descriptor: int | None = None, command: str = "") -> str:
    """Return an access token of the user.

    Parameters
    ----------
    descriptor
        Open file with the token on its first line.
    command
        Prints the token; its words are split as a shell does, and no shell runs it.
        Without both, the token of ``keys login``, renewed if it ends.

    Raises
    ------
    BadInput
        There is none: log in.
    """
    if descriptor is not None and command:
        raise BadInput("--token-fd and --token-command: expected one of them")
    if descriptor is not None:
        return _check(_read(descriptor), f"--token-fd {descriptor}")
    if command:
        return _check(_run(command), "--token-command")
    return get_login().access


def _read(descriptor: int) -> bytes:
    try:
        with open_descriptor(descriptor, f"--token-fd {descriptor}") as stream:
            return stream.readline(MOST_BYTES)
    except OSError as error:
        raise BadInput(
            f"--token-fd {descriptor}: {error.strerror}: expected an open file"
        ) from None


def _run(command: str) -> bytes:
    try:
        words = shlex.split(command)
        done = subprocess.run(words, stdout=subprocess.PIPE, timeout=PATIENCE_S)
    except (ValueError, IndexError):
        raise BadInput("--token-command: expected words of a shell") from None
    except OSError as error:
        raise BadInput(f"--token-command: {words[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise BadInput(
            f"--token-command: {words[0]} took more than {PATIENCE_S} s"
        ) from None
    if done.returncode:
        raise BadInput(f"--token-command: {words[0]} ended with {done.returncode}")
    return done.stdout.strip()


def _check(data: bytes, what: str) -> str:
    token = os.fsdecode(data).strip()
    if not TOKEN.fullmatch(token):
        raise BadInput(f"{what}: expected an access token, and nothing else")
    return token
