"""Small cohorts whose variants are linked, and what we and PLINK make of them."""

import subprocess
from pathlib import Path

import numpy as np

from conftest import require
from hpc_connector import cli
from hpc_connector.partitioner.single import SerialCommunicator
from mdr_epistasis import program
from mdr_epistasis.cohort.loading import load_cohort
from mdr_epistasis.cohort.pruning import read_pruning
from mdr_epistasis.inputs import look_for_calls, make_filters, read_inputs
from mdr_epistasis.options import Options
from mdr_epistasis.simulate.files import encode_bed


def make_linked(rng, n_variants, n, missing=0.0):
    """Return genotypes, int8 (variants, individuals), each like the one before."""
    genotypes = np.empty((n_variants, n), np.int8)
    before = np.zeros((2, n), bool)
    for v in range(n_variants):
        own = rng.random((2, n)) < rng.uniform(0.01, 0.5)
        alleles = np.where(rng.random((2, n)) < rng.uniform(0, 1.1), before, own)
        genotypes[v] = alleles.sum(axis=0)
        before = alleles
    share = missing * 4 * rng.random((n_variants, 1)) * rng.random((1, n))
    genotypes[rng.random(genotypes.shape) < share] = -1
    return genotypes


def save_cohort(prefix, genotypes, chromosomes, is_case, sexes=None, positions=None):
    """Write a PLINK cohort: variants v0, v1, .., individuals F0 I0, F0 I1, F1 I2, .."""
    n_variants, n = genotypes.shape
    if positions is None:
        positions = 1000 * (1 + np.arange(n_variants))
    sexes = [1 + i % 2 for i in range(n)] if sexes is None else sexes
    Path(f"{prefix}.bed").write_bytes(b"\x6c\x1b\x01" + encode_bed(genotypes).tobytes())
    rows = zip(chromosomes, positions, strict=True)
    lines = [f"{c}\tv{v}\t0\t{p}\tA\tG\n" for v, (c, p) in enumerate(rows)]
    Path(f"{prefix}.bim").write_text("".join(lines))
    lines = [f"F{i // 2} I{i} 0 0 {sexes[i]} {1 + int(is_case[i])}\n" for i in range(n)]
    Path(f"{prefix}.fam").write_text("".join(lines))


def run_plink(folder, *words, program="plink1.9"):
    """Run PLINK on the cohort x of a folder; return ids of variants and individuals."""
    command = [require(program), "--bfile", "x", "--make-bed", "--out", "kept"]
    subprocess.run([*command, "--silent", *words], cwd=folder, check=True)
    kept = [(folder / f"kept.{ending}").read_text() for ending in ("bim", "fam")]
    return [[line.split()[1] for line in text.splitlines()] for text in kept]


def prune_by_plink(folder, *words, program="plink1.9"):
    """Return the ids of the variants that PLINK's pruning leaves, in plink 1.9's order.

    From 2023 on plink2 has another, unless it is asked.
    """
    path = require(program)
    told = subprocess.run([path, "--help", "indep-order"], capture_output=True).stdout
    order = ["--indep-order", "1"] if b"--indep-order <" in told else []
    command = [path, "--bfile", "x", "--out", "kept", "--silent", *words, *order]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "kept.prune.in").read_text().split()


def get_slow_r2(first, second):
    """Return r2 over those called at both, by NumPy; NaN without variance."""
    both = (first >= 0) & (second >= 0)
    x, y = first[both], second[both]
    if len(set(x.tolist())) < 2 or len(set(y.tolist())) < 2:
        return np.nan
    return np.corrcoef(x, y)[0, 1] ** 2


def choose(place, monkeypatch, *words):
    """Return the ids of variants and individuals that words choose; facts and notes."""
    monkeypatch.chdir(place)
    parser, run = program.make_parser()
    argv = ["run", "x.bed", "--out", "out", *words]
    args = cli.get_options(Options, cli.parse(parser, run, argv))
    comm = SerialCommunicator()
    found = read_inputs(args, look_for_calls(comm, args))
    files, match, fold, lists, choice, sets, is_male, _ = found
    filters = make_filters(args, lists, choice, sets, is_male)
    pruning = read_pruning(args.ld_prune)
    with load_cohort(comm, files, match, fold, filters, None, pruning) as cohort:
        ids = cohort.variants["id"].tolist()
        facts = cohort.facts
    counted = {**match.counted, **facts["counted"]}
    return ids, match.individuals, facts, {n: k for n, k in counted.items() if k}
