"""Objects that benchmarks/slices.py measures, written to a folder."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
from isal import isal_zlib

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from imzml import write_imzml

ROOT = Path(__file__).parents[1]
READS = ROOT / "tests/data/slices/fastq/reads_1.fq.gz"
SIDE = 100  # pixels of the images


def write_objects(folder, *, variants, fastq_bytes):
    """Write all objects."""
    write_vcf(folder, variants)
    write_fastq(folder / "reads.fastq.gz", fastq_bytes)
    rng = np.random.default_rng(1)
    mz = np.sort(rng.uniform(100, 1000, 1000))
    for mode in ("continuous", "processed"):
        write_imzml(folder / f"{mode}.imzML", make_spectra(rng, mz, mode), mode=mode)
    (folder / "large").write_bytes(rng.bytes(256 << 20))


def make_spectra(rng, mz, mode):
    """Return the spectra of an image, with m/z of their own if they are processed."""
    return [
        (k % SIDE + 1, k // SIDE + 1, mz + (k % 7) * 1e-4 * (mode == "processed"), row)
        for k, row in enumerate(rng.random((SIDE * SIDE, len(mz)), np.float32))
    ]


def write_vcf(folder, variants):
    """Write a cohort of 1,000 individuals: plain, and bgzip with its .tbi."""
    options = f"--variants {variants} --individuals 1000 --heritability 0.1 --maf 0.3"
    command = [Path(sys.executable).parent / "mdr-epistasis", "simulate", "--out"]
    command += [folder / "cohort", *options.split(), "--format", "vcf.gz"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    (path,) = folder.glob("cohort*.vcf.gz")
    path = path.rename(folder / "cohort.vcf.gz")
    pysam.tabix_index(str(path), preset="vcf", force=True)
    (folder / "cohort.vcf").write_bytes(gzip.decompress(path.read_bytes()))


def write_fastq(path, n_bytes):
    """Write real reads over and over, one member of gzip.

    They come again after 1.3 MB, which deflate, that looks back 32 KB, does not see.
    """
    text = gzip.decompress(READS.read_bytes())
    packer = isal_zlib.compressobj(2, isal_zlib.DEFLATED, 31)
    with open(path, "wb") as stream:
        while stream.tell() < n_bytes:
            stream.write(packer.compress(text))
        stream.write(packer.flush())
