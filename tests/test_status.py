"""What runs do now: by squeue, by sacct, and by their own files without Slurm."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from hpc_connector.cluster.queue import ask_queue, explain_reason, find_job, read_queue
from hpc_connector.cluster.record import save_job
from hpc_connector.cluster.state import get_states
from hpc_connector.commands.main import main
from hpc_connector.locks.holder import describe_process
from hpc_connector.manifest import read_manifest, save_manifest
from hpc_connector.pipeline.ledger import save_ledger
from hpc_connector.pipeline.progress import begin_tasks, read_progress
from programs import make_command
from slurm_fakes import list_calls, put_programs

GONE = (1, "slurm_load_jobs error: Invalid job id specified\n")
SILENT = (1, "slurm_load_jobs error: Unable to contact slurm controller\n")
EARLY, LATE = "2026-11-29T10:00:00+00:00", "2026-11-29T12:00:00+00:00"


def make_run(folder, job="", status="running", started=LATE, **more):
    """Make the manifest of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"program": "mdr-epistasis", "status": status, "job": job, "attempt": 2}
    save_manifest(folder, record | {"started": started} | more)
    return folder


def make_job(folder, job, submitted=EARLY, log="x.out"):
    """Make the job.json of a run."""
    record = {"job": job, "program": "mdr-epistasis", "arguments": ["run"]}
    save_job(folder, record | {"log": str(log), "submitted": submitted})
    return folder


def make_ledger(folder, tasks, done, before=0, ago_s=100.0):
    """Make the ledger of a run whose tasks have begun a while ago."""
    record = read_manifest(folder)
    begin_tasks(folder, record, tasks, before)
    record["progress"]["since_s"] -= ago_s
    save_manifest(folder, record)
    (folder / "ledger").mkdir()
    save_ledger(folder / "ledger/0001-000.npz", range(done), {"found": np.zeros(3)})


def ask(*words, capsys):
    """Return code, what is printed and what is said."""
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def see(*words, capsys):
    """Return the objects of ``status --json``."""
    code, out, _ = ask("status", "--json", *words, capsys=capsys)
    assert code == 0
    return json.loads(out)


# ---- squeue


def test_read_queue__of_elements_and_reasons_with_commas():
    found = read_queue(
        "12_0|15|RUNNING|9:58|2026-01-01T00:00:00|node[1-2]|None\n"
        "12_3|12|PENDING|1-00:00:00|N/A||ReqNodeNotAvail, UnavailableNodes:node[1|2]\n"
        "13_[0-5%2]|13|PENDING|UNLIMITED|N/A||JobArrayTaskLimit\n"
        "14|14|RUNNING|INVALID|2026-01-01T00:00:00|node1|None\nslurm: hello\n"
    )
    assert (found["12_0"].left_s, found["15"].job) == (598, "12_0")
    assert found["12_3"].reason == "ReqNodeNotAvail, UnavailableNodes:node[1|2]"
    assert (found["12_3"].left_s, found["12_3"].starts) == (86400, "")
    assert find_job(found, "13_4").reason == "JobArrayTaskLimit"
    assert (found["13_[]"].left_s, found["14"].left_s) == (None, None)
    assert find_job(found, "99") is None


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Priority", "others are before it"),
        ("Resources", "it is next"),
        ("Dependency", "waits for another job"),
        ("DependencyNeverSatisfied", "never start"),
        ("QOSMaxWallDurationPerJobLimit", "--time is more than the QOS"),
        ("QOSMaxJobsPerUserLimit", "jobs of yours"),
        ("QOSMaxCpuPerJobLimit", "more than the QOS gives a job"),
        ("PartitionTimeLimit", "--time is more than the partition"),
        ("AssocGrpCPUMinutesLimit", "hours of the account"),
        ("AssocMaxJobsLimit", "the account"),
        ("launch failed requeued held", "only the site"),
        ("ReqNodeNotAvail, UnavailableNodes:node1", "down, drained or reserved"),
        ("BeginTime", "queued again"),
        ("SomethingNew", ""),
    ],
)
def test_explain_reason(reason, words):
    assert words in explain_reason(reason)
    assert bool(words) == bool(explain_reason(reason))


