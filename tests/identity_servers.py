"""Real OpenID Connect servers on 127.0.0.1: oidc-provider in Node.js, and Keycloak.

Both are fetched once, by npm and Maven, into a folder of the user's cache.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

from conftest import give_up, require

DATA = Path(__file__).parent / "data" / "identity"
CACHE = Path.home() / ".cache" / "hpc_connector" / "tests"
PROVIDER, KEYCLOAK = "oidc-provider@8.8.1", "26.7.3"
LISTENS = "Listening on: "
AUDIENCE = "hpc-connector-keeper"


@dataclass(frozen=True)
class Server:
    """A server, and what its pages are told: to let a user in, or to refuse."""

    issuer: str
    allow: dict[str, str]
    deny: dict[str, str]

    def get_answers(self, name, *, does_allow=True):
        """Return what a user types and presses."""
        typed = {"username": name, "login": name, "password": f"test-{name}"}
        return typed | (self.allow if does_allow else self.deny)


def install(name, fill):
    """Return a folder of the cache, filled once; whole or not there."""
    folder = CACHE / name
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
            fill(Path(fresh, "new"))
            with contextlib.suppress(FileExistsError):  # another was first
                Path(fresh, "new").rename(folder)
    return folder


def call(*command):
    """Run a command that installs; without it, there is no test."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode:
        give_up(f"{command[0]} failed: {(done.stderr + done.stdout)[-400:]}")


def install_provider(folder):
    """Install oidc-provider and all it needs."""
    folder.mkdir()
    options = ("--no-audit", "--no-fund", "--ignore-scripts")
    call(require("npm"), "install", "--prefix", folder, *options, PROVIDER)


def install_keycloak(folder):
    """Unpack Keycloak, and have it made for the options that it is started with."""
    artifact = f"org.keycloak:keycloak-quarkus-dist:{KEYCLOAK}:zip"
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
    into = folder.parent / "packed"
    call(
        require("mvn"),
        *("-B", "-q", goal, f"-Dartifact={artifact}", f"-DoutputDirectory={into}"),
    )
    (packed,) = into.glob("*.zip")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(into)
    (into / f"keycloak-{KEYCLOAK}").rename(folder)
    call("sh", folder / "bin" / "kc.sh", "build", "--db=dev-mem")


@contextlib.contextmanager
def serve(command, listens="http", **options):
    """Give what a server says behind a word, once it says it; end it at the end."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    said = []
    with process, contextlib.ExitStack() as at_end:
        at_end.callback(process.terminate)
        for line in process.stdout:
            said.append(line)
            if listens in line and "WARN" not in line:
                break
        else:
            raise AssertionError("".join(said[-40:]))
        rest = threading.Thread(target=process.stdout.read, daemon=True)  # or it waits
        rest.start()
        at_end.callback(rest.join)
        at_end.callback(process.terminate)
        yield said[-1].strip()


@contextlib.contextmanager
def serve_provider():
    """Give oidc-provider, in Keycloak's layout."""
    node = require("node")
    modules = install(PROVIDER, install_provider)
    with serve([node, DATA / "provider.mjs", modules]) as issuer:
        yield Server(issuer, {}, {"abort": "yes"})


@contextlib.contextmanager
def serve_keycloak():
    """Give Keycloak with our realm, in memory."""
    require("java")
    folder = install(f"keycloak-{KEYCLOAK}", install_keycloak)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        for name in ("lib", "conf", "providers", "themes", "version.txt"):
            (home / name).symlink_to(folder / name)
        shutil.copytree(folder / "bin", home / "bin")
        (home / "data" / "import").mkdir(parents=True)
        shutil.copy(DATA / "realm.json", home / "data" / "import")
        options = "--optimized --import-realm --cache=local --http-enabled=true"
        options += " --http-host=127.0.0.1 --http-port=0 --hostname-strict=false"
        options += " --log-level=warn,io.quarkus:info"
        command = ["sh", home / "bin" / "kc.sh", "start", *options.split()]
        quick = {"JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1"}
        with serve(command, LISTENS, env=os.environ | quick) as line:
            issuer = f"{line.partition(LISTENS)[2]}/realms/neardata"
            yield Server(issuer, {"accept": "Yes"}, {"cancel": "No"})
