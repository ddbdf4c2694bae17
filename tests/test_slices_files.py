"""Files as tools write them: odd ends of lines, blanks, comments, members of gzip."""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pysam
import pytest

from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.loader.bgzf import EMPTY_BLOCK
from hpc_connector.slices import CloudObject
from hpc_connector.slices.formats import (
    cog,
    fasta,
    fastq_gzip,
    imzml,
    las,
    text,
    vcf_gzip,
)
from hpc_connector.slices.formats.blocks import deflate
from hpc_connector.slices.verify import verify_slices

DATA = Path(__file__).parent / "data"
NUMBERS = (1, 2, 3, 4, 8, 40)
MARK = "\ufeff"


@pytest.fixture
def put(tmp_path):
    def put(data, format, name="object"):
        data = data.encode() if isinstance(data, str) else data
        (tmp_path / name).write_bytes(data)
        return CloudObject.from_path(format, tmp_path / name).preprocess(force=True)

    return put


def make_rows(end, n=40):
    return end.join(["a,b", *(f"{k},x{k}" for k in range(n))]) + end


TABLES = {
    "lf": make_rows("\n"),
    "crlf": make_rows("\r\n"),
    "cr": make_rows("\r"),
    "cr, no last end": make_rows("\r")[:-1],
    "cr cr lf": make_rows("\r\r\n"),
    "header with lf, rows with cr": make_rows("\r").replace("\r", "\n", 1),
    "header with cr, rows with lf": make_rows("\n").replace("\n", "\r", 1),
    "header with cr, rows with crlf": make_rows("\r\n").replace("\r\n", "\r", 1),
    "header with crlf, rows with cr": make_rows("\r").replace("\r", "\r\n", 1),
    "some ends with cr": make_rows("\n")
    .replace("x20\n", "x20\r")
    .replace("x21\n", "x21\r"),
    "a blank first": "\n" + make_rows("\n"),
    "some blanks first": "\r\n\r\n \r\n" + make_rows("\r\n"),
    "a blank first, cr": "\r" + make_rows("\r"),
    "a mark": MARK + make_rows("\n"),
    "a mark, a blank": MARK + "\r\n" + make_rows("\r\n"),
    "blanks between": make_rows("\n\n"),
    "blanks between, cr": make_rows("\r\r"),
    "blanks behind": make_rows("\n") + "\n\n\r\n",
    "blanks of spaces": "  \n\t\n" + make_rows("\n") + "  \n",
}


def read_rows(table):
    """Return the rows of a table that are not blank, as the csv module reads it."""
    rows = csv.reader(io.StringIO(table.removeprefix(MARK), newline=""))
    return [row for row in rows if any(value.strip() for value in row)]


@pytest.mark.parametrize("name", TABLES)
def test_csv__rows_once_whatever_ends_lines(put, name):
    pandas = pytest.importorskip("pandas")
    header, *rows = read_rows(TABLES[name])
    assert len(rows) == 40
    co = put(TABLES[name], text.CSV)
    assert co.attributes["columns"] == header == ["a", "b"]
    for n in NUMBERS:
        slices = co.partition(text.partition_num_chunks, num_chunks=n)
        parts = [read_rows(part.get()) for part in slices]
        assert all(part[0] == header for part in parts)
        assert [row for part in parts for row in part[1:]] == rows
        n_rows = 41 if name == "blanks of spaces" else 40  # one is of spaces alone
        assert verify_slices(co, slices) == (True, f"are the object: {n_rows} rows")
        frames = [text.get_as_pandas(part) for part in slices]
        if "spaces" not in name:  # a row of such is no row for csv alone
            found = pandas.concat([f for f in frames if len(f)], ignore_index=True)
            assert found["a"].tolist() == list(range(40))
            assert found["b"].tolist() == [f"x{k}" for k in range(40)]
        assert all(frame.columns.tolist() == ["a", "b"] for frame in frames)
    slices = co.partition(text.partition_chunk_size, chunk_size=17)
    assert verify_slices(co, slices)[0]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_csv__long_lines_of_any_end(put, end):
    rows = [f"{k},{'x' * (k * 997 % 30_000)}" for k in range(60)]
    table = end.join(["a,b", *rows]) + end
    co = put(table, text.CSV)
    for n in (2, 7, 64):
        slices = co.partition(text.partition_num_chunks, num_chunks=n)
        got = [row for part in slices for row in read_rows(part.get())[1:]]
        assert got == [row.split(",") for row in rows]


