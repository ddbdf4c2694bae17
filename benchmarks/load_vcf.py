"""CPU seconds to read a .vcf.gz and a BCF, here and by bcftools.

    python benchmarks/load_vcf.py [VARIANTS] [INDIVIDUALS]

The file is made anew from a fixed seed; each figure is the best of three, on one
thread. bcftools reads with `view -Ou -o /dev/null` (which parses a .vcf.gz whole but
only copies a BCF) and with `query -f [%GT]`, which also looks at each genotype.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pysam
from cpu_time import get_best_s

from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.vcf import vcf

HEADER = (
    "##fileformat=VCFv4.2\n##contig=<ID=1>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
)
CALLS = np.array([b"\t0/0", b"\t0/1", b"\t1/1", b"\t./."])


def make_vcf(path: Path, n_variants: int, n_individuals: int) -> None:
    rng = np.random.default_rng(42)
    names = "\t".join(f"i{i}" for i in range(n_individuals))
    with pysam.BGZFile(str(path), "w", None) as file:
        file.write(f"{HEADER}{names}\n".encode())
        for v in range(n_variants):
            calls = rng.binomial(2, rng.uniform(0.01, 0.5), n_individuals)
            calls[rng.random(n_individuals) < 0.01] = 3
            fixed = f"1\t{v * 100 + 1}\trs{v}\tA\tC\t.\tPASS\t.\tGT"
            file.write(fixed.encode() + CALLS[calls].tobytes() + b"\n")


def read_all(path: Path) -> None:
    sample_file = vcf.inspect(str(path), ReadOptions())
    for _ in vcf.read(sample_file, 0, 1):
        pass


def run_bcftools(*arguments: str) -> None:
    subprocess.run(["bcftools", *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    n_variants, n_individuals = map(int, sys.argv[1:] or ("20000", "4000"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.vcf.gz"
        make_vcf(path, n_variants, n_individuals)
        paths = [path]
        if shutil.which("bcftools"):
            paths.append(path.with_name("a.bcf"))
            run_bcftools("view", "-Ob", "-o", str(paths[1]), str(path))
        print(f"{n_variants} variants x {n_individuals} individuals, CPU s")
        for path in paths:
            read_all(path)  # compiles the kernels, or loads them
            print(f"{path.suffix} here: {get_best_s(lambda: read_all(path)):.3f}")  # noqa: B023
            for command in (["view", "-Ou"], ["query", "-f", "[%GT]"]):
                words = [*command, "-o", "/dev/null", str(path)]
                if len(paths) > 1:
                    cpu_s = get_best_s(lambda: run_bcftools(*words))  # noqa: B023
                    print(f"{path.suffix} bcftools {' '.join(command)}: {cpu_s:.3f}")


if __name__ == "__main__":
    main()
