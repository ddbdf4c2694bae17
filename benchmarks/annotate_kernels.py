"""CPU seconds of the stages of an annotation, on one core with compiled kernels.

    python benchmarks/annotate_kernels.py [DATASET.imzML ...]

Patterns and scores of the ions of CoreMetabolome v3 (+H, +Na, +K; 54,755 in analysis
version 3, 117,124 in version 1), on the datasets given, else on a simulated one of
2,184 pixels; reading against pyimzML's parser and NumPy's stable sort; the measure of
chaos; PNG files. Beside them stands what METASPACE's engine took on such a machine.
"""

import gzip
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from cpu_time import get_best_s

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hpc_connector.learner.annotation.ion_images import (
    Grid,
    annotate,
    get_images,
    get_measure_of_chaos,
)
from hpc_connector.learner.annotation.ions import Chemistry, make_ions
from hpc_connector.learner.annotation.patterns import Resolution, calculate_centroids
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.storer.png import encode_blocks
from imzml import simulate_spectra, write_imzml
from metabolite_annotation.output.images import draw_blocks
from metabolite_annotation.patterns import (
    Patterns,
    get_key,
    read_patterns,
    save_patterns,
)
from metabolite_annotation.spectra import load_spectra

FORMULAS = (
    Path(__file__).parents[1]
    / "tests/data/metaspace_golden/core_metabolome_v3_formulas.txt.gz"
)
ENGINE = {3: "3,200-4,600", 1: "1,000"}


def make_patterns(version):
    """Return ions and their patterns."""
    formulas = gzip.decompress(FORMULAS.read_bytes()).decode().split()
    chemistry = Chemistry(("+H", "+Na", "+K"), version=version)
    ions, (database,) = make_ions([formulas], chemistry)
    resolution = Resolution("FTICR", 0.000619, 1, version)
    patterns = Patterns(*calculate_centroids(ions, resolution))
    return ions, database, resolution, patterns


def time_patterns(folder):
    """Print the rate of patterns, and what those from the cache take."""
    for version in (3, 1):
        ions, _, resolution, patterns = make_patterns(version)
        took_s = get_best_s(lambda i=ions, r=resolution: calculate_centroids(i, r))
        print(
            f"patterns v{version}: {len(ions) / took_s:,.0f} ions/s "
            f"(engine {ENGINE[version]})"
        )
        path = folder / f"{get_key(ions, resolution)}.npz"
        save_patterns(path, patterns)

        def find(ions=ions, resolution=resolution):
            read_patterns(folder / f"{get_key(ions, resolution)}.npz")

        print(f"  from the cache: {get_best_s(find):.3f} s for {len(ions)} ions")


def simulate(path, n_pixels=2184, n_noise=550):
    """Write a round dataset with 240 ions."""
    _, database, _, (mz, heights) = make_patterns(3)
    edge = int(np.sqrt(n_pixels / np.pi))
    places = np.stack(np.mgrid[-edge : edge + 1, -edge : edge + 1], 2).reshape(-1, 2)
    places = places[(places**2).sum(axis=1) <= edge**2] + edge + 1
    patterns = [(mz[ion], heights[ion]) for ion in database.target[::10, 0]]
    write_imzml(path, simulate_spectra(places, patterns, n_noise=n_noise))


def time_dataset(path):
    """Print what reading and scoring a dataset takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyimzml.ImzMLParser import ImzMLParser

        pyimzml_s = get_best_s(lambda: ImzMLParser(path))
        parser = ImzMLParser(path)
    own_s = get_best_s(lambda: read_imzml(path))
    print(f"{path}: metadata {own_s:.3f} s, pyimzML {pyimzml_s / own_s:.1f} times that")
    imzml, comm = read_imzml(path), get_mpicomm(serial=True)

    def load():
        with load_spectra(comm, imzml) as spectra:
            return spectra

    def load_with_numpy():
        found = [parser.getspectrum(k) for k in range(len(imzml.x))]
        mz = np.concatenate([mz for mz, _ in found])
        order = np.argsort(mz, kind="stable")
        return mz[order], np.concatenate([i for _, i in found])[order]

    numpy_s, load_s = get_best_s(load_with_numpy), get_best_s(load)
    spectra = load()
    n_peaks = len(spectra.peaks.mz)
    print(
        f"  read and sort {n_peaks:,} peaks: {load_s:.2f} s, "
        f"pyimzML and NumPy {numpy_s / load_s:.1f} times that"
    )
    ions, _, _, (mz, heights) = make_patterns(3)
    order = np.argsort(mz[:, 0])
    mz, heights = mz[order], heights[order]

    def score():
        scores = annotate(spectra.peaks, spectra.grid, mz, heights)
        return get_images(spectra.peaks, spectra.grid, mz[scores[:, 0] > 0])

    took_s = get_best_s(score)
    n = len(score().mz_mean)
    print(
        f"  scores of {len(ions)} ions with statistics, and images of the {n} that "
        f"have one: {took_s:.3f} s, {len(ions) / took_s:,.0f} ions/s (engine 1,460 "
        "with 2,184 pixels, 936 with 12,074)"
    )


def time_chaos():
    """Print what the measure of chaos takes, smooth images that are 60 % filled."""
    rng = np.random.default_rng(1)
    for edge, engine_ms in ((50, 0.29), (100, 1.03), (200, 3.6), (500, 21.8)):
        wave = np.add.outer(np.sin(np.arange(edge) / 7), np.cos(np.arange(edge) / 9))
        image = np.clip(wave + 2 + rng.normal(0, 0.3, wave.shape), 0, None)
        image[rng.random(image.shape) < 0.4] = 0
        image = image.astype(np.float32)
        took_ms = 1e3 * get_best_s(lambda i=image: get_measure_of_chaos(i), 9)
        print(f"chaos {edge} x {edge}: {took_ms:.2f} ms (cpyImagingMSpec {engine_ms})")


def time_png(folder):
    """Print the rate of ion images of 130 x 120 pixels."""
    rng = np.random.default_rng(1)
    y, x = np.divmod(np.arange(15600, dtype=np.int32), np.int32(130))
    inside = (x - 65) ** 2 + (y - 60) ** 2 < 58**2
    grid = Grid(x[inside], y[inside], 120, 130)
    pixel = np.flatnonzero(rng.random(len(grid.x)) < 0.6)
    value = rng.random(len(pixel), dtype=np.float32)

    def save():
        for k in range(300):
            blocks = draw_blocks(grid, pixel, value)
            parts = encode_blocks(blocks, grid.height, grid.width, 2, 16)
            (folder / f"{k}.png").write_bytes(b"".join(parts))

    print(f"png 130 x 120: {300 / get_best_s(save):,.0f} images/s (engine 255)")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        time_patterns(folder)
        paths = sys.argv[1:]
        if not paths:
            paths = [str(folder / "simulated.imzML")]
            simulate(Path(paths[0]))
        for path in paths:
            time_dataset(path)
        time_chaos()
        time_png(folder)


if __name__ == "__main__":
    main()