def test_ask_queue__asks_once_and_knows_silence(tmp_path, monkeypatch):
    line = "{0}|{0}|RUNNING|1:00|N/A|node1|None\n"
    put_programs(monkeypatch, tmp_path, squeue=line.format(5) + line.format(6))
    assert sorted(ask_queue(["6", "5", "6", "", "7; rm -rf", "-x"])) == ["5", "6"]
    (call,) = list_calls(tmp_path, "squeue")
    assert "--jobs 5,6 " in call
    for said, found in ((GONE, {}), (SILENT, None), (None, None)):
        put_programs(monkeypatch, tmp_path, squeue=said)
        assert ask_queue(["5"]) == found


def test_ask_queue__shows_also_what_the_user_likes_not_to_see(tmp_path, monkeypatch):
    put_programs(monkeypatch, tmp_path)
    text = (
        '#!/bin/sh\n[ "$SQUEUE_PARTITION$SLURM_TIME_FORMAT" ] || echo "7|7|RUNNING||||"'
    )
    (tmp_path / "squeue").write_text(text)
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("SQUEUE_PARTITION", "acc")
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    assert ask_queue(["7"])["7"].state == "RUNNING"


# ---- states


def test_status__of_a_job_that_waits_says_why(tmp_path, monkeypatch, capsys):
    make_job(tmp_path / "a", "7")
    line = "7|7|PENDING|10:00|2026-01-01T03:00:00||QOSMaxWallDurationPerJobLimit\n"
    put_programs(monkeypatch, tmp_path / "bin", squeue=line)
    code, out, _ = ask("status", tmp_path / "a", capsys=capsys)
    assert code == 0
    assert re.search("7 +PENDING", out)
    assert "QOSMaxWallDurationPerJobLimit: --time is more than the QOS gives" in out
    assert "start at 2026-01-01T03:00:00" in out
    (found,) = see(tmp_path / "a", capsys=capsys)
    assert (found["state"], found["told_by"]) == ("PENDING", "squeue")
    assert (found["limit_left_s"], found["is_over"]) == (None, False)


def test_status__of_a_job_that_runs(tmp_path, monkeypatch, capsys):
    log = tmp_path / "7.out"
    log.write_bytes(b"first\n\x1b[31mred\x1b[0m\n5 of 9\r6 of 9\n\xff last\n" + b"\n")
    make_job(make_run(tmp_path / "a", "7"), "7", log=log)
    make_ledger(tmp_path / "a", tasks=100, done=40, before=20)
    line = "7|7|RUNNING|5:00|2026-01-01T03:00:00|node1|None\n"
    put_programs(monkeypatch, tmp_path / "bin", squeue=line)
    (found,) = see(tmp_path / "a", "--lines", 3, capsys=capsys)
    assert (found["tasks"], found["tasks_done"], found["attempts"]) == (100, 40, 2)
    assert 300 <= found["left_s"] < 310  # 20 tasks of this attempt in 100 s
    assert (found["limit_left_s"], found["nodes"]) == (300, "node1")
    assert "will not end within the limit" in found["notes"][0]
    assert found["last_lines"] == ["5 of 9", "6 of 9", "� last"]
    code, out, _ = ask("status", tmp_path / "a", "--lines", 1, capsys=capsys)
    assert code == 0
    assert re.search("RUNNING +40 of 100 +5 min . s +5 min 0 s +2", out)
    assert out.endswith("    | � last\n")


def test_status__fits_100_columns(tmp_path, monkeypatch, capsys):
    folder = tmp_path / ("long" * 30) / "name"
    log = tmp_path / "log"
    log.write_text("word " * 99 + "\n")
    make_job(make_run(folder, "123456789"), "123456789_12345", log=log)
    make_ledger(folder, tasks=12_345_678, done=3)
    line = "123456789_12345|5|PENDING|5:00|N/A||ReqNodeNotAvail, "
    put_programs(monkeypatch, tmp_path / "bin", squeue=line + "node, " * 50 + "\n")
    _, out, _ = ask("status", tmp_path, capsys=capsys)
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("job", "sacct", "number", "state"),
    [
        ("7", "7|7|CANCELLED by 1000\n", "7", "CANCELLED"),
        ("7", "7|7|TIMEOUT\n", "7", "TIMEOUT"),
        ("7_2", "7_1|9|COMPLETED\n7_2|7|OUT_OF_MEMORY\n", "7_2", "OUT_OF_MEMORY"),
        ("7_2", "7_[0-5%2]|7|CANCELLED by 0\n", "7_2", "CANCELLED"),
    ],
)
@pytest.mark.parametrize("squeue", [GONE, SILENT, None])
def test_status__by_sacct(
    job, sacct, number, state, squeue, tmp_path, monkeypatch, capsys
):
    make_job(tmp_path / "a", job)
    put_programs(monkeypatch, tmp_path / "bin", squeue=squeue, sacct=sacct)
    (found,) = see(tmp_path / "a", capsys=capsys)
    assert (found["job"], found["state"]) == (number, state)
    assert (found["told_by"], found["is_over"]) == ("sacct", True)


