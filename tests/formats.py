"""One cohort in every format that is read, for the tests.

simulate.py writes the .bed file; plink2, bcftools and pysam make the others of it.
"""

import gzip
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pysam

from conftest import require
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import inspect_sample, read_sample
from mdr_epistasis.program import main

VCF = ["--export", "vcf", "id-paste=iid"]
BGEN = ["--export", "bgen-1.2", "id-paste=iid"]


def make_cohort(folder, options):
    """Simulate a cohort and write it in every format; its labels too, with ids."""
    bed = folder / "bed"
    assert main(["simulate", "--out", str(bed), *options.split()]) == 0
    family = [line.split() for line in Path(f"{bed}.fam").read_text().splitlines()]
    rows = [f"{row[1]}\t{int(row[5]) - 1}\n" for row in family]
    (folder / "labels.tsv").write_text("id\tclass\n" + "".join(sorted(rows)[::-1]))
    write_vcf(bed, folder)
    write_probabilities(bed, folder)
    write_bsc(folder, [row[5] for row in family])
    write_table(f"{bed}.bed", [row[1] for row in family], folder / "table.tsv")


def call(program, *words):
    subprocess.run([require(program), *words], check=True, capture_output=True)


def plink2(source, out, *words):
    call("plink2", "--bfile", str(source), "--out", str(out), *words)


def read_columns(path):
    """Return the ids of a file, and its genotypes (variants, individuals)."""
    blocks = list(read_sample(inspect_sample(str(path), ReadOptions())))
    ids = [name for block in blocks for name in block.variants.id]
    return ids, np.concatenate([block.genotypes for block in blocks])


def compress_again(path, out):
    """Write a file as gzip that is not bgzip."""
    out.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def write_vcf(bed, folder):
    vcf = folder / "a.vcf"
    plink2(bed, folder / "a", *VCF)
    compress_again(vcf, folder / "gzip.vcf.gz")
    call("bcftools", "view", "-Oz", "-o", str(folder / "bgzip.vcf.gz"), str(vcf))
    call("bcftools", "view", "-Ob", "-o", str(folder / "a.bcf"), str(vcf))


def write_probabilities(bed, folder):
    plink2(bed, folder / "8", *BGEN, "bits=8")
    plink2(bed, folder / "16", *BGEN, "bits=16", "ref-first")
    plink2(bed, folder / "five", "--export", "oxford")
    plink2(bed, folder / "six", "--export", "oxford-v2")
    for name in ("gzip", "bgzip"):
        shutil.copy(folder / "five.sample", folder / f"{name}.sample")
    compress_again(folder / "five.gen", folder / "gzip.gen.gz")
    with pysam.BGZFile(str(folder / "bgzip.gen.gz"), "w", None) as file:
        file.write((folder / "five.gen").read_bytes())


def write_bsc(folder, phenotypes):
    """Write BSC's text, of which the first four columns are those of a .gen file."""
    lines = (folder / "five.gen").read_text()
    (folder / "bsc.gz").write_bytes(gzip.compress(f"# header\n{lines}".encode()))
    head = "ID_1 ID_2 missing bin1\n0 0 0 B\n"
    rows = "".join(f"$ $ $ {int(word) - 1}\n" for word in phenotypes)
    (folder / "labels.sample").write_text(head + rows)


def write_table(bed, ids, out):
    """Write the MDR table: a column a variant, the individuals by name, the class."""
    names, genotypes = read_columns(bed)
    words = np.array(["0", "1", "2", "NA"])[genotypes]
    rows = zip(ids, words.T, strict=True)
    lines = ["\t".join([name, *row, str(k % 2)]) for k, (name, row) in enumerate(rows)]
    out.write_text("\n".join(["\t".join(["ID", *names, "Class"]), *lines]) + "\n")
