"""Traits and covariates of files: headers, codes of what is missing, ranges, texts."""

import numpy as np
import numpy.testing as npt
import pytest

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.sample_file import SampleFile
from hpc_connector.loader.traits import (
    convert_trait,
    find_range,
    make_columns,
    read_covariates,
    read_people,
    read_trait,
)

IDS = ("p1", "p2", "p3", "p4", "p5", "p6")
FILE = SampleFile("x.vcf", "vcf", len(IDS), IDS)
PLINK = SampleFile("x.bed", "bed", len(IDS), IDS, families=tuple((i, i) for i in IDS))
NAN = float("nan")
VALUES = ["1.5", "-9", "NA", "nan", "2e1", "0"]
OF_PLINK = [1.5, NAN, NAN, NAN, 20.0, 0.0]
PLAIN = [1.5, -9.0, NAN, NAN, 20.0, 0.0]
TABLES = {  # text before each id; the first line
    "#FID IID": ("FAM {0}", OF_PLINK, " "),
    "FID IID": ("{0} {0}", OF_PLINK, " "),
    "#IID": ("{0}", OF_PLINK, "\t"),
    "#FID\tIID\tSEX": ("{0}\t{0}\t1", OF_PLINK, "\t"),
    "IID": ("{0}", PLAIN, ","),
    "sample_id": ("{0}", PLAIN, ";"),
}


def write(folder, lines, name="t.txt"):
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def make_rows(head, before, separator, values, ids=IDS):
    rows = [before.format(i) for i in ids]
    return [
        f"{head}{separator}bmi",
        *(f"{r}{separator}{v}" for r, v in zip(rows, values, strict=True)),
    ]


@pytest.mark.parametrize("head", TABLES)
def test_read_trait__of_tables_with_a_header(tmp_path, head):
    before, expected, separator = TABLES[head]
    path = write(tmp_path, make_rows(head, before, separator, VALUES))
    found = read_trait(read_people(path, PLINK), PLINK, name="bmi")
    assert (found.name, found.kind) == ("bmi", "quantitative")
    npt.assert_array_equal(found.values, expected)
    npt.assert_array_equal(found.labels.is_case, np.where(np.isnan(expected), -1, 0))
    said = [one.what for one in found.labels.assumed if "-9" in one.what]
    assert len(said) == (expected is PLAIN)


def test_read_trait__of_a_fam_file(tmp_path):
    lines = [f"{i} {i} 0 0 1 {v}" for i, v in zip(IDS, VALUES, strict=True)]
    path = write(tmp_path, lines, "x.fam")
    found = read_trait(read_people(path, PLINK), PLINK, kind="quantitative")
    assert found.name == "PHENOTYPE"
    npt.assert_array_equal(found.values, OF_PLINK)
    lines = [
        f"{i} {i} 0 0 1 {v}" for i, v in zip(IDS, [2, 1, -9, 0, 1, 2], strict=True)
    ]
    path = write(tmp_path, lines, "x.fam")
    found = read_trait(read_people(path, PLINK), PLINK)
    assert found.kind == "binary"
    npt.assert_array_equal(found.values, [1, 0, NAN, NAN, 0, 1])


def test_read_trait__codes_of_a_table_of_plink_and_of_another(tmp_path):
    codes = [1, 2, 0, 1, 2, 2]
    lines = make_rows("#FID IID", "{0} {0}", " ", codes)
    found = read_trait(read_people(write(tmp_path, lines), PLINK), PLINK, name="bmi")
    npt.assert_array_equal(found.values, [0, 1, NAN, 0, 1, 1])
    lines = make_rows("id", "{0}", ",", [1, 0, 0, 1, 0, 0])
    found = read_trait(read_people(write(tmp_path, lines), FILE), FILE, name="bmi")
    assert found.kind == "binary"
    npt.assert_array_equal(found.values, [1, 0, 0, 1, 0, 0])
    found = read_trait(
        read_people(write(tmp_path, lines), FILE), FILE, name="bmi", kind="count"
    )
    assert found.kind == "count"
    lines = make_rows("#IID", "{0}", " ", [1, 0, 0, 1, 0, 0])  # controls, and missing
    with pytest.raises(BadInput, match="as PLINK codes them: no case"):
        read_trait(read_people(write(tmp_path, lines), FILE), FILE, name="bmi")


def test_read_trait__in_another_order_and_of_others(tmp_path):
    ids = ("p9", "p6", "p5", "p8", "p1", "p2", "p3")
    values = ["9", "6", "5", "NA", "1.5", "2", "3"]
    lines = make_rows("id", "{0}", "\t", values, ids)
    found = read_trait(read_people(write(tmp_path, lines), FILE), FILE)
    npt.assert_array_equal(found.values, [1.5, 2, 3, NAN, 5, 6])
    assert found.labels.absent == ("p9",)  # p8 has no value


def test_read_people__of_one_who_stands_twice(tmp_path):
    lines = make_rows("id", "{0}", "\t", range(7), (*IDS, "p3"))
    with pytest.raises(BadInput, match="1 individuals such as 'p3' stand twice"):
        read_people(write(tmp_path, lines), FILE)


