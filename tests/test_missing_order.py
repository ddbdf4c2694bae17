"""Runs whose planes hold the variants without missing genotypes first."""

import h5py
import numpy as np
import numpy.testing as npt
import pytest

import mdr_epistasis as mdr
from mdr_epistasis.cohort.loading import order_variants
from mdr_epistasis.program import main
from programs import assert_same, get_end, make_command

CODES = np.array([3, 2, 0, 1])  # of .bed, for 0, 1, 2 copies and missing
KEPT = ("--max-missing", "1")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return the prefix of a .bed, of whose variants some lack genotypes."""
    rng = np.random.default_rng(3)
    prefix = tmp_path_factory.mktemp("cohort") / "some"
    genotypes = rng.binomial(2, rng.uniform(0.1, 0.5, (150, 1)), (150, 200))
    is_missing = rng.random(genotypes.shape) < 0.03
    genotypes[is_missing & (rng.random((150, 1)) < 0.5)] = -1
    packed = CODES[genotypes].reshape(150, 50, 4) @ np.array([1, 4, 16, 64])
    data = bytes([0x6C, 0x1B, 1]) + packed.astype(np.uint8).tobytes()
    prefix.with_suffix(".bed").write_bytes(data)
    rows = [f"{1 + v // 50}\trs{v}\t0\t{1000 * v + 1}\tA\tG\n" for v in range(150)]
    prefix.with_suffix(".bim").write_text("".join(rows))
    rows = [f"F{i} I{i} 0 0 1 {1 + i % 2}\n" for i in range(200)]
    prefix.with_suffix(".fam").write_text("".join(rows))
    return prefix.with_suffix(".bed")


def run(cohort, out, *options):
    """Run a search; return its table and the datasets that do not hold all models."""
    assert (
        main(["run", str(cohort), "--out", str(out), "--quiet", *KEPT, *options]) == 0
    )
    with h5py.File(out / "results.h5") as file:
        groups = ("models", "variants", "permutations")
        arrays = {
            f"{g}/{name}": data[:] for g in groups for name, data in file[g].items()
        }
    return (out / "models.tsv").read_bytes(), arrays


@pytest.mark.parametrize("options", ["", "--missing level", "--min-distance-bp 5000"])
def test_run__finds_what_all_models_in_the_order_of_files_give(
    cohort, tmp_path, options
):
    options = [*options.split(), "--folds", "5", "--top", "50", "--permutations", "3"]
    table, arrays = run(cohort, tmp_path / "out", *options)
    expected, expected_arrays = run(cohort, tmp_path / "all", *options, "--all-models")
    assert table == expected
    for name, array in expected_arrays.items():
        npt.assert_array_equal(arrays[name], array, err_msg=name)
    assert arrays["variants/id"].tolist() == [f"rs{v}".encode() for v in range(150)]


def test_run__of_two_lists_is_the_same_on_two_ranks(cohort, tmp_path):
    for name, step in (("first", 3), ("second", 2)):
        ids = "\n".join(f"rs{v}" for v in range(0, 150, step))
        (tmp_path / f"{name}.txt").write_text(ids)
    options = ["--variants", tmp_path / "first.txt", "--folds", "5"]
    options += ["--with-variants", tmp_path / "second.txt", "--permutations", "2"]
    for ranks in (1, 2):
        out = ["--out", tmp_path / f"on-{ranks}", "--quiet", *KEPT]
        code, lines, _ = get_end(make_command(ranks, cohort, *options, *out))
        assert (code, len(lines)) == (0, 1), lines
        assert "variants left out, not listed: 50" in lines[0]
    assert_same(tmp_path / "on-2", tmp_path / "on-1")
    with h5py.File(tmp_path / "on-1" / "results.h5") as file:
        found = file["variants/id"].asstr()[:].tolist()
    first = [f"rs{v}" for v in range(0, 150, 3)]
    assert found == first + [f"rs{v}" for v in range(0, 150, 2) if v % 3]


def test_search__of_an_array_tells_variants_by_their_rows():
    rng = np.random.default_rng(8)
    genotypes = rng.binomial(2, 0.4, (40, 300)).astype(np.int8)
    is_case = (genotypes[3] > 0) ^ (genotypes[31] > 0)
    genotypes[:20][rng.random((20, 300)) < 0.02] = -1
    result = mdr.search(genotypes, is_case, folds=3)
    assert (result.best["variant_1"], result.best["variant_2"]) == ("3", "31")


def test_order_variants__the_first_decides_before_the_second():
    is_second, lacks = np.array([1, 0, 1, 0], bool), np.array([0, 1, 1, 0], bool)
    assert order_variants(is_second, lacks).tolist() == [2, 1, 3, 0]
