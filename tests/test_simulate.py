"""Simulated cohorts: the penetrance as asked, and files other programs read."""

import itertools
import json
import subprocess

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import require
from hpc_connector.errors import BadInput
from mdr_epistasis.program import run_simulate
from mdr_epistasis.simulate import cohorts
from mdr_epistasis.simulate.files import encode_bed
from mdr_epistasis.simulate.penetrance import (
    get_cell_frequencies,
    get_hardy_weinberg,
    get_heritability,
    get_pure_basis,
    make_penetrance,
)

MAF = st.floats(0.05, 0.5)
PREVALENCE = st.floats(0.05, 0.95)
SEED = st.integers(0, 2**32)


def make(*arguments):
    """Run the command; return the exit code."""
    return run_simulate([str(a) for a in arguments])


def make_small(out, *arguments):
    """Run the command with a small cohort whose size is no multiple of four."""
    size = ["--variants", 60, "--individuals", 203, "--heritability", 0.1]
    return make("--out", out, *size, "--maf", 0.3, "--seed", 7, *arguments)


def read_rows(path):
    """Return the words of each line."""
    return [line.split() for line in path.read_text().splitlines()]


def find_greatest_pure_heritability(maf, prevalence):
    """Return the greatest h2 of a pure pair: the best corner of the polytope of tables.

    h2 is convex in the table, so its maximum is at a corner, where four of the
    eighteen bounds hold with equality.
    """
    basis = get_pure_basis(2, maf).T
    bounds = np.concatenate([basis, -basis])
    limit = np.repeat([1 - prevalence, prevalence], 9)
    four = np.array(list(itertools.combinations(range(18), 4)))
    four = four[np.abs(np.linalg.det(bounds[four])) > 1e-9]
    corner = np.linalg.solve(bounds[four], limit[four][..., None])[..., 0]
    corner = corner[(corner @ bounds.T <= limit + 1e-9).all(axis=1)]
    return (corner**2).sum(axis=1).max() / (prevalence * (1 - prevalence))


@settings(max_examples=40)
@given(MAF, PREVALENCE, st.floats(0, 0.99), SEED)
def test_make_penetrance__pure_pair_up_to_the_maximum(maf, prevalence, part, seed):
    heritability = part * find_greatest_pure_heritability(maf, prevalence)
    rng = np.random.default_rng(seed)
    table = make_penetrance(2, maf, heritability, prevalence, pure=True, rng=rng)
    assert table.min() >= 0
    assert table.max() <= 1
    assert get_heritability(table, maf) == pytest.approx(heritability, abs=1e-9)
    for axis in (0, 1):
        marginal = np.tensordot(table, get_hardy_weinberg(maf), axes=(axis, 0))
        npt.assert_allclose(marginal, prevalence, rtol=0, atol=1e-9)


@settings(max_examples=40)
@given(MAF, PREVALENCE, SEED)
def test_make_penetrance__pure_triple_hides_from_pairs(maf, prevalence, seed):
    rng = np.random.default_rng(seed)
    table = make_penetrance(3, maf, 1e-4, prevalence, pure=True, rng=rng)
    assert get_heritability(table, maf) == pytest.approx(1e-4, abs=1e-9)
    for axis in (0, 1, 2):
        of_pair = np.tensordot(table, get_hardy_weinberg(maf), axes=(axis, 0))
        npt.assert_allclose(of_pair, prevalence, rtol=0, atol=1e-9)


@given(st.sampled_from([2, 3]), MAF, PREVALENCE, st.floats(0, 1))
def test_make_penetrance__threshold(order, maf, prevalence, heritability):
    rng = np.random.default_rng(0)
    try:
        table = make_penetrance(
            order, maf, heritability, prevalence, pure=False, rng=rng
        )
    except BadInput:
        return  # out of reach; the next test asks when that is
    assert 0 <= table.min() <= table.max() <= 1
    assert get_heritability(table, maf) == pytest.approx(heritability, abs=1e-9)
    mean = (table * get_cell_frequencies(order, maf)).sum()
    assert mean == pytest.approx(prevalence, abs=1e-9)
    assert len(np.unique(table)) <= 2


