"""CPU seconds of ions and cold patterns of a database, on one core.

    python benchmarks/annotate_ions.py [DATABASE.tsv]

Ions of +H, +Na and +K with 20 decoys each, beside the slow ones of the tests; patterns
of all of them, without a cache. CoreMetabolome v3 where no database is given.
"""

import gzip
import sys
from pathlib import Path

from cpu_time import get_best_s

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import naive_ions
from hpc_connector.learner.annotation.formulas import read_formula
from hpc_connector.learner.annotation.ions import Chemistry, make_ions
from hpc_connector.learner.annotation.patterns import Resolution, calculate_centroids
from hpc_connector.loader.spectra.molecules import read_database

FORMULAS = (
    Path(__file__).parents[1]
    / "tests/data/metaspace_golden/core_metabolome_v3_formulas.txt.gz"
)


def read_formulas(paths):
    """Return the formulas of a database, and print what reading it takes."""
    if not paths:
        return gzip.decompress(FORMULAS.read_bytes()).decode().split()

    def read():
        return read_database(paths[0], read_formula, skip_bad_rows=True)

    print(f"read {paths[0]}: {get_best_s(read):.2f} s")
    return read().get_formulas()


def main():
    formulas = read_formulas(sys.argv[1:])
    chemistry = Chemistry(("+H", "+Na", "+K"))
    took_s = get_best_s(lambda: make_ions([formulas], chemistry))
    slow_s = get_best_s(lambda: naive_ions.make_ions([formulas], chemistry), 1)
    ions, _ = make_ions([formulas], chemistry)
    print(f"{len(ions):,} ions: {took_s:.3f} s, slow ones {slow_s / took_s:.0f} times")
    for resolution in (
        Resolution("FTICR", 0.000619, 1),
        Resolution("Orbitrap", 0.001238, 1),
    ):
        took_s = get_best_s(lambda r=resolution: calculate_centroids(ions, r), 1)
        rate = len(ions) / took_s
        print(f"patterns, {resolution.instrument}: {took_s:.2f} s, {rate:,.0f} ions/s")


if __name__ == "__main__":
    main()
