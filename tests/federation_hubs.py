"""Hubs and sites for tests: their study, and a search in small that they take part in.

As a program: python federation_hubs.py FOLDER PARTY says each step, and writes what
was told.
"""

import contextlib
import http.client
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from hpc_connector import cli
from hpc_connector.errors import BadInput, Later
from hpc_connector.federation.hub.client import open_site
from hpc_connector.federation.hub.codec import decode, encode
from hpc_connector.federation.hub.server import open_hub
from hpc_connector.federation.hub.tls import make_client_context
from hpc_connector.federation.hub.wire import make_header, pack_header
from hpc_connector.federation.invitation import invite
from hpc_connector.federation.joining import load_mask_key
from hpc_connector.federation.masks import cut_parts, get_keys, make_run, mask_parts
from hpc_connector.federation.study import read_study
from programs import PATIENCE_S
from s3 import find_port

HOST = "127.0.0.1"
NAMES = ("north", "south", "west")
PARTIES = (*NAMES, "hub")
ROUNDS, BLOCKS = 3, 6


def make_parties(folder, port=None, days=825, **settings):
    """Invite a hub and three sites, whose folders are in this one; return the study."""
    lines = [f"{key} = {value!r}" for key, value in settings.items()]
    text = "\n".join(["[study]", 'name = "x"', 'salt = "y"', *lines, "[variants]"])
    text += f'\nreference = "list.bim"\n[hub]\nurl = "https://{HOST}:'
    text += f'{port or find_port()}"\n'
    text += "".join(f'[[site]]\nname = "{name}"\n' for name in NAMES)
    (folder / "STUDY.toml").write_text(text)
    (folder / "list.bim").write_text("1 rs1 0 5 A G\n1 rs2 0 9 C T\n")
    invite(folder / "STUDY.toml", folder / "parties", days)
    return read_study(folder / "parties" / "hub" / "STUDY.toml")


def get_place(study, name):
    """Return the folder of a party."""
    return study.reference.parent.parent / name


def get_port(study):
    return int(study.hub.url.rpartition(":")[2])


def make_hello(study, name):
    hello = {"study": study.sha256, "site": name, "nonce": secrets.token_bytes(32)}
    return hello | {"sizes": [3, 4]}


def search(transport, study, name=None, size=1000, step=lambda _: None):
    """Do what a party does, in small: add masked numbers, and be told of the sums.

    Returns
    -------
    What was told, as all parties get it.
    """
    hellos = transport.gather(None if name is None else make_hello(study, name))
    keys = {}
    if name is not None:
        nonces = {one["site"]: one["nonce"] for one in hellos}
        run = make_run(bytes.fromhex(study.sha256), transport.attempt, nonces)
        private = load_mask_key(get_place(study, name) / "mask.sec", study, name)
        keys = get_keys(private, name, study.get_publics(), run)
    step("joined")
    told = []
    for stage in range(ROUNDS):
        sums = []
        for block in range(BLOCKS):

            def make(stage=stage, block=block):
                numbers = count(name, stage, block, size)
                into = np.empty_like(numbers)
                return mask_parts(cut_parts(numbers), keys, name, stage, block, into)

            sums.append(transport.add(stage, block, make if name else None))
            step("added")
        value = {"stage": stage, "sums": sums} if transport.is_scorer else None
        told.append(transport.tell(value))
        step("told")
    return told


def count(name, stage, block, size):
    """Return what a site counts."""
    seed = [*name.encode(), stage, block]
    return np.random.default_rng(seed).integers(0, 1000, size).astype(np.uint16)


def check(told):
    """Assert that what was told are the sums of what sites count."""
    assert [value["stage"] for value in told] == list(range(ROUNDS))
    for stage, value in enumerate(told):
        for block, found in enumerate(value["sums"]):
            expected = sum(count(name, stage, block, len(found)) for name in NAMES)
            np.testing.assert_array_equal(found, expected)