@pytest.mark.parametrize("order", [2, 3])
def test_make_penetrance__threshold_reaches_all_where_it_fits(order):
    # A fraction c of carriers is the whole prevalence: the phenotype is the genotype.
    carriers = (1 - 0.6**2) ** order
    rng = np.random.default_rng(0)
    table = make_penetrance(order, 0.4, 1 - 1e-9, carriers, pure=False, rng=rng)
    npt.assert_allclose(table[(1,) * order], 1, atol=1e-8)
    with pytest.raises(BadInput, match=r"a threshold model .* at most about"):
        make_penetrance(order, 0.4, 0.9, 0.9, pure=False, rng=rng)


@pytest.mark.parametrize(("maf", "prevalence"), [(0.3, 0.5), (0.2, 0.3), (0.4, 0.9)])
def test_make_penetrance__says_the_maximum(maf, prevalence):
    greatest = find_greatest_pure_heritability(maf, prevalence)
    with pytest.raises(BadInput, match=f"at most about {greatest:.4f}$"):
        make_penetrance(
            2,
            maf,
            greatest + 1e-6,
            prevalence,
            pure=True,
            rng=np.random.default_rng(1),
        )


def test_simulate_planted__follows_the_penetrance():
    rng = np.random.default_rng(3)
    table = make_penetrance(2, 0.4, 0.2, 0.3, pure=True, rng=rng)
    is_case = rng.random(200_000) < 0.5
    genotypes = cohorts.simulate_planted(table, 0.4, is_case, rng)
    cell = genotypes[0] * 3 + genotypes[1]
    frequency = get_cell_frequencies(2, 0.4)
    for affected, risk, total in ((True, table, 0.3), (False, 1 - table, 0.7)):
        found = np.bincount(cell[is_case == affected], minlength=9)
        expected = (frequency * risk / total).ravel()
        npt.assert_allclose(found / found.sum(), expected, atol=0.005)


def test_simulate_genotypes__hardy_weinberg_and_planted_across_blocks(monkeypatch):
    monkeypatch.setattr(cohorts, "BLOCK_GENOTYPES", 4000 * 7)  # seven variants
    planted = np.array([6, 7, 49])
    truth = np.tile(np.arange(4000) % 3, (3, 1)).astype(np.int8)
    rng = np.random.default_rng(5)
    blocks = list(cohorts.simulate_genotypes(50, planted, truth, 0.0, rng))
    assert [len(block) for block in blocks] == [7] * 7 + [1]
    genotypes = np.concatenate(blocks)
    npt.assert_array_equal(genotypes[planted], truth)
    noise = np.delete(genotypes, planted, axis=0)
    maf = noise.mean(axis=1) / 2
    assert maf.min() > 0.03
    assert maf.max() < 0.52
    npt.assert_allclose((noise == 1).mean(axis=1), 2 * maf * (1 - maf), atol=0.04)


def test_simulate_genotypes__missing_leaves_the_rest_alone():
    def draw(rate):
        planted = np.zeros((2, 500), dtype=np.int8)
        rng = np.random.default_rng(1)
        where = np.array([0, 9])
        return next(cohorts.simulate_genotypes(40, where, planted, rate, rng))

    whole, holed = draw(0.0), draw(0.1)
    called = holed >= 0
    assert (~called).mean() == pytest.approx(0.1, abs=0.01)
    npt.assert_array_equal(holed[called], whole[called])


@given(st.integers(1, 9), st.integers(1, 30), SEED)
def test_encode_bed__agrees_with_naive(n_variants, n_individuals, seed):
    rng = np.random.default_rng(seed)
    genotypes = rng.integers(-1, 3, (n_variants, n_individuals), dtype=np.int8)
    code = {0: 0b11, 1: 0b10, 2: 0b00, -1: 0b01}
    for row, encoded in zip(genotypes, encode_bed(genotypes), strict=True):
        number = sum(code[g] << (2 * i) for i, g in enumerate(row.tolist()))
        assert encoded.tobytes() == number.to_bytes((n_individuals + 3) // 4, "little")


@pytest.mark.parametrize("file_format", ["bed", "vcf.gz"])
def test_run__same_seed_same_bytes(tmp_path, file_format):
    for name in ("a", "b"):
        out = tmp_path / name / "cohort"
        assert make_small(out, "--format", file_format, "--missing-rate", 0.05) == 0
    first = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()}
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()}
    assert len(first) == 4
    assert not any(name.endswith(".partial") for name in first)
    make_small(tmp_path / "c" / "cohort", "--format", file_format, "--seed", 8)
    other = {p.name: p.read_bytes() for p in (tmp_path / "c").iterdir()}
    assert other[f"cohort.{file_format}"] != first[f"cohort.{file_format}"]


