"""The same cohort in every format gives the same models; damage is an error."""

import csv
import gzip
import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest

from conftest import require
from hpc_connector.errors import BadInput
from hpc_connector.loader.sample_file import ReadOptions
from hpc_connector.loader.samples import inspect_sample, read_sample
from mdr_epistasis.program import main

N_VARIANTS, N_INDIVIDUALS = 60, 200
IDS = [f"i{k:03d}" for k in range(N_INDIVIDUALS)]
HEADER = (
    "##fileformat=VCFv4.2\n"
    + "".join(f"##contig=<ID={c}>\n" for c in (1, 2, 3))
    + '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
)
SEARCH = ["--folds", "3", "--top", "40", "--permutations", "2", "--quiet"]


def make_cohort():
    """Return genotypes (variants, individuals), -1 missing, and who is a case."""
    rng = np.random.default_rng(5)
    genotypes = rng.binomial(2, rng.uniform(0.1, 0.5, (N_VARIANTS, 1)), (60, 200))
    risk = (genotypes[7] + genotypes[31]) % 2 == 1
    is_case = rng.random(N_INDIVIDUALS) < np.where(risk, 0.8, 0.3)
    genotypes[rng.random(genotypes.shape) < 0.01] = -1
    return genotypes, is_case.astype(int)


def describe(v):
    """Return chromosome, position and id of a variant."""
    return 1 + v // 20, 1000 + 10 * v, f"rs{v}"


def make_vcf(genotypes, ids, variants=range(N_VARIANTS)):
    """Return a VCF file as text."""
    calls = np.array(["0/0", "0/1", "1/1", "./."])
    lines = [HEADER + "\t".join(ids)]
    for v in variants:
        chromosome, position, name = describe(v)
        lead = f"{chromosome}\t{position}\t{name}\tA\tG\t.\tPASS\t.\tGT"
        lines.append("\t".join([lead, *calls[genotypes[v]]]))
    return "\n".join(lines) + "\n"


def make_bsc(genotypes):
    """Return BSC's text: three probabilities an individual, none certain if missing."""
    triples = np.array(["1 0 0", "0.02 0.98 0", "0 0.005 0.995", "0.4 0.5 0.1"])
    lines = []
    for v in range(N_VARIANTS):
        chromosome, position, name = describe(v)
        lead = f"{chromosome} {name} {position} A G"
        lines.append(" ".join([lead, *triples[genotypes[v]]]))
    return "\n".join(lines) + "\n"


def make_table(genotypes, is_case):
    """Return an MDR table, an individual a row."""
    words = np.array(["0", "1", "2", "NA"])
    rows = ["\t".join([f"rs{v}" for v in range(N_VARIANTS)] + ["Class"])]
    for i in range(N_INDIVIDUALS):
        rows.append("\t".join([*words[genotypes[:, i]], str(is_case[i])]))
    return "\n".join(rows) + "\n"


