"""Genotypes a second from BSC's gzipped text and .gen.gz, here and by BSC's reader.

    python benchmarks/load_text.py

BSC's reader is written anew here and does what spark-mdr's does: it splits the line,
and np.vectorize makes a float of each word and compares it with the threshold. The
files are those of the tests, repeated; each figure is of CPU seconds, the best of
three. To inflate the file alone, by ISA-L as here or by `gzip -dc`, is the floor.
"""

import gzip
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from cpu_time import get_best_s

from hpc_connector.loader.bgzf import read_blocks
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import inspect_sample, read_sample

DATA = Path(__file__).parent.parent / "tests/data"
FILES = {  # what the tests have, columns before the probabilities
    "BSC's text .gz": (sorted((DATA / "bsc_spark_1128/samples").glob("*.gz")), 5),
    ".gen.gz": (sorted((DATA / "genepi_impute_gen_364").glob("*.gen.gz")), 5),
}
VARIANTS = 10_000  # of a file to read here; BSC's reader has the first
VARIANTS_SLOWLY = 300

filter_imputation = np.vectorize(lambda word: 1 if float(word) > 0.9 else 0)


def read_slowly(path: Path, n_lead: int) -> np.ndarray:
    """Return genotypes (variants, individuals), -1 missing, as BSC's program does."""
    rows = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            called = filter_imputation(line.split()[n_lead:]).reshape(-1, 3)
            rows.append(np.where(called.any(axis=1), called @ [0, 1, 2], -1))
    return np.stack(rows)


def read_here(path: Path) -> np.ndarray:
    blocks = read_sample(inspect_sample(str(path), ReadOptions()))
    return np.concatenate([block.genotypes for block in blocks])


def inflate(path: Path) -> None:
    for _ in read_blocks(str(path)):
        pass


def run_gzip(path: Path) -> None:
    subprocess.run(["gzip", "-dc", path], check=True, stdout=subprocess.DEVNULL)


def write(path: Path, lines: list[bytes], n_lines: int) -> None:
    """Write some lines, repeated to a number of lines."""
    repeated = (lines * -(-n_lines // len(lines)))[:n_lines]
    path.write_bytes(gzip.compress(b"".join(repeated), 6, mtime=0))


def compare(name: str, sources: list[Path], n_lead: int, folder: Path) -> None:
    """Print the rates of one format."""
    lines = [
        line
        for path in sources
        for line in gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    ]
    ending = name.split()[-1]
    small, large = folder / f"small{ending}", folder / f"large{ending}"
    write(small, lines, VARIANTS_SLOWLY)
    write(large, lines, VARIANTS)
    expected, genotypes = read_slowly(small, n_lead), read_here(small)
    np.testing.assert_array_equal(genotypes, expected)

    n = genotypes.shape[1]
    slow = VARIANTS_SLOWLY * n / get_best_s(lambda: read_slowly(small, n_lead))
    fast = VARIANTS * n / get_best_s(lambda: read_here(large))
    floor = VARIANTS * n / get_best_s(lambda: inflate(large))
    program = VARIANTS * n / get_best_s(lambda: run_gzip(large))
    print(f"{name}, {VARIANTS} variants x {n} individuals, M genotypes/s")
    print(
        f"  here {fast / 1e6:.1f}, BSC's reader {slow / 1e6:.3f}: {fast / slow:.0f} x"
    )
    print(f"  ISA-L alone {floor / 1e6:.1f}, gzip -dc {program / 1e6:.1f}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, (sources, n_lead) in FILES.items():
            compare(name, sources, n_lead, Path(folder))


if __name__ == "__main__":
    main()
