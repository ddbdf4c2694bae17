"""What a job that ran short asks for next: only more of what it was short of."""

import io

import pytest

from hpc_connector import cli
from hpc_connector.allocation.cost import Allocation
from hpc_connector.allocation.growth import find_shortage, grow_after, raise_to
from hpc_connector.allocation.limits import Policy
from hpc_connector.cluster.accounting import join_attempts, read_figures
from hpc_connector.cluster.limits import ask_place
from hpc_connector.cluster.site import Site
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.manifest import save_manifest

MIB = 1 << 20
WARN_S = 120
KILLED = "CANCELLED by 0"


def make_attempts(*rows):
    """Return attempts of two ranks on a node: elapsed, state, of the step, MaxRSS."""
    lines = []
    for elapsed_s, state, step, max_rss in rows:
        lines += [
            f"7|{state}|{elapsed_s}|00:01||0|1||n|x|x|10|cpu=2,mem=200M,node=1",
            f"7.batch|{state}|{elapsed_s}|00:01|5000K|0|1|1|n|x|x||",
            f"7.0|{step}|{elapsed_s}|00:01|{max_rss}|0|1|2|n|x|x||",
        ]
    return read_figures("\n".join(lines))


@pytest.mark.parametrize(
    ("row", "short"),
    [
        ((30, "RUNNING", "OUT_OF_MEMORY", "90M"), "OUT_OF_MEMORY"),
        ((30, "OUT_OF_MEMORY", "FAILED", "90M"), "OUT_OF_MEMORY"),
        ((30, "RUNNING", KILLED, "150M"), "OUT_OF_MEMORY"),  # 300 MiB of 200
        ((30, "RUNNING", KILLED, "90M"), "RUNNING"),
        ((30, "RUNNING", "FAILED", "150M"), "RUNNING"),
        ((600, "TIMEOUT", "CANCELLED", "90M"), "TIMEOUT"),
        ((480, "RUNNING", "FAILED", "90M"), "TIMEOUT"),
        ((480, "REQUEUED", "FAILED", "90M"), "TIMEOUT"),
        ((400, "RUNNING", "FAILED", "90M"), "RUNNING"),
        ((480, "PREEMPTED", "CANCELLED", "90M"), "PREEMPTED"),
        ((480, "NODE_FAIL", "CANCELLED", "90M"), "NODE_FAIL"),
        ((480, "COMPLETED", "COMPLETED", "90M"), "COMPLETED"),
    ],
)
def test_find_shortage(row, short):
    (attempt,) = make_attempts(row)
    assert find_shortage(attempt, WARN_S) == short


def test_grow_after__memory_by_what_was_given_or_used():
    killed = (30, "RUNNING", KILLED, "150M")
    more = grow_after(make_attempts(killed), Policy(), WARN_S)
    assert more.mem_bytes == int(1.1 * 300 * MIB)
    assert more.time_s == 600
    assert more.reasons[0].startswith("job 7 ran out of memory, 209,715,200 bytes")
    quiet = (30, "RUNNING", "OUT_OF_MEMORY", "1M")
    assert grow_after(make_attempts(quiet), Policy(), WARN_S).mem_bytes == 300 * MIB


def test_grow_after__time_alone():
    more = grow_after(make_attempts((600, "TIMEOUT", "x", "9M")), Policy(), WARN_S)
    assert (more.mem_bytes, more.time_s) == (200 * MIB, 1200)


def test_join_attempts__keeps_what_was_asked_for_then():
    (killed,) = make_attempts((30, "RUNNING", KILLED, "150M"))
    now = [killed | {"state": "REQUEUED", "node_mem_bytes": 330 * MIB}]
    now += [killed | {"start": "y", "node_mem_bytes": 330 * MIB}]
    first, second = join_attempts([killed], now)
    assert (first["state"], first["node_mem_bytes"]) == ("REQUEUED", 200 * MIB)
    assert find_shortage(first, WARN_S) == "OUT_OF_MEMORY"
    assert second["node_mem_bytes"] == 330 * MIB


