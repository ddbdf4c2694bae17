"""Hubs and sites for tests: a study with certificates, and what toy sites do."""

import hashlib
import secrets
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.federation.hub.client import open_site
from hpc_connector.federation.hub.server import open_hub
from hpc_connector.federation.hub.tls import make_certificate
from hpc_connector.federation.masks import add_masks, get_keys, make_run
from hpc_connector.federation.study import Hub, Site, Study

NAMES = ("north", "south", "west")


def save_key(path, private):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_bytes(private)
    return path


def make_parties(folder, url="https://127.0.0.1:1", names=NAMES, **settings):
    """Return a study with a hub, after making keys of all in a folder of each."""
    sites = []
    for name in names:
        pem, private = make_certificate(name)
        save_key(folder / name / "tls.key", private)
        mask = hashlib.sha256(name.encode()).digest()
        public = X25519PrivateKey.from_private_bytes(mask).public_key()
        sites.append(Site(name, public.public_bytes_raw(), pem))
    pem, private = make_certificate("hub", ["127.0.0.1"])
    save_key(folder / "hub" / "tls.key", private)
    known = {"name": "study", "salt": "salt", "reference": Path("list.bim")}
    known |= {"sites": tuple(sites), "sha256": "5" * 64, "hub": Hub(url, pem)}
    return Study(**(known | settings))


def make_hello(study, name, **more):
    return {"study": study.sha256, "site": name, "nonce": bytes(32), **more}


def search(transport, study, name=None, rounds=3, size=1000, dtype=np.uint16):
    """Do what a party does, in small: add masked numbers, and be told of the sums.

    Returns
    -------
    What was told, as all parties get it.
    """
    hello = None
    if name is not None:
        private = X25519PrivateKey.from_private_bytes(
            hashlib.sha256(name.encode()).digest()
        )
        hello = make_hello(study, name, sizes=[3, 4])
        hello["nonce"] = secrets.token_bytes(32)
    hellos = transport.gather(hello)
    keys = {}
    if name is not None:
        nonces = {one["site"]: one["nonce"] for one in hellos}
        run = make_run(bytes.fromhex(study.sha256), transport.attempt, nonces)
        keys = get_keys(private, name, study.get_publics(), run)
    told = []
    for stage in range(rounds):
        sums = []
        for block in range(6):

            def make(stage=stage, block=block):
                numbers = count(name, stage, block, size).astype(dtype)
                add_masks(numbers, keys, name, stage, block)
                return numbers

            sums.append(transport.add(stage, block, make if name else None))
        value = None
        if transport.is_scorer:
            value = {"stage": stage, "sums": [one.astype(np.int64) for one in sums]}
        told.append(transport.tell(value))
    return told


def count(name, stage, block, size):
    """Return what a site counts."""
    seed = [*name.encode(), stage, block]
    return np.random.default_rng(seed).integers(0, 1000, size)


def check(told, names=NAMES):
    """Assert that what was told are the sums of what sites count."""
    for stage, value in enumerate(told):
        for block, found in enumerate(value["sums"]):
            expected = sum(count(name, stage, block, len(found)) for name in names)
            np.testing.assert_array_equal(found, expected)


class Trial:
    """A hub and sites in threads of this process; how each of them ends."""

    def __init__(self, folder, study, patience_s=60.0):
        self.folder, self.study, self.patience_s = folder, study, patience_s
        self.log, self.ends, self.threads = [], {}, {}
        self.port, self.is_up = 0, threading.Event()

    def run_hub(self, **how):
        def work():
            keys, state = self.folder / "hub" / "tls.key", self.folder / "hub" / "state"
            listen = "127.0.0.1", self.port
            about = (listen, keys, state, self.patience_s, self.note)
            with open_hub(self.study, *about) as transport:
                self.port = transport.address[1]
                self.is_up.set()
                return search(transport, self.study, **how)

        self.start("hub", work)
        return self

    def run_site(self, name, work=search, **how):
        self.is_up.wait(60)
        url = f"https://127.0.0.1:{self.port}"
        study = replace(self.study, hub=replace(self.study.hub, url=url))

        def do():
            own = self.folder / name
            state = own / "attempt"
            about = (study, name, own / "tls.key", state, self.patience_s)
            with open_site(*about) as transport:
                found = work(transport, study, name, **how)
                transport.leave()
                return found

        self.start(name, do)
        return self

    def start(self, name, work):
        def end():
            try:
                self.ends[name] = work()
            except BaseException as error:
                self.ends[name] = error
                self.is_up.set()

        self.threads[name] = threading.Thread(target=end, name=name, daemon=True)
        self.threads[name].start()

    def note(self, event, party, **what):
        self.log.append((event, party, what.get("reason")))

    def join(self, timeout_s=120):
        for name, thread in self.threads.items():
            thread.join(timeout_s)
            assert not thread.is_alive(), name
        return self.ends
