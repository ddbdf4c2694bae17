"""Cohorts with a known answer: two or three interacting variants among many.

The planted variants raise the risk of their carriers by a penetrance table; the
others say nothing of the phenotype. Genotypes count copies of the minor allele and
follow Hardy-Weinberg proportions in the population; cases and controls are drawn
from it, each class by itself.
"""

import argparse
import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector import cli
from hpc_connector.errors import BadInput
from mdr_epistasis.simulate.penetrance import (
    get_cell_frequencies,
    get_heritability,
    make_penetrance,
)

logger = logging.getLogger(__name__)

BLOCK_GENOTYPES = 1 << 22  # of one block in memory; its random numbers take 16 MB
COUNTED, OTHER = "G", "A"


@dataclass(frozen=True)
class Design:
    """What is simulated; every field is an option of the command.

    Parameters
    ----------
    maf
        Minor allele frequency of the planted variants.
    heritability
        Variance of the penetrance over that of the phenotype, K (1 - K).
    prevalence
        K, the fraction of the population that is affected.
    cases_fraction
        Fraction of the sampled individuals that are affected.
    missing_rate
        Fraction of the genotypes that are not called.
    """

    variants: int
    individuals: int
    order: int
    heritability: float
    maf: float
    seed: int
    pure: bool = False
    prevalence: float = 0.5
    cases_fraction: float = 0.5
    missing_rate: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        check(self.order in (2, 3), "--order", self.order, "2 or 3")
        check(
            self.variants >= self.order, "--variants", self.variants, "--order or more"
        )
        check(0 <= self.heritability <= 1, "--heritability", self.heritability, "0..1")
        check(0 < self.maf <= 0.5, "--maf", self.maf, "above 0, at most 0.5")
        check(0 < self.prevalence < 1, "--prevalence", self.prevalence, "inside 0..1")
        check(self.seed >= 0, "--seed", self.seed, "0 or more")
        check(0 <= self.missing_rate < 1, "--missing-rate", self.missing_rate, "0..1")
        fraction = self.cases_fraction
        check(0 < fraction < 1, "--cases-fraction", fraction, "inside 0..1")
        both = 0 < self.n_cases < self.individuals
        where = f"--cases-fraction {fraction} of --individuals"
        check(both, where, self.individuals, "at least one case and one control")

    @property
    def n_cases(self) -> int:
        """Number of cases among the individuals."""
        return round(self.individuals * self.cases_fraction)


def check(is_met: bool, option: str, found: object, expected: str) -> None:
    """Raise BadInput unless a condition on an option is met."""
    if not is_met:
        raise BadInput(f"{option} {found} cannot be simulated: expected {expected}")


# Genotypes


