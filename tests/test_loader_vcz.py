"""Reading VCF Zarr: the VCF that bio2zarr made the stores of is the truth."""

import builtins
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import (
    convert_samples,
    inspect_sample,
    read_sample,
)
from hpc_connector.manifest import describe_input
from stores import write_store

DATA = Path(__file__).parent / "data/vcf_zarr"
STORES = ["format2.vcz", "format3.vcz"]
COHORT = DATA / "cohort.vcf"
SITES = [("1", 10 * k + 5, f"rs{k}", "A", "C") for k in range(25)]


def read(path, n_parts=1, **options):
    """Return rows of variants with their genotypes, and what was counted."""
    file = inspect_sample(str(path), ReadOptions(**options))
    blocks = [b for part in range(n_parts) for b in read_sample(file, part, n_parts)]
    block = convert_samples(blocks)
    columns = [column.tolist() for column in vars(block.variants).values()]
    return list(zip(*columns, block.genotypes.tolist(), strict=True))


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    """Return a copy of a store."""
    return Path(shutil.copytree(DATA / request.param, tmp_path / request.param))


@pytest.mark.parametrize("field", ["GT", "GP", "DS"])
@pytest.mark.parametrize("half_call", ["missing", "haploid", "reference"])
def test_read__as_of_vcf(store, field, half_call):
    options = {"vcf_field": field, "half_call": half_call}
    expected = read(COHORT, **options)
    assert len(expected) == 6
    for n_parts in (1, 2, 5):
        assert read(store, n_parts, **options) == expected


@pytest.mark.parametrize("field", ["GT", "DS"])
def test_read__pass_only(store, field):
    options = {"vcf_field": field, "pass_only": True}
    assert read(store, **options) == read(COHORT, **options)


def test_read__half_calls_are_an_error_if_asked_for(store):
    with pytest.raises(BadInput, match="half-call") as caught:
        read(store, half_call="error")
    assert "record 1:30" in str(caught.value)


def test_inspect__individuals(store):
    file = inspect_sample(str(store), ReadOptions())
    assert (file.format, file.individuals) == ("zarr", ("a", "b", "c", "d"))
    assert file.n_bytes > 0


def remove_array(name):
    return lambda store: shutil.rmtree(store / name)


def find_chunk(store, name):
    """Return the file of the last chunk of an array."""
    chunks = [p for p in (store / name).rglob("*") if p.is_file() and p.name[0] != "."]
    return max(path for path in chunks if path.name != "zarr.json")


def lengthen_chunk(store):
    chunk = find_chunk(store, "call_genotype")
    chunk.write_bytes(chunk.read_bytes() + b"0")


def spoil_metadata(store):
    for name in (".zarray", "zarr.json"):
        path = store / "call_genotype" / name
        if path.exists():
            path.write_text(path.read_text()[:40])


def remove_metadata(store):
    for name in (".zgroup", "zarr.json"):
        (store / name).unlink(missing_ok=True)


def name_twice(store):
    group = zarr.open_group(str(store), mode="r+")
    group["sample_id"][1] = "a"


def shorten(store):
    group = zarr.open_group(str(store), mode="r+")
    group["variant_position"].resize((5,))


FAULTS = {
    "no genotypes": (
        remove_array("call_genotype"),
        "lacks call_genotype: expected",
    ),
    "no alleles": (remove_array("variant_allele"), "lacks variant_allele"),
    "no individuals": (remove_array("sample_id"), "lacks sample_id"),
    "a chunk of calls": (
        lambda store: find_chunk(store, "call_genotype").unlink(),
        "1 of 2 chunks of call_genotype are not there",
    ),
    "a chunk of places": (
        lambda store: find_chunk(store, "variant_position").unlink(),
        "1 of 2 chunks of variant_position are not there",
    ),
    "another length of a chunk": (lengthen_chunk, "call_genotype is damaged"),
    "cut metadata": (spoil_metadata, "cannot be read|lacks call_genotype"),
    "no metadata": (remove_metadata, "cannot be read"),
    "one name twice": (name_twice, "names individual 'a' twice"),
    "another length": (shorten, "has shape"),
}


@pytest.mark.filterwarnings("ignore:Object at .* is not recognized")
@pytest.mark.parametrize("fault", FAULTS)
def test_read__says_what_is_wrong(store, fault):
    damage, message = FAULTS[fault]
    damage(store)
    with pytest.raises(BadInput, match=message) as caught:
        read(store)
    assert str(caught.value).startswith(f"{store}")
    assert "\n" not in str(caught.value)


def test_inspect__a_store_elsewhere():
    with pytest.raises(BadInput, match="expected a copy on a disk"):
        inspect_sample("s3://bucket/a.vcz", ReadOptions())


def test_inspect__without_zarr(store, monkeypatch):
    load = builtins.__import__

    def refuse(name, *others, **more):
        if name == "zarr":
            raise ImportError(name)
        return load(name, *others, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(BadInput, match=r"pip install 'hpc_connector\[zarr\]'"):
        inspect_sample(str(store), ReadOptions())


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_read__each_chunk_once(tmp_path, rng_genotypes, zarr_format):
    path = write_store(
        tmp_path / "a.zarr",
        rng_genotypes,
        SITES,
        list("abcdef"),
        zarr_format=zarr_format,
    )
    for n_parts in (1, 2, 3, 7):
        rows = read(path, n_parts)
        assert [row[:5] for row in rows] == [
            (name, chromosome, position, alt, ref)
            for chromosome, position, name, ref, alt in SITES
        ]
        assert [row[5] for row in rows] == rng_genotypes.tolist()


@pytest.fixture
def rng_genotypes():
    """Return random genotypes, int8 (variants, individuals)."""
    return np.random.default_rng(3).integers(-1, 3, (len(SITES), 6)).astype(np.int8)


def test_describe_input__of_a_store(store):
    before = describe_input(str(store))
    assert before["bytes"] > 0
    chunk = find_chunk(store, "call_genotype")
    chunk.write_bytes(chunk.read_bytes() + b"\0")
    assert describe_input(str(store))["sha256"] != before["sha256"]
    chunk.rename(chunk.with_name("other"))
    assert describe_input(str(store))["sha256"] != before["sha256"]
