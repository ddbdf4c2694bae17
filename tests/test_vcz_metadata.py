"""A VCF Zarr store whose metadata is broken, or is not that of VCF Zarr."""

import gc
import json
import shutil
from pathlib import Path

import pytest

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import inspect_sample, read_sample

DATA = Path(__file__).parent / "data/vcf_zarr/format2.vcz"
LARGE = 10**15
FAULTS = [
    ("variant_id", "chunks", [], "cannot be read"),
    ("variant_id", None, None, "lacks variant_id"),
    ("call_genotype", "dtype", "|x9", "cannot be read"),
    ("contig_id", "shape", [LARGE], "contig_id cannot be read"),
    ("sample_id", "chunks", [0], "cannot be read"),
    ("sample_id", "shape", [2, 2], "cannot be read|sample_id is"),
    ("filter_id", "shape", [1], "variant_filter has shape"),
    ("variant_position", "dtype", "<f4", "variant_position is float32 of 1 axes"),
    ("variant_contig", "fill_value", LARGE, "cannot be read"),
]


@pytest.mark.parametrize(("name", "key", "value", "message"), FAULTS)
def test_read__says_that_metadata_is_wrong(tmp_path, caplog, name, key, value, message):
    store = Path(shutil.copytree(DATA, tmp_path / "a.vcz"))
    path = store / name / ".zarray"
    known = json.loads(path.read_text())
    path.unlink() if key is None else path.write_text(json.dumps({**known, key: value}))
    with pytest.raises(BadInput, match=message) as caught:
        list(read_sample(inspect_sample(str(store), ReadOptions()), 0, 1))
    assert str(store) in str(caught.value)
    assert "\n" not in str(caught.value)
    gc.collect()
    assert not caplog.records  # of tasks that nobody waited for


def test_read__needs_no_array_that_is_not_read(tmp_path):
    store = Path(shutil.copytree(DATA, tmp_path / "a.vcz"))
    for name in ("call_genotype_phased", "region_index"):
        (store / name).mkdir(exist_ok=True)
        (store / name / ".zarray").write_text("{")
    file = inspect_sample(str(store), ReadOptions())
    assert len(list(read_sample(file, 0, 1))) > 0


def test_read__says_once_what_is_damaged(tmp_path):
    store = Path(shutil.copytree(DATA, tmp_path / "a.vcz"))
    chunk = store / "variant_position" / "1"
    chunk.write_bytes(chunk.read_bytes() + b"0")
    with pytest.raises(BadInput) as caught:
        list(read_sample(inspect_sample(str(store), ReadOptions()), 0, 1))
    assert str(caught.value).count(str(store)) == 1
