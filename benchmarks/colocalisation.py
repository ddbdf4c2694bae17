"""CPU seconds and memory of colocalisation and of the mean spectrum, on one core.

    python benchmarks/colocalisation.py

Simulated images of a tissue in a box, 60 % of whose pixels have a signal, against
METASPACE's way with SciPy and NumPy in single precision (which takes all images at
once, so it is left out where they are large); then the nearest of each ion, and the
mean spectrum of peaks that are evenly spread.
"""

import os
import sys
import time
import tracemalloc
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as a run has it
import numpy as np
from cpu_time import get_best_s

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import naive_colocalisation as naive
from hpc_connector.learner.annotation.dataset.colocalisation import (
    get_limits,
    get_nearest,
    get_products,
)
from hpc_connector.learner.annotation.dataset.mean_spectrum import get_bins
from hpc_connector.learner.annotation.ion_images import Grid, PeakList
from metabolite_annotation.dataset.colocalisation import NEAREST, STRIP_VALUES

SIZES = ((329, 48, 48), (700, 110, 110), (1000, 400, 500), (2000, 310, 310))
MOST_NAIVE = 20_000_000  # values
SHARE = 0.6
PEAKS = 20_000_000


def simulate(n_ions, height, width):
    """Return peaks, pixels and m/z of images of waves and noise."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width].astype(np.int32)
    far = ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2
    y, x = y[far < 0.25], x[far < 0.25]
    mz = 200 + np.arange(n_ions, dtype=np.float64)
    n = round(SHARE * len(x))
    pixel = np.concatenate([
        np.sort(rng.permutation(len(x))[:n]).astype(np.uint32) for _ in mz
    ])  # fmt: skip
    intensity = rng.gamma(2, 1, len(pixel)).astype(np.float32)
    intensity *= 1.5 + np.sin(x[pixel] / np.repeat(2 + np.arange(n_ions) % 17, n))
    return PeakList(np.repeat(mz, n), pixel, intensity), Grid(x, y, height, width), mz


def multiply(peaks, grid, mz):
    """Return the products of all pairs, strip by strip as a run does."""
    limits = get_limits(peaks, grid, mz)
    n_rows = max(1, STRIP_VALUES // (len(mz) * grid.width))
    total = np.zeros((len(mz), len(mz)))
    for top in range(0, grid.height, n_rows):
        rows = top, min(top + n_rows, grid.height)
        total += get_products(peaks, grid, mz, limits, rows)
    return total


def multiply_naively(peaks, grid, mz):
    """Return the cosines of all pairs by SciPy and NumPy."""
    images = np.zeros((len(mz), grid.height, grid.width), np.float32)
    ion = np.searchsorted(mz, peaks.mz)
    images[ion, grid.y[peaks.pixel], grid.x[peaks.pixel]] = peaks.intensity
    flat = np.array([naive.prepare(i).ravel() for i in images], np.float32)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    return flat @ flat.T


def compare(n_ions, height, width):
    """Print what images of one size take."""
    dataset = simulate(n_ions, height, width)
    multiply(*simulate(4, 9, 9))  # compiled
    n_values = n_ions * height * width
    tracemalloc.start()
    began_s = time.process_time()
    products = multiply(*dataset)
    took_s = time.process_time() - began_s
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    near_s = get_best_s(lambda: get_nearest(products, NEAREST))
    text = f"{n_ions} ions, {height * width:,} pixels: {took_s:.2f} s"
    if n_values < MOST_NAIVE:
        began_s = time.process_time()
        multiply_naively(*dataset)
        text += f", SciPy {(time.process_time() - began_s) / took_s:.1f} times that"
    print(f"{text}; arrays of {peak_mb:.0f} MB; the nearest {1e3 * near_s:.0f} ms")


def time_spectrum():
    """Print what the mean spectrum takes."""
    rng = np.random.default_rng(1)
    mz = np.sort(rng.uniform(100, 1200, PEAKS))
    intensity = rng.gamma(2, 1, PEAKS).astype(np.float32)
    peaks = PeakList(mz, np.zeros(PEAKS, np.uint32), intensity)
    get_bins(peaks, 0, 1, 9)
    took_s = get_best_s(lambda: get_bins(peaks, 0, 1, 1 << 14))
    print(f"mean spectrum of {PEAKS:,} peaks: {took_s:.2f} s")


if __name__ == "__main__":
    for size in SIZES:
        compare(*size)
    time_spectrum()
