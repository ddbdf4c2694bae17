"""Sites and a hub of a federated search, each a process that can be killed.

They are forked from a server that has imported what they do: that spares seconds of
each, so that a hundred may be killed.
"""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from functools import cache
from itertools import count
from multiprocessing.connection import wait
from multiprocessing.forkserver import ensure_running
from pathlib import Path

import pytest

from hpc_connector.commands.main import main as operate
from hpc_connector.federation import blocks
from mdr_epistasis.program import main as search
from programs import PATIENCE_S, wait_for
from s3 import find_port, is_open

HUB = "hub"  # its name among the parties; no site of a test has it
SEARCHED = "/federation/", "/federated/", "publish.py", "ssl.py", "http/"
NOT_WATCHED = "variants.py", "folds.py", "study.py", "site.py", "pooled.py", "blocks.py"
OUTPUTS = "models.tsv", "results.h5"
CALLS = ("call", "c_call")
PATIENCE = "120"  # of parties with one another, seconds
MESSAGE_BYTES = 1 << 14  # so that a small search has many


class Federation:
    """The folders of the parties of a study with a hub.

    Parameters
    ----------
    trial
        Files of the study without a hub, from :func:`random_sites.save_trial`.
    """

    def __init__(self, trial):
        self.trial, self.files = trial, trial.study.parent
        self.folder = self.files / "parties"
        self.port = find_port()
        self.names = (*trial.names, HUB)
        text = trial.study.read_text()
        study = self.files / "WITH_HUB.toml"
        study.write_text(f'{text}[hub]\nurl = "https://127.0.0.1:{self.port}"\n')
        words = ["federate", "invite", str(study), "--out", str(self.folder)]
        assert call(operate, words, self.files / "invite.log") == 0

    def get_out(self, name):
        """Return the folder of results of a site."""
        return self.folder / name / "out"

    def is_open(self):
        """Return whether the hub listens."""
        return is_open(self.port)

    def clear(self, keeps=()):
        """Forget earlier searches: results, states, and records of all but some."""
        for name in self.names:
            for what in ("out", "state", "log", *(["records"] * (name not in keeps))):
                path = self.folder / name / what
                path.unlink() if path.is_file() else shutil.rmtree(
                    path, ignore_errors=True
                )

    def list_words(self, name, *, resume=False):
        """Return the command line of a party."""
        own = self.folder / name
        words = [str(own / "STUDY.toml"), "--tls-key", str(own / "tls.key")]
        words += ["--records", str(own / "records"), "--patience", PATIENCE]
        if name == HUB:
            words += [
                "--listen",
                f"127.0.0.1:{self.port}",
                "--state",
                str(own / "state"),
            ]
            return ["federate", "hub", *words]
        words += ["--site", name, "--genotypes", str(self.files / f"{name}.bed")]
        words += ["--mask-key", str(own / "mask.sec"), "--out", str(own / "out")]
        return ["federate", *words, "--quiet", *(["--resume"] if resume else [])]


@cache
def get_forks():
    """Return what makes processes, of a server that has imported this file."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["hub_parties"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        ensure_running()
    return forks


class Party:
    """A site or a hub, which may be begun again once it was killed.

    Parameters
    ----------
    prepare
        Called in its process before it begins.
    """

    def __init__(self, federation, name, *, prepare=None):
        self.federation, self.name, self.prepare = federation, name, prepare
        self.log = federation.folder / name / "log"
        self.calls = federation.folder / name / "calls"
        self.n_begun = 0

    def begin(self, moment=None, *, counts=False):
        """Start the process; it kills itself at a call of its code, if one is given.

        Parameters
        ----------
        counts
            Its calls are counted, although none is given.
        """
        words = self.federation.list_words(self.name, resume=self.n_begun > 0)
        self.calls.unlink(missing_ok=True)
        moment = 0 if counts else moment
        about = self.name == HUB, words, moment, self.prepare
        self.process = get_forks().Process(
            target=act, args=(*about, self.log, self.calls)
        )
        self.process.start()
        self.n_begun += 1

    def kill(self):
        """Kill the process."""
        self.process.kill()
        self.process.join()


def act(is_hub, words, moment, prepare, log, calls):
    """Do the work of a process, and end it."""
    blocks.MESSAGE_BYTES = MESSAGE_BYTES
    if prepare is not None:
        prepare()
    counted = count(1) if moment is None else count_calls(moment)
    code = call(operate if is_hub else search, words, log)
    sys.setprofile(None)
    threading.setprofile(None)
    calls.write_text(str(next(counted)))
    sys.exit(code)


def call(main, words, log):
    """Return how a program ends whose output goes to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with open(log, "ab") as stream:
        stream.write(f"$ {' '.join(words)}\n".encode())
        stream.flush()
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)