def test_join_attempts__takes_a_limit_that_was_not_known_at_first():
    """As where a job is queued again before its start has come to the accounting."""
    (early,) = make_attempts((2, "REQUEUED", KILLED, "150M"))
    late = early | {"limit_s": 1200}
    (found,) = join_attempts([early | {"limit_s": 0}], [late])
    assert found["limit_s"] == 1200
    (found,) = join_attempts([early], [late])
    assert found["limit_s"] == early["limit_s"] == 600


def test_grow_after__counts_what_ran_short_in_a_row():
    killed = (30, "RUNNING", KILLED, "150M")
    fine = (30, "PREEMPTED", "CANCELLED", "9M")
    attempts = make_attempts(killed, killed, fine, killed, killed, killed)
    grow_after(attempts, Policy(), WARN_S)
    with pytest.raises(
        BadInput,
        match="memory ran short 4 times in a row: the policy tries again 3 times",
    ):
        grow_after([*attempts, attempts[0]], Policy(), WARN_S)
    assert grow_after([*attempts, attempts[2]], Policy(), WARN_S).mem_bytes == 200 * MIB


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())


def save_run(folder, *rows, status="running"):
    folder.mkdir(exist_ok=True)
    save_manifest(folder, {"status": status, "slurm": make_attempts(*rows)})


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        ((30, "RUNNING", KILLED, "150M"), 137, "MinMemoryNode=330\n"),
        ((480, "RUNNING", "FAILED", "9M"), 75, "TimeLimit=20\n"),
        ((480, "RUNNING", "FAILED", "9M"), 1, ""),  # a failure near the end of its time
        ((30, "RUNNING", "FAILED", "9M"), 75, ""),
    ],
)
def test_grow__prints_what_scontrol_takes(tmp_path, capsys, row, code, said):
    save_run(tmp_path, row)
    words = ["telemetry", "grow", "--code", str(code), "run", "x", "--out"]
    assert main([*words, str(tmp_path)]) == 0
    assert capsys.readouterr().out == said


def test_grow__says_that_the_policy_gives_no_more(tmp_path, capsys):
    save_run(tmp_path / "out", (30, "RUNNING", KILLED, "150M"))
    policy = tmp_path / "policy.toml"
    policy.write_text('most_mem = "200M"\n')
    words = ["telemetry", "grow", "--policy", str(policy), "run", "--out"]
    assert main([*words, str(tmp_path / "out")]) == cli.BAD_INPUT
    assert "no more than 209,715,200 bytes may be given" in capsys.readouterr().err


def test_grow__of_no_run_says_nothing(tmp_path, capsys):
    assert main(["telemetry", "grow", "run", "--out", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("job", "own_mib"),
    [
        ("7|RUNNING|9|00:01||0|1||n|x|x|10|cpu=2,mem=200M,node=1", "0"),
        ("7|PENDING|9|00:01||0|0||n|x|x||", "200"),  # accounting is late
    ],
)
def test_grow__of_a_job_that_was_killed_before_its_run_began(
    tmp_path, capsys, monkeypatch, job, own_mib
):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", own_mib)
    figures = f"{job}\n7.0|CANCELLED by 0|9|00:01|150M|0|1|2|n|x|x||\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(figures))
    words = ["telemetry", "grow", "--code", "137", "run", "--out", str(tmp_path / "o")]
    assert main(words) == 0
    assert capsys.readouterr().out == "MinMemoryNode=330\n"


def test_raise_to__leaves_what_the_user_gives(tmp_path):
    save_run(tmp_path, (30, "RUNNING", KILLED, "150M"))
    chosen, free = Allocation(1, 2, 1, 100 * MIB, 600), Allocation()
    place = ask_place(Site())
    more = raise_to(chosen, free, tmp_path, Policy(), place, WARN_S)
    assert (more.mem_bytes, more.time_s) == (330 * MIB, 600)
    often = [(30, "RUNNING", KILLED, "150M")] * 9
    save_run(tmp_path, *often)
    asked = Allocation(mem_bytes=1)
    assert raise_to(asked, asked, tmp_path, Policy(), place, WARN_S) == asked
    with pytest.raises(BadInput, match="ran short 9 times"):
        raise_to(chosen, free, tmp_path, Policy(), place, WARN_S)
    save_run(tmp_path, (30, "RUNNING", KILLED, "150M"), status="done")
    assert raise_to(chosen, free, tmp_path, Policy(), place, WARN_S) == chosen