@contextlib.contextmanager
def open_party(study, name, patience_s=60.0, log=lambda *_, **__: None):
    """Give the transport of a party, with what is in its folder."""
    place = get_place(study, name)
    key, state = place / "tls.key", place / "state"
    if name == "hub":
        about = (HOST, get_port(study)), key, state, patience_s, log
        with open_hub(study, *about) as transport:
            yield transport
    else:
        with open_site(study, name, key, state, patience_s) as transport:
            yield transport
            transport.leave()


class Stopped(BaseException):
    """Ends a party as a signal would."""


class Trial:
    """Parties in threads of this process, and how each of them ends."""

    def __init__(self, study, patience_s=60.0):
        self.study, self.patience_s = study, patience_s
        self.log, self.ends, self.threads = [], {}, {}
        self.steps = {name: threading.Semaphore(0) for name in PARTIES}

    def run(self, *parties, work=search, **how):
        """Run parties; `work` takes a transport, the study, and the name of a site."""
        for name in parties:
            self.threads[name] = threading.Thread(
                target=self.end, args=(name, work, how), name=name, daemon=True
            )
            self.threads[name].start()
        return self

    def end(self, name, work, how):
        step = {"step": lambda _: self.steps[name].release()} if work is search else {}
        try:
            with open_party(self.study, name, self.patience_s, self.note) as transport:
                site = None if name == "hub" else name
                found = work(transport, self.study, site, **how, **step)
            self.ends[name] = found
        except BaseException as error:
            self.ends[name] = error

    def note(self, event, party, **what):
        self.log.append((event, party, what.get("reason")))

    def join(self, *parties):
        """Return how parties end, all without any named."""
        for name in parties or tuple(self.threads):
            self.threads[name].join(PATIENCE_S)
            assert not self.threads[name].is_alive(), name
        return self.ends


def ask(study, name, method, path, body=b"", key_of=None, **headers):
    """Return the status and content of one answer to a site."""
    context = make_client_context(
        {one.name: one.certificate for one in study.sites}[name],
        get_place(study, key_of or name) / "tls.key",
        study.hub.certificate,
    )
    connection = http.client.HTTPSConnection(
        HOST, get_port(study), context=context, timeout=PATIENCE_S
    )
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def pack(stage, block, numbers):
    """Return a block as it is sent."""
    return pack_header(make_header(stage, block, numbers)) + numbers.tobytes()


def begin(study):
    """Have all sites join without their programs; return the run."""
    hellos = {name: make_hello(study, name) for name in NAMES}
    for _ in range(2):
        for name, hello in hellos.items():
            told = {"hello": hello, "goes_on": False, "protocol": 1}
            status, data = ask(study, name, "POST", "/v1/join", encode(told))
    assert status == 200
    nonces = {name: hello["nonce"] for name, hello in hellos.items()}
    number = decode(data)["attempt"]
    return make_run(bytes.fromhex(study.sha256), number, nonces).hex()


class Process:
    """A party as a process of its own, which says each of its steps."""

    def __init__(self, folder, name):
        command = [sys.executable, __file__, str(folder), name]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for_steps(self, n):
        """Wait for so many steps; return whether there are as many."""
        return all(self.process.stdout.readline() for _ in range(n))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def get_end(self):
        """Return the exit code, and what was said."""
        said = self.process.communicate(timeout=PATIENCE_S)[1]
        return self.process.returncode, said


def main(folder, name):
    study = read_study(Path(folder) / name / "STUDY.toml")
    with open_party(study, name) as transport:
        site = None if name == "hub" else name
        told = search(transport, study, site, step=lambda s: print(s, flush=True))
        if site:
            (Path(folder) / name / "told").write_bytes(encode(told))


if __name__ == "__main__":
    cli.set_up_log("toy")
    try:
        main(*sys.argv[1:])
    except (BadInput, Later) as error:
        sys.exit(cli.explain("toy", error))
