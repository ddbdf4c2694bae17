"""Calls of Pravega's client, in a process of its own, each with a deadline."""

import socket
import subprocess
import sys
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

from hpc_connector.errors import BadInput

PROBE_S, FIRST_S = 2.0, 4.0  # until it is said that nobody answers
LATER_S = 30.0  # where somebody did: a server may be busy, or move a segment
START_S = 60.0  # of the process here
NEWEST = (3, 11)  # Python that the client has wheels for


def check_client(where: str) -> None:
    """Refuse a Python without Pravega's client.

    Raises
    ------
    BadInput
        It is not installed, or there is none for this Python.
    """
    if find_spec("pravega_client") is not None:
        return
    if sys.version_info[:2] > NEWEST:
        here = ".".join(map(str, sys.version_info[:2]))
        raise BadInput(
            f"{where}: Pravega's client has no wheels for CPython {here}: expected "
            f"{'.'.join(map(str, NEWEST))}, or a stream of another kind"
        )
    raise BadInput(
        f"{where} needs pravega: expected pip install 'hpc_connector[pravega]'"
    )


def probe(host: str, port: int, where: str) -> None:
    """Connect to a controller, for its client waits a minute for one that is not there.

    Raises
    ------
    BadInput
        Nobody listens.
    """
    try:
        socket.create_connection((host, port), PROBE_S).close()
    except OSError as error:
        raise BadInput(
            f"{where}: nobody answers: expected Pravega's controller at {host}, port "
            f"{port}: {error}"
        ) from None


class Calls:
    """Pravega's client, in a process that is started when it is first called.

    Parameters
    ----------
    where
        The stream, for messages.

    Attributes
    ----------
    asked
        What asks the process; another one if that is another, None without one.
    """

    def __init__(self, host: str, port: int, where: str) -> None:
        self.host, self.port, self.where = host, port, where
        self.process: subprocess.Popen[bytes] | None = None
        self.asked: Connection | None = None
        self.has_answered = False

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Return what a method of :class:`child.Client` does.

        Raises
        ------
        BadInput
            Pravega refuses it, or does not answer in time.
        """
        limit_s = LATER_S if self.asked and self.has_answered else FIRST_S
        try:
            asked = self.asked or self.start()
            asked.send((name, arguments))
            if not asked.poll(limit_s):
                raise BadInput(
                    f"{self.where}: no answer within {limit_s:g} s: expected Pravega's "
                    f"controller at {self.host}, port {self.port}"
                )
            is_done, found = asked.recv()
        except (EOFError, ConnectionError):
            self.kill()
            raise BadInput(f"{self.where}: the client of Pravega broke down") from None
        except BaseException:  # or its answer would be taken for that to the next call
            self.kill()
            raise
        self.has_answered = True
        if not is_done:
            raise BadInput(f"{self.where}: Pravega: {found}")
        return found

    def start(self) -> Connection:
        """Start the process, if a controller is there; return what asks it."""
        check_client(self.where)
        probe(self.host, self.port, self.where)
        host = f"[{self.host}]" if ":" in self.host else self.host
        ours, theirs = socket.socketpair()
        with theirs:
            child = "hpc_connector.streams.bytestream.child"
            command = [sys.executable, "-m", child, f"tcp://{host}:{self.port}"]
            self.process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # stack traces of Rust
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # what interrupts this process is not for it
            )
        self.asked = Connection(ours.detach())
        self.has_answered = False
        if not self.asked.poll(START_S):
            raise BadInput(f"{self.where}: Pravega's client does not begin")
        self.asked.recv()  # that it is there
        return self.asked

    def kill(self) -> None:
        """End the process, whatever it does; what it had appended stays."""
        if self.asked is not None:
            self.asked.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.asked = self.process = None