@pytest.mark.parametrize("name", ["a\u2028b", "a\x0bb", "a\x0cb", "a\x85b", "a\x1cb"])
def test_csv__names_with_ends_of_lines_of_others(put, name):
    co = put(f"{name},c\n1,2\n3,4\n", text.CSV)
    assert co.attributes["columns"] == [name, "c"]
    slices = co.partition(text.partition_num_chunks, num_chunks=3)
    assert verify_slices(co, slices) == (True, "are the object: 2 rows")


@pytest.mark.parametrize("format", [text.CSV, text.UTF8Text, text.Lines, text.VCF])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (make_rows("\n").encode("utf-16"), "UTF-16"),
        (make_rows("\n").encode("utf-16-le"), "UTF-16"),
        (make_rows("\r\n").encode("utf-16-be"), "UTF-16"),
        (make_rows("\n").encode("utf-32"), "UTF-32"),
        (gzip.compress(b"a,b\n"), "gzip"),
        (b"PK\x03\x04 and a sheet", "zip"),
        (b"\x28\xb5\x2f\xfd of zstd", "zstd"),
    ],
)
def test_text__refuses_what_is_no_plain_text(put, format, data, kind):
    with pytest.raises(BadInput, match=rf"object is .*{kind}.*: expected plain text"):
        put(data, format)


def test_lines__of_carriage_returns(put):
    data = b"".join(b"line %d\r" % n for n in range(100))
    slices = put(data, text.Lines).partition(text.partition_num_chunks, num_chunks=4)
    got = [part.get() for part in slices]
    assert b"".join(got) == data
    assert all(part.endswith(b"\r") for part in got)


VCF_HEADER = "##fileformat=VCFv4.2\n##contig=<ID=1>\n"
VCF_HEADER += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def make_vcf(every=3, end="\n", first="", last=""):
    rows = [
        f"{'#a comment' + end if k % every == 0 else ''}1\t{k * 1000 + 1}\tr{k}\tA\tC"
        f"\t.\tPASS\tX={'x' * (k * 37 % 500)}{end}"
        for k in range(200)
    ]
    return VCF_HEADER.replace("\n", end) + first + "".join(rows) + last


VCFS = {
    "comments": make_vcf(),
    "a comment before each": make_vcf(1),
    "a comment behind the names": make_vcf(7, first="# made by hand\n#and more\n"),
    "crlf": make_vcf(end="\r\n"),
    "a comment at the end": make_vcf(last="#the end\n"),
    "names alone": make_vcf().removeprefix(VCF_HEADER[: VCF_HEADER.index("#C")]),
}


def get_positions(body):
    lines = (line for line in body.splitlines() if line and not line.startswith("#"))
    return [int(line.split("\t")[1]) for line in lines]


@pytest.mark.parametrize("kind", ["plain", "bgzip", "tabix", "bgzip without end"])
@pytest.mark.parametrize("name", VCFS)
def test_vcf__with_comments_among_records(put, tmp_path, name, kind):
    data = VCFS[name].encode()
    packed = b"".join(
        deflate(data[at : at + 3001]).removesuffix(EMPTY_BLOCK)
        for at in range(0, len(data), 3001)
    )
    if kind == "plain":
        co, strategy = put(data, text.VCF), text.partition_num_chunks
    else:
        strategy = vcf_gzip.partition_num_chunks
        end = b"" if kind == "bgzip without end" else EMPTY_BLOCK
        (tmp_path / "x.vcf.gz").write_bytes(packed + end)
        if kind == "tabix":
            pysam.tabix_index(str(tmp_path / "x.vcf.gz"), preset="vcf")
        co = put(packed + end, vcf_gzip.VCFGZip, "x.vcf.gz")
        assert bool(co.attributes["notes"]) == (not end)
    expected = list(range(1, 200_000, 1000))
    for n in NUMBERS:
        slices = co.partition(strategy, num_chunks=n)
        same, said = verify_slices(co, slices)
        assert same, said
        found = [p for part in slices for p in get_positions(part.get())]
        assert found == expected
    if kind == "tabix":
        regions = [("1", 0, 10), ("1", 10, 77_000), ("1", 77_000, 10**6)]
        parts = co.partition(vcf_gzip.partition_regions, regions=regions)
        assert [p for part in parts for p in get_positions(part.get())] == expected


