"""What Slurm says of a job, and of no other, as the record of a run."""

import io
import json

import pytest

from hpc_connector.allocation.growth import list_attempts
from hpc_connector.cluster.accounting import ask_states, rate, read_figures
from hpc_connector.commands.main import main
from hpc_connector.locks.folder_lock import release_folder, take_folder
from hpc_connector.manifest import list_jobs, read_manifest, save_manifest
from slurm_fakes import list_calls, put_programs

END = "node1|2026-11-29T11:4{2}:00|x|10|billing=2,cpu=2,mem=600M,node=1"
MIB = 1 << 20


def tell(job, state="COMPLETED", elapsed_s=60, start=0, step="COMPLETED"):
    """Return what sacct says of an attempt: of two ranks that had 100 MiB each."""
    end = END.format("", "", start)
    return (
        f"{job}|{state}|{elapsed_s}|01:00||0|1||{end}\n"
        f"{job}.batch|{state}|{elapsed_s}|00:00.500|9000K|0|1|1|{end}\n"
        f"{job}.extern|{state}|{elapsed_s}|00:00|999M|0|1|1|{end}\n"
        f"{job}.0|COMPLETED|1|00:00.500||0|1|1|{end}\n"
        f"{job}.1|{step}|{elapsed_s - 2}|00:59|100M|0|1|2|{end}\n"
    )


def make_run(folder, **more):
    folder.mkdir(exist_ok=True)
    save_manifest(folder, {"status": "done"} | more)
    return folder


