"""Lithops with slices of objects in a real S3, its functions on this machine."""

import functools
import json
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
import yaml

from hpc_connector.burst.lithops.executor import complete_config
from hpc_connector.errors import BadInput
from hpc_connector.partitioner import get_mpicomm
from hpc_connector.slices import CloudObject
from hpc_connector.slices.backends import make_on_ranks, make_with
from hpc_connector.slices.formats import packed_text
from hpc_connector.slices.formats.fastq_gzip import FASTQGZip, partition_reads_batches
from hpc_connector.storage.traffic import traffic
from lithops_runs import run_python
from s3 import BUCKET, make_client

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
READS = ROOT / "tests/data/slices/fastq/reads_1.fq.gz"
N_READS = 2500


@pytest.fixture
def reads(s3_endpoint, request):
    """Return a FASTQ object of the test's own."""
    key = f"{request.node.name}.fq.gz"
    make_client(s3_endpoint).upload_file(str(READS), BUCKET, key)
    return f"s3://{BUCKET}/{key}"


def test_examples__run_from_upload_to_reads(s3_endpoint, tmp_path):
    said = run_python(tmp_path, EXAMPLES / "put.py", READS, "s3://examples")
    assert said == f"s3://examples/{READS.name}\n"
    said = run_python(tmp_path, EXAMPLES / "fastq_on_lithops.py", said.strip())
    n_lines = [2000] * 5
    assert said == f"lines of 5 slices: {n_lines}, {N_READS} reads\n"


def test_examples__count_words(s3_endpoint, tmp_path):
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    words = Counter(" ".join(f.read_text() for f in files).lower().split())
    said = run_python(tmp_path, EXAMPLES / "put.py", *files, "s3://examples")
    config = {"LITHOPS_CONFIG_FILE": str(EXAMPLES / "lithops/localhost.yaml")}
    said = run_python(tmp_path, EXAMPLES / "word_count.py", *said.split(), **config)
    *most, last = said.splitlines()
    assert last.startswith(f"{words.total()} words, {len(words)} different, in 8 ")
    found = {word: int(count) for count, word in map(str.split, most)}
    assert len(found) == 10
    assert found == {word: words[word] for word in found}
    assert min(found.values()) >= words.most_common(10)[-1][1]


def test_examples__use_the_configuration_of_lithops(s3_endpoint, reads, tmp_path):
    config = yaml.safe_load((EXAMPLES / "lithops/localhost_s3.yaml").read_text())
    config["minio"]["endpoint"] = s3_endpoint
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    run_python(
        tmp_path,
        EXAMPLES / "fastq_on_lithops.py",
        reads,
        LITHOPS_CONFIG_FILE=str(path),
    )
    names = make_client(s3_endpoint).list_buckets()["Buckets"]
    assert "lithops-data" in [bucket["Name"] for bucket in names]


PREPROCESS = """
import sys
from hpc_connector.slices import CloudObject, LithopsPreprocessor
from hpc_connector.slices.formats import packed_text
from hpc_connector.slices.formats.fastq_gzip import FASTQGZip
packed_text.CHUNK_BYTES = 1 << 16
preprocessor = LithopsPreprocessor({"lithops": {"backend": "localhost"}})
CloudObject.from_path(FASTQGZip, sys.argv[1]).preprocess(preprocessor, force=True)
"""


def test_preprocess__by_functions_makes_the_same_index(reads, tmp_path, monkeypatch):
    monkeypatch.setattr(packed_text, "CHUNK_BYTES", 1 << 16)
    here = CloudObject.from_path(FASTQGZip, reads).preprocess()
    run_python(tmp_path, "-c", PREPROCESS, reads)
    there = CloudObject.from_path(FASTQGZip, reads)
    assert there.index_bytes == here.index_bytes


# 200 slices, some in each of a few functions, for each of these costs a process
RANGES = """
import hashlib, json, sys
from hpc_connector.slices import CloudObject, open_executor
from hpc_connector.slices.formats.text import Lines, partition_num_chunks

def read(parts):
    found = [part.get() for part in parts]
    return [(len(data), hashlib.sha256(data).hexdigest()) for data in found]

config = {"lithops": {"backend": "localhost", "storage": "minio"}}
config["minio"] = json.loads(sys.argv[2])
slices = CloudObject.from_path(Lines, sys.argv[1]).preprocess().partition(
    partition_num_chunks, num_chunks=200)
with open_executor(config) as executor:
    # keyword: Lithops would take a list for several arguments
    futures = executor.map(read, [{"parts": slices[k::8]} for k in range(8)])
    found = executor.get_result(futures, show_progressbar=False)
json.dump([found[k % 8][k // 8] for k in range(200)], sys.stdout)
"""


def test_functions__read_200_ranges_right(s3_endpoint, tmp_path):
    import hashlib

    rng = random.Random(1)
    lines = [rng.randbytes(rng.randrange(300)).hex() for _ in range(20_000)]
    data = "\n".join(lines).encode()
    make_client(s3_endpoint).put_object(Bucket=BUCKET, Key="ranges", Body=data)
    store = {"endpoint": s3_endpoint, "storage_bucket": "lithops-data"}
    store |= {"access_key_id": "testkey123", "secret_access_key": "testsecret123"}
    uri = f"s3://{BUCKET}/ranges"
    found = json.loads(run_python(tmp_path, "-c", RANGES, uri, json.dumps(store)))
    at = 0
    for size, digest in found:
        assert size > 0
        assert digest == hashlib.sha256(data[at : at + size]).hexdigest()
        at += size
    assert (at, len(found)) == (len(data), 200)