def count_calls(moment):
    """Count the calls that code of federation makes, in all threads from now on.

    Parameters
    ----------
    moment
        Number of the call at which the process is killed, between any two calls of a
        function of ours, of a socket or of a file; or the name of a function, and
        which call of it; None of none.
    """
    calls, of_name, known = count(1), count(1), {}
    name, number = moment if isinstance(moment, tuple) else ("", moment)

    def look(frame, event, _):
        if event not in CALLS:
            return
        code = frame.f_code
        if code.co_filename not in known:
            known[code.co_filename] = is_watched(code.co_filename)
        if not known[code.co_filename]:
            return
        n = next(calls)
        if name:
            n = next(of_name) if event == "call" and code.co_name == name else 0
        if n == number:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(look)
    sys.setprofile(look)
    return calls


def is_watched(path):
    """Return whether the calls of a file of code are counted."""
    return any(some in path for some in SEARCHED) and not path.endswith(NOT_WATCHED)


def wait_for_ends(parties, at_end, timeout_s=PATIENCE_S):
    """Wait until no party runs; whenever one has ended, it is looked at.

    Parameters
    ----------
    at_end
        Called with a party that has ended, and its exit code; may begin it again.
    """
    running, end_s = set(parties), time.monotonic() + timeout_s
    try:
        while running:
            left_s = end_s - time.monotonic()
            ended = wait([party.process.sentinel for party in running], left_s)
            if not ended:
                names = sorted(party.name for party in running)
                raise AssertionError(f"{names} still run: {say(parties[0].federation)}")
            for party in [p for p in running if p.process.sentinel in ended]:
                party.process.join()
                running.discard(party)
                if at_end(party, party.process.exitcode):
                    running.add(party)
    finally:
        for party in parties:
            party.kill()


def say(federation):
    """Return what the parties have said, for who looks for a fault."""
    said = []
    for name in federation.names:
        log = federation.folder / name / "log"
        said.append(f"== {name}\n{log.read_text()[-3000:] if log.exists() else ''}")
    return "\n".join(said)


def run(federation, prepare=None, at_hub=None, *, counts=False):
    """Run all parties of a search; return the exit code of each, by name.

    Parameters
    ----------
    prepare
        What is called in the process of a party before it begins, by its name.
    at_hub
        Called once the hub listens, before there are sites.
    counts
        Calls of the code of each party are counted.
    """
    about = prepare or {}
    parties = {n: Party(federation, n, prepare=about.get(n)) for n in federation.names}
    codes = {}

    def note(party, code):
        codes[party.name] = code

    parties[HUB].begin(counts=counts)
    if at_hub:
        wait_for(federation.is_open)
        at_hub()
    for name in federation.trial.names:
        parties[name].begin(counts=counts)
    wait_for_ends(list(parties.values()), note)
    return codes


def read_results(federation):
    """Return the bytes of the results of each site."""
    return {
        name: [(federation.get_out(name) / file).read_bytes() for file in OUTPUTS]
        for name in federation.names
        if name != HUB
    }


def read_sent(federation, name):
    """Return what a site says that it has let out."""
    record = json.loads((federation.get_out(name) / "manifest.json").read_text())
    (own,) = (one for one in record["federation"]["sites"] if one["name"] == name)
    return own["let_out"]
