"""Reading VCF and BCF: pysam is the truth, and broken files are bad input."""

import gzip
import itertools
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import EMPTY_BLOCK, has_end
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.vcf import vcf

HIPSTER = Path(__file__).parent / "data/hipster_1000genomes_vcf/Hipster.vcf.bgz"
HEADER = """\
##fileformat=VCFv4.2
##FILTER=<ID=q10,Description="Quality below 10">
##contig=<ID=1>
##contig=<ID=2>
##contig=<ID=X>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=GP,Number=G,Type=Float,Description="Probabilities">
##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depths">
"""
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"
GT = ReadOptions()
GP = ReadOptions(vcf_field="GP")
DS = ReadOptions(vcf_field="DS")
fixture_is_fine = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def make_text(records, n=2):
    """Return a VCF file, from records without the columns that do not matter."""
    names = "\t".join(f"i{i}" for i in range(n))
    return f"{HEADER}{COLUMNS}\t{names}\n" + "".join(f"{r}\n" for r in records)


def make_record(*calls, alt="C", keys="GT", name="rs1", filters="PASS"):
    return "\t".join(["1", "10", name, "A", alt, ".", filters, ".", keys, *calls])


def bgzip(data, block_bytes=60):
    """Compress in small blocks, so that lines and parts cross many."""
    blocks = []
    for at in range(0, len(data), block_bytes):
        content = data[at : at + block_bytes]
        deflate = zlib.compressobj(wbits=-15)
        body = deflate.compress(content) + deflate.flush()
        head = bytes.fromhex("1f8b08040000000000ff060042430200")
        size = struct.pack("<H", len(body) + 25)
        tail = struct.pack("<II", zlib.crc32(content), len(content))
        blocks.append(head + size + body + tail)
    return b"".join(blocks) + EMPTY_BLOCK


def write(path, data):
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def convert_to_bcf(path, out):
    """Write a BCF file of a VCF file, with its index."""
    copy_as("wb", path, out)
    pysam.tabix_index(str(out), preset="bcf", force=True)  # type: ignore[arg-type]
    return str(out)


def copy_as(mode, path, out, contigs="12X"):
    """Write the records of a file with pysam, in another format."""
    with (
        pysam.VariantFile(str(path)) as source,
        pysam.VariantFile(str(out), mode, header=source.header) as target,
    ):
        for record in source:
            if record.chrom in contigs:
                target.write(record)


def read_rows(path, options=GT, n_parts=1):
    """Return all variants as tuples, in the order of the parts."""
    sample_file = vcf.inspect(str(path), options)
    return [
        (*row[:5], row[5].tolist())
        for part in range(n_parts)
        for block in vcf.read(sample_file, part, n_parts)
        for row in zip(
            block.variants.id,
            block.variants.chromosome,
            block.variants.position,
            block.variants.counted,
            block.variants.other,
            block.genotypes,
            strict=True,
        )
    ]


def read_genotypes(tmp_path, records, options=GT, n=2):
    """Return the genotypes of each variant of a file of these records."""
    text = make_text(records, n)
    rows = read_rows(write(tmp_path / "a.vcf", text), options)
    return [row[5] for row in rows]


def read_if_good(path, options=GT, n_parts=1):
    """Return all variants, None where the input is bad."""
    try:
        return read_rows(path, options, n_parts)
    except BadInput as error:
        message = str(error)
    assert "\n" not in message
    return None


def naive_rows(path, options=GT):
    """Read a file with pysam, one individual at a time."""
    rows = []
    for record in pysam.VariantFile(str(path)):
        if options.pass_only and record.filter.keys() not in ([], ["PASS"]):
            continue
        alleles = record.alleles or ()
        alts = [a for a in (record.alts or ()) if a not in ("*", "<NON_REF>")]
        for alt in alts:
            number = alleles.index(alt, 1)
            place = f"{record.chrom}:{record.pos}:{record.ref}:{alt}"
            name = f"{record.id}_{alt}" if len(alts) > 1 else record.id
            genotypes = [
                naive_call(sample, number, options, len(alleles), record)
                for sample in record.samples.values()
            ]
            name = name if record.id else place
            rows.append((name, record.chrom, record.pos, alt, record.ref, genotypes))
    return rows