def simulate_planted(
    penetrance: np.ndarray, maf: float, is_case: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the genotypes of the planted variants given the class of each individual.

    Returns
    -------
    Shape (order, individuals), int8.
    """
    frequency = get_cell_frequencies(penetrance.ndim, maf)
    cell = np.empty(len(is_case), dtype=np.int64)
    for affected, risk in ((True, penetrance), (False, 1 - penetrance)):
        given_class = (frequency * risk).ravel()
        chosen = is_case == affected
        cell[chosen] = rng.choice(
            frequency.size, size=chosen.sum(), p=given_class / given_class.sum()
        )
    return np.stack(np.unravel_index(cell, frequency.shape)).astype(np.int8)


def simulate_genotypes(
    n_variants: int,
    planted: np.ndarray,
    planted_genotypes: np.ndarray,
    missing_rate: float,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Yield all genotypes, in blocks of shape (variants, individuals), int8.

    Variants that are not planted have a minor allele frequency uniform in 0.05..0.5.

    Parameters
    ----------
    planted
        Positions of the planted variants among all, shape (order,).
    planted_genotypes
        From :func:`simulate_planted`.
    missing_rate
        Fraction of genotypes that are -1, among the planted ones too.
    """
    noise, holes = rng.spawn(2)  # the called genotypes are the same at any missing rate
    n_individuals = planted_genotypes.shape[1]
    step = max(1, BLOCK_GENOTYPES // n_individuals)
    for first in range(0, n_variants, step):
        maf = noise.uniform(0.05, 0.5, size=min(step, n_variants - first))
        genotypes = draw_genotypes(maf, n_individuals, noise)
        is_here = (planted >= first) & (planted < first + len(maf))
        genotypes[planted[is_here] - first] = planted_genotypes[is_here]
        if missing_rate > 0:
            genotypes[holes.random(genotypes.shape, np.float32) < missing_rate] = -1
        yield genotypes


def draw_genotypes(
    maf: np.ndarray, n_individuals: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw Hardy-Weinberg genotypes, shape (variants, individuals), int8."""
    uniform = rng.random((len(maf), n_individuals), dtype=np.float32)
    two = (maf**2).astype(np.float32)[:, None]
    one_or_two = (1 - (1 - maf) ** 2).astype(np.float32)[:, None]
    return np.add(uniform < two, uniform < one_or_two, dtype=np.int8)


# Files


def describe_variants(first: int, n: int, n_variants: int) -> Iterator[tuple]:
    """Yield chromosome, position and id of variants spread over 22 autosomes."""
    for index in range(first, first + n):
        chromosome, place = divmod(index * 22, n_variants)
        yield chromosome + 1, 100 * (place // 22 + 1), f"snp{index + 1}"


def name_individuals(n: int) -> list[str]:
    """Return ids whose order as text is their order in the file."""
    return [f"ind{i:0{len(str(n))}d}" for i in range(1, n + 1)]


@contextlib.contextmanager
def publish(*paths: Path) -> Iterator[list[Path]]:
    """Give the paths to write to, and rename them to the real ones at the end."""
    partial = [path.with_name(path.name + ".partial") for path in paths]
    yield partial
    for found, path in zip(partial, paths, strict=True):
        found.replace(path)


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


def save_bed(
    out: str, n_variants: int, is_case: np.ndarray, blocks: Iterator[np.ndarray]
) -> None:
    """Write OUT.bed, OUT.bim, and OUT.fam with the phenotypes."""
    paths = [Path(f"{out}.{end}") for end in ("bed", "bim", "fam")]
    with publish(*paths) as (bed_path, bim_path, fam_path):
        with open(fam_path, "w") as fam:
            for i, name in enumerate(name_individuals(len(is_case))):
                # sexes alternate, for PLINK drops the phenotype where there is none
                fam.write(f"{name} {name} 0 0 {1 + i % 2} {1 + is_case[i]}\n")
        with open(bed_path, "wb") as bed, open(bim_path, "w") as bim:
            bed.write(b"\x6c\x1b\x01")
            first = 0
            for block in blocks:
                bed.write(encode_bed(block).tobytes())
                for where in describe_variants(first, len(block), n_variants):
                    chromosome, position, name = where
                    bim.write(
                        f"{chromosome}\t{name}\t0\t{position}\t{COUNTED}\t{OTHER}\n"
                    )
                first += len(block)


def save_vcf(
    out: str, n_variants: int, is_case: np.ndarray, blocks: Iterator[np.ndarray]
) -> None:
    """Write OUT.vcf.gz with its index, and OUT.labels.tsv."""
    import pysam  # not at the top, so that --help is quick

    names = name_individuals(len(is_case))
    vcf_path, labels_path = Path(f"{out}.vcf.gz"), Path(f"{out}.labels.tsv")
    with publish(vcf_path, labels_path) as (vcf_partial, labels_partial):
        rows = [f"{name}\t{int(c)}\n" for name, c in zip(names, is_case, strict=True)]
        labels_partial.write_text("id\tclass\n" + "".join(rows))
        vcf_partial.write_bytes(b"")  # raises, where pysam's open would crash
        with pysam.BGZFile(str(vcf_partial), "wb", None) as vcf:
            vcf.write(make_vcf_header(names).encode())
            first = 0
            for block in blocks:
                where = describe_variants(first, len(block), n_variants)
                vcf.write(encode_vcf(block, where))
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


def encode_vcf(genotypes: np.ndarray, variants: Iterator[tuple]) -> bytes:
    """Return the lines of variants in a VCF file."""
    calls = np.array([b"\t0/0", b"\t0/1", b"\t1/1", b"\t./."])[genotypes]
    return b"".join(
        f"{chromosome}\t{position}\t{name}\t{OTHER}\t{COUNTED}\t.\tPASS\t.\tGT".encode()
        + row.tobytes()
        + b"\n"
        for (chromosome, position, name), row in zip(variants, calls, strict=True)
    )


def save_truth(
    out: str, design: Design, planted: np.ndarray, penetrance: np.ndarray
) -> None:
    """Write OUT.truth.json: the design, the planted variants and their penetrance."""
    variants = [
        {"id": name, "chromosome": str(chromosome), "position": position}
        for index in planted.tolist()
        for chromosome, position, name in describe_variants(index, 1, design.variants)
    ]
    truth = {
        "design": asdict(design),
        "planted": variants,
        "counted_allele": COUNTED,
        "penetrance": penetrance.tolist(),
        "heritability": get_heritability(penetrance, design.maf),
        "cases": design.n_cases,
        "controls": design.individuals - design.n_cases,
    }
    with publish(Path(f"{out}.truth.json")) as (path,):
        path.write_text(json.dumps(truth, indent=1) + "\n")


# The command

SAVE: dict[str, Callable] = {"bed": save_bed, "vcf.gz": save_vcf}


def simulate(out: str, design: Design, file_format: str = "bed") -> None:
    """Write a cohort and the truth about it; the same design gives the same bytes.

    Raises
    ------
    BadInput
        The heritability is out of reach, or the files cannot be written.
    """
    model_rng, cohort_rng, genotype_rng = np.random.default_rng(design.seed).spawn(3)
    penetrance = make_penetrance(
        design.order,
        design.maf,
        design.heritability,
        design.prevalence,
        pure=design.pure,
        rng=model_rng,
    )
    is_case = cohort_rng.permutation(np.arange(design.individuals) < design.n_cases)
    planted = cohort_rng.choice(design.variants, size=design.order, replace=False)
    blocks = simulate_genotypes(
        design.variants,
        np.sort(planted),
        simulate_planted(penetrance, design.maf, is_case, cohort_rng),
        design.missing_rate,
        genotype_rng,
    )
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        SAVE[file_format](out, design.variants, is_case, blocks)
        save_truth(out, design, np.sort(planted), penetrance)
    except OSError as error:
        reason = error.strerror or error  # pysam gives no strerror
        raise BadInput(f"--out {out} cannot be written: {reason}") from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mdr-epistasis simulate``."""
    add = parser.add_argument_group("cohort").add_argument
    said = "files are PREFIX.bed and so on"
    add("--out", required=True, type=cli.local, metavar="PREFIX", help=said)
    number: dict[str, Any] = {"type": int, "required": True, "metavar": "N"}
    add("--variants", **number, help="number of variants")
    add("--individuals", **number, help="number of cases and controls together")
    fraction: dict[str, Any] = {"type": float, "metavar": "FRACTION"}
    said = "of individuals (default: %(default)s)"
    add("--cases-fraction", **fraction, default=0.5, help=said)
    said = "of genotypes (default: %(default)s)"
    add("--missing-rate", **fraction, default=0.0, help=said)
    said = "the same seed, the same files (default: %(default)s)"
    add("--seed", type=int, default=42, metavar="N", help=said)
    said = "of the files (default: bed)"
    add("--format", choices=tuple(SAVE), default="bed", help=said)
    add_interaction(parser)


def add_interaction(parser: argparse.ArgumentParser) -> None:
    """Add what is planted in a cohort."""
    add = parser.add_argument_group("interaction").add_argument
    said = "interacting variants (default: %(default)s)"
    add("--order", type=int, choices=(2, 3), default=2, help=said)
    fraction: dict[str, Any] = {"type": float, "metavar": "FRACTION"}
    add("--heritability", **fraction, required=True, help="of the interaction, 0..1")
    said = "frequency of the rarer allele of the interacting variants"
    add("--maf", **fraction, required=True, help=said)
    said = "of the disease in the population (default: %(default)s)"
    add("--prevalence", **fraction, default=0.5, help=said)
    add("--pure", action="store_true", help="no effect of fewer than all of them")


def run(args: argparse.Namespace) -> int:
    """Simulate what the command line asks for; return the exit code."""
    fields = Design.__dataclass_fields__
    design = Design(**{name: getattr(args, name) for name in fields})
    simulate(str(args.out), design, args.format)
    logger.info("%s: %d variants written", args.out, design.variants)
    return 0
