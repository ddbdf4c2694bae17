"""Names of chromosomes, and which variants are the same one."""

import numpy as np
import pytest

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.chromosomes import (
    find_in_id,
    find_in_path,
    get_codes,
    is_known,
    normalise,
    unify,
)
from mdr_epistasis.cohort.identity import count_shared_ids, find_repeats, get_places

SAME = [
    (
        "1",
        "1.0",
        "chr1",
        "Chr01",
        "01",
        "CHR1",
        "chromosome1",
        "Chromosome_1",
        "NC_000001.11",
    ),
    ("X", "chrX", "23", "0X", "x", "XY", "25", "PAR1", "chrXY", "CM000685.2"),
    ("Y", "chrY", "24", "NC_000024.10"),
    ("MT", "M", "chrM", "26", "chrMT", "0M", "mt", "NC_012920.1"),
    ("10", "chr10", "chr_10"),
    ("0", "chr0", "", ".", "NA", "Un", "---"),
]


def test_normalise__names_of_one_chromosome():
    found = [{normalise(name) for name in names} for names in SAME]
    assert all(len(names) == 1 for names in found)
    assert len(set.union(*found)) == len(SAME)


def test_get_codes__of_runs_of_names():
    names = [name for names in SAME for name in names]
    expected = [k for k, same in enumerate(SAME[:-1]) for _ in same] + [-1] * 7
    codes = get_codes(np.array(names, np.dtypes.StringDType()))
    assert codes.tolist() == expected
    assert get_codes(np.array([], np.dtypes.StringDType())).tolist() == []


def test_get_codes__numbers_are_plinks_of_the_human_genome_alone():
    human = np.array(["23", "X", "26", "MT"])
    assert get_codes(human).tolist() == [0, 0, 1, 1]
    dog = np.array(["23", "X", "38", "chr38"])
    assert get_codes(dog).tolist() == [0, 1, 2, 2]


def test_unify__keeps_the_first_name():
    names = np.array(["1", "chr1", "NA", "chrX", "23", "X"])
    assert unify(names).tolist() == ["1", "1", "0", "chrX", "chrX", "chrX"]


@pytest.mark.parametrize(
    "name", ["---", "SNP_A-1", "rs1", "27", "0", "chr1_10_A_G", "AX-1", "1:10", "chr"]
)
def test_is_known__no_chromosome(name):
    assert not is_known(name)


@pytest.mark.parametrize(
    ("name", "chromosome"),
    [
        ("1:10:A:G", "1"),
        ("chr1_10_A_G", "chr1"),
        ("1-10-A-G", "1"),
        ("1:10", "1"),
        ("01:10_A_G", "01"),
        ("X:10:A:<DEL>", "X"),
        ("1:10[b37]A,G", "1"),
        ("1:100:A:G", ""),
        ("SNP_A-10", ""),
        ("AX-10", ""),
        ("rs10", ""),
    ],
)
def test_find_in_id__spellings(name, chromosome):
    assert find_in_id(name, 10) == chromosome


@pytest.mark.parametrize(
    ("path", "chromosome"),
    [
        ("chr22.gen", "22"),
        ("a/b_Chr5.gen.gz", "5"),
        ("s3://b/ukb_imp_chr01_v3.gen", "01"),
        ("study.chr10_pos_1_5000.impute2", "10"),
        ("chromosome_X.gen", "X"),
        ("chr1-22.gen", ""),
        ("chr1_to_22.gen", ""),
        ("chr1.chr2.gen", ""),
        ("synchrony.gen", ""),
        ("chr22/a.gen", ""),
    ],
)
def test_find_in_path__spellings(path, chromosome):
    assert find_in_path(path) == chromosome


def make_columns(rows):
    """Return columns of variants, from rows of id, place, alleles and frequency."""
    names = ("id", "chromosome", "position", "counted", "other", "frequency")
    rows = [row if len(row) == len(names) else (*row, 0.5) for row in rows]
    return {n: np.array(c) for n, c in zip(names, zip(*rows, strict=True), strict=True)}


def test_find_repeats__same_place_and_alleles():
    columns = make_columns([
        ("rs1", "1", 10, "A", "G"),
        ("rs2", "2", 10, "A", "G"),
        ("1:10", "chr1", 10, "g", "a"),  # of another file, counted the other way
        ("rs1", "1", 10, "A", "C"),  # another allele
        ("rs1", "1", 11, "A", "G"),
        ("rs1", "01", 10, "A", "G"),
    ])  # fmt: skip
    assert find_repeats(columns).tolist() == [False, False, True, False, False, True]
    assert count_shared_ids(columns["id"]) == 1


def test_find_repeats__an_insertion_is_no_deletion():
    columns = make_columns([
        ("rs1", "1", 10, "CA", "C", 0.25),
        ("rs2", "1", 10, "C", "CA", 0.125),  # the deletion
        ("rs3", "1", 20, "CA", "C", 0.25),
        ("rs3", "1", 20, "C", "CA", 0.75),  # the insertion, counted the other way
        ("rs1", "1", 10, "CA", "C", 0.25),
    ])  # fmt: skip
    assert find_repeats(columns).tolist() == [False, False, False, True, True]


def test_find_repeats__without_a_place_by_id():
    columns = make_columns([
        ("a", "0", 0, "2", "0"),
        ("b", "0", 0, "2", "0"),
        ("a", "0", 0, "2", "0"),
        (".", "0", 0, "2", "0"),
        (".", "0", 0, "2", "0"),
    ])  # fmt: skip
    assert find_repeats(columns).tolist() == [False, False, True, False, False]


def test_get_places__of_variants_without_one():
    good = ("rs1", "X", 10, "A", "G")
    found = get_places(make_columns([good, ("rs2", "chr2", 5, "A", "G")]))
    assert found["chromosome"].tolist() == [0, 1]
    for row, message in (
        (("rs2", "0", 5, "A", "G"), "1 of 2 variants .* 'rs2': .*--chromosome"),
        (("rs2", "1", 0, "A", "G"), "expected a position of each$"),
        (("rs2", "1", -5, "A", "G"), "expected a position of each$"),
    ):
        with pytest.raises(BadInput, match=message):
            get_places(make_columns([good, row]))