def get_values(sample, field):
    """Return the numbers of a field as a tuple; (None,) where they are missing."""
    values = sample.get(field, (None,))
    values = values if isinstance(values, tuple) else (values,)
    return values if set(values) != {None} else (None,)


def get_most(samples):
    """Return the greatest dosage of some samples."""
    values = [value for s in samples for value in get_values(s, "DS")]
    return max((value for value in values if value is not None), default=0)


def is_haploid(sample, record):
    """Return whether a dosage is of one copy; that beside a dot on X may be."""
    if sample.get("GT") != (None,):
        return len(sample.get("GT", ())) == 1
    is_open = [s for s in record.samples.values() if s["GT"] == (None,)]
    return record.chrom == "X" and get_most(is_open) <= 1.01


def naive_call(sample, alt, options, n_alleles, record):
    field, threshold = options.vcf_field, options.imputation_threshold
    values = get_values(sample, field)
    if values == (None,) and field != "GT":
        field, values = "GT", sample.get("GT", (None,))
    if None in values and (field != "GT" or set(values) == {None}):
        return -1
    if field == "GT":
        alleles = values * 2 if len(values) == 1 else values
    elif field == "GP":
        pairs = [(a, b) for b in range(n_alleles) for a in range(b + 1)]
        if len(values) == n_alleles:
            pairs = [(a, a) for a in range(n_alleles)]
        best = max(range(len(values)), key=lambda i: values[i])
        if round(values[best], 6) <= threshold:
            return -1
        alleles = pairs[best]
    else:
        of_one = [s for s in record.samples.values() if is_haploid(s, record)]
        step = 2 if is_haploid(sample, record) else 1
        if step == 2 and get_most(of_one) > 1.01:
            values = [v / 2 for v in values]
        calls = [
            step * round(v) if 1 - abs(v - round(v)) > threshold else -1 for v in values
        ]
        others = calls[: alt - 1] + calls[alt:]
        return calls[alt - 1] if not any(others) else -1
    return alleles.count(alt) if set(alleles) <= {0, alt} else -1


@st.composite
def records(draw):
    """Draw records of five individuals with all fields, in no order."""
    alts = draw(
        st.sampled_from(["C", "C,G", "C,*", "<DEL>", "C,<NON_REF>", ".", "C,G,T"])
    )
    n_alleles = 1 if alts == "." else alts.count(",") + 2
    allele = st.sampled_from([".", *map(str, range(n_alleles))])
    call = st.one_of(
        allele,
        st.tuples(allele, st.sampled_from("/|"), allele).map("".join),
    )
    plain = st.tuples(allele, st.just("/"), allele).map("".join)
    n_pairs = n_alleles * (n_alleles + 1) // 2
    number = st.sampled_from(["0", "0.04", "0.95", "1", "1e-3", "9.1e-1"])
    dosage = st.sampled_from(["0", "0.04", "0.95", "1.0", "1.5", "2", "1.93", "."])

    def probabilities():
        best = draw(st.integers(0, n_pairs - 1))
        values = ["0.001"] * n_pairs
        values[best] = draw(number)
        return draw(st.sampled_from([",".join(values), "."]))

    keys = draw(st.sampled_from(["GT", "GT:AD:GP:DS", "GT:DS"]))
    one = draw(st.sampled_from([call, plain]))
    columns = []
    for _ in range(5):
        subfields = {"GT": draw(one), "AD": ".", "GP": probabilities()}
        width = max(1, n_alleles - 1)
        subfields["DS"] = ",".join(draw(dosage) for _ in range(width))
        columns.append(":".join(subfields[key] for key in keys.split(":")))
    place = f"{draw(st.sampled_from('12X'))}\t{draw(st.integers(1, 9999))}"
    name = draw(st.sampled_from(["rs7", "."]))
    filters = draw(st.sampled_from(["PASS", ".", "q10"]))
    return "\t".join([place, name, "A", alts, ".", filters, ".", keys, *columns])


