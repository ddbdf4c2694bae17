"""Reading BGEN: a plain writer and plink2 are the truth; broken files are bad input."""

import struct
import subprocess
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from conftest import require
from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes import plink
from hpc_connector.loader.genotypes.bgen import bgen, header
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.vcf import vcf

DATA = Path(__file__).parent / "data"
BITEPI = DATA / "bitepi_plink_100snps_2000/bfile"
HIPSTER = DATA / "hipster_1000genomes_vcf/Hipster.vcf.bgz"
OPTIONS = ReadOptions()
HOM, HET, OTHER = (1, 0), (0, 1), (0, 0)  # of an unphased diploid, in full


def pack(numbers, bits):
    """Return numbers of some bits each, the lowest bit first."""
    whole = sum(number << (k * bits) for k, number in enumerate(numbers))
    return whole.to_bytes((len(numbers) * bits + 7) // 8, "little")


def string(text, code="<H"):
    return struct.pack(code, len(text)) + text.encode()


def make_genotypes(individuals, bits=8, is_phased=False):
    """Return the genotypes of a variant: None if missing, else one or two numbers."""
    ploidy = bytes(0x82 if i is None else len(i) for i in individuals)
    numbers = [x for i in individuals for x in ((0, 0) if i is None else i)]
    head = struct.pack("<IHBB", len(individuals), 2, 1, 2)
    return head + ploidy + bytes([is_phased, bits]) + pack(numbers, bits)


def compress(data, compression):
    if compression == header.NO_COMPRESSION:
        return data
    if compression == header.ZLIB:
        return struct.pack("<I", len(data)) + zlib.compress(data)
    return struct.pack("<I", len(data)) + zstandard.compress(data)


def make_variant(data, compression, number=0, alleles=("A", "C"), rsid=None):
    texts = ["v", f"rs{number}" if rsid is None else rsid, "1"]
    head = b"".join(map(string, texts)) + struct.pack("<IH", number + 1, len(alleles))
    packed = compress(data, compression)
    names = b"".join(string(allele, "<I") for allele in alleles)
    return head + names + struct.pack("<I", len(packed)) + packed


def make_file(variants, n, compression, ids=None, layout=2):
    """Return a file of variants as :func:`make_variant` returns them."""
    flags = compression | layout << 2 | (ids is not None) << 31
    block = b""
    if ids is not None:
        names = b"".join(map(string, ids))
        block = struct.pack("<II", len(names) + 8, len(ids)) + names
    head = struct.pack("<III4sI", 20, len(variants), n, b"bgen", flags)
    return b"".join([struct.pack("<I", 20 + len(block)), head, block, *variants])


def make_simple(rows, compression=header.ZLIB, bits=8):
    """Return a file of unphased diploid individuals."""
    variants = [
        make_variant(make_genotypes(row, bits), compression, v)
        for v, row in enumerate(rows)
    ]
    return make_file(variants, len(rows[0]), compression)


def write(path, data):
    path.write_bytes(data)
    return str(path)


def read_rows(module, path, options=OPTIONS, n_parts=1):
    """Return variants, and genotypes (variants, individuals), in the order of parts."""
    sample_file = module.inspect(str(path), options)
    blocks = [
        block
        for part in range(n_parts)
        for block in module.read(sample_file, part, n_parts)
    ]
    columns = [
        row
        for b in blocks
        for row in zip(
            b.variants.id,
            b.variants.chromosome,
            b.variants.position,
            b.variants.counted,
            b.variants.other,
            strict=True,
        )
    ]
    none = np.empty((0, sample_file.n_individuals), np.int8)
    return columns, np.concatenate([none, *(block.genotypes for block in blocks)])


def read_genotypes(path, options=OPTIONS, n_parts=1):
    return read_rows(bgen, path, options, n_parts)[1].tolist()


def call_slowly(numbers, bits, is_phased, threshold):
    """Return the genotype of an individual, by exact fractions."""
    if numbers is None:
        return -1
    first, *second = [Fraction(x, 2**bits - 1) for x in numbers]
    if not second:
        probabilities = [first, Fraction(0), 1 - first]
    elif is_phased:
        none, both = first * second[0], (1 - first) * (1 - second[0])
        probabilities = [none, 1 - none - both, both]
    else:
        probabilities = [first, second[0], 1 - first - second[0]]
    called = [g for g in range(3) if probabilities[g] > threshold]
    return called[0] if called else -1


@st.composite
def make_cohort(draw):
    """Return bits, phase and variants of individuals, of ploidy 1 and 2 or missing."""
    bits, is_phased = draw(st.integers(1, 20)), draw(st.booleans())
    most = 2**bits - 1
    # probabilities near 1, or few would be called
    high = st.one_of(st.integers(0, most), st.sampled_from([0, most, most * 9 // 10]))
    pair = st.tuples(high, high)
    if not is_phased:
        pair = pair.map(lambda p: (p[0], min(p[1], most - p[0])))
    individual = st.one_of(st.none(), pair, st.tuples(high))
    n = draw(st.integers(1, 9))
    row = st.lists(individual, min_size=n, max_size=n)
    return bits, is_phased, draw(st.lists(row, min_size=1, max_size=5))


@given(make_cohort(), st.sampled_from([0, 1, 2]), st.sampled_from([0.5, 0.8, 0.9]))
def test_read__agrees_with_exact_fractions(
    tmp_path_factory, cohort, compression, threshold
):
    bits, is_phased, rows = cohort
    variants = [
        make_variant(make_genotypes(row, bits, is_phased), compression, v)
        for v, row in enumerate(rows)
    ]
    data = make_file(variants, len(rows[0]), compression)
    path = write(tmp_path_factory.mktemp("cohort") / "a.bgen", data)
    exact = Fraction(str(threshold))
    expected = [[call_slowly(i, bits, is_phased, exact) for i in row] for row in rows]
    options = ReadOptions(imputation_threshold=threshold)
    for n_parts in (1, 2, 7):
        assert read_genotypes(path, options, n_parts) == expected


@pytest.mark.parametrize("is_phased", [False, True])
def test_read__32_bits(tmp_path, is_phased):
    one = 2**32 - 1
    row = [(one, 0), (0, one), (0, 0), (one,), (0,), (one // 2, one // 2), None]
    data = make_genotypes(row, 32, is_phased)
    path = write(tmp_path / "a.bgen", make_file([make_variant(data, 0)], 7, 0))
    expected = [1, 1, 2, 0, 2, -1, -1] if is_phased else [0, 1, 2, 0, 2, -1, -1]
    assert read_genotypes(path) == [expected]


def test_read__a_probability_that_is_the_threshold_is_no_call(tmp_path):
    path = write(tmp_path / "a.bgen", make_simple([[(204, 0), (205, 0), (0, 204)]]))
    assert read_genotypes(path, ReadOptions(imputation_threshold=0.8)) == [[-1, 0, -1]]


def test_read__variants_are_named_and_the_second_allele_counted(tmp_path):
    genotypes = make_genotypes([HOM])
    variants = [
        make_variant(genotypes, 0, 4, ("A", "CT")),
        make_variant(genotypes, 0, 5, rsid="."),
    ]
    path = write(tmp_path / "a.bgen", make_file(variants, 1, 0))
    columns, _ = read_rows(bgen, path)
    assert columns == [("rs4", "1", 5, "CT", "A"), ("v", "1", 6, "C", "A")]


def test_inspect__ids_of_the_file_or_of_the_sample_file(tmp_path):
    path = write(tmp_path / "a.bgen", make_file([], 2, 0, ids=["x", "y"]))
    assert bgen.inspect(path, OPTIONS).individuals == ("x", "y")
    path = write(tmp_path / "b.bgen", make_file([], 2, 0))
    assert bgen.inspect(path, OPTIONS).individuals is None
    header = "ID_1 ID_2 missing\n0 0 0\n"
    (tmp_path / "b.sample").write_text(f"{header}f x 0\nf y 0\n")
    assert bgen.inspect(path, OPTIONS).individuals == ("x", "y")
    assert read_genotypes(path) == []
    (tmp_path / "b.sample").write_text(f"{header}f x 0\n")
    with pytest.raises(BadInput, match=r"names 1 individuals and .* holds 2"):
        bgen.inspect(path, OPTIONS)


GOOD = make_simple([[HOM, HET, OTHER, None]] * 3, compression=0)
FEW = make_genotypes([HOM])
FAULTS = {
    "is no BGEN file": b"not a BGEN file but some other text",
    "expected a BGEN header": GOOD[:10],
    "is cut": GOOD[:-1],
    "goes on after": GOOD + b"\0",
    "layout 3": make_file([], 1, 0, layout=3),
    "compression 3": make_file([], 1, 3),
    "expected 1, 3 and 1 to 32": make_file([make_variant(FEW, 0, alleles="ACG")], 1, 0),
    "has 1 individuals": make_file([make_variant(FEW + bytes(9), 0)], 2, 0),
    "sum to 1": make_simple([[(200, 200)]]),
    "of 0 bits": make_file([make_variant(make_genotypes([(0,)], 0), 0)], 1, 0),
    "bytes of probabilities": make_file([make_variant(FEW + b"\0", 0)], 1, 0),
}


@pytest.mark.parametrize("message", FAULTS)
def test_read__says_what_is_wrong(tmp_path, message):
    path = write(tmp_path / "a.bgen", FAULTS[message])
    with pytest.raises(BadInput, match=message) as error:
        read_genotypes(path)
    assert path in str(error.value)
    assert "\n" not in str(error.value)


def test_inspect__a_missing_file_or_a_folder(tmp_path):
    for path in (tmp_path / "none.bgen", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            bgen.inspect(str(path), OPTIONS)


def read_if_good(path):
    """Return the genotypes, None where the input is bad."""
    try:
        return read_genotypes(path, n_parts=2)
    except BadInput as error:
        message = str(error)
    assert "\n" not in message
    return None


@pytest.mark.parametrize("compression", [0, 1, 2])
def test_read__a_cut_file_is_an_error(tmp_path, compression):
    data = make_simple([[HOM, HET, OTHER, None]] * 3, compression)
    for length in range(len(data)):
        assert read_if_good(write(tmp_path / "a.bgen", data[:length])) is None


@pytest.mark.parametrize("compression", [0, 1, 2])
def test_read__a_flipped_bit_is_an_error_or_one_cell(tmp_path, compression):
    rows = [[(255, 0), (0, 255), (0, 0), None]] * 3
    data = make_simple(rows, compression)
    for byte in range(len(data)):
        flipped = bytearray(data)
        flipped[byte] ^= 1 << byte % 8
        genotypes = read_if_good(write(tmp_path / "a.bgen", bytes(flipped)))
        assert genotypes is None or np.shape(genotypes) == (3, 4)


def test_read__a_flipped_bit_of_zlib_data_is_never_another_call(tmp_path):
    data = make_simple([[(255, 0), (0, 255), (0, 0), None]])
    start = len(data) - len(zlib.compress(make_genotypes([HOM] * 4)))
    expected = [[0, 1, 2, -1]]
    assert read_genotypes(write(tmp_path / "a.bgen", data)) == expected
    for bit in range(start * 8, len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path = write(tmp_path / "a.bgen", bytes(flipped))
        assert read_if_good(path) in (None, expected)


@given(st.binary(max_size=200), st.booleans())
def test_read__survives_anything(tmp_path_factory, data, has_header):
    whole = make_file([data], 3, 0) if has_header else data
    read_if_good(write(tmp_path_factory.mktemp("any") / "a.bgen", whole))


def export(out, *options):
    """Have plink2 write a BGEN file."""
    command = [require("plink2"), *options, "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return f"{out}.bgen"


@pytest.mark.parametrize(
    "words", [["bgen-1.2", "bits=8"], ["bgen-1.2"], ["bgen-1.3", "ref-first"]]
)
def test_read__what_plink2_wrote_of_a_bed_file(tmp_path, words):
    path = export(tmp_path / "a", "--bfile", str(BITEPI), "--export", *words)
    columns, genotypes = read_rows(bgen, path)
    expected_columns, expected = read_rows(plink, f"{BITEPI}.bed")
    assert [c[:3] for c in columns] == [c[:3] for c in expected_columns]
    for ours, theirs, row, other in zip(
        columns, expected_columns, genotypes, expected, strict=True
    ):
        assert {*ours[3:]} == {*theirs[3:]}
        is_same = ours[3] == theirs[3]
        np.testing.assert_array_equal(row, other if is_same else 2 - other)


def test_read__what_plink2_wrote_of_a_vcf_file(tmp_path):
    words = ["--vcf", str(HIPSTER), "--export", "bgen-1.2", "bits=8", "ref-first"]
    path = export(tmp_path / "a", *words)
    columns, genotypes = read_rows(bgen, path)
    expected_columns, expected = read_rows(vcf, HIPSTER)
    ids = vcf.inspect(str(HIPSTER), OPTIONS).individuals
    assert bgen.inspect(path, OPTIONS).individuals == ids
    assert columns == expected_columns
    np.testing.assert_array_equal(genotypes, expected)