@pytest.fixture(autouse=True)
def _no_job(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def account(folder, text, monkeypatch, *options):
    """Return the attempts in the manifest after an account."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["account", *options, "run", "x", "--out", str(folder)]) == 0
    return read_manifest(folder).get("slurm", [])


ARRAY = {
    "the last line": ["7", "8", "6"],
    "the first line": ["6", "7", "8"],
    "between": ["7", "6", "8"],
    "twice": ["6", "7", "6", "8"],
    "longer numbers": ["61", "16", "6", "66"],
}


@pytest.mark.parametrize("order", ARRAY.values(), ids=ARRAY)
def test_account__of_the_last_element_of_an_array(order, tmp_path, monkeypatch):
    """It has the number of the array, under which sacct tells of all elements."""
    text = "".join(tell(job, start=k) for k, job in enumerate(order))
    kept = account(make_run(tmp_path, job="6"), text, monkeypatch)
    assert [attempt["job"] for attempt in kept] == ["6"] * order.count("6")
    assert {attempt["elapsed_s"] for attempt in kept} == {60}
    again = account(tmp_path, text, monkeypatch)
    assert again == kept


@pytest.mark.parametrize(
    ("own", "record", "text", "kept"),
    [
        ("6", {}, tell("7") + tell("6"), ["6"]),
        ("6", {"job": "7"}, tell("7") + tell("6"), ["6"]),
        ("99", {"job": "6"}, tell("7") + tell("6"), ["6"]),  # of an enclosing job
        ("6", {"job": "9"}, tell("6"), ["6"]),  # of a run that was complete
        ("", {"job": "9"}, tell("6"), []),
        ("", {}, tell("6"), ["6"]),
        ("", {"job": "9"}, tell("7") + tell("6"), []),
        ("", {}, tell("7") + tell("6"), []),
        ("", {"job": None, "jobs": "x"}, tell("6"), ["6"]),
    ],
)
def test_account__takes_records_of_its_own_job(
    own, record, text, kept, tmp_path, monkeypatch
):
    put_programs(monkeypatch, tmp_path / "bin")
    monkeypatch.setenv("SLURM_JOB_ID", own)
    attempts = account(make_run(tmp_path, **record), text, monkeypatch)
    assert [attempt["job"] for attempt in attempts] == kept


def test_account__of_a_job_that_was_refused(tmp_path, monkeypatch):
    """It must not write to the manifest of the run that works there."""
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    folder = make_run(tmp_path, job="5", status="running")
    before = (folder / "manifest.json").read_bytes()
    assert account(folder, tell("8"), monkeypatch, "--code", "2") == []
    assert (folder / "manifest.json").read_bytes() == before
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    assert len(account(folder, tell("5"), monkeypatch, "--code", "2")) == 1


def test_account__while_a_run_works_there(tmp_path, monkeypatch, capsys):
    folder = make_run(tmp_path, job="5", status="running")
    lock = take_folder(folder)
    before = (folder / "manifest.json").read_bytes()
    monkeypatch.setattr("sys.stdin", io.StringIO(tell("5")))
    command = ["account", "run", "x", "--out", str(folder)]
    assert main(command) == 2
    assert "works there" in capsys.readouterr().err
    assert (folder / "manifest.json").read_bytes() == before
    release_folder(folder, lock)
    assert main(command) == 0


def test_grow__of_the_last_element_of_an_array(tmp_path, monkeypatch):
    make_run(tmp_path, status="running", job="6")
    text = tell("6", "RUNNING") + tell("7") + tell("8")
    assert [one["job"] for one in list_attempts(tmp_path, text)] == ["6"]
    put_programs(monkeypatch, tmp_path / "bin", sacct=text)
    assert [one["job"] for one in list_attempts(tmp_path)] == ["6"]


@pytest.mark.parametrize(
    ("state", "code", "kept"),
    [
        ("RUNNING", "0", "COMPLETED"),
        ("RUNNING", "75", "REQUEUED"),
        ("RUNNING", "1", "FAILED"),
        ("PENDING", "137", "FAILED"),
        ("COMPLETING", "0", "COMPLETED"),
        ("CANCELLED by 0", "75", "CANCELLED by 0"),
        ("TIMEOUT", "0", "TIMEOUT"),
        ("OUT_OF_MEMORY", "137", "OUT_OF_MEMORY"),
    ],
)
def test_account__keeps_the_end_of_what_seems_to_run(
    state, code, kept, tmp_path, monkeypatch
):
    text = tell("6", "REQUEUED") + tell("6", state, start=1)
    found = account(make_run(tmp_path, job="6"), text, monkeypatch, "--code", code)
    assert [attempt["state"] for attempt in found] == ["REQUEUED", kept]


def test_rate__as_seff_counts():
    (attempt,) = read_figures(tell("6"))
    assert rate(attempt) == {
        "time_efficiency": 0.1,  # 60 s of 10 minutes
        "cpu_efficiency": 0.5,  # 60 s of two cores for 60 s
        "memory_efficiency": pytest.approx(200 / 600, abs=1e-4),  # two ranks
    }
    unlimited = tell("6").replace("|10|", "|UNLIMITED|").replace("mem=600M,", "")
    (attempt,) = read_figures(unlimited)
    assert (
        rate(attempt)["time_efficiency"] is rate(attempt)["memory_efficiency"] is None
    )


ODD = {  # what sacct may print, and what is known by it
    "INVALID time": ("|00:59|", "|INVALID|", {"cpu_s": 1.0}),
    "no energy": ("|0|1|2|", "|18446744073709551614|1|2|", {"energy_j": None}),
    "no energy of old": ("|0|1|2|", "|4294967294|1|2|", {"energy_j": None}),
    "energy": ("|0|1|2|", "|9007199254740993|1|2|", {"energy_j": 9007199254740993}),
    "many nodes": ("||0|1||", "||0|1K||", {"n_nodes": 1024, "node_mem_bytes": 614400}),
    "many cores": ("billing=2,cpu=2", "billing=2,cpu=4K", {"cores": 4096}),
    "no tasks": ("|0|1|2|", "|0|1|many|", {"n_tasks": 1, "max_rss_tasks": 0}),
    "no elapsed time": ("|60|01:00|", "|INVALID|01:00|", {"elapsed_s": 0}),
    "no limit": ("|x|10|", "|x|UNLIMITED|", {"limit_s": 0, "time_efficiency": None}),
    "a line of words": ("6.extern", "a|b|c|d|e|f|g|h|i|j|k|l|m\n6.extern", {}),
    "an empty line": ("6.extern", "\n6.extern", {"cpu_s": 60.0}),
}


@pytest.mark.parametrize(("there", "odd", "known"), ODD.values(), ids=ODD)
def test_account__of_what_is_no_number(there, odd, known, tmp_path, monkeypatch):
    text = tell("6")
    assert there in text
    (kept,) = account(
        make_run(tmp_path, job="6"), text.replace(there, odd), monkeypatch
    )
    assert known.items() <= kept.items()
    assert kept["max_rss_bytes"] == 100 * MIB


def test_account__keeps_what_was_used_of_what_was_asked(tmp_path, monkeypatch):
    (attempt,) = account(make_run(tmp_path, job="6"), tell("6"), monkeypatch)
    assert attempt["time_efficiency"] == 0.1


@pytest.mark.parametrize("text", ["", "\n", "slurm_load_jobs error: x\n"])
def test_account__asks_where_nothing_is_given(text, tmp_path, monkeypatch):
    """The number of an enclosing job says nothing of a record that is repaired."""
    told = tell("7") + tell("6", "TIMEOUT") + tell("5", "NODE_FAIL") + tell("8")
    put_programs(monkeypatch, tmp_path / "bin", sacct=told)
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    run = make_run(tmp_path / "out", job="6", jobs=["5"])
    kept = account(run, text, monkeypatch)
    assert [(a["job"], a["state"]) for a in kept] == [
        ("5", "NODE_FAIL"),
        ("6", "TIMEOUT"),
    ]
    (call,) = list_calls(tmp_path / "bin", "sacct")
    assert "--jobs 5,6 " in call


def test_account__repairs_the_end_of_an_earlier_job(tmp_path, monkeypatch):
    """A node that fails leaves no account: the next job's has it, before its own."""
    put_programs(monkeypatch, tmp_path / "bin", sacct=tell("5", "NODE_FAIL"))
    begun = read_figures(tell("4", "COMPLETED"))
    run = make_run(tmp_path / "out", job="6", jobs=["4", "5"], slurm=begun)
    kept = account(run, tell("6", start=3), monkeypatch, "--code", "0")
    assert [a["job"] for a in kept] == ["4", "5", "6"]
    assert [a["state"] for a in kept] == ["COMPLETED", "NODE_FAIL", "COMPLETED"]
    (call,) = list_calls(tmp_path / "bin", "sacct")
    assert "--jobs 5 " in call


def test_account__repairs_jobs_in_the_order_in_which_they_were(tmp_path, monkeypatch):
    """Also where sacct has forgotten a later one."""
    put_programs(monkeypatch, tmp_path / "bin", sacct=tell("5", "NODE_FAIL"))
    begun = read_figures(tell("6"))
    run = make_run(tmp_path / "out", job="7", jobs=["5", "6"], slurm=begun)
    assert [a["job"] for a in account(run, "", monkeypatch)] == ["5", "6"]


def test_account__without_sacct_keeps_what_there_is(tmp_path, monkeypatch):
    put_programs(monkeypatch, tmp_path / "bin")
    begun = read_figures(tell("6", "RUNNING"))
    run = make_run(tmp_path / "out", job="6", slurm=begun)
    assert account(run, "", monkeypatch) == begun
    assert account(make_run(tmp_path / "no", job="6"), "", monkeypatch) == []


@pytest.mark.parametrize("slurm", [None, 3, "x", {}, [None, 3], [{}], [{"job": None}]])
def test_account__of_a_record_of_anything(slurm, tmp_path, monkeypatch):
    put_programs(monkeypatch, tmp_path / "bin")
    kept = account(make_run(tmp_path, job="6", slurm=slurm), tell("6"), monkeypatch)
    assert kept[-1]["job"] == "6"


def test_ask_states__of_elements_and_of_those_that_never_began(tmp_path, monkeypatch):
    said = "6_0|7|COMPLETED\n6_1|6|CANCELLED by 0\n9_[0-3%2]|9|CANCELLED by 0\n"
    said += "10|10|FAILED\n"
    put_programs(monkeypatch, tmp_path, sacct=said)
    found = ask_states(["6_0", "9_2", "10"])
    assert found["6_0"] == found["7"] == ("6_0", "COMPLETED")
    assert found["6"] == ("6_1", "CANCELLED")
    assert found["9_[]"] == ("9_[0-3%2]", "CANCELLED")
    put_programs(monkeypatch, tmp_path, sacct=(1, "Access denied"))
    assert ask_states(["10"]) == {}


def test_list_jobs__in_the_order_in_which_they_were():
    record = {"jobs": ["4", "5"], "slurm": [{"job": "5"}, {"job": "6"}], "job": "7"}
    assert list_jobs(record) == ["4", "5", "6", "7"]
    assert list_jobs(json.loads('{"jobs": {"a": 1}, "slurm": null}')) == []
