"""Encrypted files beside the crypt4gh package, the cipher alone, and plain runs.

    python benchmarks/confidential.py [--mib 1536] [--runs DATASET.imzML]

Ratios of one run of this script on one machine, medians of calls in turn. A file of
random bytes stands in memory (/dev/shm); what is written goes to /dev/null, for a file
system takes as long as the cipher. Whole runs are of both programs, plain and encrypted
by turns; the annotation's dataset is simulated unless one is given. The table says what
must be reached; the exit code is 1 if one thing is not. What a keeper takes to release
keys: benchmarks/keeper.py.
"""

import argparse
import contextlib
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import crypt4gh.keys
import crypt4gh.lib
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hpc_connector.confidential.files import decrypt_file, encrypt_file, reencrypt_file
from hpc_connector.confidential.keys import load_key, load_recipients, save_new_keys
from hpc_connector.confidential.openers import open_by_key
from hpc_connector.crypt4gh.body import SEGMENT_BYTES
from hpc_connector.crypt4gh.writer import Writer
from hpc_connector.loader.files import get_size, read_array, read_range
from hpc_connector.storage import key_ring
from hpc_connector.storage.objects import get_object
from hpc_connector.storage.ranges import fetch
from hpc_connector.storage.traffic import get_traffic

MIB = 1 << 20
TURNS, RUN_TURNS = 5, 5
STEP_BYTES = 8 * MIB  # that a rank reads at once
rows = []  # what must be reached: name, wanted, found, whether it is


def check(name, wanted, found, is_reached):
    rows.append((name, wanted, found, "yes" if is_reached else "NO"))
    print("|", " | ".join(rows[-1]), "|", flush=True)


def check_ratio(name, least, ratio):
    check(name, f">= {least}", f"{ratio:.2f}", ratio >= least)


def take_turns(works, n=TURNS):
    """Return the median wall and CPU seconds of each work, one after the other."""
    times = [[] for _ in works]
    for _ in range(n):
        for found, work in zip(times, works, strict=True):
            found.append(work())
    return [
        [statistics.median(column) for column in zip(*t, strict=True)] for t in times
    ]


def time_call(work):
    """Return wall and CPU seconds of a call."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def time_command(command, **how):
    """Return wall and CPU seconds of a process, its start included."""
    wall_s = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), **how)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - wall_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return wall_s, usage.ru_utime + usage.ru_stime


def compare_decryption(path, key):
    """Compare both commands."""

    def peer():
        with open(path, "rb") as stream:
            words = ["crypt4gh", "decrypt", "--sk", key]
            return time_command(words, stdin=stream, stdout=subprocess.DEVNULL)

    def ours():
        words = ["hpc-connector", "decrypt", path, "--key", key, "--out", "-"]
        return time_command(words, stdout=subprocess.DEVNULL)

    (wall, cpu), (own_wall, own_cpu) = take_turns([peer, ours])
    check_ratio("decrypt, wall, times the crypt4gh command", 1.5, wall / own_wall)
    check_ratio("decrypt, CPU, times the crypt4gh command", 2.0, cpu / own_cpu)


def compare_encryption(plain, key, public):
    """Compare the package's library and our writer."""
    with contextlib.redirect_stderr(io.StringIO()):
        secret = crypt4gh.keys.get_private_key(str(key), None)
        reader = crypt4gh.keys.get_public_key(str(public))
    readers = load_recipients([public])

    def peer():
        with open(plain, "rb") as source, open(os.devnull, "wb") as written:
            crypt4gh.lib.encrypt([(0, secret, reader)], source, written)

    def ours():
        with (
            open(plain, "rb") as source,
            open(os.devnull, "wb") as written,
            Writer(written, readers) as writer,
        ):
            shutil.copyfileobj(source, writer, MIB)

    works = [lambda: time_call(peer), lambda: time_call(ours)]
    (wall, cpu), (own_wall, own_cpu) = take_turns(works)
    check_ratio("encrypt, wall, times the crypt4gh library", 1.7, wall / own_wall)
    check_ratio("encrypt, CPU, times the crypt4gh library", 1.7, cpu / own_cpu)


