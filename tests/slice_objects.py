"""An object of every format of slices, and how it is cut by number."""

import gzip
import shutil
from dataclasses import dataclass
from pathlib import Path

import pysam

from hpc_connector.slices import DataSlice, Format
from hpc_connector.slices.data_slice import find_format
from slice_checks import pack

PACKAGE = "hpc_connector.slices.formats"


@dataclass(frozen=True)
class Case:
    """A format, where its object comes from, and how it is cut.

    Parameters
    ----------
    made
        How the object is packed or written from the file; empty as it is.
    beside
        Endings of files that belong to it.
    option
        Of the strategy: the number of slices.
    """

    format: str
    origin: str
    strategy: str
    option: str = "num_chunks"
    made: str = ""
    beside: tuple[str, ...] = ()
    ending: str = ""

    def write(self, folder: Path) -> Path:
        """Write the object, and what belongs to it; return its path."""
        origin = DATA / self.origin
        path = folder / f"object{self.ending or ''.join(origin.suffixes)}"
        if self.made == "bcf":
            return write_bcf(origin, path)
        if self.made:
            data = origin.read_bytes()
            text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            return pack(path, self.made, text)
        shutil.copy(origin, path)
        for ending in self.beside:
            if ending.startswith("."):
                shutil.copy(f"{origin}{ending}", f"{path}{ending}")
            else:
                source = origin.with_suffix(f".{ending}")
                shutil.copy(source, path.with_suffix(f".{ending}"))
        return path

    @property
    def by_rows(self) -> bool:
        """Whether a slice reads rows of the index first, which say what else."""
        return self.format.partition(":")[0] in ("imzml", "las", "copc", "cog")

    def find(self) -> Format:
        """Return the format."""
        return find_format(f"{PACKAGE}.{self.format}")

    def cut(self, co, n: int) -> list[DataSlice]:
        """Cut an object to about so many slices."""
        strategy = find_format(f"{PACKAGE}.{self.strategy}")
        return co.partition(strategy, **{self.option: n})


def write_bcf(origin: Path, path: Path) -> Path:
    """Write the records of a VCF as BCF with its .csi."""
    with (
        pysam.VariantFile(str(origin)) as found,
        pysam.VariantFile(str(path), "wb", header=found.header) as made,
    ):
        for record in found:
            made.write(record)
    pysam.tabix_index(str(path), preset="bcf", force=True)
    return path


DATA = Path(__file__).parent / "data"
EXOME = "slices/vcf/exome_trios.vcf.gz"
GVCF = "slices/vcf/NA12878_30000.g.vcf.gz"
READS = "slices/fastq/test.fq.gz"
FASTA = "slices/fasta/test.fa.gz"
BY_TEXT = "text:partition_num_chunks"
BY_PLACE = "vcf_gzip:partition_num_chunks"
BY_READS = "fastq_gzip:partition_reads_batches", "num_batches"
BY_SPECTRA = "imzml:partition_chunks_strategy"
BY_POINTS, BY_SQUARES = "las:partition_num_points", "las:square_split_strategy"
LAZ = "slices/las/autzen_trim.laz"
CASES = {
    "vcf": Case("text:VCF", EXOME, BY_TEXT, made="plain", ending=".vcf"),
    "csv": Case("text:CSV", EXOME, BY_TEXT, made="plain", ending=".tsv"),
    "lines": Case("text:Lines", FASTA, BY_TEXT, made="plain", ending=".txt"),
    "vcf.gz": Case("vcf_gzip:VCFGZip", GVCF, BY_PLACE, beside=(".tbi",)),
    "vcf.gz alone": Case("vcf_gzip:VCFGZip", GVCF, BY_PLACE),
    "bcf": Case("bcf:BCF", EXOME, BY_PLACE, made="bcf", ending=".bcf"),
    "fastq.gz": Case("fastq_gzip:FASTQGZip", READS, *BY_READS, made="gzip"),
    "fastq.bgz": Case("fastq_gzip:FASTQGZip", READS, *BY_READS, made="bgzip"),
    "fasta": Case(
        "fasta:FASTA",
        FASTA,
        "fasta:partition_chunks_strategy",
        made="plain",
        ending=".fa",
    ),
    "fasta.gz": Case(
        "fasta:FASTA", FASTA, "fasta:partition_chunks_strategy", made="gzip"
    ),
    "fasta.bgz": Case(
        "fasta:FASTA", FASTA, "fasta:partition_chunks_strategy", made="bgzip"
    ),
    "imzml": Case(
        "imzml:ImzML", "imzml/Example_Processed.imzML", BY_SPECTRA, beside=("ibd",)
    ),
    "imzml continuous": Case(
        "imzml:ImzML", "imzml/Example_Continuous.imzML", BY_SPECTRA, beside=("ibd",)
    ),
    "las": Case("las:LAS", "slices/las/simple.las", BY_POINTS),
    "laz": Case("las:LAS", LAZ, BY_POINTS),
    "lidar": Case("las:LiDARPointCloud", LAZ, BY_SQUARES),
    "copc": Case("copc:COPC", "slices/copc/simple.copc.laz", BY_SQUARES),
    "cog": Case(
        "cog:COG", "slices/cog/cogeo.tif", "cog:grid_partition_strategy", "n_splits"
    ),
}