def test_vcf__with_carriage_returns_alone_is_refused(put):
    with pytest.raises(BadInput, match="end with carriage returns alone"):
        put(make_vcf(end="\r"), text.VCF)


def test_vcf_gzip__behind_gzip_says_what_to_do(put):
    data = make_vcf().encode()
    packed = deflate(data[:5000]) + gzip.compress(data[5000:])
    with pytest.raises(BadInput, match="gzip that is not bgzip: expected a bgzip bl"):
        put(packed, vcf_gzip.VCFGZip, "x.vcf.gz")


def test_bcf__without_end_block(put):
    data = (DATA / "slices/vcf/exome_trios.vcf.gz").read_bytes()
    assert data.endswith(EMPTY_BLOCK)
    co = put(data[: -len(EMPTY_BLOCK)] + bytes(99), vcf_gzip.VCFGZip, "x.vcf.gz")
    slices = co.partition(vcf_gzip.partition_num_chunks, num_chunks=5)
    assert verify_slices(co, slices)[0]


def make_fastq(n=300, end="\n"):
    return "".join(
        f"@r{k} of a run{end}ACGTACGT{end}+{end}FFFF@FFF{end}" for k in range(n)
    ).encode()


def pack_blocks(data):
    """Return bgzip of small blocks, without the one at the end."""
    pieces = (data[at : at + 1000] for at in range(0, len(data), 1000))
    return b"".join(deflate(piece).removesuffix(EMPTY_BLOCK) for piece in pieces)


READS, HALF = make_fastq(), len(make_fastq()) // 2 + 11
ONE, TWO = READS[:HALF], READS[HALF:]
PACKED = {
    "bgzip": pack_blocks(READS) + EMPTY_BLOCK,
    "bgzip without end": pack_blocks(READS),
    "bgzip then gzip": pack_blocks(ONE) + gzip.compress(TWO),
    "bgzip with end then gzip": deflate(ONE) + gzip.compress(TWO),
    "gzip then bgzip": gzip.compress(ONE) + deflate(TWO),
    "bgzip, gzip, bgzip": pack_blocks(ONE)
    + gzip.compress(TWO[:99])
    + deflate(TWO[99:]),
    "bgzip twice": deflate(ONE) + deflate(TWO),
    "members": gzip.compress(ONE) + gzip.compress(b"") + gzip.compress(TWO),
    "bgzip and zeros": deflate(READS) + bytes(512),
    "gzip and zeros": gzip.compress(READS) + bytes(512),
    "zeros between": gzip.compress(ONE) + bytes(100) + gzip.compress(TWO),
}
ENDS = {
    "none": b"",
    "one": b"\n",
    "four": b"\n\n\n\n",
    "of spaces": b"  \n\t\n",
    "crlf": b"\r\n\r\n",
    "open": b"\n ",
}


def check_reads(co, expected):
    assert co.attributes["n_reads"] == len(expected)
    for n in NUMBERS:
        for strategy, option in (
            (fastq_gzip.partition_num_chunks, "num_chunks"),
            (fastq_gzip.partition_reads_batches, "num_batches"),
        ):
            slices = co.partition(strategy, **{option: n})
            lines = [line for part in slices for line in part.get()]
            assert [x.split()[0] for x in lines[::4]] == expected
            assert verify_slices(co, slices) == (
                True,
                f"are the object: {len(expected)} reads",
            )


@pytest.mark.parametrize("name", PACKED)
def test_fastq__packed_in_any_way(put, name):
    co = put(PACKED[name], fastq_gzip.FASTQGZip)
    check_reads(co, [f"@r{k}" for k in range(300)])
    is_noted = name == "bgzip without end"
    assert any("empty block" in note for note in co.attributes["notes"]) == is_noted


@pytest.mark.parametrize("pack", [gzip.compress, deflate])
@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_fastq__blank_lines_behind(put, name, end, pack):
    co = put(pack(make_fastq(300, end) + ENDS[name]), fastq_gzip.FASTQGZip)
    check_reads(co, [f"@r{k}" for k in range(300)])
    assert any("blank lines" in note for note in co.attributes["notes"]) == (
        name != "none"
    )


@pytest.mark.parametrize("tail", [b"", b"\n", b"\n\n\n"])
def test_fastq__a_last_read_that_is_empty(put, tail):
    data = make_fastq(9) + b"@r9\n\n+\n\n" + tail
    co = put(gzip.compress(data), fastq_gzip.FASTQGZip)
    check_reads(co, [f"@r{k}" for k in range(10)])


