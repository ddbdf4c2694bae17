"""One cohort in every format that is read: the same models, whatever the format.

What a format cannot carry, or counts from the other allele, is in no comparison: the
alleles of all, and the places of a table.
"""

import csv
import json
import subprocess

import numpy as np
import pytest

from formats import BGEN, VCF, call, make_cohort, plink2
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import inspect_sample
from mdr_epistasis.program import main

COHORT = (
    "--variants 60 --individuals 200 --heritability 0.3 --maf 0.4 --seed 1 "
    "--missing-rate 0.02 --pure"
)
ALLELES = {"alleles_1", "alleles_2"}
PLACES = {"chromosome_1", "position_1", "chromosome_2", "position_2"}
THIRDS = ["1-7", "8-14", "15-22"]  # chromosomes


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Return a folder with the cohort in every format, and its labels."""
    folder = tmp_path_factory.mktemp("formats")
    make_cohort(folder, COHORT)
    return folder


def make_options(cohort, out, names, labels="labels.tsv", more=()):
    """Return the command line of a run on files of the cohort."""
    paths = [str(cohort / name) for name in names]
    options = ["--folds", "5", "--permutations", "2", "--quiet", *more]
    return [*paths, *options, "--labels", str(cohort / labels), "--out", str(out)]


def search(cohort, out, names, labels="labels.tsv", more=()):
    """Return the models of files of the cohort, in the order of the report."""
    assert main(["run", *make_options(cohort, out, names, labels, more)]) == 0
    return read_models(out)


def read_models(out):
    with open(out / "models.tsv") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def leave_out(models, columns):
    return [{k: v for k, v in model.items() if k not in columns} for model in models]


@pytest.fixture(scope="session")
def expected(cohort, tmp_path_factory):
    """Return the models of the .bed file, which is in simulate.py's own writing."""
    models = search(cohort, tmp_path_factory.mktemp("expected") / "out", ["bed.bed"])
    assert len(models) == 1000
    assert {model["n"] for model in models} > {"200"}  # some genotypes are missing
    truth = json.loads((cohort / "bed.truth.json").read_text())
    planted = [variant["id"] for variant in truth["planted"]]
    assert [models[0]["variant_1"], models[0]["variant_2"]] == planted
    return leave_out(models, ALLELES)


@pytest.mark.parametrize(
    "name",
    [
        *("bed", "a.vcf", "gzip.vcf.gz", "bgzip.vcf.gz", "a.bcf", "8.bgen", "16.bgen"),
        *("five.gen", "six.gen", "gzip.gen.gz", "bgzip.gen.gz"),
    ],
)
def test_run__same_models_of_any_format(cohort, expected, tmp_path, name):
    models = search(cohort, tmp_path / "out", [name])
    assert leave_out(models, ALLELES) == expected


def test_run__same_models_of_bsc_text_and_labels(cohort, expected, tmp_path):
    # no ids of its own: another file names the individuals in order
    named = ["--sample-file", str(cohort / "labels.sample")]
    models = search(cohort, tmp_path / "out", ["bsc.gz"], "labels.sample", named)
    assert leave_out(models, ALLELES) == expected


def test_run__same_models_of_a_table(cohort, expected, tmp_path):
    models = search(cohort, tmp_path / "out", ["table.tsv"])
    expected = leave_out(expected, PLACES)
    assert leave_out(models, ALLELES | PLACES) == expected


@pytest.fixture(scope="session")
def thirds(cohort):
    """Write the cohort split by chromosome; return what files are called."""
    for k, chromosomes in enumerate(THIRDS):
        part, out = ["--chr", chromosomes], cohort / f"third{k}"
        plink2(cohort / "bed", out, *part, "--make-bed")
        plink2(cohort / "bed", out, *part, *VCF, "bgz")
        plink2(cohort / "bed", out, *part, *BGEN)
        plink2(cohort / "bed", out, *part, "--export", "oxford")
    return [f"third{k}" for k in range(3)]


@pytest.mark.parametrize(
    "endings",
    [
        *([ending] * 3 for ending in ("bed", "vcf.gz", "bgen", "gen")),
        ["gen", "vcf.gz", "bed"],
    ],
    ids="-".join,
)
def test_run__same_models_of_several_files(cohort, thirds, expected, tmp_path, endings):
    names = [f"{third}.{ending}" for third, ending in zip(thirds, endings, strict=True)]
    models = search(cohort, tmp_path / "out", names)
    assert leave_out(models, ALLELES) == expected


@pytest.fixture(scope="session")
def shuffled(cohort, thirds):
    """Write files whose individuals stand in another order."""
    ids = read_header(cohort / "a.bcf")
    order = np.random.default_rng(1).permutation(ids)
    assert list(order) != list(ids)
    (cohort / "order.txt").write_text("\n".join(order))
    words = ["view", "-S", str(cohort / "order.txt"), "-Oz", "-o"]
    for source, name in (("a.bcf", "whole"), ("third1.vcf.gz", "third")):
        call("bcftools", *words, str(cohort / f"{name}.vcf.gz"), str(cohort / source))
    vcf, options = str(cohort / "whole.vcf.gz"), ["--double-id", *BGEN]
    call("plink2", "--vcf", vcf, *options, "--out", str(cohort / "whole"))


def read_header(path):
    return inspect_sample(str(path), ReadOptions()).individuals


@pytest.mark.parametrize(
    "names",
    [
        ["whole.vcf.gz"],
        ["whole.bgen"],
        ["third0.bed", "third.vcf.gz", "third2.gen"],
    ],
    ids="-".join,
)
@pytest.mark.usefixtures("shuffled")
def test_run__same_models_in_any_order_of_individuals(
    cohort, expected, tmp_path, names
):
    models = search(cohort, tmp_path / "out", names)
    assert leave_out(models, ALLELES) == expected


@pytest.mark.parametrize("ranks", [2, 5])
def test_run__same_models_on_ranks(cohort, thirds, expected, tmp_path, ranks):
    out, endings = tmp_path / "out", ["bgen", "vcf.gz", "gen"]
    names = [f"{third}.{ending}" for third, ending in zip(thirds, endings, strict=True)]
    command = ["mpirun", "-n", str(ranks), "mdr-epistasis", "run"]
    subprocess.run([*command, *make_options(cohort, out, names)], check=True)
    assert leave_out(read_models(out), ALLELES) == expected
