"""How time and memory of an annotation grow with a dataset, beside their bounds.

    python benchmarks/annotation_size.py [PIXELS ...] [--peaks N] [--database FILE]
        [--ranks N] [--keep FOLDER]

Simulates square datasets of 10,000, 30,000 and 100,000 pixels with 1,000 peaks each,
and annotates each with LIPID MAPS, +H, +Na and +K, its patterns in the cache, by one
rank. A row is the pixels, peaks, bytes of the .ibd file, CPU seconds of the whole run
and microseconds a peak, the peak of memory (proportional set sizes of all ranks, which
count what they share once; and the resident set of the largest), and the bound: 1.5
times the .ibd file and 300 MB a rank. With --keep datasets and patterns are kept, and
taken from there if they are there.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np
from annotate_kernels import FORMULAS, make_patterns
from ranks import find_descendants, get_pss_bytes

from metabolite_annotation.output.imzml import open_writer

LIPIDS = FORMULAS.parents[1] / "databases/lipidmaps_2017-12-12-v2.tsv.gz"
GIVEN = ["--instrument", "FTICR", "--isocalc-sigma", "0.000619", "--quiet"]
SAMPLE_S = 0.05
BLOCK = 1000  # pixels drawn at once
N_IONS = 240
HEADING = (
    f"{'pixels':>9} {'peaks':>12} {'.ibd MB':>8} {'CPU s':>7} {'us/peak':>7} "
    f"{'PSS MB':>9} {'RSS MB':>9} {'bound MB':>9}"
)


def simulate(path, width, height, n_peaks, seed=0):
    """Write a dataset of ions in smooth patterns and noise; every pixel has n peaks."""
    _, database, _, (mz, heights) = make_patterns(3)
    planted = np.sort(database.target[:, 0])
    planted = planted[np.linspace(0, len(planted) - 1, N_IONS).astype(int)]
    mz, heights = mz[planted], heights[planted]
    rng = np.random.default_rng(seed)
    waves = rng.uniform(-9, 9, (N_IONS, 2))
    pixels = np.arange(width * height)
    x, y = pixels % width, pixels // width
    places = np.stack([x, y], axis=1) / max(width, height)
    with open_writer(path, uuid.UUID(int=seed + 42), "positive", {}) as writer:
        for first in range(0, len(pixels), BLOCK):
            chosen = slice(first, first + BLOCK)
            level = np.clip(np.sin(places[chosen] @ waves.T) - 0.1, 0, None)
            drawn = draw(level, mz, heights, n_peaks, rng)
            for a, b, *spectrum in zip(x[chosen], y[chosen], *drawn, strict=True):
                writer.addSpectrum(*spectrum, (int(a) + 1, int(b) + 1, 1))


def draw(level, mz, heights, n_peaks, rng):
    """Return m/z and intensities of some pixels, both of shape (pixels, peaks)."""
    is_there = (level > 0)[..., None] & (mz > 0)
    error = rng.normal(0, 5e-7, is_there.shape)
    ions = np.where(is_there, mz * (1 + error), np.inf).reshape(len(level), -1)
    spread = rng.lognormal(5.5, 0.1, is_there.shape)
    shown = (level[..., None] * heights * spread).reshape(len(level), -1)
    noise = rng.uniform(150, 1000, (len(level), n_peaks))
    n_noise = n_peaks - is_there.sum(axis=(1, 2))
    noise[np.arange(n_peaks) >= n_noise[:, None]] = np.inf
    everything = np.concatenate([ions, noise], axis=1)
    order = np.argsort(everything, axis=1)[:, :n_peaks]
    heard = np.concatenate([shown, rng.lognormal(5, 1, noise.shape)], axis=1)
    return [np.take_along_axis(one, order, 1) for one in (everything, heard)]


def make_dataset(path, width, height, n_peaks):
    """Simulate a dataset unless it is there; it has its name once it is whole."""
    if path.exists():
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        drawn = Path(name) / path.name
        simulate(drawn, width, height, n_peaks)
        drawn.with_suffix(".ibd").replace(path.with_suffix(".ibd"))
        drawn.replace(path)


def watch(process):
    """Wait for a process; return the peaks of memory: of all, and of the largest."""
    total_bytes = largest_bytes = 0
    while process.poll() is None:
        sizes = [get_pss_bytes(pid) for pid in find_descendants(process.pid)]
        total_bytes = max(total_bytes, sum(sizes))
        largest_bytes = max(largest_bytes, *sizes)
        time.sleep(SAMPLE_S)
    if process.returncode != 0:
        raise SystemExit(f"{process.args} ended with {process.returncode}")
    return total_bytes, largest_bytes


def annotate(dataset, database, folder, ranks):
    """Return what a run used according to its manifest, and its peak of memory."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command = ["metabolite-annotation", "run", dataset, "--database", database]
    command += ["--out", out, "--pattern-cache", folder / "patterns", *GIVEN]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*launch, *map(str, command)], **quiet)
    total_bytes, _ = watch(process)
    record = json.loads((out / "manifest.json").read_text())
    shutil.rmtree(out)
    return record, total_bytes


def print_row(dataset, database, folder, ranks):
    """Print what a dataset takes."""
    record, total_bytes = annotate(dataset, database, folder, ranks)
    used, found = record["resources"], record["dataset"]
    ibd_bytes = dataset.with_suffix(".ibd").stat().st_size
    bound = 1.5 * ibd_bytes + 300e6 * ranks
    print(
        f"{found['pixels']:>9,} {found['peaks']:>12,} {ibd_bytes / 1e6:>8,.0f} "
        f"{used['cpu_s']:>7.1f} {1e6 * used['cpu_s'] / found['peaks']:>7.3f} "
        f"{total_bytes / 1e6:>9,.0f} {used['max_rss_bytes'] / 1e6:>9,.0f} "
        f"{bound / 1e6:>9,.0f}  {'' if total_bytes <= bound else 'above the bound'}",
        flush=True,
    )


def read_words():
    """Return what is asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = [10_000, 30_000, 100_000]
    parser.add_argument("pixels", nargs="*", type=int, default=sizes, metavar="PIXELS")
    parser.add_argument("--peaks", type=int, default=1000, metavar="N")
    parser.add_argument("--database", type=Path, default=LIPIDS, metavar="FILE")
    parser.add_argument("--ranks", type=int, default=1, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    return parser.parse_args()


def main():
    asked = read_words()
    with tempfile.TemporaryDirectory() as name:
        folder = asked.keep or Path(name)
        print(HEADING)
        for n_pixels in asked.pixels:
            edge = round(n_pixels**0.5)
            dataset = folder / f"sim_{edge}x{edge}_{asked.peaks}_peaks.imzML"
            make_dataset(dataset, edge, edge, asked.peaks)
            if n_pixels == asked.pixels[0]:  # for the patterns
                annotate(dataset, asked.database, folder, asked.ranks)
            print_row(dataset, asked.database, folder, asked.ranks)


if __name__ == "__main__":
    main()