@pytest.mark.parametrize("data", [READS[:-1], make_fastq(300, "\r\n")[:-2]])
def test_fastq__no_last_end(put, data):
    co = put(deflate(data), fastq_gzip.FASTQGZip)
    check_reads(co, [f"@r{k}" for k in range(300)])


def test_fastq__lines_that_lack_are_counted_without_blanks(put):
    cut = READS[: READS.rindex(b"\n", 0, -1) + 1] + b"\n\n\n"
    with pytest.raises(BadInput, match="1201 lines"):
        put(gzip.compress(READS + b"@r\n\n"), fastq_gzip.FASTQGZip)
    with pytest.raises(BadInput, match="1198 lines, then 3 blank ones, expected 4"):
        put(gzip.compress(cut.replace(b"+\n\n", b"\n")), fastq_gzip.FASTQGZip)


FASTA = "".join(f">s{k} x\nACGT\nacgtnn\n" for k in range(100))
FASTAS = {
    "plain": FASTA,
    "crlf": FASTA.replace("\n", "\r\n"),
    "blank lines": FASTA.replace(">", "\n>"),
    "marks alone": FASTA.replace("s7 x", "").replace("s9 x", " "),
    "marks in headers": FASTA.replace(" x", " >x>"),
    "no last end": FASTA[:-1],
    "blanks behind": FASTA + "\n\n",
    "headers alone": "".join(f">s{k}\n" for k in range(100)),
}


@pytest.mark.parametrize("kind", ["plain", "bgzip", "bgzip without end", "mixed"])
@pytest.mark.parametrize("name", FASTAS)
def test_fasta__as_tools_write_it(put, name, kind):
    data = FASTAS[name].encode()
    packed = {
        "plain": data,
        "bgzip": deflate(data),
        "bgzip without end": pack_blocks(data),
        "mixed": deflate(data[:500]) + gzip.compress(data[500:]),
    }[kind]
    co = put(packed, fasta.FASTA)
    assert co.attributes["n_sequences"] == 100
    for n in NUMBERS:
        slices = co.partition(fasta.partition_chunks_strategy, num_chunks=n)
        assert fasta.FASTA.join([part.get() for part in slices]) == data
        assert verify_slices(co, slices) == (True, "are the object: 100 sequences")
    slices = co.partition(fasta.partition_sequences_per_chunk, seq_per_chunk=7)
    assert verify_slices(co, slices)[0]


def test_fasta__headers_behind_carriage_returns_are_refused(put):
    with pytest.raises(BadInput, match="carriage return"):
        put(FASTA.replace("\n", "\r"), fasta.FASTA)
    with pytest.raises(BadInput, match="carriage return"):
        put(FASTA.replace("\n>s50", "\r>s50"), fasta.FASTA)