def test_status__of_an_element_by_its_own_number(tmp_path, monkeypatch, capsys):
    """The manifest has the number of the element alone, as its job is told."""
    make_job(make_run(tmp_path / "a", job="15"), "12_3")
    put_programs(monkeypatch, tmp_path / "bin", sacct="12_3|15|FAILED\n")
    assert see(tmp_path / "a", capsys=capsys)[0]["job"] == "12_3"


@pytest.mark.parametrize(
    ("submitted", "begun", "started", "shown"),
    [
        ("9", "7", EARLY, "9"),  # it was submitted again
        ("7", "9", LATE, "9"),  # somebody ran sbatch
        ("7", "", LATE, ""),  # it goes on without Slurm
        ("7", "7", "no time", "7"),
    ],
)
def test_status__of_the_job_that_came_last(
    submitted, begun, started, shown, tmp_path, monkeypatch, capsys
):
    run = make_run(tmp_path / "a", begun, status="stopped", started=started)
    make_job(run, submitted, submitted="2026-11-29T11:00:00+00:00")
    put_programs(monkeypatch, tmp_path / "bin")
    assert see(run, capsys=capsys)[0]["job"] == shown


@pytest.mark.parametrize(
    ("status", "state"), [("done", "COMPLETED"), ("stopped", "stopped")]
)
def test_status__without_slurm(status, state, tmp_path, monkeypatch, capsys):
    put_programs(monkeypatch, tmp_path / "bin")
    make_run(tmp_path / "a", status=status)
    make_ledger(tmp_path / "a", tasks=9, done=4)
    (found,) = see(tmp_path / "a", capsys=capsys)
    assert (found["state"], found["told_by"]) == (state, "manifest.json")
    assert found["tasks_done"] == (9 if status == "done" else 4)
    assert (found["job"], found["left_s"]) == ("", None)


def test_status__by_the_account_of_the_job(tmp_path, monkeypatch, capsys):
    put_programs(monkeypatch, tmp_path / "bin", squeue=GONE)
    attempts = [{"job": "7", "state": "REQUEUED"}, {"job": "7", "state": "NODE_FAIL"}]
    make_run(tmp_path / "a", "7", slurm=attempts)
    (found,) = see(tmp_path / "a", capsys=capsys)
    assert (found["state"], found["told_by"]) == ("NODE_FAIL", "manifest.json")


def test_status__of_a_process_that_lives_and_one_that_is_gone(
    tmp_path, monkeypatch, capsys
):
    put_programs(monkeypatch, tmp_path / "bin")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name, lock, state in (
        ("a", {}, "RUNNING"),
        ("b", {"pid": ended.pid}, "killed"),
        ("c", {"birth": "1"}, "killed"),  # another process has its number now
        ("d", {"host": "elsewhere", "pid": ended.pid}, "RUNNING"),
    ):
        make_run(tmp_path / name)
        lock = describe_process() | lock
        (tmp_path / name / "running.json").write_text(json.dumps(lock))
        (found,) = see(tmp_path / name, capsys=capsys)
        assert (found["state"], found["told_by"]) == (state, "running.json")
    make_run(tmp_path / "e")
    assert see(tmp_path / "e", capsys=capsys)[0]["state"] == "killed"


def test_status__of_a_run_in_an_allocation_that_goes_on(tmp_path, monkeypatch, capsys):
    line = "7|7|RUNNING|5:00|2026-01-01T03:00:00|node1|None\n"
    put_programs(monkeypatch, tmp_path / "bin", squeue=line)
    make_run(tmp_path / "a", "7", status="done")
    assert see(tmp_path / "a", capsys=capsys)[0]["state"] == "COMPLETED"
    make_run(tmp_path / "b", "7", status="running")
    assert see(tmp_path / "b", capsys=capsys)[0]["state"] == "RUNNING"


