"""Labels, tables and probabilities from text; PLINK files; what is wrong with them."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.learner import filter_imputation
from hpc_connector.loader.genotypes.sample_file import ReadOptions, SampleFile
from hpc_connector.loader.genotypes.samples import (
    convert_samples,
    inspect_sample,
    read_sample,
)
from hpc_connector.loader.genotypes.text._kernels import call_line
from hpc_connector.loader.genotypes.text.bsc import read_file_pairs
from hpc_connector.loader.individuals import match_individuals
from hpc_connector.loader.labels import (
    Labels,
    convert_labels,
    read_labels,
)

DATA = Path(__file__).parent / "data"
OPTIONS = ReadOptions()


def read_all(path, n_parts=1):
    """Return ids and genotypes of a file read in parts."""
    sample_file = inspect_sample(str(path), OPTIONS)
    parts = [read_sample(sample_file, part, n_parts) for part in range(n_parts)]
    whole = convert_samples(block for part in parts for block in part)
    return whole.variants.id.tolist(), whole.genotypes


FILES = [
    "bitepi_plink_100snps_2000/bfile.bed",
    "bitepi_plink_100snps_2000/GAMETES_Example_Output.txt.gz",
    "bsc_spark_1128/samples/chr0_synth0000.gz",
    "bsc_simple_10x30x100/samples/chr0_synth0000.gz",
    "genepi_impute_gen_364/sample.gen.gz",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("n_parts", [2, 3, 7])
def test_read_sample__same_in_any_number_of_parts(name, n_parts):
    ids, genotypes = read_all(DATA / name)
    ids_of_parts, of_parts = read_all(DATA / name, n_parts)
    assert ids == ids_of_parts
    npt.assert_array_equal(genotypes, of_parts)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_read_sample__a_cut_file_is_an_error(name, share, tmp_path):
    path = tmp_path / Path(name).name
    for sibling in (DATA / name).parent.glob("bfile.*"):
        shutil.copy(sibling, tmp_path)
    data = (DATA / name).read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadInput, match=path.name):
        read_all(path)


def test_read_sample__bed_agrees_with_the_text():
    folder = DATA / "bitepi_plink_100snps_2000"
    ids, of_bed = read_all(folder / "bfile.bed")
    names, of_text = read_all(folder / "GAMETES_Example_Output.txt.gz")
    assert ids == names
    same = (of_bed == of_text).all(axis=1) | (of_bed == 2 - of_text).all(axis=1)
    assert same.all()


@pytest.mark.parametrize(
    ("byte", "value", "message"),
    [(0, 0, "begins with"), (2, 0, "individual-major")],
)
def test_inspect_sample__bed_of_another_kind(byte, value, message, tmp_path):
    for path in (DATA / "bitepi_plink_100snps_2000").glob("bfile.*"):
        shutil.copy(path, tmp_path)
    bed = tmp_path / "bfile.bed"
    data = bytearray(bed.read_bytes())
    data[byte] = value
    bed.chmod(0o600)
    bed.write_bytes(data)
    with pytest.raises(BadInput, match=message):
        inspect_sample(str(bed), OPTIONS)


def test_read_sample__bsc_calls_as_filter_imputation():
    path = DATA / "bsc_spark_1128" / "samples" / "chr0_synth0000.gz"
    _, genotypes = read_all(path)
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    numbers = np.array([[float(v) for v in line.split()[5:]] for line in lines])
    expected = filter_imputation(numbers.reshape(len(lines), -1, 3))
    npt.assert_array_equal(genotypes, expected)


decimals = st.one_of(
    st.sampled_from(["0", "0", "1", "0.9", "0.90000", "0.899999", "0.900001", "1e-05"]),
    st.decimals(0, 1, places=3).map(lambda d: f"{d:f}"),
    *(st.decimals(0, 1, places=n).map("{:f}".format) for n in (1, 6, 7, 8, 9)),
)


@given(st.lists(st.tuples(decimals, decimals, decimals), min_size=1, max_size=9))
def test_call_line__agrees_with_float(rows):
    rows = [row for row in rows if sum(map(float, row)) <= 1.02]
    text = " ".join(number for row in rows for number in row)
    genotypes = np.empty(len(rows), np.int8)
    line = np.frombuffer(text.encode(), np.uint8)
    assert call_line(line, 0.9, genotypes) == 0
    for row, genotype in zip(rows, genotypes, strict=True):
        over = [k for k in range(3) if float(row[k]) > 0.9]
        assert genotype == (over[-1] if over else -1)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("1 0", 3),
        ("1 0 0 0", 4),
        ("1 x 0", 2),
        ("1 0 2", 3),
        ("1 0 0.5.5", 3),
        ("-1 0 0", 1),
        ("1 . 0", 2),
        ("1 0 1e+2", 3),
        ("1 0 nan", 3),
        ("0.6 0.6 0", 2),
        ("0.995 0.0x5 0 1 0 0", 2),
        ("1 0 0.5 0 1 0 0", 3),
    ],
)
def test_call_line__says_what_is_wrong(text, wrong):
    line = np.frombuffer(text.encode(), np.uint8)
    assert call_line(line, 0.9, np.empty(1, np.int8)) == wrong


@given(st.binary(max_size=40))
def test_call_line__survives_anything(data):
    call_line(np.frombuffer(data, np.uint8), 0.9, np.empty(2, np.int8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header"),
        ("a b Class\n0 1 1\n0 1\n", "line 3 has 2 fields"),
        ("a b Class\n0 3 1\n0 1 0\n", "line 2, column b: '3'"),
        ("a b c\n0 1 1\n0 1 0\n", "no column Class"),
    ],
)
def test_read_sample__table_says_what_is_wrong(text, message, tmp_path):
    path = tmp_path / "table.txt"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_all(path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["0", "1", "NA"], [0, 1, -1]),
        (["1", "2", "0", "-9"], [0, 1, -1, -1]),
        (["case", "Control", ""], [1, 0, -1]),
        (["True", "False"], [1, 0]),
        (["affected", "unaffected", "."], [1, 0, -1]),
    ],
)
def test_convert_labels__codings(words, expected):
    npt.assert_array_equal(convert_labels(words, "file"), expected)


@pytest.mark.parametrize(
    "words", [["1", "1"], ["0", "NA"], ["a", "b"], ["1", "2", "3"], [], ["2", "0"]]
)
def test_convert_labels__refuses_other_than_two_classes(words):
    with pytest.raises(BadInput, match="expected two classes"):
        convert_labels(words, "file")


@pytest.mark.parametrize(
    ("name", "text", "ids", "words"),
    [
        ("x.tsv", "s\tisCase\na\tTrue\nb\tFalse\n", ["a", "b"], ["True", "False"]),
        ("x.csv", "id,age,case\na,3,1\nb,4,0\n", ["a", "b"], ["1", "0"]),
        ("x.txt", "a 1\nb 0\n", ["a", "b"], ["1", "0"]),
        ("x.txt", "1\n0\n", None, ["1", "0"]),
        ("x.fam", "f a 0 0 1 2\nf b 0 0 1 1\n", ["a", "b"], ["2", "1"]),
        ("x.fam", "f a 0 0 1 2\ng a 0 0 1 1\n", ["f:a", "g:a"], ["2", "1"]),
    ],
)
def test_read_labels__kinds_of_files(name, text, ids, words, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    assert read_labels(str(path)) == (ids, words)


def test_read_labels__bsc():
    ids, words = read_labels(str(DATA / "bsc_spark_1128" / "labels.sample"))
    assert ids is None
    is_case = convert_labels(words, "file")
    assert (len(words), int(is_case.sum())) == (1128, 527)


def make_file(path, ids):
    return SampleFile(path, "vcf", len(ids), tuple(ids))


def test_match_individuals__orders_by_id():
    files = [make_file("x", "cabz"), make_file("y", "zbca")]
    labels = Labels(tuple("bcaq"), np.array([1, 0, -1, 1], np.int8))
    match = match_individuals(files, labels, "labels")
    assert match.individuals == ("b", "c")
    npt.assert_array_equal(match.is_case, [1, 0])
    npt.assert_array_equal(match.columns, [[2, 0], [1, 2]])
    assert [note.split(":")[0] for note in match.notes] == [
        "labelled, but without genotypes",
        "genotyped, but without label",
    ]


@pytest.mark.parametrize(
    ("files", "ids", "message"),
    [
        (["ab", "ac"], "ab", "differ in 2 individuals"),
        (["aab"], "ab", "duplicate ids"),
        (["ab"], "aab", "duplicate ids"),
        (["ab"], "xy", "no individual in common"),
    ],
)
def test_match_individuals__refuses(files, ids, message):
    labels = Labels(tuple(ids), np.arange(len(ids), dtype=np.int8) % 2)
    with pytest.raises(BadInput, match=message):
        match_individuals([make_file(f"f{f}", f) for f in files], labels, "labels")


def test_match_individuals__by_position_needs_equal_numbers():
    file = SampleFile("x", "bsc", 3, None)
    labels = Labels(None, np.array([0, 1], np.int8))
    with pytest.raises(BadInput, match="has 3 individuals"):
        match_individuals([file], labels, "labels")


def test_read_file_pairs__of_bsc():
    known = [f"chr0_synth{k:04d}" for k in range(10)]
    path = DATA / "bsc_simple_10x30x100" / "listoffiles.txt"
    pairs = read_file_pairs(str(path), known)
    assert pairs[:2] == [
        ("chr0_synth0000", "chr0_synth0000"),
        ("chr0_synth0000", "chr0_synth0001"),
    ]
