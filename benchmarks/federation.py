"""Measure a federated search: its CPU beside one pooled run, its bytes, its masks.

    python benchmarks/federation.py [VARIANTS INDIVIDUALS ...]

Simulates cohorts without missing genotypes, deals each to three sites, and searches it
in turn as one cohort (--rank-by test, with the same folds, on three ranks) and over the
sites (the first 1,000 models, no consistency); prints CPU seconds of both with all that
starts, what starts of an all but empty search taken off, and bytes that left a site.
Then the rate of masks beside that of ChaCha20 alone, in turn.
"""

import json
import shutil
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
    words = list(map(int, sys.argv[1:]))
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
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
