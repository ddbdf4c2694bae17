"""CPU seconds to read an imzML dataset, here and by pyimzML.

    python benchmarks/load_imzml.py [SPECTRA] [PEAKS]

The dataset is made anew from a fixed seed, PEAKS in each spectrum, processed, float64
m/z and float32 intensities; each figure is the best of three, on one thread. First the
metadata: pyimzML by its default parser, which is ElementTree, and by lxml where that is
installed. Then, with the metadata, all peaks in ascending order of m/z: pyimzML reads
one spectrum after the other, and NumPy sorts stably; here norms are computed as well.
"""

import importlib.util
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from cpu_time import get_best_s

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.partitioner.launch import get_mpicomm
from imzml import write_imzml
from metabolite_annotation.spectra import load_spectra

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyimzml.ImzMLParser import ImzMLParser


def simulate(path: Path, n_spectra: int, n_peaks: int) -> None:
    """Write a dataset as wide as high, with peaks anywhere from 100 to 1,000."""
    rng = np.random.default_rng(42)
    edge = int(np.ceil(np.sqrt(n_spectra)))
    spectra = (
        (
            1 + k % edge,
            1 + k // edge,
            np.sort(rng.uniform(100, 1000, n_peaks)),
            rng.lognormal(5, 1, n_peaks),
        )
        for k in range(n_spectra)
    )
    write_imzml(path, list(spectra))


def parse(path: str, library: str | None) -> ImzMLParser:
    """Return pyimzML's reading of the metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ImzMLParser(path, parse_lib=library)


def load(path: str) -> tuple[np.ndarray, ...]:
    """Return all peaks in order of m/z: these, pixels and intensities."""
    with load_spectra(get_mpicomm(serial=True), read_imzml(path)) as spectra:
        return spectra.peaks.to_tuple()


def load_with_pyimzml(path: str) -> tuple[np.ndarray, ...]:
    """Return the same by pyimzML and NumPy."""
    parser = parse(path, None)
    found = [parser.getspectrum(k) for k in range(len(parser.coordinates))]
    mz = np.concatenate([mz for mz, _ in found])
    intensity = np.concatenate([intensity for _, intensity in found])
    pixel = np.repeat(
        np.arange(len(found), dtype=np.uint32), [len(m) for m, _ in found]
    )
    order = np.argsort(mz, kind="stable")
    return mz[order], pixel[order], intensity[order]


def main() -> None:
    n_spectra, n_peaks = map(int, sys.argv[1:] or ("12000", "850"))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "simulated.imzML")
        simulate(Path(path), n_spectra, n_peaks)
        print(f"{n_spectra} spectra x {n_peaks} peaks, CPU s")
        read_imzml(path)  # compiles the kernels, or loads them
        own_s = get_best_s(lambda: read_imzml(path))
        print(f"metadata here: {own_s:.3f}")
        libraries = {"default (ElementTree)": None}
        if importlib.util.find_spec("lxml"):
            libraries["lxml"] = "lxml"
        for name, library in libraries.items():
            cpu_s = get_best_s(lambda: parse(path, library))  # noqa: B023
            print(f"metadata pyimzML {name}: {cpu_s:.3f}, {cpu_s / own_s:.1f} times")
        for own, known in zip(load(path), load_with_pyimzml(path), strict=True):
            np.testing.assert_array_equal(own, known)
        own_s = get_best_s(lambda: load(path))
        cpu_s = get_best_s(lambda: load_with_pyimzml(path))
        print(f"all peaks, sorted, here: {own_s:.2f}")
        print(f"all peaks, pyimzML and NumPy: {cpu_s:.2f}, {cpu_s / own_s:.1f} times")


if __name__ == "__main__":
    main()
