"""Arrays on a real Slurm cluster: each element for itself, and what failed again."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from held_runs import hold, let_go
from programs import assert_same
from slurm_jobs import ask, read_account, simulate_slow, submit, wait, wait_for_end

ARRAY = ("--array", "list", "mdr-epistasis", "run", "{}", "--out", "out/{name}")
COHORT = Path(__file__).parent / "data/bitepi_plink_100snps_2000/bfile.bed"

pytestmark = pytest.mark.usefixtures("cluster", "own_cache")


def copy_cohort(prefix, folder, name):
    for ending in (".bed", ".bim", ".fam"):
        shutil.copy(f"{prefix}{ending}", folder / f"{name}{ending}")


def ask_failed(folder):
    """Return what is said where nothing is to be submitted again."""
    command = ["hpc-connector", "submit", "--failed", *ARRAY]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr


def read_record(folder):
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    """Return the number and the folder of an array whose last two elements stand still.

    These search the same data.
    """
    folder = tmp_path_factory.mktemp("array")
    simulate_slow(folder / "b")
    copy_cohort(folder / "b", folder, "c")
    copy_cohort(COHORT.with_suffix(""), folder, "a")
    (folder / "list").write_text("# cohorts\na.bed\n\nb.bed\r\nc.bed\n")
    job = submit(folder, *hold(folder), *ARRAY, "--top", 20, "--permutations", 1000)
    let_go(folder, 0)
    wait_for_end(f"{job}_0", folder)
    ledgers = [folder / f"out/{name}/ledger" for name in "bc"]
    wait(lambda: all(list(ledger.glob("*.npz")) for ledger in ledgers), folder)
    return job, folder


def test_array__goes_on_after_its_last_element_was_warned(array):
    job, folder = array
    assert ask("squeue", "--noheader", "--jobs", f"{job}_2", "--format", "%A") == job
    assert "they are queued or running: b.bed, c.bed" in ask_failed(folder)
    ask("scancel", "--signal=USR1", f"{job}_2")
    wait(lambda: "Restarts=1 " in ask("scontrol", "show", "job", f"{job}_2"), folder)
    let_go(folder, 1)
    for index in range(3):
        state, said = wait_for_end(f"{job}_{index}", folder)
        assert state == "COMPLETED", said
    assert_same(folder / "out/c", folder / "out/b")
    records = {name: read_record(folder / "out" / name) for name in "abc"}
    assert [records[name]["attempt"] for name in "abc"] == [1, 1, 2]
    accounts = {name: read_account(folder / "out" / name) for name in "abc"}
    for name, record in records.items():
        jobs = {attempt["job"] for attempt in accounts[name]}
        assert jobs == {record["job"]}, name
    assert records["c"]["job"] == job
    assert [len(accounts[name]) for name in "ab"] == [1, 1]
    assert len(accounts["c"]) >= 2


def test_failed__submits_again_what_failed(tmp_path):
    for name in "ab":
        copy_cohort(COHORT.with_suffix(""), tmp_path, name)
    (tmp_path / "list").write_text("a.bed\nb.bed\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/b").touch()  # where a folder is to be
    job = submit(tmp_path, *ARRAY)
    states = [wait_for_end(f"{job}_{index}", tmp_path)[0] for index in range(2)]
    assert states == ["COMPLETED", "FAILED"]
    (tmp_path / "out/b").unlink()
    again = submit(tmp_path, "--failed", *ARRAY)
    state, said = wait_for_end(f"{again}_1", tmp_path)
    assert state == "COMPLETED", said
    assert "ArrayTaskId=0" not in ask("scontrol", "show", "job", again)
    assert_same(tmp_path / "out/b", tmp_path / "out/a")
    assert "2 of 2 datasets have ended well, none is left" in ask_failed(tmp_path)
