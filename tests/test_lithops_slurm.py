"""Slurm as a backend of Lithops: its texts, its storage, and functions on nodes."""

import ast
import itertools
import json
import pickle
import re
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.burst.lithops.folder import StorageBackend
from hpc_connector.burst.lithops.slurm import (
    ServerlessBackend,
    SlurmSettings,
    cut_payload,
    get_chunk_size,
    get_state,
    list_states,
    read_settings,
    render_array,
)
from hpc_connector.errors import BadInput
from lithops_runs import run_python
from mdr_epistasis.program import main as mdr
from programs import assert_same
from s3 import ACCESS, BUCKET, make_client, serve_s3

READS = Path(__file__).parent / "data/slices/fastq/reads_1.fq.gz"
GATEWAY = "10.77.0.254"  # this machine, as the nodes of tests/cluster reach it

ARRAY = """\
#!/bin/bash
#SBATCH --job-name=lithops
#SBATCH --account=bsc00
#SBATCH --qos=gp_bsccase
#SBATCH --array=0-999%20
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=0-01:30:00
#SBATCH --output=/shared/jobs/a-0-M000/%A_%a.out
#SBATCH --no-requeue

exec /venv/bin/python -m hpc_connector.burst.lithops.slurm \
/shared/jobs/a-0-M000/payload.json $((2000 + SLURM_ARRAY_TASK_ID))
"""


def test_render_array__is_this_text():
    settings = SlurmSettings(
        folder="/shared",
        account="bsc00",
        qos="gp_bsccase",
        time="01:30:00",
        mem="8G",
        worker_processes=4,
        max_workers=20,
        python="/venv/bin/python",
    )
    found = render_array(settings, Path("/shared/jobs/a-0-M000"), 1000, 2000)
    assert found == ARRAY


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "folder: expected the path of a folder that nodes share"),
        ({"folder": "here"}, "folder: expected the path of a folder that nodes share"),
        ({"queue": "gpp"}, "unknown key 'queue': expected one of folder, account"),
        ({"time": 1800}, "time: 1800: expected text without spaces, in quotes"),
        ({"time": "1 hour"}, "time: '1 hour': expected text without spaces"),
        ({"time": "90"}, "time: '90': expected such as '01:30:00'"),
        ({"mem": "much"}, "mem: 'much': expected such as 4G"),
        ({"account": "a\n#SBATCH --wrap=x"}, "account: .*expected text without spaces"),
        ({"cpus": True}, "cpus: True: expected a whole number"),
        ({"cpus": -1}, "cpus of 0 or more"),
        ({"worker_processes": 0}, "worker_processes and max_workers of 1 or more"),
        ({"max_workers": "many"}, "max_workers: 'many': expected a whole number"),
    ],
)
def test_read_settings__refuses(section, message):
    place = {"folder": "/shared"} if section and "folder" not in section else {}
    with pytest.raises(BadInput, match=f"^slurm: .*{message}"):
        read_settings(place | section)


