"""Finished annotation runs made of METASPACE's golden results and smooth images."""

import csv
import gzip
import re
from collections import Counter
from pathlib import Path

import numpy as np

from hpc_connector.manifest import save_manifest
from hpc_connector.storer import save_output

GOLDEN = Path(__file__).parent / "data" / "metaspace_golden"
LEVELS = (0.05, 0.1, 0.2, 0.5)
PEAKS = range(4)


def write_run(
    out,
    *,
    rows=None,
    width=32,
    height=30,
    names=("Molecule A", "(2S)-2-Amino-3-methylbutanoic acid"),
    databases=("core",),
    dataset="sim_small",
    version=3,
    noise=0.1,
):
    """Write ``results.h5`` and ``manifest.json``; return `out`.

    Parameters
    ----------
    rows
        How many of the golden annotations, all by default.
    names
        Given to the annotations in turn.
    databases
        Each gets every annotation.
    noise
        Of the intensity of a pixel, relative.
    """
    golden = sorted(
        read_golden("annotations"), key=lambda r: (float(r["fdr"]), -float(r["msm"]))
    )[:rows]
    inside = get_tissue(width, height)
    images = make_images(golden, inside, noise)
    columns = prefix("annotations", make_annotations(golden, names, databases, images))
    columns |= prefix("images", images) | prefix("pixels", make_pixels(inside))
    columns |= prefix("scores", make_scores(databases))
    attributes = {
        "program": "metabolite-annotation",
        "dataset": dataset,
        "width": width,
        "height": height,
        "n_peaks": 4,
        "ppm": 3.0,
        "analysis_version": version,
        "polarity": "positive",
    }
    out.mkdir(exist_ok=True, parents=True)
    save_output(out / "results.h5", columns, attributes)
    counts = {f"fdr_{level:g}": count_level(golden, level) for level in LEVELS}
    save_manifest(
        out,
        {
            "program": "metabolite-annotation",
            "status": "done",
            "started": "2026-01-02T03:04:05+00:00",
            "finished": "2026-01-02T03:05:05+00:00",
            "parameters": {"ppm": 3.0, "adducts": ["+H", "+Na", "+K"], "seed": 42},
            "dataset": {"spectra": int(inside.sum()), "peaks": 524012},
            "annotation": {"ions": 54755, "counts": dict.fromkeys(databases, counts)},
            "inputs": [{"path": f"{dataset}.imzML", "bytes": 1787921, "sha256": "ab"}],
            "resources": {"wall_s": 61.5, "cpu_s": 118.2, "ranks": 2},
            "software": {"python": "3.11"},
        },
    )
    return out


def read_golden(name):
    """Return the rows of a golden table, as text."""
    return read_table(GOLDEN / f"sim_small_cm3_v3_{name}.csv.gz")


def read_table(path):
    with gzip.open(path, "rt", newline="") as stream:
        return list(csv.DictReader(stream))


def count_level(golden, level):
    return sum(float(row["fdr"]) <= level for row in golden)


def prefix(group, columns):
    return {f"{group}/{name}": column for name, column in columns.items()}


def read_numbers(golden, name, dtype=np.float64):
    return np.array([row[name] for row in golden], np.float64).astype(dtype)


def read_peaks(golden, name):
    """Return a golden column of each isotopic peak, (n, 4)."""
    return np.array(
        [[row[f"{name}_{k}"] for k in PEAKS] for row in golden], np.float64
    ).reshape(-1, 4)


def count_atoms(formula, sign=1):
    """Return how often each element is in a formula, times `sign`."""
    atoms = Counter()
    for element, n in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        atoms[element] += sign * int(n or 1)
    return atoms


def get_ion(formula, modifier):
    """Return the formula of an ion, elements in the order they come."""
    atoms = count_atoms(formula)
    for sign, part in re.findall(r"([+-])(\w+)", modifier):
        atoms.update(count_atoms(part, 1 if sign == "+" else -1))
    return "".join(f"{e}{n if n > 1 else ''}" for e, n in atoms.items() if n > 0)


def get_tissue(width, height):
    """Return where spectra are, (height, width): an ellipse that fills the box."""
    y, x = np.mgrid[:height, :width] + 0.5
    across, along = (x - width / 2) / (width / 2), (y - height / 2) / (height / 2)
    return across**2 + along**2 <= 1