def test_make_with__an_unknown_backend():
    with pytest.raises(BadInput, match="backend 'lithop': expected joblib, local, mpi"):
        make_with("lithop", lambda map_chunks: None)


def test_complete_config__runs_functions_in_this_python():
    import sys

    given = {"lithops": {"backend": "localhost"}, "localhost": None}
    config = complete_config(given)
    assert config["localhost"]["runtime"] == sys.executable
    assert config["lithops"]["log_level"] == "WARNING"
    assert given == {"lithops": {"backend": "localhost"}, "localhost": None}


REFUSE = """
import sys
from hpc_connector.errors import BadInput
from hpc_connector.slices import open_executor
try:
    open_executor(sys.argv[1])
except BadInput as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "config.yaml: no configuration of Lithops: while parsing"),
        ("lithops: {backend: fast}", "refuses its configuration: Unknown compute back"),
        ("slurm: {cpu: 2}\nlithops: {backend: slurm}", "slurm: unknown key 'cpu'"),
        ("slurm: {}\nlithops: {backend: slurm}", "slurm: folder: expected the path"),
        ("- lithops", "no configuration of Lithops"),
    ],
)
def test_open_executor__refuses(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert message in run_python(tmp_path, "-c", REFUSE, path)


def test_open_executor__of_a_file_that_is_not_there(tmp_path):
    assert "doesn't exist" in run_python(tmp_path, "-c", REFUSE, tmp_path / "none")


# That of Kubernetes is read without its client, which its package would import
CHECK = """
import sys, types
from pathlib import Path
import lithops
package = types.ModuleType("lithops.serverless.backends.k8s")
package.__path__ = [f"{Path(lithops.__file__).parent}/serverless/backends/k8s"]
sys.modules[package.__name__] = package
from hpc_connector.burst.lithops.slurm import register
from hpc_connector.burst.lithops.executor import complete_config
from lithops.config import default_config
register()
config = default_config(config_data=complete_config(sys.argv[1]))
backend = config["lithops"]["backend"]
print(backend, config["lithops"]["storage"], config[backend]["runtime_memory"]
    if "runtime_memory" in config[backend] else "")
"""
CONFIGS = {
    "localhost": "localhost localhost",
    "localhost_s3": "localhost minio",
    "slurm": "slurm slurm 2048",
    "aws_lambda": "aws_lambda aws_s3 2048",
    "k8s": "k8s minio 2048",
}


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_configuration__is_accepted_by_lithops(name, tmp_path):
    path = EXAMPLES / f"lithops/{name}.yaml"
    assert run_python(tmp_path, "-c", CHECK, path).strip() == CONFIGS[name]


def test_configurations__are_all_tested():
    assert {path.stem for path in EXAMPLES.glob("lithops/*.yaml")} == set(CONFIGS)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("lithops/*.Dockerfile")), ids=str)
def test_image__installs_what_there_is(path):
    extras = re.search(r"\.whl\)\[([a-z,]+)\]", path.read_text())[1].split(",")
    known = re.findall(r"^(\w+) =$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert set(extras) <= set(known)


def make_arrays(map_chunks):
    return np.concatenate(map_chunks(np.arange, [3, 1, 4, 1, 5, 9, 2]))


def fail_on(bad, item):
    if item == bad:
        raise BadInput(f"chunk {item}")
    return item


@pytest.mark.mpi(ranks=[3])
def test_make_on_ranks__gives_all_the_same():
    comm = get_mpicomm()
    found = make_on_ranks(comm, make_arrays)
    npt.assert_array_equal(found, make_with(None, make_arrays))
    assert make_on_ranks(comm, lambda map_chunks: map_chunks(len, [])) == []


def make_badly(bad, map_chunks):
    map_chunks(functools.partial(fail_on, bad), range(7))
    raise BadInput("chunk 99")


@pytest.mark.mpi(ranks=[3])
def test_make_on_ranks__raises_on_all():
    for bad in (0, 5, 99):  # of the first rank, of another, and behind all chunks
        with pytest.raises(BadInput, match=f"^chunk {bad}$"):
            make_on_ranks(get_mpicomm(), functools.partial(make_badly, bad))


def test_make_on_ranks__of_one():
    serial = get_mpicomm(serial=True)
    npt.assert_array_equal(
        make_on_ranks(serial, make_arrays), make_with(None, make_arrays)
    )
    with pytest.raises(BadInput, match=r"^chunk 5$"):
        make_on_ranks(serial, functools.partial(make_badly, 5))


@pytest.mark.mpi(ranks=[3])
def test_preprocess__on_ranks_makes_one_index(mpi_tmp_path, monkeypatch):
    monkeypatch.setattr(packed_text, "CHUNK_BYTES", 1 << 16)
    comm = get_mpicomm()
    options = {"metadata": str(mpi_tmp_path)}
    co = CloudObject.from_path(FASTQGZip, str(READS), **options)
    co.preprocess("mpi")
    n_bytes = comm.allgather(traffic.n_bytes)
    alone = CloudObject.from_path(FASTQGZip, str(READS), metadata=f"{mpi_tmp_path}/2")
    if comm.rank == 0:
        alone.preprocess()
    comm.Barrier()
    assert co.index_bytes == alone.index_bytes
    assert n_bytes[2] < co.size  # it read chunks, and no index
    slices = co.partition(partition_reads_batches, num_batches=comm.size)
    lines = comm.allgather(slices[comm.rank].get())
    assert FASTQGZip.join(lines).count(b"\n") == 4 * N_READS