def export(folder, *words):
    """Have plink2 write the cohort in another format."""
    command = [require("plink2"), "--vcf", str(folder / "a.vcf"), *words]
    done = subprocess.run([*command, "--out", str(folder / "a")], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the cohort as VCF, and its labels."""
    folder = tmp_path_factory.mktemp("formats")
    genotypes, is_case = make_cohort()
    (folder / "a.vcf").write_text(make_vcf(genotypes, IDS))
    rows = [f"{name}\t{label}\n" for name, label in zip(IDS, is_case, strict=True)]
    (folder / "labels.tsv").write_text("id\tcase\n" + "".join(rows))
    (folder / "no_ids.txt").write_text("".join(f"{label}\n" for label in is_case))
    return folder


def search(folder, out, files, labels="labels.tsv"):
    """Return the rows of models.tsv."""
    command = ["run", *map(str, files), "--out", str(out), *SEARCH]
    if labels:
        command += ["--labels", str(folder / labels)]
    assert main(command) == 0
    with open(out / "models.tsv") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


@pytest.fixture(scope="module")
def expected(folder):
    """Return the models of the plain VCF file; the planted pair is the best."""
    models = search(folder, folder / "out", [folder / "a.vcf"])
    assert {models[0]["variant_1"], models[0]["variant_2"]} == {"rs7", "rs31"}
    return models


def write_gzip(folder):
    (folder / "b.vcf.gz").write_bytes(gzip.compress((folder / "a.vcf").read_bytes()))
    return [folder / "b.vcf.gz"]


def write_bgzip(folder):
    pysam.tabix_compress(str(folder / "a.vcf"), str(folder / "c.vcf.gz"), force=True)
    return [folder / "c.vcf.gz"]


def write_bcf(folder):
    command = ["view", "-Ob", "-o", str(folder / "a.bcf"), str(folder / "a.vcf")]
    subprocess.run([require("bcftools"), *command], check=True, capture_output=True)
    return [folder / "a.bcf"]


def write_bed(folder):
    export(folder, "--make-bed")
    return [folder / "a.bed"]


def write_bgen_8(folder):
    export(folder, "--export", "bgen-1.2", "bits=8", "ref-first")
    return [(folder / "a.bgen").rename(folder / "a8.bgen")]


def write_bgen_16(folder):
    export(folder, "--export", "bgen-1.2", "bits=16", "ref-first")
    return [(folder / "a.bgen").rename(folder / "a16.bgen")]


def write_gen(folder):
    export(folder, "--export", "oxford", "ref-first")
    return [folder / "a.gen"]


def write_gen_gzip(folder):
    (path,) = write_gen(folder)
    Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
    return [Path(f"{path}.gz")]


def write_others_first(folder):
    """Return the cohort with individuals in another order."""
    genotypes, _ = make_cohort()
    order = np.random.default_rng(1).permutation(N_INDIVIDUALS)
    text = make_vcf(genotypes[:, order], [IDS[k] for k in order])
    (folder / "d.vcf").write_text(text)
    return [folder / "d.vcf"]


def write_chromosomes(folder):
    """Return a file a chromosome."""
    genotypes, _ = make_cohort()
    paths = [folder / f"chr{k}.vcf" for k in range(3)]
    for k, path in enumerate(paths):
        variants = range(20 * k, 20 * k + 20)
        path.write_text(make_vcf(genotypes, IDS, variants))
    return paths


WRITERS = [
    *(write_gzip, write_bgzip, write_bcf, write_bed, write_bgen_8, write_bgen_16),
    *(write_gen, write_gen_gzip, write_others_first, write_chromosomes),
]


@pytest.mark.parametrize("write", WRITERS)
def test_run__same_models_from_any_format(folder, expected, tmp_path, write):
    assert search(folder, tmp_path / "out", write(folder)) == expected


def test_run__same_models_from_the_text_of_bsc(folder, expected, tmp_path):
    files = write_bsc(folder)
    assert search(folder, tmp_path / "out", files, "no_ids.txt") == expected


def test_run__same_models_from_a_table(folder, expected, tmp_path):
    models = search(folder, tmp_path / "out", write_table(folder), labels=None)
    unknown = ("chromosome_1", "chromosome_2", "position_1", "position_2")
    unknown += ("alleles_1", "alleles_2")
    for model, other in zip(models, expected, strict=True):
        for name in model.keys() - set(unknown):
            assert model[name] == other[name], name


def test_run__same_models_on_two_ranks(folder, expected, tmp_path):
    out = tmp_path / "out"
    command = ["mpirun", "-n", "2", "mdr-epistasis", "run", *SEARCH]
    files = map(str, write_chromosomes(folder))
    labels = ["--labels", str(folder / "labels.tsv")]
    subprocess.run([*command, *files, *labels, "--out", str(out)], check=True)
    assert (out / "models.tsv").read_text() == (
        folder / "out" / "models.tsv"
    ).read_text()


def write_bsc(folder):
    path = folder / "samples.gz"
    path.write_bytes(gzip.compress(make_bsc(make_cohort()[0]).encode()))
    return [path]


def write_table(folder):
    (folder / "a.txt").write_text(make_table(*make_cohort()))
    return [folder / "a.txt"]


def write_vcf(folder):
    return [folder / "a.vcf"]


def read_shape(path):
    """Return variants and individuals of a file, None where it is bad input."""
    message = ""
    try:
        sample_file = inspect_sample(str(path), ReadOptions())
        blocks = [b for part in (0, 1) for b in read_sample(sample_file, part, 2)]
    except BadInput as error:
        message = str(error)
        assert "\n" not in message
        assert path.name in message or path.stem in message
        return None
    for block in blocks:
        assert block.genotypes.shape == (
            len(block.variants.id),
            sample_file.n_individuals,
        )
        assert ((block.genotypes >= -1) & (block.genotypes <= 2)).all()
    return sum(len(b.genotypes) for b in blocks), sample_file.n_individuals


FUZZED = [*WRITERS[:8], write_bsc, write_table, write_vcf]
BINARY = [*WRITERS[:6], write_gen_gzip, write_bsc]  # a cut can be told


def copy_beside(write, folder, tmp_path):
    """Return a copy of a file and of what stands beside it."""
    (source,) = write(folder)
    for path in folder.glob("a.*"):
        if path.suffix in (".bim", ".fam", ".sample"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / source.name, source.read_bytes()


@pytest.mark.parametrize("write", FUZZED)
def test_read_sample__flipped_bytes(folder, tmp_path, write):
    path, whole = copy_beside(write, folder, tmp_path)
    rng = np.random.default_rng(3)
    path.write_bytes(whole)
    assert read_shape(path) == (N_VARIANTS, N_INDIVIDUALS)
    for at in [*range(0, 40), *rng.integers(len(whole), size=150).tolist()]:
        damaged = bytearray(whole)
        damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        read_shape(path)


@pytest.mark.parametrize("write", FUZZED)
def test_read_sample__cut(folder, tmp_path, write):
    path, whole = copy_beside(write, folder, tmp_path)
    for length in np.linspace(0, len(whole) - 1, 60).astype(int).tolist():
        path.write_bytes(whole[:length])
        is_line_end = whole[length - 1 : length] == b"\n"
        shape = read_shape(path)
        if write in BINARY or not is_line_end:
            assert shape is None or write is write_table, length


@pytest.mark.parametrize("ending", [".vcf", ".bed", ".bgen", ".gen", ".txt", ".gz"])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00\x01", b"a b\nc\n"])
def test_inspect_sample__nonsense(tmp_path, ending, content):
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    assert read_shape(path) is None


@pytest.mark.parametrize("ending", [".vcf", ".bed", ".bgen", ".gen", ".txt", ".gz"])
def test_inspect_sample__a_folder(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    path.mkdir()
    assert read_shape(path) is None
