"""Text, tables and plain VCF, cut at lines on the fly."""

import gzip
import itertools
import pickle
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.slices import CloudObject, DataSlice
from hpc_connector.slices.formats.text import (
    CSV,
    MAX_PADDING,
    VCF,
    Lines,
    UTF8Text,
    get_as_pandas,
    partition_chunk_size,
    partition_num_chunks,
    whole_words_strategy,
)
from hpc_connector.slices.verify import verify_slices
from hpc_connector.storage.traffic import traffic
from programs import overwrite

NUMBERS = (1, 2, 3, 7, 8, 64, 999)
HEADER = "##fileformat=VCFv4.3\n##source=é\n#CHROM\tPOS\tID\tREF\tALT\n"

words = st.text(st.sampled_from("aé漢🧬 \r\n,\t"), max_size=60)
tables = st.lists(
    st.lists(st.sampled_from(["", "1", "é", '"a,b"', '""""', "漢" * 9]), min_size=1),
    max_size=20,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("text")


@pytest.fixture(scope="module")
def put(folder):
    def put(data: bytes, format, name="object"):
        (folder / name).write_bytes(data)
        return CloudObject.from_path(format, folder / name).preprocess(force=True)

    return put


def count_requests(part: DataSlice) -> tuple[int, int]:
    before = traffic.requests, traffic.n_bytes
    part.get()
    return tuple(
        now - then
        for now, then in zip((traffic.requests, traffic.n_bytes), before, strict=True)
    )


def split_lines(data: bytes) -> list[bytes]:
    end = b"\n" if b"\n" in data else b"\r"
    *lines, last = data.split(end)
    return [line + end for line in lines] + [last] * bool(last)


def get_expected(data: bytes, first: int, last: int) -> bytes:
    """Return the lines that begin between two bytes: the slow, obvious way."""
    at, kept = 0, []
    for line in split_lines(data):
        kept += [line] if first <= at < last else []
        at += len(line)
    return b"".join(kept)


@given(text=words, n=st.integers(1, 90))
def test_partition__has_every_line_once(put, text, n):
    data = text.encode()
    co = put(data, Lines)
    slices = co.partition(partition_num_chunks, num_chunks=n)
    got = [part.get() for part in slices]
    ends = [len(data) * i // n for i in range(n + 1)]
    wanted = [get_expected(data, *pair) for pair in itertools.pairwise(ends)]
    assert got == wanted
    assert Lines.join(got) == data


@given(text=words, n=st.integers(1, 90))
def test_utf8_text__is_text_at_any_cut(put, text, n):
    co = put(text.encode(), UTF8Text)
    for strategy, options in (
        (partition_num_chunks, {"num_chunks": n}),
        (partition_chunk_size, {"chunk_size": n}),
        (whole_words_strategy, {"num_chunks": n}),
    ):
        got = [part.get() for part in co.partition(strategy, **options)]
        assert UTF8Text.join(got) == text.encode()


@given(text=words, n=st.integers(1, 90))
def test_whole_words__counts_as_the_whole(put, text, n):
    slices = put(text.encode(), UTF8Text).partition(whole_words_strategy, num_chunks=n)
    counts = sum((Counter(part.get().split()) for part in slices), Counter())
    assert counts == Counter(text.split())


@pytest.mark.parametrize("space", " \t\r\v\f")
def test_whole_words__cuts_one_long_line(put, space):
    text = space.join(f"wörd{n}" for n in range(2000))
    slices = put(text.encode(), UTF8Text).partition(whole_words_strategy, num_chunks=8)
    sizes = [len(part.get()) for part in slices]
    assert max(sizes) < 1.1 * min(sizes)


@settings(max_examples=40)
@given(rows=tables, n=st.integers(1, 40), end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_csv__has_header_and_every_row_once(put, rows, n, end):
    header = f'##made by é{end}"näme";b;c{end}'
    body = end.join(";".join(row) for row in rows)
    co = put((header + body).encode(), CSV)
    assert co.attributes["columns"] == ["näme", "b", "c"]
    assert co.attributes["delimiter"] == ";"
    for strategy, options in (
        (partition_num_chunks, {"num_chunks": n}),
        (partition_chunk_size, {"chunk_size": n}),
    ):
        got = [part.get() for part in co.partition(strategy, **options)]
        assert all(text.startswith(header) for text in got)
        assert CSV.join(got) == (header + body).encode()


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("ending", ["", "\n"])
def test_vcf__has_header_and_every_record_once(put, n, ending):
    body = "\n".join(f"chr1\t{i}\té{'x' * (i % 50)}\tA\tC" for i in range(300)) + ending
    co = put((HEADER + body).encode(), VCF)
    slices = co.partition(partition_num_chunks, num_chunks=n)
    got = [part.get() for part in slices]
    assert all(text.startswith(HEADER) for text in got)
    assert "".join(text.removeprefix(HEADER) for text in got) == body
    assert VCF.join(got) == (HEADER + body).encode()


@pytest.mark.parametrize("format", [Lines, UTF8Text, CSV])
@pytest.mark.parametrize("data", [b"", b"a,b", b"a,b\n", b"\n\n\n"])
def test_partition__of_next_to_nothing(put, format, data):
    co = put(data, format)
    for n in NUMBERS:
        got = [part.get() for part in co.partition(partition_num_chunks, num_chunks=n)]
        assert len(got) == n
        assert format.join(got) == data
    got = [part.get() for part in co.partition(partition_chunk_size, chunk_size=1)]
    assert format.join(got) == data


def test_vcf__without_records(put):
    for header in (HEADER, HEADER[:-1]):
        co = put(header.encode(), VCF)
        slices = co.partition(partition_num_chunks, num_chunks=3)
        assert [part.get() for part in slices] == [header] * 3


def test_preprocess__reads_a_long_header(put):
    header = "##x=" + "y" * 300_000 + "\n" + HEADER
    co = put((header + "1\t2\n").encode(), VCF)
    assert co.attributes["body"] == len(header.encode())


@pytest.mark.parametrize("n_long", [1000, 50_000, 300_000])
def test_slice__needs_three_requests(put, n_long):
    rng = random.Random(1)
    rows = ["x" * rng.randrange(n_long) for _ in range(1_500_000 // n_long)]
    data = (HEADER + "\n".join(rows)).encode()
    co = put(data, VCF)
    for n in (1, 2, 3, 7, 8, 64):
        slices = co.partition(partition_num_chunks, num_chunks=n)
        assert max(count_requests(part)[0] for part in slices) <= 3
    if n_long == 1000:
        parts = co.partition(partition_num_chunks, num_chunks=8)
        most = max(count_requests(part)[1] for part in parts)
        assert most <= len(data) / 8 + 2 * MAX_PADDING


def test_slice__grows_for_a_line_of_many_mebibytes(put):
    data = b"a\n" * 9 + b"b" * (7 << 20) + b"\nc\n"
    slices = put(data, Lines).partition(partition_num_chunks, num_chunks=64)
    got = [part.get() for part in slices]
    assert Lines.join(got) == data
    assert count_requests(slices[0])[0] <= 4
    assert got[1:-1] == [b""] * 62
    assert max(count_requests(part)[0] for part in slices[1:]) == 1


def test_partition__reads_nothing(put):
    co = put(HEADER.encode() + b"1\t2\n" * 999, VCF)
    assert co.index.facts["body"] == len(HEADER.encode())
    before = traffic.requests
    for n in NUMBERS:
        co.partition(partition_num_chunks, num_chunks=n)
        co.partition(partition_chunk_size, chunk_size=n)
    assert traffic.requests == before


def test_slice__travels(put):
    co = put(HEADER.encode() + b"1\t2\n" * 999, VCF)
    for part in co.partition(partition_num_chunks, num_chunks=7):
        assert len(pickle.dumps(part)) < 2048
        assert pickle.loads(pickle.dumps(part)) == part
        assert DataSlice.from_json(part.to_json()) == part
        assert DataSlice.from_json(part.to_json()).get() == part.get()


def test_slice__of_an_object_that_changed_is_refused(put, folder):
    data = HEADER.encode() + b"1\t2\n" * 999
    slices = put(data, VCF).partition(partition_num_chunks, num_chunks=2)
    overwrite(folder / "object", data.replace(b"1\t2", b"1\t3"))
    with pytest.raises(BadInput, match="object: it has changed since it was indexed"):
        slices[0].get()


@pytest.mark.parametrize(
    ("row", "is_refused"),
    [('1,"a\nb"', True), ('1,"a""b"', False), ('1,"""\n"""', True), ("1,'\n", False)],
)
def test_csv__refuses_rows_of_several_lines(put, row, is_refused):
    co = put(f"a,b\n{row}\n2,c\n".encode(), CSV)
    (part,) = co.partition(partition_num_chunks, num_chunks=1)
    if is_refused:
        with pytest.raises(BadInput, match="even number of quotes"):
            part.get()
    else:
        assert row in part.get()


def test_csv__refuses_a_header_of_several_lines(put):
    with pytest.raises(BadInput, match=r"object: found .*even number of quotes"):
        put(b'"a\nb",c\n1,2\n', CSV)


def test_csv__refuses_a_name_that_is_longer_than_any(put):
    with pytest.raises(BadInput, match=r"object: 'xxx.*field limit .*: expected a row"):
        put(b"x" * 200_000 + b",b\n1,2\n", CSV)


ROWS = "".join(f"{n},n{n},{n * n}\n" for n in range(40))
NAMES = "id,name,v\n"


@pytest.mark.parametrize(
    ("before", "names", "n_notes"),
    [
        ("# made by X\n", NAMES, 1),
        ("# made by X, on Monday, in Rome, at ten\n# b\n\n", NAMES, 1),
        ("## a\n# b\n", "#" + NAMES, 1),
        ("", "#" + NAMES, 0),
        ("", "# " + NAMES, 1),
        ("sep=,\n", NAMES, 0),
        ('\ufeff"sep=,"\n', NAMES, 0),
        ("# " + "x" * 1_000_000 + "\n", NAMES, 1),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv__of_lines_before_the_names(put, before, names, n_notes, end):
    text = (before + names + ROWS).replace("\n", end)
    co = put(text.encode(), CSV)
    assert co.attributes["columns"] == names.strip().split(",")
    assert len(co.attributes["notes"]) == n_notes
    slices = co.partition(partition_num_chunks, num_chunks=7)
    tables = [get_as_pandas(part) for part in slices]
    assert sum(map(len, tables)) == 40
    assert sum(table["v"].sum() for table in tables) == sum(n * n for n in range(40))
    assert verify_slices(co, slices) == (True, "are the object: 40 rows")


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("#id,v\n1,2", 1),
        ("#id,v\n", 0),
        ("#id,v", 0),
        ('#id,v\n"a,b",2\n', 1),
        ("#id,v\n#a,1\n#b,2\n", 2),
        ("# c\nid,v,w\n1,2,3", 1),
    ],
)
def test_csv__of_next_to_no_rows(put, text, n):
    co = put(text.encode(), CSV)
    slices = co.partition(partition_num_chunks, num_chunks=3)
    assert sum(len(get_as_pandas(part)) for part in slices) == n
    assert verify_slices(co, slices) == (True, f"are the object: {n} rows")


@pytest.mark.parametrize(
    "options",
    [
        {"header": None},
        {"names": ["a", "b", "c"]},
        {"header": [0, 1]},
        {"header": 1},
        {"skiprows": 1},
        {"skipfooter": 2, "engine": "python"},
    ],
)
def test_get_as_pandas__refuses_what_would_lose_rows(put, options):
    (part,) = put((NAMES + ROWS).encode(), CSV).partition(
        partition_num_chunks, num_chunks=1
    )
    with pytest.raises(BadInput, match="each slice"):
        get_as_pandas(part, **options)
    assert len(get_as_pandas(part, header=0, names=["a", "b", "c"])) == 40


def test_get_as_pandas__reads_every_row(put):
    pandas = pytest.importorskip("pandas")
    text = "## of\na\tb\n" + "".join(f"{i}\tx{i}\n" for i in range(50))
    slices = put(text.encode(), CSV).partition(partition_num_chunks, num_chunks=7)
    found = pandas.concat([get_as_pandas(part) for part in slices])
    assert found["a"].tolist() == list(range(50))
    assert found["b"].tolist() == [f"x{i}" for i in range(50)]


@pytest.mark.parametrize(
    ("data", "format", "said"),
    [
        (b"1\t2\n", VCF, "byte 0: expected the header of a VCF"),
        (b"", VCF, "byte 0: expected the header of a VCF"),
        ("a,b\n".encode("utf-16"), CSV, "is UTF-16 or UTF-32: expected plain text"),
        (gzip.compress(b"a,b"), CSV, "is gzip: expected plain text"),
        (b"a,\xff\n1,2\n", CSV, "expected UTF-8"),
    ],
)
def test_preprocess__refuses(put, data, format, said):
    with pytest.raises(BadInput, match=said):
        put(data, format)


def test_utf8_text__refuses_other_bytes(put):
    (part,) = put(b"abc\xff\n", UTF8Text).partition(partition_num_chunks, num_chunks=1)
    with pytest.raises(BadInput, match=r"object: found .*expected UTF-8"):
        part.get()


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (partition_num_chunks, {"num_chunks": 0}),
        (whole_words_strategy, {"num_chunks": 0}),
        (partition_chunk_size, {"chunk_size": 0}),
    ],
)
def test_partition__refuses_no_slices(put, strategy, options):
    with pytest.raises(BadInput, match="0: expected 1 or more"):
        put(b"a\n", Lines).partition(strategy, **options)
