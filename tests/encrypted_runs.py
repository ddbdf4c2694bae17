"""Runs with --encrypt-to, killed at moments that a test chooses, and what they leave.

    python encrypted_runs.py PROGRAM    lines of JSON, [moment, arguments...], on stdin

runs the program once for each line, in a fork of a process that has compiled its
kernels, and prints the exit code and the moments. These are the calls that open, rename
or make files. At moment `moment` the run is killed; with 0 it looks at each of them at
every file that it could have left, for words: WORDS, and those that the variable WORDS
lists in hexadecimal.
"""

import importlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py

from hpc_connector.confidential.keys import save_new_keys

MOMENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink")
SECRET = "zqSECRETqz"  # the names of variants, individuals and molecules begin with it
SIGNATURES = [b"\x89HDF\r\n\x1a\n", b"\x89PNG\r\n\x1a\n", b"\x93NUMPY\x01\x00"]
SIGNATURES += [b"<!doctype html", b"balanced_accuracy", b"finished.npy"]
WORDS = [SECRET.encode(), *SIGNATURES]


def find_plaintext(folders, words=WORDS, since_s=0.0):
    """Return the files below some folders, not older, that hold one of some words."""
    found = []
    for path in (p for folder in folders for p in Path(folder).rglob("*")):
        try:
            if path.is_symlink() or path.is_dir() or path.stat().st_mtime < since_s:
                continue
            data = path.read_bytes()
        except OSError:  # renamed or removed meanwhile
            continue
        found += [(str(path), word) for word in words if word in data]
    return found


def find_shared(since_s):
    """Return the files of shared memory, not older, that hold a secret name."""
    return find_plaintext(["/dev/shm"], [SECRET.encode()], since_s)


def take_samples(path):
    """Return some bytes of each packed column of a results.h5: they are in no name."""
    found = []

    def take(name, dataset):
        if isinstance(dataset, h5py.Dataset) and dataset.chunks and len(dataset):
            _, chunk = dataset.id.read_direct_chunk((0,) * dataset.ndim)
            if len(chunk) > 100:
                found.append(chunk[len(chunk) // 2 :][:32])

    with h5py.File(path) as file:
        file.visititems(take)
    return found


def make_keys(folder):
    """Make keys of a laboratory, and of who runs; return their paths without ending."""
    for name in ("lab", "me"):
        save_new_keys(folder / name)
    return folder / "lab", folder / "me"


def decrypt(path, key):
    """Return what the reference tool makes of a file."""
    command = [Path(sys.executable).with_name("crypt4gh"), "decrypt", "--sk", key]
    with open(path, "rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, check=True)
    return done.stdout


def check_same(out, reference, key):
    """Assert that all results of an encrypted run are those of a plain one."""
    names = [path.name for path in reference.iterdir()]
    changing = {"manifest.json", "report.html", "images"}  # these have times, or more
    for name in set(names) - changing:
        plain = (reference / name).read_bytes()
        assert decrypt(out / f"{name}.c4gh", key) == plain, name
    assert b"<!doctype html" in decrypt(out / "report.html.c4gh", key)
    whole = json.loads(decrypt(out / "manifest.json.c4gh", key))
    plain = json.loads((reference / "manifest.json").read_text())
    assert plain.keys() < whole.keys()
    if (reference / "images").exists():
        packed = io.BytesIO(decrypt(out / "images.zip.c4gh", key))
        with zipfile.ZipFile(packed) as archive:
            images = {name: archive.read(name) for name in archive.namelist()}
        files = (reference / "images").iterdir()
        assert images == {path.name: path.read_bytes() for path in files}


class Session:
    """A process that runs a program again and again; see the top of this file."""

    def __init__(self, program, folders, words=(), **environ):
        command = [sys.executable, __file__, program]
        watched = {"WATCHED": os.pathsep.join(map(str, folders))}
        watched["WORDS"] = " ".join(word.hex() for word in words)
        self.process = subprocess.Popen(
            command,
            env=os.environ | watched | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, moment, *arguments):
        """Run the program; return its exit code, its moments, and what it left."""
        self.process.stdin.write(json.dumps([moment, *map(str, arguments)]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def watch(moment, folders, pipe):
    """Count moments from now on; kill this process at one, or look at all files."""
    state = {"n": 0, "looking": False}
    words = [*WORDS, *map(bytes.fromhex, os.environ["WORDS"].split())]

    def hook(event, arguments):
        is_write = event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        if event not in MOMENTS or not is_write or state["looking"]:
            return
        if not str(arguments[0]).startswith(tuple(folders)):
            return
        state["n"] += 1
        if state["n"] == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        if not moment:
            state["looking"] = True
            told = [state["n"], find_plaintext(folders, words)]
            os.write(pipe, (json.dumps(told, default=repr) + "\n").encode())
            state["looking"] = False

    sys.addaudithook(hook)


def fork(main, moment, arguments, folders):
    """Run the program in a child; return its exit code, its moments and its leaks."""
    begin, end = os.pipe()
    if not (child := os.fork()):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        watch(moment, folders, end)
        os._exit(main(arguments))
    os.close(end)
    with open(begin) as stream:
        told = [json.loads(line) for line in stream]
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    leaks = [leak for _, leak in told if leak]
    return [code, told[-1][0] if told else moment, leaks]


def serve(program, streams):
    """Run the program as the lines of a stream say."""
    from hpc_connector.pipeline import ranks

    ranks.SAVE_EVERY_S = 0.0
    main = importlib.import_module(f"{program}.program").main
    folders = os.environ["WATCHED"].split(os.pathsep)
    for line in streams[0]:
        moment, *arguments = json.loads(line)
        if moment is None:  # in this process, which compiles
            found = [main(arguments), 0, []]
        else:
            found = fork(main, moment, arguments, folders)
        print(json.dumps(found), file=streams[1], flush=True)


if __name__ == "__main__":
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.argv[1], (sys.stdin, output))