def test_read_people__without_ids_goes_by_position(tmp_path):
    nobody = SampleFile("x.bgen", "bgen", 6, None)
    lines = ["bmi,case", *(f"{v / 10},{v % 2}" for v in (1, 1, 3, 4, 5, 3))]
    people = read_people(write(tmp_path, lines), nobody, chosen=["bmi"])
    found = read_trait(people, nobody, name="bmi")
    npt.assert_array_equal(found.values, [0.1, 0.1, 0.3, 0.4, 0.5, 0.3])
    with pytest.raises(BadInput, match="5 individuals and x"):
        read_people(write(tmp_path, lines[:-1]), nobody, chosen=["bmi"])
    lines = make_rows("id", "{0}", ",", range(6))
    with pytest.raises(BadInput, match="names no individuals"):
        read_people(write(tmp_path, lines), nobody)


COVARIATES = [
    "#FID IID SEX age PC1 PC2 PC-3 PC10 site",
    "p1 p1 1 40 .1 .2 .3 1 B",
    "p2 p2 2 41 .1 .2 .3 1 A",
    "p3 p3 0 42 .1 .2 .3 1 C",
    "p4 p4 1 -9 .1 .2 .3 1 A",
    "p5 p5 1 44 .1 NA .3 1 -9",
    "p6 p6 2 45 .1 .2 .3 1 B",
]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["age,SEX"], "age SEX"),
        (["PC1-PC10"], "PC1 PC2 PC-3 PC10"),
        (["PC-3"], "PC-3"),
        (["PC2-PC-3", "age"], "PC2 PC-3 age"),
        (["PC-3-PC10"], "PC-3 PC10"),
        (["age", "SEX-PC1,age"], "age SEX PC1"),
        (["9"], "site"),
    ],
)
def test_find_range__as_plink_writes_them(tmp_path, words, expected):
    table = read_people(write(tmp_path, COVARIATES), PLINK).table
    assert [table.header[k] for k in find_range(table, words)] == expected.split()


def test_find_range__that_no_column_has(tmp_path):
    table = read_people(write(tmp_path, COVARIATES), PLINK).table
    with pytest.raises(BadInput, match="no column 'aeg': is 'age' meant"):
        find_range(table, ["aeg"])
    with pytest.raises(BadInput, match="no column 'PC1-PC11'"):
        find_range(table, ["PC1-PC11"])
    with pytest.raises(BadInput, match="expected PC1-PC10"):
        find_range(table, ["PC10-PC1"])


def test_read_covariates__of_all_columns(tmp_path):
    people = read_people(write(tmp_path, COVARIATES), PLINK)
    found, _ = read_covariates(people, (), [people.table.header.index("PC10")])
    assert [one.name for one in found] == ["SEX", "age", "PC1", "PC2", "PC-3", "site"]
    missing = {one.name: np.flatnonzero(one.is_missing).tolist() for one in found}
    assert missing == {
        "PC1": [],
        "PC-3": [],
        "SEX": [2],  # 0 is no sex
        "age": [3],
        "PC2": [4],
        "site": [4],
    }


def test_make_columns__of_texts_are_dummies(tmp_path):
    people = read_people(write(tmp_path, COVARIATES), PLINK)
    found, _ = read_covariates(people, ["age", "site"])
    names, columns = make_columns(found, np.array([0, 1, 2, 5, 0, 1, 2, 5]))
    assert names == ["age", "site=B", "site=C"]
    npt.assert_array_equal(
        columns[:4].T, [[40, 41, 42, 45], [1, 0, 0, 1], [0, 0, 1, 0]]
    )
    with pytest.raises(BadInput, match="site is 'B' in all of 4 individuals"):
        make_columns(found, np.array([0, 5, 0, 5]))
    with pytest.raises(BadInput, match="of 3 levels among 4 individuals"):
        make_columns(found, np.array([0, 1, 2, 5]))


def test_read_covariates__of_an_oxford_file_has_categories(tmp_path):
    lines = ["ID_1 ID_2 missing batch age", "0 0 0 D C"]
    lines += [f"{i} {i} 0 {k % 2 + 1} {40 + k}" for k, i in enumerate(IDS)]
    people = read_people(write(tmp_path, lines, "x.sample"), FILE)
    found, _ = read_covariates(people, ["batch", "age"])
    names, _ = make_columns(found, np.arange(6))
    assert names == ["batch=2", "age"]


@pytest.mark.parametrize(
    ("words", "kind", "expected"),
    [
        (["0", "1", "1"], "auto", "binary"),
        (["case", "control", "NA"], "auto", "binary"),
        (["1", "2", "3"], "auto", "quantitative"),
        (["0.0", "1.0", ""], "auto", "binary"),
        (["1", "2", "3"], "count", "count"),
        (["0", "1", "1"], "quantitative", "quantitative"),
    ],
)
def test_convert_trait__of_a_kind(words, kind, expected):
    assert convert_trait(words, "x", kind)[0] == expected


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (["1", "x7", "3"], "auto", "'x7' is no number"),
        (["1", "2", "inf"], "auto", "'inf' is no number"),
        (["1", "2", "1_0"], "auto", "'1_0' is no number"),
        (["1", "2", "3"], "binary", "expected two classes"),
        (["1", "1", "1"], "auto", "expected two classes"),
        (["1.5", "2.5", "3"], "binary", "--trait names another"),
        (["1", "2", "-3"], "count", "-3 is no count"),
        (["1", "2.5", "3"], "count", "2.5 is no count"),
    ],
)
def test_convert_trait__refuses(words, kind, message):
    with pytest.raises(BadInput, match=message):
        convert_trait(words, "x", kind)