@given(st.integers(1, 300), st.integers(0, 40), st.integers(1, 8), st.booleans())
def test_cut_payload__gives_every_call_to_one_element(n, size, processes, in_store):
    ranges = [[k, k + 1] for k in range(n)] if in_store else None
    payload = {"call_ids": [f"{k:05}" for k in range(n)], "data_byte_ranges": ranges}
    payload |= {"chunksize": size, "worker_processes": processes, "job_key": "a"}
    n_elements = -(-n // get_chunk_size(payload))
    parts = [cut_payload(payload, number) for number in range(n_elements)]
    join = itertools.chain.from_iterable
    assert list(join(part["call_ids"] for part in parts)) == payload["call_ids"]
    assert all(part["call_ids"] and part["job_key"] == "a" for part in parts)
    if in_store:
        assert list(join(part["data_byte_ranges"] for part in parts)) == ranges


KEYS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
NAMES = KEYS.map(lambda key: key + ".end")  # none is the folder of another


@given(st.dictionaries(NAMES, st.binary(max_size=9)), st.text("abc/", max_size=4))
def test_storage__is_that_of_a_dictionary(tmp_path_factory, objects, prefix):
    folder = tmp_path_factory.mktemp("folder")
    store = StorageBackend({"folder": str(folder)})
    for key, data in objects.items():
        store.put_object("bucket", key, data)
    prefix = prefix.lstrip("/")
    wanted = sorted(key for key in objects if key.startswith(prefix))
    assert store.list_keys("bucket", prefix) == wanted
    assert store.list_objects("bucket", prefix) == [
        {"Key": key, "Size": len(objects[key])} for key in wanted
    ]
    for key, data in objects.items():
        assert store.get_object("bucket", key) == data
        part = store.get_object("bucket", key, True, {"Range": "bytes=1-3"})
        assert part.read() == data[1:4]
    store.delete_objects("bucket", [*objects, "none"])
    assert store.list_keys("bucket") == []


MISSING = """
import sys
from hpc_connector.burst.lithops.folder import StorageBackend
from lithops.storage.utils import StorageNoSuchKeyError
store = StorageBackend({"folder": sys.argv[1]})
for look in (store.get_object, store.head_object):
    try:
        look("bucket", "none")
    except StorageNoSuchKeyError as error:
        print(error)
"""


def test_storage__of_an_object_that_is_not_there(tmp_path):
    said = run_python(tmp_path, "-c", MISSING, tmp_path)
    assert said.count("bucket/none") == 2


# What a user writes, but that Slurm is asked more often
HEAD = """
import json, os, signal, subprocess, sys, time
from hpc_connector.burst.lithops import slurm
from hpc_connector.slices import CloudObject, LithopsPreprocessor, open_executor
from hpc_connector.slices.formats.fastq_gzip import FASTQGZip, partition_reads_batches

slurm.POLL_S = 1
config = {"lithops": {"backend": "slurm"}}
config["slurm"] = {"folder": sys.argv[1], "worker_processes": 2, "account": "bsc00"}
"""

SLICES = """
config["lithops"]["storage"] = sys.argv[4]
config["minio"] = {"endpoint": sys.argv[3], "storage_bucket": "lithops-data"}
config["minio"]["access_key_id"] = os.environ["AWS_ACCESS_KEY_ID"]
config["minio"]["secret_access_key"] = os.environ["AWS_SECRET_ACCESS_KEY"]
co = CloudObject.from_path(FASTQGZip, sys.argv[2], {"endpoint_url": sys.argv[3]})
co.preprocess(LithopsPreprocessor(config), force=True)
slices = co.partition(partition_reads_batches, num_batches=5)
with open_executor(config) as fexec:
    fexec.map(lambda s: (len(s.get()), os.environ["SLURMD_NODENAME"]), slices)
    json.dump(fexec.get_result(show_progressbar=False), sys.stdout)
"""

LOST = """
def work(number):
    element = "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}".format(**os.environ)
    if number == 2:
        subprocess.run(["scancel", element])
        time.sleep(60)
    if number == 5:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return number

with open_executor(config) as fexec:
    futures = fexec.map(work, range(7))
    fexec.wait(futures, throw_except=False, show_progressbar=False)
    for future in futures:
        print(future._exception[1] if future.error else future.result())
"""

LEFT = """
with open_executor(config) as fexec:
    fexec.map(lambda s: time.sleep(s), [60, 60, 60])
    print(*fexec.compute_handler.backend.elements)
"""


class Store(dict):
    """Lithops' storage, as far as answers that are not there yet."""

    def get_call_status(self, *at):
        return None

    put_data = dict.__setitem__


@pytest.mark.parametrize(
    ("state", "kind"), [("OUT_OF_MEMORY", MemoryError), ("NODE_FAIL", RuntimeError)]
)
def test_report__says_who_ran_out_of_memory(state, kind):
    names = ("executor_id", "job_id", "chunksize", "host_submit_tstamp")
    backend = SimpleNamespace(
        storage=Store(),
        elements={"7_0": ("key", ["00000"])},
        payloads={"key": dict.fromkeys(names, "x")},
        lock=threading.Lock(),
    )
    ServerlessBackend._report(backend, "7_0", state)
    (status,) = backend.storage.values()
    found, error, _ = pickle.loads(ast.literal_eval(json.loads(status)["exc_info"]))
    assert found is type(error) is kind
    assert error.args == (
        "HANDLER",
        f"Slurm job 7_0 ended ({state}) before its function",
    )
    assert backend.elements == {}


@pytest.fixture
def shared(tmp_path):
    """Return a folder for Lithops that nodes share; nothing of a job is left there."""
    folder = tmp_path / "shared"
    yield folder
    assert (
        list(folder.glob("jobs/*")) == list(folder.glob("storage/lithops.jobs/*")) == []
    )


@pytest.mark.parametrize("kept", ["slurm", "minio"])  # where Lithops has its objects
def test_functions__on_nodes_read_slices_from_s3(cluster, shared, tmp_path, kept):
    (tmp_path / "s3").mkdir()
    with serve_s3(tmp_path / "s3", GATEWAY) as endpoint:
        make_client(endpoint).upload_file(str(READS), BUCKET, READS.name)
        words = shared, f"s3://{BUCKET}/{READS.name}", endpoint, kept
        found = json.loads(run_python(tmp_path, "-c", HEAD + SLICES, *words, **ACCESS))
    assert [n_lines for n_lines, _ in found] == [2000] * 5
    assert {node[:4] for _, node in found} == {"node"}


def test_functions__of_a_job_that_is_gone_end_in_an_error(cluster, shared, tmp_path):
    said = run_python(tmp_path, "-c", HEAD + LOST, shared, is_quiet=False)
    lines = said.splitlines()
    # told by Slurm, or by Lithops where that is quicker than the end of the job
    assert re.search(r"\(CANCELLED\) before its function|with SIGTERM", lines[2])
    assert "ended (" in lines[5]
    assert [lines[k] for k in (0, 1, 4, 6)] == ["0", "1", "4", "6"]


def test_executor__that_is_closed_leaves_no_job(cluster, shared, tmp_path):
    elements = run_python(tmp_path, "-c", HEAD + LEFT, shared).split()
    assert len(elements) == 2
    states = {get_state(list_states(), element) for element in elements}
    assert states <= {"CANCELLED", "COMPLETING"}


def test_run__half_of_it_on_nodes(cluster, shared, tmp_path):
    data = Path(__file__).parent / "data/bitepi_plink_100snps_2000/bfile.bed"
    run = ["run", str(data), "--permutations", "200", "--top", "20", "--quiet", "--out"]
    assert mdr([*run, str(tmp_path / "alone")]) == 0
    config = {
        "lithops": {"backend": "slurm", "storage": "slurm"},
        "slurm": {"folder": str(shared), "account": "bsc00"},
        "burst": {"workers": 2, "memory_mb": 1024, "patience_s": 900},
    }
    (tmp_path / "burst.json").write_text(json.dumps(config))  # which is YAML
    words = ["-m", "mdr_epistasis", *run, tmp_path / "out"]
    words += ["--burst", tmp_path / "burst.json", "--burst-share", "0.5"]
    run_python(tmp_path, *words, is_quiet=False)
    assert_same(tmp_path / "out", tmp_path / "alone")
    facts = json.loads((tmp_path / "out/manifest.json").read_text())["burst"]
    assert facts["backend"] == "slurm"
    assert facts["tasks_done"] == round(
        0.5 * (facts["tasks_done"] + facts["tasks_here"])
    )
    assert facts["cost_eur"] == 0
    shutil.rmtree(shared / "hpc-connector")