ANYTHING = ["null", "[]", '"x"', "3", "", "{", "[" * 99999, '{"format_version": 1}']


@pytest.mark.parametrize("name", ["job.json", "manifest.json", "running.json"])
@pytest.mark.parametrize("text", ANYTHING)
def test_status__of_files_that_hold_anything(name, text, tmp_path, monkeypatch, capsys):
    put_programs(monkeypatch, tmp_path / "bin")
    make_run(tmp_path / "a", status="running")
    (tmp_path / "a" / name).write_text(text)
    code, out, _ = ask("status", tmp_path / "a", capsys=capsys)
    assert code == 0
    assert name in out or text == ANYTHING[-1]


def test_status__of_all_below_here(tmp_path, monkeypatch, capsys):
    lines = "".join(f"{k}|{k}|RUNNING|5:00|N/A|node1|None\n" for k in range(1, 3))
    put_programs(monkeypatch, tmp_path / "bin", squeue=lines)
    make_job(tmp_path / "a", "1")
    make_job(tmp_path / "deep/b", "2")
    make_run(tmp_path / "deep/c", status="done")
    make_job(tmp_path / "too/deep/for/this", "3")
    monkeypatch.chdir(tmp_path)
    found = see(capsys=capsys)
    assert [one["run"] for one in found] == ["a", "deep/b", "deep/c"]
    assert len(list_calls(tmp_path / "bin", "squeue")) == 1


@pytest.mark.parametrize("command", ["status", "cancel", "logs"])
def test_status__of_a_folder_that_holds_no_run(command, tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "none"):
        code, _, err = ask(command, folder, capsys=capsys)
        assert (code, err.count("\n")) == (2, 1)
        assert f"{folder} holds no run: expected" in err


def test_status__watches_until_all_are_over(tmp_path, monkeypatch, capsys):
    put_programs(monkeypatch, tmp_path / "bin", squeue=GONE, sacct="7|7|FAILED\n")
    make_job(tmp_path / "a", "7")
    lines = ["PENDING", "RUNNING"]

    def sleep(_):
        said = f"7|7|{lines.pop()}|5:00|N/A|node1|None\n" if lines else GONE
        put_programs(monkeypatch, tmp_path / "bin", squeue=said, sacct="7|7|FAILED\n")

    put_programs(monkeypatch, tmp_path / "bin", squeue="7|7|PENDING|5:00|N/A||None\n")
    own_time = SimpleNamespace(sleep=sleep)
    monkeypatch.setattr("hpc_connector.commands.status.time", own_time)
    code, out, _ = ask("status", "--watch", "--json", tmp_path / "a", capsys=capsys)
    states = [json.loads(line)[0]["state"] for line in out.splitlines()]
    assert (code, states) == (0, ["PENDING", "RUNNING", "PENDING", "FAILED"])


def test_status__watching_ends_on_ctrl_c(tmp_path):
    make_run(tmp_path / "a")
    lock = {"host": socket.gethostname(), "pid": os.getpid()}
    (tmp_path / "a/running.json").write_text(json.dumps(lock))
    code = "import sys; from hpc_connector.commands.main import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "status", "--watch", str(tmp_path / "a")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("run ")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(60) == 0


# ---- progress


def test_progress__of_a_run_that_is_stopped_and_goes_on(simulated, tmp_path, capsys):
    """The programs themselves record what status reads."""
    out = tmp_path / "out"
    run = [f"{simulated}.bed", "--permutations", 300, "--quiet", "--out", out]
    with subprocess.Popen(make_command(1, *run, hold=1)) as process:
        while len(list((out / "ledger").glob("*.npz"))) < 1:
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
    (state,) = get_states([out])
    assert state.state == "stopped"
    assert 0 < state.tasks_done < state.tasks
    record = read_manifest(out)
    assert record["command"].startswith(f"mdr-epistasis run {simulated}.bed ")
    assert f" --out {out}" in record["command"]
    assert record["progress"]["done_before"] == 0
    done = subprocess.run(make_command(1, *run, "--resume"))
    assert done.returncode == 0
    record = read_manifest(out)
    assert record["progress"]["done_before"] == state.tasks_done
    assert read_progress(out, record).done == state.tasks == record["search"]["tasks"]