STRATEGIES = {
    "text": [
        (text.partition_num_chunks, {"num_chunks": 3}),
        (text.partition_chunk_size, {"chunk_size": 3}),
        (text.whole_words_strategy, {"num_chunks": 3}),
    ],
    "vcf_gzip": [
        (vcf_gzip.partition_num_chunks, {"num_chunks": 3}),
        (vcf_gzip.partition_chunk_size, {"chunk_size": 3}),
        (vcf_gzip.partition_regions, {"regions": [("1", 0, 9)]}),
    ],
    "fastq_gzip": [
        (fastq_gzip.partition_num_chunks, {"num_chunks": 3}),
        (fastq_gzip.partition_reads_batches, {"num_batches": 3}),
        (fastq_gzip.partition_sequences_per_chunk, {"seq_per_chunk": 3}),
    ],
    "fasta": [
        (fasta.partition_chunks_strategy, {"num_chunks": 3}),
        (fasta.partition_sequences_per_chunk, {"seq_per_chunk": 3}),
    ],
    "imzml": [
        (imzml.partition_chunks_strategy, {"num_chunks": 3}),
        (imzml.partition_num_spectra, {"num_chunks": 3}),
        (imzml.partition_boxes, {"boxes": [((1, 2), (1, 2))]}),
        (imzml.square_split_strategy, {"num_chunks": 3}),
    ],
    "las": [
        (las.partition_num_points, {"num_chunks": 3}),
        (las.square_split_strategy, {"num_chunks": 3}),
    ],
    "cog": [(cog.grid_partition_strategy, {"n_splits": 3})],
}
OBJECTS = {
    "text": (text.UTF8Text, "imzml/Example_Processed.imzML"),
    "vcf_gzip": (vcf_gzip.VCFGZip, "slices/vcf/exome_trios.vcf.gz"),
    "fastq_gzip": (fastq_gzip.FASTQGZip, "slices/fastq/test.fq.gz"),
    "fasta": (fasta.FASTA, "slices/fasta/test.fa.gz"),
    "imzml": (imzml.ImzML, "imzml/Example_Processed.imzML"),
    "las": (las.LAS, "slices/las/autzen_trim.laz"),
    "cog": (cog.COG, "slices/cog/cogeo.tif"),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_partition__refuses_strategies_of_other_formats(name, tmp_path):
    format, path = OBJECTS[name]
    co = CloudObject.from_path(format, DATA / path, metadata=str(tmp_path))
    co.preprocess()
    for module, strategies in STRATEGIES.items():
        for strategy, options in strategies:
            if module == name:
                assert co.partition(strategy, **options)
                continue
            for cut in (co.partition, lambda s, **o: s(co, **o)):
                with pytest.raises(BadInput, match=rf"\.{module}\..* is a strat"):
                    cut(strategy, **options)


NO_NUMBERS = (2.5, 0, -1, "3", True, None, [3], float("nan"), np.float64(3))


@pytest.mark.parametrize("name", OBJECTS)
def test_partition__numbers_that_are_none(name, tmp_path):
    format, path = OBJECTS[name]
    co = CloudObject.from_path(format, DATA / path, metadata=str(tmp_path))
    co.preprocess()
    for strategy, options in STRATEGIES[name]:
        ((option, given),) = options.items()
        if isinstance(given, int):
            for number in (*NO_NUMBERS, 10**12):
                if option.startswith(("chunk_size", "seq_per")) and number == 10**12:
                    continue
                with pytest.raises(BadInput, match="expected"):
                    co.partition(strategy, **{option: number})
            for number in (np.int64(given), np.uint8(given)):
                assert co.partition(strategy, **{option: number}) == co.partition(
                    strategy, **options
                )
        with pytest.raises(BadInput, match=f"expected .*{option}"):
            co.partition(strategy, chunks=3)
        with pytest.raises(BadInput, match=f"expected .*{option}"):
            co.partition(strategy)


@pytest.mark.parametrize(
    "regions", [None, 5, "1:1-9", [("1", 0)], [("1", "0", "9")], ["1"], [(1, 0, 9)]]
)
def test_partition_regions__refuses_what_is_no_region(regions, tmp_path):
    format, path = OBJECTS["vcf_gzip"]
    co = CloudObject.from_path(format, DATA / path, metadata=str(tmp_path))
    with pytest.raises(BadInput, match="expected"):
        co.preprocess().partition(vcf_gzip.partition_regions, regions=regions)


@pytest.mark.parametrize("boxes", [None, 5, [1], [(1, 2, 3, 4)], [((1.5, 2), (1, 2))]])
def test_partition_boxes__refuses_what_is_no_box(boxes, tmp_path):
    format, path = OBJECTS["imzml"]
    co = CloudObject.from_path(format, DATA / path, metadata=str(tmp_path))
    with pytest.raises(BadInput, match="expected"):
        co.preprocess().partition(imzml.partition_boxes, boxes=boxes)


def test_whole_words__refuses_tables(put):
    co = put(make_rows("\n"), text.CSV)
    with pytest.raises(BadInput, match="rows are cut at lines only"):
        co.partition(text.whole_words_strategy, num_chunks=2)


@pytest.mark.parametrize("names", [["r.fastq.gz"], ["a.csv"]])
def test_command__says_what_is_odd(names, capsys, tmp_path):
    (tmp_path / "r.fastq.gz").write_bytes(PACKED["bgzip without end"])
    (tmp_path / "a.csv").write_text(TABLES["cr"])
    for name in names:
        assert main(["slices", "verify", str(tmp_path / name), "--slices", "4"]) == 0
        said = capsys.readouterr().out
        assert (
            said
            == {
                "r.fastq.gz": "4 slices are the object: 300 reads\n",
                "a.csv": "4 slices are the object: 40 rows\n",
            }[name]
        )