def test_run__truth_and_class_sizes(tmp_path):
    options = ["--order", 3, "--pure", "--heritability", 0.2, "--cases-fraction", 0.3]
    make_small(tmp_path / "x", *options)
    truth = json.loads((tmp_path / "x.truth.json").read_text())
    assert truth["heritability"] == pytest.approx(0.2)
    assert np.shape(truth["penetrance"]) == (3, 3, 3)
    variants = read_rows(tmp_path / "x.bim")
    for planted in truth["planted"]:
        where = [planted["chromosome"], planted["id"], "0", str(planted["position"])]
        assert [*where, "G", "A"] in variants
    phenotypes = [row[5] for row in read_rows(tmp_path / "x.fam")]
    assert phenotypes.count("2") == truth["cases"] == 61
    assert phenotypes.count("1") == truth["controls"] == 142


def test_run__plink_and_bcftools_read_the_same(tmp_path):
    plink, bcftools = require("plink1.9"), require("bcftools")
    make_small(tmp_path / "x", "--missing-rate", 0.1)
    make_small(tmp_path / "x", "--missing-rate", 0.1, "--format", "vcf.gz")
    arguments = ["--bfile", "x", "--recode", "A-transpose", "--out", "x"]
    arguments += ["--keep-allele-order", "--silent"]
    subprocess.run([plink, *arguments], cwd=tmp_path, check=True)
    from_bed = read_rows(tmp_path / "x.traw")[1:]

    query = [bcftools, "query", "-f", r"%CHROM %ID %POS %ALT %REF[ %GT]\n", "x.vcf.gz"]
    text = subprocess.run(query, cwd=tmp_path, check=True, capture_output=True).stdout
    copies = {"0/0": "0", "0/1": "1", "1/1": "2", "./.": "NA"}
    from_vcf = [line.split() for line in text.decode().splitlines()]
    assert len(from_vcf) == 60
    for bed, vcf in zip(from_bed, from_vcf, strict=True):
        assert bed[:2] + bed[3:6] == vcf[:5]
        assert bed[6:] == [copies[call] for call in vcf[5:]]

    labels = read_rows(tmp_path / "x.labels.tsv")[1:]
    fam = read_rows(tmp_path / "x.fam")
    assert [(i, int(c) + 1) for i, c in labels] == [(f[1], int(f[5])) for f in fam]
    region = [bcftools, "index", "--nrecords", "x.vcf.gz"]
    counted = subprocess.run(region, cwd=tmp_path, check=True, capture_output=True)
    assert counted.stdout.split() == [b"60"]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--variants", 1],
        ["--individuals", 1],
        ["--individuals", -5],
        ["--maf", 0],
        ["--maf", "nan"],
        ["--maf", 0.6],
        ["--heritability", -0.1],
        ["--heritability", "nan"],
        ["--heritability", 0.99],
        ["--prevalence", 1],
        ["--cases-fraction", "nan"],
        ["--cases-fraction", 0.001],
        ["--missing-rate", 1],
        ["--seed", -1],
    ],
    ids=lambda wrong: " ".join(map(str, wrong)),
)
def test_run__refuses(tmp_path, wrong):
    with pytest.raises(BadInput, match=wrong[0]) as error:
        make_small(tmp_path / "x", *wrong)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file_format", ["bed", "vcf.gz"])
def test_run__refuses_where_it_cannot_write(tmp_path, file_format):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match=r"--out .* cannot be written"):
        make_small(tmp_path / "file" / "x", "--format", file_format)
    (tmp_path / f"x.{file_format}.partial").mkdir()
    with pytest.raises(BadInput, match=r"--out .* cannot be written"):
        make_small(tmp_path / "x", "--format", file_format)
