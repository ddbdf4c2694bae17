"""Files that are cut, corrupt or of another kind: one line that says so, or genotypes.

A small cohort in every format is cut and changed at many bytes. Compressed files have
checksums: they give what was written or bad input. In text, a .bed or plain BGEN a
changed byte may be another genotype; a cut is seen, but for one between two lines.
"""

import gzip
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats import make_cohort
from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import has_end
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import inspect_sample, read_sample
from mdr_epistasis.program import main

CUT_EVERY, CHANGE_EVERY = 3, 5  # bytes
N_VARIANTS, N_INDIVIDUALS = 8, 12
CHECKED = ["gzip.vcf.gz", "bgzip.vcf.gz", "a.bcf", "gzip.gen.gz", "bgzip.gen.gz"]
CHECKED += ["bsc.gz"]
BINARY = ["bed.bed", "8.bgen", "16.bgen"]
TEXT = ["a.vcf", "five.gen", "six.gen", "table.tsv"]
BESIDE = {"bed.bim": "bed.bed", "bed.fam": "bed.bed", "five.sample": "five.gen"}


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Return a folder with a small cohort in every format."""
    folder = tmp_path_factory.mktemp("small")
    options = "--heritability 0.1 --maf 0.4 --missing-rate 0.1 --seed 1"
    sizes = f"--variants {N_VARIANTS} --individuals {N_INDIVIDUALS}"
    make_cohort(folder, f"{sizes} {options}")
    return folder


@pytest.fixture
def copy(cohort, tmp_path):
    """Return a function that writes a file of the cohort anew, beside its companions.

    It returns the path to read.
    """

    def write(name, data):
        for sibling in cohort.glob(f"{name.split('.')[0]}.*"):
            if not (tmp_path / sibling.name).exists():
                shutil.copy(sibling, tmp_path)
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / BESIDE.get(name, name))

    return write


def read(path, n_parts=2):
    """Return ids and genotypes, in the order of the parts."""
    sample_file = inspect_sample(path, ReadOptions())
    n = sample_file.n_individuals
    assert sample_file.individuals is None or len(sample_file.individuals) == n
    ids, genotypes = [], [np.empty((0, n), np.int8)]
    for part in range(n_parts):
        for block in read_sample(sample_file, part, n_parts):
            columns = [list(column) for column in vars(block.variants).values()]
            assert {len(column) for column in columns} == {len(block.genotypes)}
            assert block.genotypes.dtype == np.int8
            assert set(block.genotypes.ravel().tolist()) <= {-1, 0, 1, 2}
            ids += block.variants.id.tolist()
            genotypes.append(block.genotypes)
    return ids, np.concatenate(genotypes).tolist()


def read_if_good(path):
    """Return ids and genotypes, None where the input is bad."""
    try:
        return read(path)
    except BadInput as error:
        message = str(error)
    assert "\n" not in message
    assert path.rsplit(".", 1)[0] in message
    return None


@pytest.mark.parametrize("name", [*CHECKED, *BINARY])
def test_read_sample__a_cut_is_bad(cohort, copy, name):
    data = (cohort / name).read_bytes()
    ids, genotypes = read(copy(name, data))
    assert (len(ids), np.shape(genotypes)) == (N_VARIANTS, (N_VARIANTS, N_INDIVIDUALS))
    for length in range(0, len(data), CUT_EVERY):
        path = copy(name, data[:length])
        # between blocks, where what is lacking is said
        assert read_if_good(path) is None or not has_end(path)


@pytest.mark.parametrize("name", [*TEXT, *BESIDE])
def test_read_sample__a_cut_of_text_is_bad_but_between_lines(cohort, copy, name):
    data = (cohort / name).read_bytes()
    _, whole = read(copy(name, data))
    for length in range(0, len(data), CUT_EVERY):
        found = read_if_good(copy(name, data[:length]))
        if found is None:
            continue
        if name == "table.tsv":  # fewer individuals
            assert b"\n" in data[length - 1 : length + 1]
            assert found[1] == [row[: len(found[1][0])] for row in whole]
        else:  # fewer variants; files beside may lack the end of the last line alone
            assert found[1] == whole[: len(found[1])]
            assert name in TEXT or len(data) - length == 1
            assert name in BESIDE or data[length - 1 : length] == b"\n"


@pytest.mark.parametrize("name", CHECKED)
def test_read_sample__a_changed_byte_is_bad_or_harmless(cohort, copy, name):
    data = (cohort / name).read_bytes()
    whole = read(copy(name, data))
    for changed in change(data):
        assert read_if_good(copy(name, changed)) in (None, whole)


@pytest.mark.parametrize("name", [*BINARY, *TEXT, *BESIDE])
def test_read_sample__a_changed_byte_is_bad_or_another_genotype(cohort, copy, name):
    for changed in change((cohort / name).read_bytes()):
        read_if_good(copy(name, changed))


def change(data):
    """Yield copies of data with one byte of another value."""
    values = b"\0\xff\n \t.-1e\x80"
    for at in range(0, len(data), CHANGE_EVERY):
        flipped = data[at] ^ 1 << at % 8
        for value in (flipped, values[at % len(values)]):
            yield data[:at] + bytes([value]) + data[at + 1 :]


ENDINGS = ["vcf", "vcf.gz", "bcf", "bed", "bgen", "gen", "gen.gz", "tsv", "any"]


@given(st.sampled_from(ENDINGS), st.binary(max_size=100), st.booleans())
def test_read_sample__survives_anything(tmp_path_factory, ending, data, is_gzip):
    path = tmp_path_factory.mktemp("any") / f"a.{ending}"
    path.write_bytes(gzip.compress(data) if is_gzip else data)
    read_if_good(str(path))


@pytest.mark.parametrize("ending", ENDINGS)
def test_inspect_sample__another_kind_of_file(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    for content in (b"", b"\n", b"\0" * 100, b"a text\nof two lines\n", b"\xff\xfe\n"):
        path.write_bytes(content)
        assert read_if_good(str(path)) is None
    path.unlink()
    assert read_if_good(str(path)) is None
    path.mkdir()
    assert read_if_good(str(path)) is None


@pytest.mark.parametrize("name", [*TEXT, *BESIDE, *BINARY, *CHECKED])
def test_inspect_sample__a_file_under_a_wrong_name(cohort, tmp_path, name):
    for ending in ("bed", "bgen", "gen", "tsv"):
        if name.split(".")[1] not in (ending, "sample"):
            path = tmp_path / f"a.{ending}"
            shutil.copy(cohort / name, path)
            assert read_if_good(str(path)) is None


@pytest.mark.parametrize("name", ["a.vcf", "five.gen", "table.tsv", *BESIDE])
@pytest.mark.parametrize("word", ["ind03", "snp3"])
def test_read_sample__not_utf8(cohort, copy, name, word):
    data = (cohort / name).read_bytes()
    found = read_if_good(copy(name, data.replace(word.encode(), b"\xff\xfe")))
    if name in BESIDE:
        assert found is not None  # tables may be in Windows-1252
    elif word.encode() in data and not (name == "a.vcf" and word == "snp3"):
        assert found is None  # VCF replaces what it cannot decode in names of variants


def set_byte(data, at, value):
    return data[:at] + bytes([value]) + data[at + 1 :]


def replace_call(data, call):
    """Put another call in the place of the last of a VCF file."""
    return data.rstrip(b"\n").rsplit(b"\t", 1)[0] + b"\t" + call + b"\n"


LONG = b"9" * 5000  # which int() refuses
FAULTS = [  # file, how it is changed, what the message says
    ("bed.bed", lambda data: set_byte(data, 0, 0), "begins with"),
    ("bed.bed", lambda data: set_byte(data, 2, 0), "individual-major"),
    ("bed.bed", lambda data: data + b"\0", "28 bytes: expected 27"),
    ("bed.bim", lambda data: data * 2, "27 bytes: expected 51"),
    ("bed.bim", lambda data: b"", "27 bytes: expected 3"),
    ("bed.bim", lambda data: data.replace(b"\t100\t", b"\tx\t"), "position 'x'"),
    ("bed.bim", lambda data: data.replace(b"\t100\t", b"\t" + LONG + b"\t"), "'9999"),
    ("bed.fam", lambda data: data * 2, "27 bytes: expected 51"),
    ("bed.fam", lambda data: data + b"x", "has 1 fields, expected 6"),
    ("bed.fam", lambda data: b"", "is empty"),
    ("a.vcf", lambda data: replace_call(data, b"0/3"), "individual 12: found '0/3'"),
    ("a.vcf", lambda data: data.replace(b"\t100\t", b"\t" + LONG + b"\t"), "'9999"),
    ("a.vcf", lambda data: data.replace(b"ind02", b"ind01"), "'ind01' twice"),
    ("8.bgen", lambda data: set_byte(data, 16, 0), "no BGEN file"),
    ("five.gen", lambda data: data.replace(b" 100 ", b" x "), "position 'x'"),
    ("five.gen", lambda data: data.replace(b" 1\n", b" 2\n"), "number 36"),
    ("five.sample", lambda data: data + data[-20:], "names 13 individuals"),
    ("table.tsv", lambda data: data.replace(b"\tClass\n", b"\tx\n"), "column Class"),
]


@pytest.mark.parametrize(("name", "damage", "message"), FAULTS)
def test_read_sample__says_what_is_wrong(cohort, copy, name, damage, message):
    path = copy(name, damage((cohort / name).read_bytes()))
    with pytest.raises(BadInput, match=message) as caught:
        read(path)
    assert path.rsplit(".", 1)[0] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_run__bad_genotypes_are_one_line(cohort, copy, tmp_path, capsys):
    labels = str(cohort / "labels.tsv")
    for name, damage, message in FAULTS:
        path = copy(name, damage((cohort / name).read_bytes()))
        out = str(tmp_path / f"out_{len(list(tmp_path.iterdir()))}")
        words = ["run", path, "--labels", labels, "--folds", "1", "--out", out]
        assert main([*words, "--quiet"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message.split("\\")[0] in line
        copy(name, (cohort / name).read_bytes())


def test_inspect_sample__nobody(copy):
    copy("bed.bed", b"\x6c\x1b\x01")
    with pytest.raises(BadInput, match="an individual a line"):
        read(copy("bed.fam", b""))


NOTHING = {  # what is left of a file without its variants
    "a.vcf": lambda data: b"".join(
        line for line in data.splitlines(keepends=True) if line.startswith(b"#")
    ),
    "bed.bed": lambda data: data[:3],
    "table.tsv": lambda data: b"Class\n" + b"0\n1\n" * 6,
}


@pytest.mark.parametrize("name", NOTHING)
def test_run__no_variants(cohort, copy, tmp_path, capsys, name):
    path = copy(name, NOTHING[name]((cohort / name).read_bytes()))
    if name == "bed.bed":
        copy("bed.bim", b"")
    assert read(path)[0] == []
    words = ["run", path, "--folds", "1", "--out", str(tmp_path / "out")]
    if name != "table.tsv":
        words += ["--labels", str(cohort / "labels.tsv")]
    assert main([*words, "--quiet"]) == 2
    assert "no variant is left of 0 read" in capsys.readouterr().err


def test_read_sample__bgzip_without_its_last_block(cohort, tmp_path):
    for name in ("bgzip.vcf.gz", "bgzip.gen.gz", "a.bcf"):
        path = tmp_path / name
        path.write_bytes((cohort / name).read_bytes()[:-28])
        assert read(str(path)) == read(str(cohort / name))
        said = " ".join(map(str, inspect_sample(str(path), ReadOptions()).assumed))
        assert f"{name} lacks the empty block that ends bgzip files" in said
