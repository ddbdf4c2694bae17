"""What the exports of a run take: CPU seconds, peak memory and size of each form.

    python benchmarks/exports.py [ROWS COLUMNS ANNOTATIONS]

A made-up run of a box of 400 x 500 pixels and 1,000 annotations, whose first isotope
images cover a fifth of the pixels and the others a twentieth. Memory is that of the
whole process, Python and the libraries of the form included.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from cpu_time import get_children_s

from hpc_connector.manifest import save_manifest
from hpc_connector.storer.columns import TEXT
from hpc_connector.storer.results import PACKED
from metabolite_annotation import schema
from metabolite_annotation.export.formats import EXPORTS

COVERED = (0.2, 0.05, 0.05, 0.05)  # of the pixels, by the isotope images of an ion
CHUNK = 1 << 14
EXPORT = (
    "import resource, sys; from metabolite_annotation.program import main; "
    "code = main(['export', *sys.argv[1:]]); "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); "
    "sys.exit(code)"
)


def write_run(out, height, width, n):
    """Write results.h5 and manifest.json of a run."""
    with h5py.File(out / "results.h5", "w") as file:
        file.attrs.update({"program": "metabolite-annotation", "dataset": "made up"})
        file.attrs.update({"height": height, "width": width, "n_peaks": len(COVERED)})
        file.attrs.update({"ppm": 3.0, "analysis_version": 3, "polarity": "positive"})
        file.attrs["format_version"] = 1
        for column in schema.ANNOTATIONS.columns:
            values = [f"C{k + 1}H{k + 2}" for k in range(n)]
            known = {"image": np.arange(n), "adduct": ["+H"] * n}
            if column.dtype != TEXT:
                values = np.ones(n, column.dtype)
            file[f"annotations/{column.name}"] = known.get(column.name, values)
        y, x = np.divmod(np.arange(height * width), width)
        norm = np.random.default_rng(1).uniform(1, 2, height * width)
        for column in schema.PIXELS.columns:
            values = {"x": x, "y": y}.get(column.name, norm)
            file[f"pixels/{column.name}"] = values.astype(column.dtype)
        write_images(file, height * width, n)
    dataset, parameters = {"pixel_size_um": [50, 50]}, {"normalise": "none"}
    record = {"program": "metabolite-annotation", "status": "done", "outputs": []}
    record |= {"dataset": dataset, "search": {"adducts": ["+H"]}}
    parameters |= {"chem_mods": [], "neutral_losses": []}
    save_manifest(out, record | {"parameters": parameters})


def write_images(file, n_pixels, n):
    """Write images of noise."""
    rng, start = np.random.default_rng(0), [0]
    grows = {"maxshape": (None,), "chunks": (CHUNK,), **PACKED}
    pixel = file.create_dataset("images/pixel", (0,), np.uint32, **grows)
    intensity = file.create_dataset("images/intensity", (0,), np.float32, **grows)
    for _ in range(n):
        there = [np.flatnonzero(rng.random(n_pixels) < share) for share in COVERED]
        start += (start[-1] + np.cumsum([len(part) for part in there])).tolist()
        for column in (pixel, intensity):
            column.resize(start[-1], axis=0)
        part = slice(start[-1] - sum(map(len, there)), start[-1])
        pixel[part] = np.concatenate(there)
        intensity[part] = rng.lognormal(5, 1, part.stop - part.start)
    file["images/indptr"] = np.array(start)
    mz = 200 + 0.7 * np.arange(n)[:, None] + np.arange(len(COVERED))
    for name in ("mz_mean", "mz_std", "total_intensity"):
        file[f"images/{name}"] = mz


def measure(out, form):
    """Print what a form takes."""
    before = get_children_s()
    command = [sys.executable, "-c", EXPORT, str(out), "--export", form]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    n_bytes = sum(get_size(out / name) for name in EXPORTS[form])
    peak_bytes = 1024 * int(done.stderr.split()[-1])
    print(
        f"{form}: {get_children_s() - before:.1f} CPU s, {peak_bytes / 1e6:,.0f} MB "
        f"of memory, {n_bytes / 1e6:,.1f} MB of files"
    )


def get_size(path):
    """Return the bytes of a file, or of all below a folder."""
    return sum(p.stat().st_size for p in (path, *path.rglob("*")) if p.is_file())


def main():
    sizes = [int(word) for word in sys.argv[1:]] or [400, 500, 1000]
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder), *sizes)
        for form in EXPORTS:
            measure(Path(folder), form)


if __name__ == "__main__":
    main()