def compare_reader(path, key):
    """Compare the cipher on one segment in memory, and what ranks read with."""
    cipher, nonce = ChaCha20Poly1305(os.urandom(32)), os.urandom(12)
    sealed = cipher.encrypt(nonce, os.urandom(SEGMENT_BYTES), None)
    plain, size = bytearray(SEGMENT_BYTES), get_size(str(path))

    def alone():
        for _ in range(size // SEGMENT_BYTES):
            cipher.decrypt_into(nonce, sealed, None, plain)

    def read(how):
        for at in range(0, size, STEP_BYTES):
            how(str(path), at, min(at + STEP_BYTES, size))

    def stream():
        with open(os.devnull, "wb") as written:
            decrypt_file(path, written, key)

    works = [alone, stream, lambda: read(read_array), lambda: read(read_range)]
    times = take_turns([lambda work=work: time_call(work) for work in works])
    (_, cipher_s), (_, stream_s), (_, array_s), (_, bytes_s) = times
    print(f"the cipher alone: {size / 2**30 / cipher_s:.2f} GiB of a CPU second")
    check_ratio("reader of a whole file, CPU, of the cipher", 0.6, cipher_s / stream_s)
    print(f"reader of a rank's arrays: {cipher_s / array_s:.2f} of the cipher")
    print(f"reader of bytes: {cipher_s / bytes_s:.2f} of the cipher")


def count_range(path):
    """Count what a range of 100 bytes takes, once the header is known."""
    opened = []
    place = sys.modules["hpc_connector.crypt4gh.body"]
    one = place._open_segment
    place._open_segment = lambda *what: opened.append(1) or one(*what)
    before, (source, version) = get_traffic()[0], get_object(str(path))
    first = 5 * SEGMENT_BYTES + 7
    fetch(source, version, [(first, first + 100)])
    place._open_segment = one
    n, asked = len(opened), get_traffic()[0] - before
    is_right = n == 1 and asked <= 2
    check("range of 100 bytes", "1 segment, <= 2 requests", f"{n}, {asked}", is_right)


def time_header(path, key, public):
    """Time how a file is given to another reader."""
    secret, readers = load_key(key), load_recipients([public])
    (pair,) = take_turns(
        [lambda: time_call(lambda: reencrypt_file(path, secret, readers, None))], 50
    )
    found_ms = 1000 * pair[1]
    check("re-encrypt a header, CPU", "<= 1 ms", f"{found_ms:.2f} ms", found_ms <= 1)


def encrypt_beside(paths, folder, public):
    """Write encrypted copies into a folder."""
    for path in paths:
        encrypt_file(path, folder / f"{path.name}.c4gh", load_recipients([public]))


def compare_runs(name, words, plain, encrypted, key, folder):
    """Compare CPU of whole runs, plain and encrypted by turns."""

    def run(given):
        shutil.rmtree(folder / "out", ignore_errors=True)
        command = [*words[:2], *given, *words[2:], "--out", folder / "out", "--quiet"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return time_command(command, **quiet)

    works = [lambda: run([plain]), lambda: run([encrypted, "--key", key])]
    take_turns(works, 1)  # compiles
    (_, cpu_s), (_, own_s) = take_turns(works, RUN_TURNS)
    ratio = own_s / cpu_s
    found = f"{ratio:.3f} ({own_s:.2f} of {cpu_s:.2f} s)"
    check(f"whole run, {name}, CPU of the plain one", "<= 1.05", found, ratio <= 1.05)


def compare_searches(folder, key, public):
    """Compare whole runs of mdr-epistasis."""
    cohort = folder / "cohort"
    words = "mdr-epistasis simulate --variants 6000 --individuals 10000 --maf 0.3"
    command = [*words.split(), "--heritability", "0.2", "--out", cohort]
    time_command(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    plain = [folder / f"cohort.{end}" for end in ("bed", "bim", "fam")]
    encrypt_beside(plain, folder, public)
    encrypted = folder / "cohort.bed.c4gh"
    words = ["mdr-epistasis", "run"]
    compare_runs(".bed.c4gh", words, plain[0], encrypted, key, folder)


def compare_annotations(dataset, folder, key, public):
    """Compare whole runs of metabolite-annotation."""
    from annotate_kernels import simulate
    from annotate_runs import GIVEN, LIPIDS

    if dataset is None:
        dataset = folder / "small.imzML"
        simulate(dataset)
    encrypt_beside([dataset, dataset.with_suffix(".ibd")], folder, public)
    words = ["metabolite-annotation", "run", "--database", LIPIDS, *GIVEN[:-1]]
    words += ["--pattern-cache", folder / "cache"]
    encrypted = folder / f"{dataset.name}.c4gh"
    compare_runs(".ibd.c4gh", words, dataset, encrypted, key, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=1536, metavar="N")
    parser.add_argument("--runs", type=Path, metavar="DATASET.imzML")
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # runs would compile what is new
    print("| what | wanted | found | reached |", "| --- " * 4 + "|", sep="\n")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        key, public = save_new_keys(folder / "me")
        plain = folder / "plain"
        with open(plain, "wb") as stream:
            for _ in range(args.mib):
                stream.write(os.urandom(MIB))
        compare_encryption(plain, key, public)
        encrypt_beside([plain], folder, public)
        plain.unlink()
        encrypted = folder / "plain.c4gh"
        key_ring.set_opener(open_by_key(load_key(key)))
        compare_decryption(encrypted, key)
        compare_reader(encrypted, load_key(key))
        count_range(encrypted)
        time_header(encrypted, key, public)
        encrypted.unlink()
        compare_searches(folder, key, public)
        compare_annotations(args.runs, folder, key, public)
    return int(any(row[3] == "NO" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
