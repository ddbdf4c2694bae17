"""CPU seconds to read a .bed file straight into bit planes.

    python benchmarks/load_bed.py [VARIANTS] [INDIVIDUALS]

Simulates the file, 20,000 x 4,000 by default, and loads it as a run does: labels,
filters and packing by class and fold included. Median of three, on one thread.
"""

import sys
import tempfile
import time

import numpy as np

from hpc_connector.loader import ReadOptions
from hpc_connector.partitioner.single import SerialCommunicator
from mdr_epistasis.cohort.folds import deal_folds
from mdr_epistasis.cohort.loading import Filters, load_cohort, read_header
from mdr_epistasis.simulate.cohorts import Design
from mdr_epistasis.simulate.files import simulate

REPEATS = 3


def load(path):
    """Return the shape of the planes of a cohort."""
    files, match = read_header([path], [ReadOptions()])
    fold = deal_folds(match.is_case, 10, 42)
    with load_cohort(SerialCommunicator(), files, match, fold, Filters()) as cohort:
        return cohort.planes.shape


def main():
    variants, individuals = map(int, [*sys.argv[1:], 20_000, 4_000][:2])
    with tempfile.TemporaryDirectory() as folder:
        design = Design(variants, individuals, 2, heritability=0.05, maf=0.3, seed=1)
        simulate(f"{folder}/cohort", design)
        load(f"{folder}/cohort.bed")
        seconds = []
        for _ in range(REPEATS):
            start_s = time.process_time()
            load(f"{folder}/cohort.bed")
            seconds.append(time.process_time() - start_s)
    cpu_s = float(np.median(seconds))
    rate = variants * individuals / cpu_s / 1e6
    print(f"{variants} x {individuals}: {cpu_s:.2f} CPU s, {rate:.0f} M genotypes/s")


if __name__ == "__main__":
    main()
