"""The files of a simulated cohort: PLINK 1 or VCF, and the truth about it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.publish import publish
from mdr_epistasis.simulate.cohorts import Design, Simulated, draw_cohort
from mdr_epistasis.simulate.penetrance import get_heritability

COUNTED, OTHER = "G", "A"

Place = tuple[int, int, str]  # chromosome, position and id of a variant


def simulate(out: str, design: Design, file_format: str = "bed") -> None:
    """Write a cohort and the truth about it; the same design gives the same bytes.

    Parameters
    ----------
    out
        What the names of the files begin with.
    file_format
        A key of :data:`SAVE`.

    Raises
    ------
    BadInput
        The heritability is out of reach, or the files cannot be written.
    """
    cohort = draw_cohort(design)
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        SAVE[file_format](out, design.variants, cohort)
        save_truth(out, design, cohort)
    except OSError as error:
        reason = error.strerror or error  # pysam gives no strerror
        raise BadInput(f"--out {out} cannot be written: {reason}") from error


def describe_variants(first: int, n: int, n_variants: int) -> Iterator[Place]:
    """Yield chromosome, position and id of variants spread over 22 autosomes."""
    for index in range(first, first + n):
        chromosome, place = divmod(index * 22, n_variants)
        yield chromosome + 1, 100 * (place // 22 + 1), f"snp{index + 1}"


def name_individuals(n: int) -> list[str]:
    """Return ids whose order as text is their order in the file."""
    return [f"ind{i:0{len(str(n))}d}" for i in range(1, n + 1)]


def encode_bed(genotypes: np.ndarray) -> np.ndarray:
    """Return PLINK 1 .bed bytes, shape (variants, ceil(individuals / 4)).

    Four individuals a byte, the first in the lowest bits: 00 two copies of A1, 01
    missing, 10 one copy, 11 none (https://www.cog-genomics.org/plink/1.9/formats#bed).
    """
    code = np.array([3, 2, 0, 1], dtype=np.uint8)  # of 0, 1, 2 and, from behind, -1
    fours = np.arange(256)[:, None] >> [0, 2, 4, 6] & 3
    byte = (code[fours - 1] << [0, 2, 4, 6]).sum(axis=1).astype(np.uint8)
    padding = -genotypes.shape[1] % 4  # with 2, whose code is the 00 PLINK asks for
    level = np.pad(genotypes + 1, ((0, 0), (0, padding)), constant_values=3)
    level = level.view(np.uint8)
    fours_at = [level[:, i::4] << (2 * i) for i in range(4)]
    return byte[fours_at[0] | fours_at[1] | fours_at[2] | fours_at[3]]


def save_bed(out: str, n_variants: int, cohort: Simulated) -> None:
    """Write OUT.bed, OUT.bim, and OUT.fam with the phenotypes."""
    bed_path, bim_path, fam_path = (
        Path(f"{out}.{end}") for end in ("bed", "bim", "fam")
    )
    with publish(bed_path) as bed, publish(bim_path) as bim, publish(fam_path) as fam:
        for i, name in enumerate(name_individuals(len(cohort.is_case))):
            # sexes alternate, for PLINK drops the phenotype where there is none
            row = f"{name} {name} 0 0 {1 + i % 2} {1 + cohort.is_case[i]}\n"
            fam.write(row.encode())
        bed.write(b"\x6c\x1b\x01")
        first = 0
        for block in cohort.blocks:
            bed.write(encode_bed(block).tobytes())
            bim.write(encode_bim(describe_variants(first, len(block), n_variants)))
            first += len(block)


def encode_bim(variants: Iterator[Place]) -> bytes:
    """Return the lines of variants in a .bim file."""
    return "".join(
        f"{chromosome}\t{name}\t0\t{position}\t{COUNTED}\t{OTHER}\n"
        for chromosome, position, name in variants
    ).encode()


def save_vcf(out: str, n_variants: int, cohort: Simulated) -> None:
    """Write OUT.vcf.gz with its index, and OUT.labels.tsv."""
    import pysam  # not at the top, so that --help is quick

    names = name_individuals(len(cohort.is_case))
    vcf_path = Path(f"{out}.vcf.gz")
    with publish(vcf_path) as vcf, publish(Path(f"{out}.labels.tsv")) as labels:
        pairs = zip(names, cohort.is_case, strict=True)
        rows = [f"{name}\t{int(is_case)}\n" for name, is_case in pairs]
        labels.write(("id\tclass\n" + "".join(rows)).encode())
        with pysam.BGZFile(vcf.name, "wb", None) as packed:
            packed.write(make_vcf_header(names).encode())
            first = 0
            for block in cohort.blocks:
                where = describe_variants(first, len(block), n_variants)
                packed.write(encode_vcf(block, where))
                first += len(block)
    pysam.tabix_index(str(vcf_path), preset="vcf", force=True)


def make_vcf_header(names: list[str]) -> str:
    """Return the header of a VCF file of these individuals."""
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    return "\n".join(
        [
            "##fileformat=VCFv4.2",
            *(f"##contig=<ID={chromosome}>" for chromosome in range(1, 23)),
            '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
            "\t".join(columns + names) + "\n",
        ]
    )


def encode_vcf(genotypes: np.ndarray, variants: Iterator[Place]) -> bytes:
    """Return the lines of variants in a VCF file."""
    calls = np.array([b"\t0/0", b"\t0/1", b"\t1/1", b"\t./."])[genotypes]
    return b"".join(
        f"{chromosome}\t{position}\t{name}\t{OTHER}\t{COUNTED}\t.\tPASS\t.\tGT".encode()
        + row.tobytes()
        + b"\n"
        for (chromosome, position, name), row in zip(variants, calls, strict=True)
    )


def save_truth(out: str, design: Design, cohort: Simulated) -> None:
    """Write OUT.truth.json: the design, the planted variants and their penetrance."""
    variants = [
        {"id": name, "chromosome": str(chromosome), "position": position}
        for index in cohort.planted.tolist()
        for chromosome, position, name in describe_variants(index, 1, design.variants)
    ]
    truth = {
        "design": asdict(design),
        "planted": variants,
        "counted_allele": COUNTED,
        "penetrance": cohort.penetrance.tolist(),
        "heritability": get_heritability(cohort.penetrance, design.maf),
        "cases": design.n_cases,
        "controls": design.individuals - design.n_cases,
    }
    with publish(Path(f"{out}.truth.json")) as stream:
        stream.write(f"{json.dumps(truth, indent=1)}\n".encode())


SAVE: dict[str, Callable[[str, int, Simulated], None]] = {
    "bed": save_bed,
    "vcf.gz": save_vcf,
}
