"""CPU seconds of storing ion images: PNG files, and the columns of results.h5.

    python benchmarks/store_images.py [PIXELS [IONS]]

The images, of 96,000 pixels and 300 ions unless others are given, are of noise: each
isotope peak is seen in a share of the pixels. First each part alone, on one core; then
all of it by one rank and by two: the CPU seconds of the busiest, which are what a run
waits for where each rank has a core, and the bytes that are written for them.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from cpu_time import get_best_s

from hpc_connector.learner.annotation.ion_images import (
    Grid,
    PeakList,
    count_pixels,
    get_images,
    get_mz_errors,
)
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.storer import save_output
from hpc_connector.storer.chunks import pack_chunks
from metabolite_annotation.output.images import save_ion
from metabolite_annotation.output.parts import make_images, publish_images
from metabolite_annotation.patterns import Patterns
from metabolite_annotation.spectra import Spectra

PPM = 3.0
SHARES = (0.42, 0.4, 0.4, 0.38)  # of the pixels that have an isotope peak
SOME = 24  # ions, of parts alone


def simulate(n_pixels, n_ions):
    """Return spectra with the peaks of some ions, and the patterns of these."""
    rng = np.random.default_rng(1)
    width = int(np.ceil(np.sqrt(n_pixels)))
    y, x = np.divmod(np.arange(n_pixels, dtype=np.int32), np.int32(width))
    mz = np.linspace(100, 900, n_ions)[:, None] + 1.003355 * np.arange(4)
    peaks = []
    for centre, share in zip(mz.ravel(), np.tile(SHARES, n_ions), strict=True):
        pixel = np.flatnonzero(rng.random(n_pixels) < share)
        at = centre * (1 + 1e-6 * rng.normal(0, 1, len(pixel)))
        peaks.append((at, pixel, rng.lognormal(5, 1, len(pixel))))
    at, pixel, intensity = (np.concatenate(column) for column in zip(*peaks))  # noqa: B905
    order = np.argsort(at, kind="stable")
    listed = PeakList(
        at[order].astype("f4"), pixel[order].astype("u4"), intensity[order].astype("f4")
    )
    grid = Grid(x, y, int(y[-1]) + 1, width)
    return Spectra(listed, grid, {}, {}), Patterns(mz, np.ones_like(mz))


def name_ions(n_ions):
    """Return annotations of as many ions."""
    columns = {
        "formula": [f"C{n}H{n}" for n in range(n_ions)],
        "adduct": ["+H"] * n_ions,
    }
    return SimpleNamespace(columns=columns, ion=np.arange(n_ions))


def time_parts(spectra, mz, folder):
    """Print what the parts of storing take, of an image."""
    data = spectra.peaks, spectra.grid
    images = get_images(*data, mz, ppm=PPM)
    errors = get_mz_errors(*data, mz, images, ppm=PPM)

    def save():
        for ion in range(len(mz)):
            save_ion(folder, [(f"C{ion}", "+H")], spectra.grid, images, ion)

    for name, work in {
        "count pixels": lambda: count_pixels(*data, mz, ppm=PPM),
        "make images": lambda: get_images(*data, mz, ppm=PPM),
        "errors of m/z": lambda: get_mz_errors(*data, mz, images, ppm=PPM),
        "pack pixels": lambda: pack_chunks(images.pixel, ascending=True),
        "pack intensities": lambda: pack_chunks(images.intensity),
        "pack errors": lambda: pack_chunks(errors),
        "PNG files": save,
    }.items():
        print(f"{name}: {1e3 * get_best_s(work) / mz.size:.3f} ms an image")


def store(comm, n_pixels, n_ions, out):
    """Store images of ions on all ranks; return the CPU seconds of this one."""
    data, named = simulate(n_pixels, n_ions), name_ions(n_ions)
    options = SimpleNamespace(out=out, ppm=PPM, threads=1, quiet=True)
    begin_s = time.process_time()
    stored = make_images(comm, options, *data, named, lambda: None)
    if comm.rank == 0:
        columns, chunks = stored.list_columns(), stored.read_chunks()
        save_output(out / "results.h5", {}, packed=columns, chunks=chunks)
        publish_images(out)
    took_s = time.process_time() - begin_s
    comm.Barrier()
    return took_s


def main():
    n_pixels, n_ions = map(int, [*sys.argv[1:3], 96_000, 300][:2])
    if sys.argv[3:]:  # a rank of those below
        comm = get_mpicomm()
        out = Path(sys.argv[3])
        store(comm, 1000, 1, out)  # loads what is compiled
        took_s = comm.allgather(store(comm, n_pixels, n_ions, out))
        if comm.rank == 0:
            print(max(took_s), sum(took_s))
        return
    with tempfile.TemporaryDirectory() as name:
        spectra, patterns = simulate(n_pixels, min(n_ions, SOME))
        time_parts(spectra, patterns.mz, Path(name))
    for ranks in (1, 2):
        with tempfile.TemporaryDirectory() as out:
            launch = ["mpirun", "-n", str(ranks), sys.executable, *sys.argv[:1]]
            command = [*launch, str(n_pixels), str(n_ions), out]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            busiest_s, all_s = map(float, done.stdout.split())
            files = [path for path in Path(out).rglob("*") if path.is_file()]
            mb = sum(path.stat().st_size for path in files) / 1e6
        print(
            f"{ranks} ranks: {busiest_s:.2f} s of the busiest, {all_s:.2f} s of all, "
            f"{mb:.0f} MB, {1e3 * all_s / mb:.1f} ms a MB"
        )


if __name__ == "__main__":
    main()