@fixture_is_fine
@given(st.lists(records(), max_size=8), st.integers(20, 400), st.booleans())
def test_read__agrees_with_pysam(tmp_path, lines, block_bytes, pass_only):
    text = make_text(lines, 5)
    options = ReadOptions(pass_only=pass_only)
    plain = write(tmp_path / "a.vcf", text)
    expected = naive_rows(plain, options)
    blocks = write(tmp_path / "b.vcf", bgzip(text.encode(), block_bytes))
    whole = write(tmp_path / "c.vcf", gzip.compress(text.encode()))
    bcf = tmp_path / "d.bcf"
    copy_as("wb", plain, bcf)
    for path in (plain, blocks, whole, bcf):
        for n_parts in (1, 2, 3, 7):
            assert read_rows(path, options, n_parts) == expected


@pytest.mark.parametrize("options", [GP, DS], ids=["GP", "DS"])
@fixture_is_fine
@given(lines=st.lists(records(), max_size=6))
def test_read__calls_numbers_as_pysam_has_them(tmp_path, options, lines):
    lines = [line for line in lines if options.vcf_field in line.split("\t")[8]]
    plain = write(tmp_path / "a.vcf", make_text(lines, 5))
    bcf = tmp_path / "d.bcf"
    copy_as("wb", plain, bcf)
    expected = naive_rows(plain, options)
    assert read_rows(plain, options) == expected
    assert read_rows(bcf, options) == expected


def test_read__hipster_agrees_with_pysam():
    rows = read_rows(HIPSTER)
    assert len(rows) == 506
    assert {"rs2218065", "rs1363387"} <= {row[0] for row in rows}
    assert rows == naive_rows(HIPSTER)


def test_read__hipster_same_in_any_parts(tmp_path):
    text = gzip.decompress(HIPSTER.read_bytes()).decode()
    contigs = "".join(f"##contig=<ID={n}>\n" for n in range(1, 23))  # it names none
    plain = write(tmp_path / "a.vcf", text.replace("#CHROM", f"{contigs}#CHROM", 1))
    bcf = tmp_path / "a.bcf"
    copy_as("wb", plain, bcf, [str(n) for n in range(1, 23)])
    rows = read_rows(HIPSTER)
    for n_parts in range(1, 8):
        assert read_rows(HIPSTER, n_parts=n_parts) == rows
        assert read_rows(bcf, n_parts=n_parts) == rows


@pytest.fixture
def long_bcf(tmp_path):
    """Write a BCF of many blocks, two contigs, and records that overlap the next."""
    rng = np.random.default_rng(1)
    calls = np.array(["0/0", "0/1", "1/1", "./.", "1"])
    lines = []
    for contig, record in itertools.product("12", range(1000)):
        is_long = record % 50 == 0
        place = f"{contig}\t{record * 997 + 1}\tr{record}"
        alleles = "A\t<DEL>" if is_long else "ACGT\tA"
        note = f"NOTE={rng.bytes(800).hex()}"  # which no compression makes small
        info = f"{note};END={record * 997 + 40000}" if is_long else note
        columns = "\t".join(rng.choice(calls, 100))
        lines.append(f"{place}\t{alleles}\t.\tPASS\t{info}\tGT\t{columns}")
    info = '##INFO=<ID=END,Number=1,Type=Integer,Description="End">\n'
    info += '##INFO=<ID=NOTE,Number=1,Type=String,Description="Note">\n'
    text = make_text(lines, 100).replace(COLUMNS, info + COLUMNS)
    plain = write(tmp_path / "long.vcf", text)
    return convert_to_bcf(plain, tmp_path / "long.bcf")


def test_read__bcf_is_cut_by_its_index(long_bcf):
    rows = naive_rows(long_bcf)
    sample_file = vcf.inspect(long_bcf, GT)
    sizes = [
        sum(len(b.genotypes) for b in vcf.read(sample_file, k, 3)) for k in range(3)
    ]
    assert min(sizes) > 0
    for n_parts in range(1, 8):
        assert read_rows(long_bcf, n_parts=n_parts) == rows
    Path(f"{long_bcf}.csi").unlink()
    assert read_rows(long_bcf, n_parts=3) == rows
    assert list(vcf.read(sample_file, 1, 3)) == []


