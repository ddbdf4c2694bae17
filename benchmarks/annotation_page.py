"""The page of a large annotation: its size, and the time and memory to make it.

    python benchmarks/annotation_page.py --pixels 200000 --annotations 1000

Makes results.h5 of images with a smooth centre each and noise, with an error of m/z a
pixel, then writes report.html in a process of its own, and prints one JSON object.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hpc_connector.manifest import save_manifest
from hpc_connector.storer import save_output
from hpc_connector.storer.columns import TEXT
from metabolite_annotation import schema

PEAKS = 4
LEVELS = np.array([0.05, 0.1, 0.2, 0.5])


def make_column(column: Any, n: int, rng: np.random.Generator) -> Any:
    """Return values of a column of annotations, those that must agree apart."""
    if column.dtype == TEXT:
        return [f"C{k + 1}H{2 * k + 4}O2" for k in range(n)]
    return rng.random(n).astype(column.dtype)


def make_annotations(n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return the columns of annotations, each of an ion of its own."""
    columns = {c.name: make_column(c, n, rng) for c in schema.ANNOTATIONS.columns}
    fdr = np.linspace(0.001, 0.5, n)
    columns |= {"adduct": ["+H"] * n, "database": ["made"] * n}
    columns |= {"isomers": [""] * n, "isobars": [""] * n, "image": np.arange(n)}
    columns |= {"fdr": fdr, "fdr_level": LEVELS[np.searchsorted(LEVELS, fdr)]}
    return columns | {"mz": np.sort(rng.uniform(100, 1000, n)), "mz_err_abs": 0 * fdr}


def make_images(
    n: int, x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the images of ions: around a centre most pixels, of isotopes fewer."""
    begin = np.zeros(1, np.int64)
    yield {"images/indptr": begin, "images/mz_error_indptr": begin}
    end = error_end = 0
    for _ in range(n):
        far = (x - rng.choice(x)) ** 2 + (y - rng.choice(y)) ** 2
        share = np.exp(-far / (2 * (rng.uniform(0.1, 0.4) * x.max()) ** 2))
        pixel = [
            np.flatnonzero(rng.random(len(x)) < (0.1 + 0.5 * share) / (k + 1))
            for k in range(PEAKS)
        ]
        sizes = np.array([len(p) for p in pixel])
        which = np.concatenate(pixel)
        yield {
            "images/indptr": end + np.cumsum(sizes),
            "images/mz_error_indptr": np.array([error_end + sizes[0]]),
            "images/pixel": which.astype(np.uint32),
            "images/intensity": (
                1e3 * share[which] * rng.lognormal(0, 0.4, len(which))
            ).astype(np.float32),
            "images/mz_error": rng.integers(-300, 300, sizes[0]).astype(np.int16),
        }
        end, error_end = end + sizes.sum(), error_end + sizes[0]


def save_run(out: Path, n_pixels: int, n: int) -> None:
    """Write ``results.h5`` and ``manifest.json`` of a run made up."""
    rng = np.random.default_rng(0)
    width = math.isqrt(n_pixels)
    y, x = np.divmod(np.arange(n_pixels), width)
    pixels = {"x": x, "y": y} | {name: np.ones(n_pixels) for name in ("tic", "rms")}
    peaks = ("mz", "theoretical_intensity", "mz_mean", "mz_std", "total_intensity")
    ions = {name: rng.uniform(100, 1000, (n, PEAKS)) for name in peaks}
    scores = {c.name: make_column(c, 2, rng) for c in schema.SCORES.columns}
    groups: dict[str, dict[str, Any]] = {
        "annotations": make_annotations(n, rng),
        "images": ions | {"ion": [f"C{k + 1}H5" for k in range(n)]},
        "pixels": pixels,
        "scores": scores,
    }
    columns = {
        f"{group}/{name}": column
        for group, part in groups.items()
        for name, column in part.items()
    }
    attributes = {"dataset": "made", "width": width, "height": int(y.max()) + 1}
    attributes |= {"n_peaks": PEAKS, "ppm": 3.0, "analysis_version": 3}
    attributes |= {"polarity": "positive"}
    save_output(out / "results.h5", columns, attributes)
    with h5py.File(out / "results.h5", "r+") as file:
        for piece in make_images(n, x, y, rng):
            for name, values in piece.items():
                append(file, name, values)
    save_manifest(out, {"program": "metabolite-annotation", "status": "done"})


def append(file: h5py.File, name: str, values: np.ndarray) -> None:
    """Write the next rows of a column."""
    if name not in file:
        kept = {"maxshape": (None,), "compression": "gzip", "compression_opts": 1}
        file.create_dataset(name, (0,), values.dtype, chunks=(1 << 14,), **kept)
    column = file[name]
    column.resize(len(column) + len(values), axis=0)
    column[len(column) - len(values) :] = values


def main() -> None:
    """Print what a page takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=200_000)
    parser.add_argument("--annotations", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        save_run(out, args.pixels, args.annotations)
        command = [sys.executable, "-m", "metabolite_annotation", "report", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        page_bytes = (out / "report.html").stat().st_size
    cpu_s = round(used.ru_utime + used.ru_stime, 2)
    told = {"page_bytes": page_bytes, "cpu_s": cpu_s, "max_rss_kib": used.ru_maxrss}
    print(json.dumps(vars(args) | told))


if __name__ == "__main__":
    main()
