"""Measure a federated search: its CPU beside one pooled run, its bytes, its masks.

    python benchmarks/federation.py [--hub] [VARIANTS INDIVIDUALS ...]

Simulates cohorts without missing genotypes, deals each to three sites, and searches it
in turn as one cohort (--rank-by test, with the same folds, on three ranks) and over the
sites (the first 1,000 models, no consistency); prints CPU seconds of both with all that
starts, what starts of an all but empty search taken off, and bytes that left a site.
Then the rate of masks beside that of ChaCha20 alone, in turn. With --hub also each site
as a process that calls a hub over TLS on this machine, and the hub another one.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from cpu_time import get_children_s
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from hpc_connector.federation.folds import deal_folds
from hpc_connector.federation.masks import PIECE_BYTES, add_to, mask_parts
from mdr_epistasis.simulate.files import describe_variants, encode_bed, encode_bim

SIZES = [(2000, 2000), (4000, 20_000), (10_000, 2000)]
SHARES = {"a": 0.3, "b": 0.45, "c": 0.25}  # of the individuals, by site
REPEATS = 3
STUDY = """
[study]
name = "bench"
salt = "bench"
top = 1000
cvc = "none"

[variants]
reference = "pooled.bim"

[release]
most_queries = 1

[[site]]
name = "a"

[[site]]
name = "b"

[[site]]
name = "c"
"""


def save_cohort(stem, genotypes, ids, is_case):
    """Write a PLINK 1 file set."""
    n = len(genotypes)
    Path(f"{stem}.bed").write_bytes(b"\x6c\x1b\x01" + encode_bed(genotypes).tobytes())
    Path(f"{stem}.bim").write_bytes(encode_bim(describe_variants(0, n, n)))
    lines = [
        f"{name} {name} 0 0 0 {label + 1}"
        for name, label in zip(ids, is_case.tolist(), strict=True)
    ]
    Path(f"{stem}.fam").write_text("\n".join(lines) + "\n")


def simulate(folder, variants, individuals):
    """Write a cohort, its sites, the study, and the folds for the pooled run."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    maf = rng.uniform(0.05, 0.5, (variants, 1))
    genotypes = np.empty((variants, individuals), np.int8)
    for at in range(0, variants, 500):
        shape = (len(maf[at : at + 500]), individuals)
        genotypes[at : at + 500] = (
            rng.random(shape, np.float32) < maf[at : at + 500]
        ).astype(np.int8) + (rng.random(shape, np.float32) < maf[at : at + 500])
    is_case = rng.permutation(np.arange(individuals) % 2).astype(np.int8)
    ids = [f"i{k:07d}" for k in range(individuals)]
    save_cohort(folder / "pooled", genotypes, ids, is_case)
    ends = np.cumsum([0, *(round(individuals * s) for s in SHARES.values())])
    ends[-1] = individuals
    parts = dict(zip(SHARES, map(slice, ends[:-1], ends[1:]), strict=True))
    sizes = {
        name: (int(is_case[part].sum()), int((1 - is_case[part]).sum()))
        for name, part in parts.items()
    }
    lines = []
    for name, part in parts.items():
        save_cohort(folder / name, genotypes[:, part], ids[part], is_case[part])
        fold = deal_folds("bench", ids[part], is_case[part], 10, name, sizes)
        lines += [f"{i}\t{f}" for i, f in zip(ids[part], fold.tolist(), strict=True)]
    (folder / "folds.tsv").write_text("\n".join(lines) + "\n")
    (folder / "STUDY.toml").write_text(STUDY)