@pytest.mark.parametrize("is_csi", [False, True])
def test_read__bgzip_same_with_an_index(long_bcf, tmp_path, is_csi):
    path = str(tmp_path / "long.vcf.gz")
    copy_as("wz", long_bcf, path)
    pysam.tabix_index(path, preset="vcf", csi=is_csi)
    rows = naive_rows(long_bcf)
    for n_parts in range(1, 8):
        assert read_rows(path, n_parts=n_parts) == rows


def test_read__index_of_another_file_is_bad(long_bcf, tmp_path):
    other = tmp_path / "other.bcf"
    copy_as("wb", long_bcf, other, contigs="2")
    Path(f"{other}.csi").write_bytes(Path(f"{long_bcf}.csi").read_bytes())
    with pytest.raises(BadInput):
        read_rows(other, n_parts=5)


def test_read__cut_index_is_bad(long_bcf):
    index = Path(f"{long_bcf}.csi")
    data = gzip.decompress(index.read_bytes())
    for n in (0, 3, 20, len(data) // 2):
        index.write_bytes(bgzip(data[:n]))
        with pytest.raises(BadInput):
            read_rows(long_bcf, n_parts=2)


def test_read__blocks_are_small(tmp_path):
    n, n_records = 20_000, 1700
    line = make_record(*["0/1"] * n)
    path = write(
        tmp_path / "a.vcf.gz", bgzip(make_text([line] * 900, n).encode(), 65000)
    )
    shapes = [b.genotypes.shape for b in vcf.read(vcf.inspect(path, GT), 0, 1)]
    assert max(shapes) <= (800, n)
    assert sum(length for length, _ in shapes) == 900
    path = write(tmp_path / "b.vcf", make_text([make_record("0/1", "0/0")] * n_records))
    shapes = [b.genotypes.shape for b in vcf.read(vcf.inspect(path, GT), 0, 1)]
    assert max(shapes) <= (1024, 2)
    assert sum(length for length, _ in shapes) == n_records


def test_read__calls(tmp_path):
    calls = ["0/0", "0|1", "1/1", "./1", ".", "1", "0", "|1|0", "./.", "1/0:7"]
    expected = [0, 1, 2, -1, -1, 2, 0, 1, -1, 1]
    line = make_record(*calls, keys="GT:AD")
    assert read_genotypes(tmp_path, [line], n=10) == [expected]
    moved = [f"3:{call.removesuffix(':7')}" for call in calls]
    line = make_record(*moved, keys="AD:GT")
    assert read_genotypes(tmp_path, [line], n=10) == [expected]
    assert read_genotypes(tmp_path, [make_record("3", "4:1/1", keys="AD:GT")]) == [
        [-1, 2]
    ]


def test_read__splits_alts(tmp_path):
    line = make_record("0/2", "1/2", "1/1", alt="C,<NON_REF>,G", name="rs1")
    assert read_genotypes(tmp_path, [line], n=3) == [[-1, -1, 2], [-1, -1, -1]]
    alts = ",".join("ACGT"[i % 4] * (2 + i) for i in range(12))
    line = make_record("0/12", "12/11", alt=alts, name=".")
    rows = read_rows(write(tmp_path / "b.vcf", make_text([line])))
    assert rows[-1][0] == "1:10:A:" + "T" * 13
    assert [row[5] for row in rows[-2:]] == [[-1, -1], [1, -1]]


def test_read__probability_must_exceed_the_threshold(tmp_path):
    line = make_record("0.9,0.1,0", "0.91,0.09,0", "0,1", ".", "0,0,0", keys="GP")
    assert read_genotypes(tmp_path, [line], GP, 5) == [[-1, 0, 2, -1, -1]]
    loose = ReadOptions(vcf_field="GP", imputation_threshold=0.8)
    line = make_record("0.8,0.1,0.1", "0.1,0.1,0.8", "0.1,0.81,.09", keys="GP")
    path = write(tmp_path / "b.vcf", make_text([line], 3))
    bcf = convert_to_bcf(path, tmp_path / "b.bcf")  # which has 0.8 as 0.800000012
    assert read_rows(path, loose)[0][5] == read_rows(bcf, loose)[0][5] == [-1, -1, 1]


def test_read__dosage_must_be_near(tmp_path):
    line = make_record("0.1", "0.09", "0.91", "1.9", "2", ".", keys="DS")
    assert read_genotypes(tmp_path, [line], DS, 6) == [[-1, 0, 1, -1, 2, -1]]
    line = make_record("1,0", "0,2", "1,1", "0.5,0", alt="C,G", keys="DS")
    expected = [[1, -1, -1, -1], [-1, 2, -1, -1]]
    assert read_genotypes(tmp_path, [line], DS, 4) == expected


def test_read__pass_only(tmp_path):
    kinds = ["PASS", "q10", "."]
    lines = [make_record("0/1", "0/0", name=kind, filters=kind) for kind in kinds]
    path = write(tmp_path / "a.vcf", make_text(lines))
    rows = read_rows(path, ReadOptions(pass_only=True))
    assert [row[0] for row in rows] == ["PASS", "1:10:A:C"]


def test_read__lines_may_end_as_in_windows(tmp_path):
    text = make_text([make_record("0/1", "1/1")])
    unix = read_rows(write(tmp_path / "a.vcf", text))
    assert read_rows(write(tmp_path / "b.vcf", text.replace("\n", "\r\n"))) == unix


def test_read__concatenated_files(tmp_path):
    text = make_text([make_record("0/1", "1/1")])
    rows = read_rows(write(tmp_path / "a.vcf", gzip.compress(text.encode()) * 2))
    assert [row[5] for row in rows] == [[1, 2], [1, 2]]
    other = text + text.replace("i0\ti1", "i1\ti0")
    with pytest.raises(BadInput, match="two headers"):
        read_rows(write(tmp_path / "b.vcf", other))


BAD_RECORDS = {
    "individual 2: found '0/2'": make_record("0/1", "0/2"),
    "individual 1: found 'x'": make_record("x", "0/1"),
    "individual 1: found ''": make_record("", "0/1"),
    "individual 2: found '0/'": make_record("0/1", "0/"),
    "individual 2: found ''": make_record("0/1", ""),
    "has 1 individuals, expected 2": make_record("0/1"),
    "has 3 individuals, expected 2": make_record("0/1", "0/1", "0/1"),
    "expected columns": "1\t10\trs1",
    "position 'x'": make_record("0/1", "0/1").replace("10", "x"),
    "is empty": make_record("0/1", "0/1", alt=""),
}


@pytest.mark.parametrize("message", BAD_RECORDS)
def test_read__bad_record(tmp_path, message):
    good = make_record("0/1", "0/0")
    with pytest.raises(BadInput, match=message) as caught:
        read_genotypes(tmp_path, [good, BAD_RECORDS[message]])
    assert "\n" not in str(caught.value)
    assert "a.vcf, record 1" in str(caught.value)


BAD_NUMBERS = [
    ("GP", "0,30,60", "sum to 1"),  # phred-scaled, as VCF 4.2 has it
    ("GP", "0.5", "expected 3 probabilities"),
    ("GP", "1,0,0,0", "up to 3 numbers"),
    ("GP", "-1,1,1", "sum to 1"),
    ("GP", "0,,1", "found '0,,1'"),
    ("GP", "1e,0,0", "found '1e,0,0'"),
    ("GP", "inf,0,0", "found 'inf,0,0'"),
    ("GP", "9" * 400, "individual 1"),
    ("DS", "3", "from 0 to 2"),
    ("DS", "0.1,0.2", "up to 1 numbers"),
]


@pytest.mark.parametrize(("field", "value", "message"), BAD_NUMBERS)
def test_read__bad_number(tmp_path, field, value, message):
    line = make_record(value, ".", keys=field)
    with pytest.raises(BadInput, match=message):
        read_genotypes(tmp_path, [line], ReadOptions(vcf_field=field))


@given(st.floats(-1e9, 1e9).map(lambda x: f"{x:.6g}"))
def test_parse_number__agrees_with_python(text):
    from hpc_connector.loader.genotypes.vcf._kernels import parse_number

    end, value = parse_number(np.frombuffer(text.encode(), np.uint8), 0)
    assert end == len(text)
    assert math.isclose(value, float(text), rel_tol=1e-14, abs_tol=1e-99)


BAD_FILES = {
    "empty": b"",
    "text": b"hello\n",
    "no individuals": make_text([], 0).replace("\tFORMAT\t", "").encode(),
    "twice": make_text([], 2).replace("i1", "i0").encode(),
    "no columns": HEADER.encode(),
    "latin 1": make_text([]).replace("i1", "\xe9").encode("latin-1"),
    "record first": (HEADER + make_record("0/1") + "\n").encode(),
    "gzip of nothing": gzip.compress(b""),
    "not gzip": b"\x1f\x8b" + bytes(30),
    "bcf 1": bgzip(b"BCF\x04" + bytes(30)),
    "bcf header": bgzip(b"BCF\x02\x02\xff\xff\xff\xff" + bytes(30)),
    "last line": make_text([make_record("0/1", "0/1")]).encode()[:-1],
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_read__bad_file(tmp_path, kind):
    with pytest.raises(BadInput) as caught:
        read_rows(write(tmp_path / "a.vcf", BAD_FILES[kind]))
    assert "\n" not in str(caught.value)


def test_inspect__unreadable(tmp_path):
    for path in (tmp_path, tmp_path / "missing.vcf"):
        with pytest.raises(BadInput, match="cannot be read"):
            vcf.inspect(str(path), GT)
    with pytest.raises(BadInput, match="GT, GP, DS"):
        vcf.inspect(str(HIPSTER), ReadOptions(vcf_field="PL"))


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    """Return the bytes of one small file in each format."""
    folder = tmp_path_factory.mktemp("small")
    lines = [make_record("0/1", "1/1:3", keys="GT:AD", alt="C,G")] * 3
    text = make_text(lines).encode()
    plain = write(folder / "a.vcf", text)
    bcf = Path(convert_to_bcf(plain, folder / "a.bcf")).read_bytes()
    binary = gzip.decompress(bcf)
    return {
        "plain": text,
        "bgzip": bgzip(text),
        "gzip": gzip.compress(text, mtime=0),
        "bcf": bcf,
        "bcf_blocks": bgzip(binary),
        "bcf_plain": binary,
    }


@pytest.mark.parametrize(
    "kind", ["plain", "bgzip", "gzip", "bcf", "bcf_blocks", "bcf_plain"]
)
def test_read__cut_file_is_bad(tmp_path, small_files, kind):
    data = small_files[kind]
    whole = read_rows(write(tmp_path / "a", data))
    assert len(whole) == 6
    for n in range(0, len(data), 3):
        path = write(tmp_path / "a", data[:n])
        rows = read_if_good(path)
        if rows is not None:  # compression tells that a file is cut
            assert "plain" in kind or not has_end(path)  # which is said
            assert rows == whole[: len(rows)]


@pytest.mark.parametrize("kind", ["bgzip", "gzip", "bcf"])
def test_read__flipped_bit_is_bad_or_harmless(tmp_path, small_files, kind):
    data = small_files[kind]
    whole = read_rows(write(tmp_path / "a", data))
    for at in range(0, len(data), 2):
        flipped = data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        path = write(tmp_path / "a", flipped)
        assert read_if_good(path, n_parts=2) in (whole, None)


@fixture_is_fine
@given(
    st.sampled_from(["plain", "bcf_plain"]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=3),
    st.sampled_from([GT, GP, DS]),
)
def test_read__changed_bytes_end_in_bad_input(
    tmp_path, small_files, kind, changes, options
):
    data = bytearray(small_files[kind])
    for at, value in changes:
        data[-1 - at % len(data)] = value
    read_if_good(write(tmp_path / "a", bytes(data)), options)
