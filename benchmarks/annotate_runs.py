"""What whole annotations take: CPU seconds, wall time, memory; on one rank and on two.

    python benchmarks/annotate_runs.py [DATASET.imzML [DATABASE ...]]

The formulas of CoreMetabolome v3 with +H, +Na and +K, PNG files, results and report
included. First the dataset given, else a simulated one of 2,184 pixels: with no
patterns in the cache and with them (METASPACE's engine: 53 CPU s for sim_bench). Then a
simulated one of 12,000 pixels and 13 million peaks, with CoreMetabolome, with LIPID
MAPS, which has three times the formulas, and with the databases given. Where files are
slow to create, TMPDIR names a better place.
"""

import gzip
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from annotate_kernels import FORMULAS, simulate
from ranks import SAMPLE_S, find_descendants, get_pss_bytes

REPEATS = 3
LIPIDS = FORMULAS.parents[1] / "databases/lipidmaps_2017-12-12-v2.tsv.gz"
GIVEN = ["--instrument", "FTICR", "--isocalc-sigma", "0.000619", "--quiet"]


def measure(dataset, database, folder, ranks=1, *, is_cold=True):
    """Return CPU and wall seconds of a run, start included, and its peak of memory."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    if is_cold:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command = ["metabolite-annotation", "run", dataset, "--database", database]
    command += ["--out", folder / "out", "--pattern-cache", folder / "cache", *GIVEN]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    begin_s = time.monotonic()
    process = subprocess.Popen([*launch, *map(str, command)], **quiet)
    peak_bytes = 0
    while process.poll() is None:
        now_bytes = sum(map(get_pss_bytes, find_descendants(process.pid)))
        peak_bytes = max(peak_bytes, now_bytes)
        time.sleep(SAMPLE_S)
    wall_s = time.monotonic() - begin_s
    if process.returncode != 0:
        raise SystemExit(f"{command} ended with {process.returncode}")
    used = json.loads((folder / "out/manifest.json").read_text())["resources"]
    return used["cpu_s"], wall_s, peak_bytes


def compare(dataset, database, folder):
    """Print what a dataset takes cold and warm, alone and on two ranks."""
    ibd_bytes = Path(dataset).with_suffix(".ibd").stat().st_size
    alone_s = {}
    print(dataset, database.name)
    for is_cold, ranks in itertools.product((True, False), (1, 2)):
        runs = [
            measure(dataset, database, folder, ranks, is_cold=is_cold)
            for _ in range(REPEATS)
        ]
        cpu_s, wall_s = (min(run[k] for run in runs) for k in (0, 1))
        peak_bytes = max(run[2] for run in runs) / ranks
        alone_s.setdefault(is_cold, wall_s)
        print(
            f"  {'cold' if is_cold else 'warm'} cache, {ranks} ranks: CPU "
            f"{cpu_s:.2f} s, wall {wall_s:.2f} s, "
            f"{alone_s[is_cold] / wall_s:.2f} times as fast, memory "
            f"{peak_bytes / 1e6:.0f} of "
            f"{1.5 * ibd_bytes / ranks / 1e6 + 300:.0f} MB a rank",
            flush=True,
        )


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = folder / "core_metabolome_v3.tsv"
        formulas = gzip.decompress(FORMULAS.read_bytes()).decode().split()
        rows = [f"{k}\tmolecule {k}\t{f}\n" for k, f in enumerate(formulas)]
        database.write_text("id\tname\tformula\n" + "".join(rows))
        first = sys.argv[1] if sys.argv[1:] else folder / "small.imzML"
        if not sys.argv[1:]:
            simulate(first)
        large = folder / "large.imzML"
        simulate(large, n_pixels=12_000, n_noise=550)
        measure(first, database, folder)  # compiles
        compare(first, database, folder)
        for path in (database, LIPIDS, *map(Path, sys.argv[2:])):
            compare(large, path, folder)


if __name__ == "__main__":
    main()
