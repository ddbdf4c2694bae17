"""Whether a false discovery rate is what it says: annotations of datasets made up.

    python benchmarks/fdr_simulations.py [--simulations 20] [--database FILE] [--draw]

Datasets of 40 x 40 pixels (`metabolite-annotation simulate`, its Orbitrap): 100 planted
ions of the database and noise, once with nothing else, and once with 100 ions of
molecules that resemble those of the database but are not in it. Each has a seed of its
own, for what is planted and for the decoys.

Of what is annotated at 10 % FDR, an annotation is right if its ion is planted, isobaric
if not but the first peak of a planted ion lies within twice the window of its own (no
spectrum tells them apart; the column `isobars` warns), and false else. Printed are the
mean share over the simulations and its 95 % interval by Student's t: of what is false,
of what of it lies as near to an ion that is not in the database, and of what is false
or isobaric. `--draw` draws docs/fdr.svg of it.
"""

import argparse
import csv
import math
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fdr_picture import draw_shares

ROOT = Path(__file__).parents[1]
LIPIDS = ROOT / "tests/data/databases/lipidmaps_2017-12-12-v2.tsv.gz"
LEVEL, PPM, SIDE, PLANTED = 0.1, 3.0, 40, 100
SETTINGS = {"the database is complete": 0, "as many ions are not in it": 100}
T_95 = {5: 2.776, 10: 2.262, 20: 2.093, 40: 2.023}  # Student's t, two-sided


class Shares(NamedTuple):
    """What the annotations of a dataset are.

    Parameters
    ----------
    unknown
        Of the false ones, those near an ion that is not in the database.
    found
        Of what was planted.
    """

    n: int
    false: float
    isobaric: float
    unknown: float
    found: float


def simulate(folder, database, unknown, seed):
    """Write a dataset and annotate it; return the folder."""
    size = ["--width", SIDE, "--height", SIDE, "--planted", PLANTED]
    more = ["--unknown", unknown, "--seed", seed]
    run("simulate", "--database", database, "--out", folder / "x.imzML", *size, *more)
    like = ["--instrument", "Orbitrap", "--resolving-power", "140000@200"]
    given = ["--database", database, "--out", folder / "out", "--ppm", PPM, *like]
    cache = ["--pattern-cache", folder / "patterns", "--seed", seed, "--quiet"]
    run("run", folder / "x.imzML", *given, *cache)
    return folder


def run(*words):
    """Run the program, and end if it fails."""
    command = ["metabolite-annotation", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr}")


def read_table(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def get_shares(folder):
    """Return the shares of a dataset."""
    truth = [t for t in read_table(folder / "x.truth.tsv") if t["planted"] == "1"]
    ours = {t["ion"]: float(t["mz"]) for t in truth if t["in_database"] == "1"}
    others = [float(t["mz"]) for t in truth if t["in_database"] == "0"]
    rows = read_table(folder / "out/annotations.tsv")
    rows = [row for row in rows if float(row["fdr_level"]) <= LEVEL]
    wrong = np.array([float(row["mz"]) for row in rows if row["ion"] not in ours])
    is_isobaric = is_near(wrong, list(ours.values()))
    is_unknown = ~is_isobaric & is_near(wrong, others)
    found = len(ours.keys() & {row["ion"] for row in rows}) / len(ours)
    counts = (~is_isobaric).sum(), is_isobaric.sum(), is_unknown.sum()
    return Shares(len(rows), *(int(n) / len(rows) for n in counts), found)


def is_near(mz, others):
    """Return which m/z have another whose window overlaps theirs."""
    far = 1e6 * np.abs(np.subtract.outer(mz, others) / mz[:, None])
    return (far <= 2 * PPM).any(axis=1)


def get_interval(values):
    """Return the mean of values and half its 95 % interval."""
    values = np.asarray(values)
    half = T_95[len(values)] * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(half)


def report(name, shares):
    """Print what a setting gave."""
    counts = np.mean([one.n for one in shares])
    found = np.mean([one.found for one in shares])
    print(f"{name}: {counts:.0f} annotations, {found:.0%} of the planted ions found")
    kinds = {
        "false": [one.false for one in shares],
        "false, and near an unknown ion": [one.unknown for one in shares],
        "false or isobaric": [one.false + one.isobaric for one in shares],
    }
    for kind, values in kinds.items():
        mean, half = get_interval(values)
        print(f"  {kind}: {mean:.1%} +- {half:.1%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, choices=T_95, default=20)
    parser.add_argument("--database", type=Path, default=LIPIDS)
    parser.add_argument("--draw", action="store_true")
    args = parser.parse_args()
    found = {}
    for name, unknown in SETTINGS.items():
        found[name] = []
        for seed in range(1, 1 + args.simulations):
            with tempfile.TemporaryDirectory() as folder:
                made = simulate(Path(folder), args.database, unknown, seed)
                found[name].append(get_shares(made))
                print(f"  seed {seed}: {found[name][-1]}", flush=True)
        report(name, found[name])
    if args.draw:
        path = ROOT / "docs/fdr.svg"
        path.write_text(draw_shares(found, LEVEL, get_interval))


if __name__ == "__main__":
    main()