def make_annotations(golden, names, databases, images):
    """Return the columns of every golden annotation in every database."""
    n, copies = len(golden), len(databases)
    fdr = read_numbers(golden, "fdr")
    above = np.array([*LEVELS, 1.0])
    mz, shift = read_numbers(golden, "theo_mz_0"), read_numbers(golden, "mz_err_abs")
    counts = np.diff(images["indptr"])[::4]
    ions = images["ion"]
    label = [f"{row['formula']}{row['modifier']}" for row in golden]
    same = {
        ion: [x for x, i in zip(label, ions, strict=True) if i == ion] for ion in ions
    }
    isomers = [
        ";".join(x for x in same[i] if x != me)
        for me, i in zip(label, ions, strict=True)
    ]
    isobars = [
        ";".join(
            ions[j] for j in np.flatnonzero(abs(mz - m) < 3e-6 * m) if ions[j] != i
        )
        for m, i in zip(mz, ions, strict=True)
    ]
    columns = {
        "formula": [row["formula"] for row in golden],
        "adduct": [row["modifier"] for row in golden],
        "ion": ions,
        "mz": mz,
        "score": read_numbers(golden, "msm"),
        "fdr": fdr,
        "fdr_level": above[np.searchsorted(above, fdr)],
        "total_intensity": read_numbers(golden, "total_iso_ints_0"),
        "max_intensity": read_numbers(golden, "max_iso_ints_0"),
        "n_pixels": counts,
        "molecule_names": [
            "; ".join([names[k % len(names)], f"Isomer {k}"]) for k in range(n)
        ],
        "molecule_ids": [f"ID{k:07d}; ID{k:07d}b" for k in range(n)],
        "isomers": isomers,
        "isobars": isobars,
        "image": np.arange(n),
        "mz_err_abs": shift,
    }
    for name in ("msm", "chaos", "spatial", "spectral", "mz_err_rel"):
        columns[name] = read_numbers(golden, name)
    rows = np.argsort(np.tile(fdr, copies), kind="stable")
    columns = {
        name: np.array([*column] * copies, object)[rows].tolist()
        if isinstance(column, list)
        else np.tile(column, copies)[rows]
        for name, column in columns.items()
    }
    database = np.repeat(np.array(databases, object), n)[rows]
    return columns | {"database": database.tolist()}


def make_images(golden, inside, noise):
    """Return images of ions, each smooth over the tissue with a centre of its own."""
    theory = read_peaks(golden, "theo_ints")
    top = read_numbers(golden, "max_iso_ints_0")
    indptr, pixels, intensity = [0], [], []
    for row in range(len(golden)):
        for k in PEAKS:
            image = (
                draw_pattern(row, inside, noise, k) * top[row] * theory[row, k] / 100
            )
            kept = np.flatnonzero(image > 0.03 * top[row])
            pixels.append(kept)
            intensity.append(image[kept])
            indptr.append(indptr[-1] + len(kept))
    return {
        "ion": [get_ion(row["formula"], row["modifier"]) for row in golden],
        "mz": read_peaks(golden, "theo_mz"),
        "theoretical_intensity": theory,
        "indptr": np.array(indptr, np.int64),
        "pixel": np.concatenate([[], *pixels]).astype(np.uint32),
        "intensity": np.concatenate([[], *intensity]).astype(np.float32),
        "mz_mean": read_peaks(golden, "mz_mean"),
        "mz_std": read_peaks(golden, "mz_stddev"),
        "total_intensity": read_peaks(golden, "total_iso_ints"),
    }


def draw_pattern(row, inside, noise, peak):
    """Return values of 0 to about 1 at the pixels of the tissue."""
    rng = np.random.default_rng(row % 12)
    y, x = np.nonzero(inside)
    height, width = inside.shape
    image = np.zeros(len(y))
    for _ in range(2):
        u, v, size = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.3)
        far = ((x + 0.5) / width - u) ** 2 + ((y + 0.5) / height - v) ** 2
        image += rng.uniform(0.4, 1) * np.exp(-far / (2 * size**2))
    speckle = np.random.default_rng([row, peak]).normal(1, noise, len(y))
    return image / image.max() * np.clip(speckle, 0, None)


def make_pixels(inside):
    """Return the spectra: where they are, and how bright."""
    y, x = np.nonzero(inside)
    tic = 1e6 * (1 + 0.3 * np.sin(x / 5) + 0.2 * np.cos(y / 4))
    columns = {"x": x.astype(np.int32), "y": y.astype(np.int32), "tic": tic}
    return columns | {"rms": tic / 50, "median": tic / 900}


def make_scores(databases):
    """Return every golden score in every database.

    A golden decoy does not say whose ranking it belongs to; here each is in one.
    """
    golden = read_golden("all_scores")
    targets = ("+H", "+Na", "+K")
    numbers = ("msm", "chaos", "spatial", "spectral")
    n = len(databases)
    columns = {name: np.tile(read_numbers(golden, name), n) for name in numbers}
    modifier = [row["modifier"] for row in golden]
    return columns | {
        "score": columns["msm"],
        "formula": [row["formula"] for row in golden] * n,
        "modifier": modifier * n,
        "target_modifier": [
            m if m in targets else targets[k % 3] for k, m in enumerate(modifier)
        ]
        * n,
        "target": np.tile([row["target"] == "True" for row in golden], n),
        "database": [d for d in databases for _ in golden],
    }