@pytest.mark.parametrize(
    ("done", "before", "left_s"),
    [(2, 0, None), (10, 8, None), (20, 10, 180), (200, 0, 0)],
)
def test_read_progress__at_the_rate_of_this_attempt(done, before, left_s, tmp_path):
    """The first tasks wait for kernels to be compiled: they tell no rate."""
    make_run(tmp_path / "a")
    make_ledger(tmp_path / "a", 200, done, before, ago_s=10)
    (tmp_path / "a/ledger/0002.npz").write_bytes(b"PK cut")
    found = read_progress(tmp_path / "a", read_manifest(tmp_path / "a"))
    assert (found.tasks, found.done) == (200, done)
    assert found.left_s == (left_s if not left_s else pytest.approx(left_s, rel=0.1))


@pytest.mark.parametrize("figure", ["1e999", "-5", '"x"', "null", "NaN"])
@pytest.mark.parametrize("name", ["tasks", "done_before", "since_s"])
def test_read_progress__of_figures_that_cannot_be(figure, name, tmp_path):
    make_run(tmp_path / "a")
    make_ledger(tmp_path / "a", 200, 20)
    record = read_manifest(tmp_path / "a")
    record["progress"][name] = json.loads(figure)
    if (figure, name) != ("-5", "since_s"):
        assert read_progress(tmp_path / "a", record) is None


# ---- cancel and logs