def run(folder, command):
    """Run a search on three ranks; return its CPU seconds and its manifest."""
    out = folder / "out"
    for name in (out, folder / "records"):  # of which a log grows
        shutil.rmtree(name, ignore_errors=True)
    words = ["mpirun", "-n", "3", "mdr-epistasis", *command, "--out", str(out)]
    before = get_children_s()
    subprocess.run(
        [*words, "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    return get_children_s() - before, json.loads((out / "manifest.json").read_text())


def invite(folder):
    """Write the folders of the sites and of a hub; return its port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    study, hub = folder / "hub.toml", f'[hub]\nurl = "https://127.0.0.1:{port}"\n'
    study.write_text(STUDY.replace("[[site]]", f"{hub}\n[[site]]", 1))
    words = ["federate", "invite", str(study), "--out", str(folder / "parties")]
    subprocess.run(["hpc-connector", *words], check=True, capture_output=True)
    return port


def run_hub(folder, port):
    """Search with a hub; return CPU seconds of all, seconds, and a manifest."""
    parties, out = folder / "parties", folder / "out"
    for path in (out, *parties.glob("*/records"), *parties.glob("*/state")):
        shutil.rmtree(path, ignore_errors=True)
    own = parties / "hub"
    hub = ["hpc-connector", "federate", "hub", own / "STUDY.toml"]
    hub += ["--listen", f"127.0.0.1:{port}", "--tls-key", own / "tls.key"]
    hub += ["--state", own / "state", "--records", own / "records"]
    commands = [hub]
    for name in SHARES:
        own = parties / name
        site = ["mdr-epistasis", "federate", own / "STUDY.toml", "--site", name]
        site += ["--genotypes", folder / f"{name}.bed", "--tls-key", own / "tls.key"]
        site += ["--mask-key", own / "mask.sec", "--out", out / name, "--quiet"]
        commands.append([*site, "--records", own / "records"])
    before, start_s = get_children_s(), time.monotonic()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen(list(map(str, c)), **quiet) for c in commands]
    codes = [one.wait() for one in running]
    if any(codes):
        raise RuntimeError(f"the hub and the sites ended with {codes}")
    took_s = time.monotonic() - start_s
    record = json.loads((out / "a" / "manifest.json").read_text())
    return get_children_s() - before, took_s, record


def compare_hub(folder, variants, individuals):
    """Print what a search with a hub takes."""
    port = invite(folder)
    runs = [run_hub(folder, port) for _ in range(REPEATS)]
    cpu_s, took_s = (np.median([one[k] for one in runs]) for k in (0, 1))
    (sent,) = (one for one in runs[0][2]["federation"]["sites"] if one["name"] == "a")
    print(
        f"{variants} x {individuals}: with a hub {cpu_s:.2f} s of CPU in all, "
        f"{took_s:.2f} s; {sent['bytes'] / 1e6:.1f} MB left a site",
        flush=True,
    )


def get_commands(folder):
    """Return the command of the pooled search, and of the federated one."""
    pooled = ["run", str(folder / "pooled.bed"), "--rank-by", "test"]
    pooled += ["--fold-file", str(folder / "folds.tsv")]
    sites = str(folder / "{site}.bed")
    return pooled, ["federate", str(folder / "STUDY.toml"), "--genotypes", sites]


def compare(folder, variants, individuals, empty):
    """Print what a search takes, pooled and federated."""
    simulate(folder, variants, individuals)
    pooled, federated = [], []
    for _ in range(REPEATS):
        for command, times in zip(
            get_commands(folder), (pooled, federated), strict=True
        ):
            cpu_s, record = run(folder, command)
            times.append(cpu_s)
    sent = record["federation"]["sites"][0]
    n_bytes, rss = sent["bytes"], record["resources"]["max_rss_bytes"]
    one, other = np.median(pooled), np.median(federated)
    print(
        f"{variants} x {individuals}: pooled {one:.2f} s, federated {other:.2f} s, "
        f"ratio {other / one:.2f}; without start {one - empty[0]:.2f}, "
        f"{other - empty[1]:.2f}, ratio {(other - empty[1]) / (one - empty[0]):.2f}; "
        f"{n_bytes / 1e6:.1f} MB left a site; greatest rank {rss / 1e6:.0f} MB",
        flush=True,
    )
    for line in sent["let_out"]:
        print(f"    {line}")


def get_chacha_s(n_bytes):
    """Return CPU seconds of ChaCha20 alone."""
    zeros, stream = bytes(PIECE_BYTES), bytearray(PIECE_BYTES)
    before = time.process_time()
    encryptor = Cipher(ChaCha20(bytes(32), bytes(16)), mode=None).encryptor()
    for _ in range(n_bytes // PIECE_BYTES):
        encryptor.update_into(zeros, stream)
    return time.process_time() - before


def get_masks_s(into):
    """Return CPU seconds of the masks of two peers, to which parts are added."""
    part = np.zeros(PIECE_BYTES // 2, np.uint16)  # as counts, which are in the cache
    parts = [(len(part), partial(add_to, part))] * (len(into) // len(part))
    before = time.process_time()
    mask_parts(parts, {"a": bytes(32), "c": bytes(32)}, "b", 1, 0, into)
    return time.process_time() - before


def measure_masks():
    """Print the rate of masks beside that of ChaCha20."""
    numbers = np.zeros(1 << 21, np.uint16)
    alone, masks = [], []
    for _ in range(60):
        alone.append(get_chacha_s(2 * numbers.nbytes))
        masks.append(get_masks_s(numbers))
    one, other = (
        2 * numbers.nbytes / np.median(times) / 2**20 for times in (alone, masks)
    )
    print(
        f"masks: {other:.0f} MiB/s, ChaCha20 alone {one:.0f} MiB/s: {other / one:.0%}"
    )


def main():
    measure_masks()
    with_hub = "--hub" in sys.argv
    words = [int(word) for word in sys.argv[1:] if word != "--hub"]
    sizes = list(zip(words[::2], words[1::2], strict=True)) or SIZES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder / "empty", 40, 600)
        for command in get_commands(folder / "empty"):  # kernels are compiled
            run(folder / "empty", command)
        empty = [
            min(run(folder / "empty", command)[0] for _ in range(REPEATS))
            for command in get_commands(folder / "empty")
        ]
        print(f"start: pooled {empty[0]:.2f} s, federated {empty[1]:.2f} s")
        for variants, individuals in sizes:
            place = folder / f"{variants}x{individuals}"
            compare(place, variants, individuals, empty)
            if with_hub:
                compare_hub(place, variants, individuals)
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
