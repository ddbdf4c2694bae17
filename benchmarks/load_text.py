"""CPU seconds to read BSC's gzipped text, here and as BSC's own reader does.

    python benchmarks/load_text.py

A file of 1,128 individuals with real-looking probabilities, 100 variants, as in
tests/data. BSC's reader (spark-mdr's stand-alone Python) splits a line and maps a
function of Python over its words by np.vectorize; it is written again here. The floor
is what zlib alone takes to decompress. Median of 15, on one thread.
"""

import gzip
import time
from pathlib import Path

import numpy as np

from hpc_connector.loader.sample_file import ReadOptions
from hpc_connector.loader.samples import inspect_sample, read_sample

SAMPLE = Path(__file__).parents[1] / "tests/data/bsc_spark_1128/samples"
REPEATS = 15


def read_as_bsc(path):
    """Return genotypes (variants, patients, 3) as BSC's Python reads them."""
    is_called = np.vectorize(lambda word: 1 if float(word) > 0.9 else 0)
    with gzip.open(path, "rt") as lines:
        rows = [is_called(line.split()[5:]) for line in lines]
    return np.stack(rows).reshape(len(rows), -1, 3)


def read_here(path):
    """Return genotypes (variants, individuals), -1 missing."""
    sample_file = inspect_sample(path, ReadOptions())
    return np.concatenate([b.genotypes for b in read_sample(sample_file)])


def decompress(path):
    """Return the text of a file."""
    with gzip.open(path) as stream:
        return stream.read()


def get_cpu_s(read, path):
    """Return the median CPU seconds of a reader, after a first call that compiles."""
    read(path)
    seconds = []
    for _ in range(REPEATS):
        start_s = time.process_time()
        read(path)
        seconds.append(time.process_time() - start_s)
    return float(np.median(seconds))


def main():
    path = str(SAMPLE / "chr0_synth0000.gz")
    ours, theirs = read_here(path), read_as_bsc(path)
    assert np.array_equal(np.where(theirs.any(-1), theirs.argmax(-1), -1), ours)
    of_bsc = get_cpu_s(read_as_bsc, path)
    for name, read in (("BSC", read_as_bsc), ("here", read_here), ("zlib", decompress)):
        cpu_s = get_cpu_s(read, path)
        rate = ours.size / cpu_s / 1e6
        ratio = of_bsc / cpu_s
        print(f"{name:5} {cpu_s:.4f} CPU s  {rate:6.2f} M genotypes/s  {ratio:5.1f} x")


if __name__ == "__main__":
    main()