@pytest.mark.parametrize("job", ["--user=root", "7 8", "all", "7_[1-3]"])
def test_cancel__of_what_is_no_job(job, tmp_path, monkeypatch, capsys):
    """A record that somebody else wrote names no option of scancel."""
    programs = {"squeue": SILENT, "scancel": "", "scontrol": ""}
    put_programs(monkeypatch, tmp_path / "bin", **programs)
    make_job(tmp_path / "a", job)
    code, _, err = ask("cancel", tmp_path / "a", capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert not list_calls(tmp_path / "bin", "scancel")


@pytest.mark.parametrize("log", ["/dev/zero", "pipe", ".", "a\0b", "x" * 9999])
def test_status__whose_log_is_no_file(log, tmp_path, monkeypatch, capsys):
    """A pipe or a device may have no end."""
    put_programs(monkeypatch, tmp_path / "bin", squeue=SILENT)
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    make_job(tmp_path / "a", "7", log=log)
    assert see("a", capsys=capsys)[0]["last_lines"] == []
    code, _, err = ask("logs", "a", capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "is no file" in err or "is not there" in err


@pytest.mark.parametrize("command", ["status", "logs", "cancel", "inspect"])
def test_status__of_the_folder_of_another_user(command, tmp_path):
    """Not even root may look there, without that right."""
    (tmp_path / "his").mkdir()
    rights = "-dac_override,-dac_read_search"
    if os.geteuid() == 0:
        os.chown(tmp_path / "his", 65534, -1)
        launch = ["setpriv", f"--inh-caps={rights}", f"--bounding-set={rights}"]
    else:
        launch = []
    (tmp_path / "his").chmod(0)
    words = [sys.executable, "-m", "hpc_connector", command, tmp_path / "his"]
    done = subprocess.run([*launch, *words], capture_output=True, text=True)
    (tmp_path / "his").chmod(0o700)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"cannot read {tmp_path}/his/" in done.stderr


def test_status__on_a_terminal_that_has_not_all_letters(tmp_path, monkeypatch):
    put_programs(monkeypatch, tmp_path / "bin", squeue=SILENT)
    (tmp_path / "7.out").write_text("Ω = 0.05\n", encoding="utf-8")
    make_job(tmp_path / "a", "7", log=tmp_path / "7.out")
    command = [sys.executable, "-m", "hpc_connector", "status", tmp_path / "a"]
    place = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=place, capture_output=True, check=True)
    assert b"| ? = 0.05" in done.stdout


def test_cancel__the_job_of_an_element(tmp_path, monkeypatch, capsys):
    line = "7_3|9|RUNNING|5:00|2026-01-01T03:00:00|node1|None\n"
    programs = {"squeue": line, "scancel": "", "scontrol": ""}
    put_programs(monkeypatch, tmp_path / "bin", **programs)
    make_job(tmp_path / "a", "7_3")
    code, out, _ = ask("cancel", tmp_path / "a", capsys=capsys)
    assert (code, out.count("\n")) == (0, 1)
    assert "job 7_3 was RUNNING: cancelled" in out
    assert list_calls(tmp_path / "bin", "scancel") == ["7_3"]
    asked = list_calls(tmp_path / "bin", "scontrol")
    assert asked == ["update JobId=7_3 Requeue=0"]  # or its script would undo it


def test_cancel__of_a_run_that_is_over(tmp_path, monkeypatch, capsys):
    programs = {"squeue": GONE, "sacct": "7|7|TIMEOUT\n", "scancel": ""}
    put_programs(monkeypatch, tmp_path / "bin", **programs)
    make_job(tmp_path / "a", "7")
    make_run(tmp_path / "b", status="done")
    code, out, _ = ask("cancel", tmp_path / "a", tmp_path / "b", capsys=capsys)
    assert code == 0
    assert "job 7 is over (TIMEOUT)" in out.splitlines()[0]
    assert "is over (COMPLETED)" in out.splitlines()[1]
    assert not list_calls(tmp_path / "bin", "scancel")


@pytest.mark.parametrize(
    ("scancel", "words"),
    [
        ((1, "scancel: error: Kill job error: Access denied\n"), "Access denied"),
        (None, "scancel is not here"),
    ],
)
def test_cancel__that_slurm_refuses(scancel, words, tmp_path, monkeypatch, capsys):
    line = "7|7|RUNNING|5:00|N/A|node1|None\n"
    put_programs(monkeypatch, tmp_path / "bin", squeue=line, scancel=scancel)
    make_job(tmp_path / "a", "7")
    code, _, err = ask("cancel", tmp_path / "a", capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert words in err


def test_cancel__of_a_process_names_it(tmp_path, monkeypatch, capsys):
    put_programs(monkeypatch, tmp_path / "bin")
    make_run(tmp_path / "a")
    lock = {"host": socket.gethostname(), "pid": os.getpid()}
    (tmp_path / "a/running.json").write_text(json.dumps(lock))
    code, _, err = ask("cancel", tmp_path / "a", capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert f"process {os.getpid()} on" in err


def test_logs__of_all_attempts(tmp_path, monkeypatch, capsysbinary):
    put_programs(monkeypatch, tmp_path / "bin", squeue=GONE, sacct="7|7|COMPLETED\n")
    log = tmp_path / "7.out"
    log.write_bytes(b"one\ntwo \xff\nthree\n")
    make_job(tmp_path / "a", "7", log=log)
    for options, said in (
        ([], b"one\ntwo \xff\nthree\n"),
        (["--lines", "2"], b"two \xff\nthree\n"),
        (["--lines", "0"], b""),
        (["--follow", "--lines", "1"], b"three\n"),
    ):
        assert main(["logs", str(tmp_path / "a"), *options]) == 0
        assert capsysbinary.readouterr().out == said


def test_logs__follow_what_comes(tmp_path, monkeypatch, capsysbinary):
    line = "7|7|RUNNING|5:00|N/A|node1|None\n"
    put_programs(monkeypatch, tmp_path / "bin", squeue=line)
    log = tmp_path / "7.out"
    make_job(tmp_path / "a", "7", log=log)
    more = [b"one\n", b"two", b"\nthree\n"]

    def sleep(_):
        if more:
            with open(log, "ab") as stream:
                stream.write(more.pop(0))
        else:
            put_programs(monkeypatch, tmp_path / "bin", sacct="7|7|FAILED\n")

    own_time = SimpleNamespace(sleep=sleep)
    monkeypatch.setattr("hpc_connector.commands.logs.time", own_time)
    assert main(["logs", str(tmp_path / "a"), "--follow"]) == 0
    assert capsysbinary.readouterr().out == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("options", [[], ["--lines", 3]])
def test_logs__that_are_not_there(options, tmp_path, monkeypatch, capsys):
    line = "7|7|PENDING|5:00|N/A||Priority\n"
    put_programs(monkeypatch, tmp_path / "bin", squeue=line)
    make_job(tmp_path / "a", "7", log=tmp_path / "7.out")
    code, _, err = ask("logs", tmp_path / "a", *options, capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{tmp_path}/7.out is not there: job 7 is PENDING (Priority)" in err
    make_run(tmp_path / "b")
    code, _, err = ask("logs", tmp_path / "b", capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "expected job.json with its log" in err
