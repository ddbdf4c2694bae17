"""A hub and the sites of a golden set as programs, which are killed at some moment."""

import shutil
import signal
import subprocess
import sys
from itertools import product

from hpc_connector.commands.main import main as operate
from hpc_connector.federation.study import HUB
from programs import PATIENCE_S
from s3 import find_port, is_open
from test_federation_program import make_study

OUTPUTS = ("models.tsv", "results.h5")

# A program that ends itself as kill -9 does, at the n-th call of a function
KILLED = """
import os, signal, sys
from {module} import {kind}

call, left = {kind}.{name}, [{number}]

def count(*args):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return call(*args)

{kind}.{name} = count
from {program} import main
sys.exit(main(sys.argv[1:]))
"""
HUBS = "hpc_connector.federation.hub"
OF_SITE = f"{HUBS}.client", "SiteTransport", "mdr_epistasis.program"
OF_HUB = f"{HUBS}.transport", "HubTransport", "hpc_connector.commands.main"
OF_EXCHANGE = f"{HUBS}.exchange", "Exchange", "hpc_connector.commands.main"


def kill_at(party, name, number):
    """Return a command that ends itself at the n-th call of a method."""
    of_hub = OF_EXCHANGE if name == "leave" else OF_HUB
    module, kind, program = of_hub if party == HUB else OF_SITE
    about = {"module": module, "kind": kind, "program": program}
    code = KILLED.format(name=name, number=number, **about)
    return [sys.executable, "-c", code]


class Parties:
    """The hub and the sites of a study, each with a folder of its own.

    Parameters
    ----------
    name
        Of the golden set.
    """

    def __init__(self, folder, name="three_sites_dealt", settings="", release=None):
        study = make_study(folder / "set", name, settings, release)
        self.port = find_port()
        url = f'[hub]\nurl = "https://127.0.0.1:{self.port}"\n'
        study.write_text(study.read_text() + url)
        self.folder, self.study = folder / "parties", study
        assert (
            operate(["federate", "invite", str(study), "--out", str(self.folder)]) == 0
        )
        self.sites = sorted(p.name for p in self.folder.iterdir() if p.name != HUB)
        for site in self.sites:
            for path in (folder / "set").glob(f"{site}.*"):
                shutil.copy(path, self.folder / site)
        self.processes, self.patience = {}, "120"

    def is_open(self):
        """Return whether the hub listens."""
        return is_open(self.port)

    def get_out(self, site):
        """Return the results of a site."""
        return self.folder / site / "out"

    def start(self, party, *words, program=None):
        """Start a party, its stderr in a file; return its process."""
        own = self.folder / party
        if party == HUB:
            command = program or ["hpc-connector"]
            command = [*command, "federate", "hub", str(own / "STUDY.toml")]
            command += ["--listen", f"127.0.0.1:{self.port}"]
        else:
            command = program or ["mdr-epistasis"]
            command = [*command, "federate", str(own / "STUDY.toml"), "--site", party]
            command += ["--genotypes", str(own / f"{party}.bed")]
            command += ["--out", str(self.get_out(party))]
        command += ["--patience", self.patience, *words]
        with open(own / "stderr", "a") as stream:
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=stream, text=True
            )
        self.processes[party] = process
        return process

    def start_all(self, *words):
        """Start the hub and all sites."""
        for party in (HUB, *self.sites):
            self.start(party, *words)

    def wait(self, *parties):
        """Return the exit code of each party, of all by default."""
        names = parties or (HUB, *self.sites)
        return {name: self.processes[name].wait(PATIENCE_S) for name in names}

    def say(self, party):
        """Return the lines that a party has said."""
        return (self.folder / party / "stderr").read_text().splitlines()

    def read_results(self):
        """Return the bytes of the results, which are the same at all sites."""
        found = [
            [(self.get_out(site) / name).read_bytes() for name in OUTPUTS]
            for site in self.sites
        ]
        assert all(one == found[0] for one in found)
        return found[0]

    def clear(self, *names):
        """Remove files and folders of all parties."""
        for party, name in product((HUB, *self.sites), names):
            path = self.folder / party / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def end(self):
        """Kill what is still there."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE_S)
