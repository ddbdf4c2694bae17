"""Measure the whole program from .bed to models.tsv, in CPU seconds of one core.

    python benchmarks/search_mdr.py [--peers]

Simulates the sizes of the table in docs/performance.md, runs `mdr-epistasis` on one
rank (kernels compiled and cached by a small run before), and prints million models a
second and a core. `--peers` runs plink 1.9's BOOST on the same files, if it is
installed.
"""

import argparse
import json
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

SIZES = [  # name, variants, individuals, options
    ("no cross-validation", 20000, 4000, ["--folds", "1"]),
    ("no cross-validation", 10000, 2000, ["--folds", "1"]),
    ("10 folds", 10000, 4000, ["--folds", "10"]),
    ("10 folds", 10000, 2000, ["--folds", "10"]),
    ("5 folds", 10000, 1128, ["--folds", "5"]),
    ("10 folds, 2 % missing", 4000, 4000, ["--folds", "10"]),
    ("order 3", 500, 4000, ["--folds", "1", "--order", "3"]),
    ("order 3, 10 folds", 300, 4000, ["--folds", "10", "--order", "3"]),
    ("10 folds, 16 permutations", 4000, 4000, ["--permutations", "16"]),
]


def get_cpu_s(command):
    """Return the CPU seconds of a command and all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    quiet = subprocess.DEVNULL
    subprocess.run(command, check=True, stdout=quiet, stderr=quiet)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def simulate(prefix, variants, individuals, missing):
    """Make a .bed cohort with a planted pair, once."""
    if Path(f"{prefix}.bed").exists():
        return
    options = f"--variants {variants} --individuals {individuals} --heritability 0.02"
    options += f" --maf 0.3 --seed 1 --missing-rate {missing}"
    command = ["mdr-epistasis", "simulate", "--out", prefix, *options.split()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def measure(prefix, out, options):
    """Return CPU seconds and models of one run."""
    shutil.rmtree(out, ignore_errors=True)
    command = ["mdr-epistasis", "run", f"{prefix}.bed", "--out", str(out), "--quiet"]
    cpu_s = get_cpu_s([*command, *options])
    return cpu_s, json.loads((out / "manifest.json").read_text())["search"]["models"]


def show(name, cpu_s, models):
    """Print one line of the table."""
    rate = models / cpu_s / 1e6
    print(f"{name:40} {cpu_s:7.2f} CPU s  {rate:6.2f} M/s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true")
    peers = parser.parse_args().peers and shutil.which("plink1.9")
    with tempfile.TemporaryDirectory() as folder:
        for warm in ("2", "3"):
            simulate(f"{folder}/warm", 40, 100, 0)
            for folds in ("1", "2"):
                measure(
                    f"{folder}/warm",
                    Path(folder, "out"),
                    ["--order", warm, "--folds", folds],
                )
        for name, variants, individuals, options in SIZES:
            missing = 0.02 if "missing" in name else 0
            prefix = f"{folder}/{variants}x{individuals}x{missing}"
            simulate(prefix, variants, individuals, missing)
            cpu_s, models = min(
                measure(prefix, Path(folder, "out"), options) for _ in range(2)
            )
            show(f"{name}, {variants} x {individuals}", cpu_s, models)
            if peers and name.startswith("no"):
                command = f"{peers} --bfile {prefix} --fast-epistasis boost --threads 1"
                command += f" --allow-no-sex --out {folder}/plink"
                show("    plink 1.9 BOOST", get_cpu_s(command.split()), models)


if __name__ == "__main__":
    main()
