"""A real Pravega on 127.0.0.1: its standalone server, which keeps all in memory.

It is fetched once, by Maven, into a folder of the user's cache. It listens at all
addresses, whatever it is told; so it runs in a network of its own.
"""

import atexit
import contextlib
import functools
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from conftest import give_up, require
from identity_servers import call, install, serve

POM = Path(__file__).parent / "data" / "pravega" / "pom.xml"
VERSION = "0.13.0"
LISTENS = "You could access it at"
MEMORY = (
    "-Xmx512m -XX:MaxDirectMemorySize=192m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
)
WARM_UP = """
import sys, pravega_client
manager = pravega_client.StreamManager("tcp://" + sys.argv[1])
manager.create_scope("first")
manager.create_stream("first", "one", 1)
first = manager.create_byte_stream("first", "one")
first.write(b"1")
first.flush()
"""
PORTS = ("controller.rpc.port", "segmentStore.port", "zk.port")


def has_client():
    """Return whether this Python can have Pravega's client."""
    return sys.version_info < (3, 12)


def install_pravega(folder):
    """Fetch the server with all it needs."""
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    call(
        require("mvn"),
        *("-B", "-q", goal, "-f", POM, f"-DoutputDirectory={folder}"),
    )


def unshare():
    """Return the command that gives a network of its own."""
    require("ip")
    command = [require("unshare"), "-n" if os.geteuid() == 0 else "-rn"]
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        give_up("unshare -n is not allowed")
    return command


@functools.cache
def get_pravega():
    """Return host and port of a controller, which all tests of this process share."""
    at_end = contextlib.ExitStack()
    address = at_end.enter_context(serve_pravega())
    atexit.register(at_end.close)
    return address


@contextlib.contextmanager
def serve_pravega():
    """Give host and port of a controller."""
    if not has_client():
        pytest.skip("Pravega's client has no wheels for this Python")
    java, network = require("java"), unshare()
    folder = install(f"pravega-{VERSION}", install_pravega)
    with contextlib.ExitStack() as held, tempfile.TemporaryDirectory() as place:
        sockets = [held.enter_context(socket.socket()) for _ in PORTS]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
            each.listen()
        ports = [each.getsockname()[1] for each in sockets]
        passed = [each.fileno() for each in sockets[:2]]  # the third is in there only
        settings = {
            "controller.rest.enable": "false",
            "admin.gateway.enable": "false",
            **dict(zip(PORTS, ports, strict=True)),
        }
        command = [*network, sys.executable, Path(__file__).with_name("own_network.py")]
        command += [",".join(map(str, passed)), java, *MEMORY.split()]
        command += ["-cp", f"{folder}/*", "io.pravega.local.LocalPravegaEmulator"]
        lines = "".join(
            f"singlenode.{name}={said}\n" for name, said in settings.items()
        )
        Path(place, "config").mkdir()
        Path(place, "config", "standalone-config.properties").write_text(lines)
        with serve(command, LISTENS, cwd=place, pass_fds=passed):
            address = f"127.0.0.1:{ports[0]}"
            subprocess.run([sys.executable, "-c", WARM_UP, address], check=True)
            yield address
