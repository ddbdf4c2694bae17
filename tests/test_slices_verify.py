"""``verify`` sees what is wrong in an index or a strategy, for it reads by neither."""

import copy
import dataclasses
import warnings

import numpy as np
import pytest
import tifffile

from hpc_connector.errors import BadInput
from hpc_connector.slices import CloudObject
from hpc_connector.slices.formats.cog import BLOCK, COG, grid_partition_strategy
from hpc_connector.slices.formats.imzml import SPECTRUM
from hpc_connector.slices.formats.plain import Counter, PlainText, hash_rows
from hpc_connector.slices.index import Index, encode_index
from hpc_connector.slices.verify import verify_slices
from hpc_connector.storage.objects import put
from slice_objects import CASES

N = 5


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Return the path of the object of each case."""
    folder = tmp_path_factory.mktemp("objects")
    found = {}
    for name, case in CASES.items():
        (folder / name).mkdir()
        found[name] = case.write(folder / name)
    return found


def open_object(name, paths, folder):
    return CloudObject.from_path(CASES[name].find(), paths[name], metadata=str(folder))


def spoil(name, paths, folder, change):
    """Return an object whose index was changed."""
    co = open_object(name, paths, folder).preprocess()
    facts = copy.deepcopy(co.index.facts)
    arrays = {key: array.copy() for key, array in co.index.arrays.items()}
    change(facts, arrays)
    data = encode_index(Index(facts, arrays), co.format.kind, co.version)
    put(co.index_source, data, only_new=False)
    return open_object(name, paths, folder)


def verify(co, slices):
    """Return whether slices are the object; not so where they cannot be read."""
    try:
        return verify_slices(co, slices)
    except BadInput as error:
        return False, str(error)


@pytest.mark.parametrize("name", CASES)
def test_verify__slices_of_every_format(name, paths, tmp_path):
    co = open_object(name, paths, tmp_path).preprocess()
    for n in (1, N, 64):
        same, said = verify_slices(co, CASES[name].cut(co, n))
        assert same, said


WRONG = {
    "the first lost": lambda parts: parts[1:],
    "the last lost": lambda parts: parts[:-1],
    "one twice": lambda parts: [*parts, parts[-1]],
    "one in place of another": lambda parts: (
        [*parts[:-1], parts[0]] if len(parts) > 1 else []
    ),
    "all twice": lambda parts: [*parts, *parts],
    "none": lambda parts: [],
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("wrong", WRONG)
def test_verify__a_strategy_that_loses_or_doubles(name, wrong, paths, tmp_path):
    co = open_object(name, paths, tmp_path).preprocess()
    n = 2 if name == "cog" else N  # n x n
    parts = [part for part in CASES[name].cut(co, n) if is_filled(part)]
    assert verify(co, parts)[0] or name in ("vcf", "csv")  # of headers alone
    same, said = verify(co, WRONG[wrong](parts))
    assert not same, said


def is_filled(part):
    return part.n_bytes and part.facts.get("first", 0) < part.facts.get("last", 1)


@pytest.mark.parametrize("name", ["csv", "vcf"])
def test_verify__a_strategy_that_cuts_lines(name, paths, tmp_path):
    co = open_object(name, paths, tmp_path).preprocess()
    parts = CASES[name].cut(co, N)
    words = [
        dataclasses.replace(part, facts=part.facts | {"unit": "words"})
        for part in parts
    ]
    assert not verify(co, words)[0]


def change_fact(key, by):
    return lambda facts, arrays: facts.update({key: facts[key] + by})


def swap_places(key, column, dtype):
    def change(facts, arrays):
        places = arrays[key].view(dtype)[column]
        places[[0, -1]] = places[[-1, 0]]

    return change


def drop_rows(key):
    def change(facts, arrays):
        arrays[key] = arrays[key][::2].copy()

    return change


SPOILT = {
    "a longer header": ("csv", change_fact("body", 40)),
    "no header": ("csv", lambda facts, arrays: facts.update(body=0)),
    "a longer header of a VCF": ("vcf", change_fact("body", 200)),
    "fewer reads": ("fastq.gz", change_fact("n_reads", -1)),
    "less text": ("fasta", change_fact("n_text", -70)),
    "headers that lack": ("fasta", drop_rows("starts")),
    "an end before the end": (
        "vcf.gz alone",
        lambda facts, arrays: facts.update(end=int(arrays["starts"][-1])),
    ),
    "a first record after the first": (
        "vcf.gz alone",
        lambda facts, arrays: facts.update(first=int(arrays["starts"][1])),
    ),
    "spectra that changed places": (
        "imzml",
        swap_places("spectra", "x", SPECTRUM),
    ),
    "blocks that changed places": ("cog", swap_places("blocks-0", "column", BLOCK)),
    "points that lack": ("las", change_fact("n_points", -1)),
    "lines that are others": (
        "fastq.bgz",
        lambda facts, arrays: arrays["lines"].__iadd__(np.uint64(4)),
    ),
}


@pytest.mark.parametrize("wrong", SPOILT)
def test_verify__an_index_that_is_wrong(wrong, paths, tmp_path):
    name, change = SPOILT[wrong]
    co = spoil(name, paths, tmp_path, change)
    same, said = verify(co, CASES[name].cut(co, 2))
    assert not same, said


@pytest.mark.parametrize(
    ("pieces", "n"), [([b"a\nb", b"c\n\n", b"", b"d"], 3), ([b"\n\r"], 0), ([b"a"], 1)]
)
def test_counter__counts_across_pieces(pieces, n):
    counter = Counter(PlainText("lines"))
    assert b"".join(map(counter.see, pieces)) == b"".join(pieces)
    assert counter.n_records == n


def test_hash_rows__tells_rows_apart():
    rows = np.random.default_rng(1).integers(0, 256, (5000, 11)).astype(np.uint8)
    assert len(set(hash_rows(rows).tolist())) == 5000
    assert (hash_rows(rows) == hash_rows(rows.copy())).all()
    other = rows.copy()
    other[:, 3] ^= 1
    assert (hash_rows(rows) != hash_rows(other)).all()


def test_verify__an_image_of_any_form(tmp_path):
    values = np.random.default_rng(1).integers(0, 99, (2, 90, 70)).astype(np.int16)
    tifffile.imwrite(tmp_path / "a.tif", values, tile=(32, 32), planarconfig="separate")
    with warnings.catch_warnings(action="ignore"):
        co = CloudObject.from_path(COG, tmp_path / "a.tif").preprocess()
    slices = co.partition(grid_partition_strategy, n_splits=3)
    assert verify_slices(co, slices) == (
        True,
        "hold 6,300 of 6,300 pixels, each with its checksum",
    )
