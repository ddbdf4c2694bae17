"""What can go wrong while a run is under way, and what is left of it."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mdr_epistasis.program import main
from programs import (
    assert_same,
    check_end_after,
    get_end,
    make_command,
    wait_for,
)

SEARCH = ["--folds", "3", "--permutations", "17", "--top", "50", "--all-models"]
HEADROOM_BYTES = 80_000_000  # the genotypes of `wide` take more


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Return the options of a search that takes seconds."""
    prefix = tmp_path_factory.mktemp("faults") / "cohort"
    options = "--variants 1200 --individuals 500 --heritability 0.1 --maf 0.3 --seed 2"
    assert main(["simulate", "--out", str(prefix), *options.split()]) == 0
    return [f"{prefix}.bed", *SEARCH]


@pytest.fixture(scope="session")
def reference(cohort, tmp_path_factory):
    """Return the results of the search, undisturbed, and the seconds it took."""
    out = tmp_path_factory.mktemp("faults") / "out"
    start_s = time.monotonic()
    assert get_end(make_command(1, *cohort, "--out", out))[0] == 0
    return out, time.monotonic() - start_s


@pytest.mark.parametrize(
    ("ranks", "threads", "seed"), [(1, 1, 1), (1, 2, 2), (2, 1, 3), (2, 1, 4)]
)
def test_run__same_bytes_after_signals_at_random_moments(
    cohort, reference, tmp_path, ranks, threads, seed
):
    out, (expected, takes_s) = tmp_path / "out", reference
    chance = random.Random(seed)
    command = make_command(ranks, *cohort, "--out", out, "--threads", threads)
    codes = []
    while not codes or codes[-1] != 0:
        number = chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
        delay_s = chance.uniform(0.2, takes_s * (1 + len(codes) / 4))
        code = check_end_after([*command, "--resume"], delay_s, number, out)
        codes.append(code)
        assert len(codes) < 30, codes
    assert json.loads((out / "manifest.json").read_text())["status"] == "done"
    assert_same(out, expected)


@pytest.fixture
def killed(cohort, tmp_path):
    """Return the folder of a run that was killed half-way, and how to go on."""
    out = tmp_path / "out"
    command = [*cohort, "--out", out]
    held = make_command(1, *command, hold=8)
    process = subprocess.Popen(held, stderr=subprocess.DEVNULL)
    wait_for(lambda: len([*out.glob("ledger/*.npz"), *out.glob("all_models/*")]) > 5)
    process.kill()
    process.wait()
    assert not (out / "models.tsv").exists()
    return out, make_command(1, *command, "--resume")


@pytest.mark.parametrize("size", [0, 1000, -1])
def test_run__resumes_with_a_damaged_ledger(killed, reference, size):
    out, resume = killed
    (ledger,) = out.glob("ledger/*.npz")
    ledger.write_bytes(ledger.read_bytes()[:size])
    code, lines, _ = get_end(resume)
    assert code == 0
    assert "is damaged, its tasks run again" in lines[0]
    assert_same(out, reference[0])


def test_run__resumes_with_damaged_tiles(killed, reference):
    out, resume = killed
    empty, cut, lost = sorted(out.glob("all_models/*.h5"))[:3]
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:-100])
    lost.unlink()
    assert get_end(resume)[:2] == (0, [])
    assert_same(out, reference[0])


def test_run__does_not_repeat_a_complete_run(cohort, tmp_path):
    command = make_command(1, *cohort, "--out", tmp_path, "--permutations", "0")
    assert get_end(command)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    code, lines, _ = get_end([*command, "--resume"])
    assert code == 0
    assert "is complete" in lines[-1]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("ending", ["bed", "bim", "fam"])
def test_run__refuses_to_resume_with_another_cohort(simulated, tmp_path, ending):
    names = [tmp_path / f"cohort.{e}" for e in ("bed", "bim", "fam")]
    for name in names:
        os.link(f"{simulated}{name.suffix}", name)
    command = make_command(1, names[0], "--out", tmp_path / "out")
    assert get_end(command)[0] == 0
    changed = tmp_path / f"cohort.{ending}"
    content = changed.read_bytes()
    changed.unlink()
    changed.write_bytes(content[:-9] + content[-9:].replace(b"1", b"2") + b"\n")
    code, lines, _ = get_end([*command, "--resume"])
    assert code == 2
    assert len(lines) == 1
    assert "cannot be resumed" in lines[0]
    assert changed.name in lines[0]


def test_run__refuses_to_resume_what_another_version_began(cohort, tmp_path):
    command = make_command(1, *cohort, "--out", tmp_path, "--permutations", "0")
    assert get_end(command)[0] == 0
    manifest = tmp_path / "manifest.json"
    record = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(record | {"version": "0.0.9"}))
    code, (line,), _ = get_end([*command, "--resume"])
    assert code == 2
    assert "cannot be resumed, for version was '0.0.9'" in line


@contextlib.contextmanager
def mount(path, size):
    """Mount a small disk, or skip the test where that is not allowed."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


# Full for the ledger, the tiles, results.h5, report.html
@pytest.mark.parametrize(
    ("size", "ranks"),
    [("4k", 1), ("16k", 2), ("1m", 1), ("1m", 2), ("3420k", 2), ("3640k", 1)],
)
def test_run__ends_cleanly_on_a_full_disk(cohort, reference, tmp_path, size, ranks):
    disk, out = tmp_path / "disk", tmp_path / "disk" / "out"
    with mount(disk, size):
        command = make_command(ranks, *cohort, "--out", out)
        code, lines, _ = get_end(command)
        assert (code, len(lines)) == (1, 1), lines
        assert "disk full" in lines[0]
        assert str(out) in lines[0]
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert get_end([*command, "--resume"])[:2] == (0, [])
        assert_same(out, reference[0])


def test_run__ends_cleanly_where_files_may_not_grow(cohort, reference, tmp_path):
    command = make_command(1, *cohort, "--out", tmp_path / "out")
    code, lines, _ = get_end(["prlimit", "--fsize=9000", *command])
    assert (code, len(lines)) == (1, 1), lines
    assert "disk full" in lines[0]
    assert get_end([*command, "--resume"])[:2] == (0, [])
    assert_same(tmp_path / "out", reference[0])


@pytest.fixture(scope="session")
def wide(tmp_path_factory):
    """Return a cohort of 75 MB, of few variants and all alike, and its options."""
    prefix = tmp_path_factory.mktemp("faults") / "wide"
    variants, individuals = 1500, 200_000
    rows = (f"1 v{v} 0 {v} A C\n" for v in range(variants))
    prefix.with_suffix(".bim").write_text("".join(rows))
    rows = (f"{i} {i} 0 0 0 {1 + i % 2}\n" for i in range(individuals))
    prefix.with_suffix(".fam").write_text("".join(rows))
    with open(prefix.with_suffix(".bed"), "wb") as stream:
        stream.write(b"\x6c\x1b\x01")
        stream.truncate(3 + variants * individuals // 4)
    return [f"{prefix}.bed", "--min-maf", "0", "--folds", "1", "--top", "10"]


# The peak of a small search, so that there is room for kernels
GET_PEAK = """
import contextlib, io, sys
from hpc_connector.partitioner.launch import get_mpicomm
from mdr_epistasis.program import main

with contextlib.redirect_stdout(io.StringIO()):
    assert main(sys.argv[1:]) == 0
peak = next(l for l in open("/proc/self/status") if l.startswith("VmPeak"))
get_mpicomm().Barrier()
print(peak.split()[1] + " ", end="")
"""
SMALL = Path(__file__).parent / "data/bitepi_plink_100snps_2000/bfile.bed"


@pytest.mark.parametrize("ranks", [1, 2])
def test_run__ends_cleanly_without_memory(wide, tmp_path, ranks):
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    small = ["run", SMALL, *wide[1:], "--quiet", "--out", tmp_path / "small"]
    peak = [*launch, sys.executable, "-c", GET_PEAK, *small]
    said = subprocess.check_output(peak, stderr=subprocess.DEVNULL)
    limit = 1024 * max(map(int, said.split())) + HEADROOM_BYTES // ranks
    command = make_command(ranks, *wide, "--out", tmp_path / "out")
    at = len(launch)
    limited = [*command[:at], "prlimit", f"--as={limit}", *command[at:]]
    code, lines, _ = get_end(limited)
    assert (code, len(lines)) == (1, 1), lines
    of_llvm = "LLVM ERROR: Unable to allocate"  # which ends a process by itself
    assert "out of memory" in lines[0] or lines[0].startswith(of_llvm)
    assert get_end([*command, "--resume"])[0] == 0
    assert (tmp_path / "out" / "models.tsv").exists()


def test_run__a_folder_that_cannot_be_written(cohort, tmp_path):
    disk, out = tmp_path / "disk", tmp_path / "disk" / "out"
    with mount(disk, "64m"):
        command = make_command(1, *cohort, "--out", out)
        held = make_command(1, *cohort, "--out", out, hold=2)
        process = subprocess.Popen(held, stderr=subprocess.DEVNULL)
        wait_for(lambda: any(out.glob("ledger/*.npz")))
        process.kill()
        process.wait()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for options in (["--resume"], ["--out", disk / "other"]):
            code, lines, _ = get_end([*command, *map(str, options)])
            assert (code, len(lines)) == (2, 1), lines
            assert "Read-only file system" in lines[0]


@pytest.mark.parametrize("ranks", [1, 2])
def test_run__a_folder_that_is_a_file(cohort, tmp_path, ranks):
    (tmp_path / "out").touch()
    for out in (tmp_path / "out", tmp_path / "out" / "below"):
        code, lines, _ = get_end(make_command(ranks, *cohort, "--out", out))
        assert (code, len(lines)) == (2, 1), lines
        assert "Not a directory" in lines[0]


def test_run__more_ranks_than_tasks(tmp_path):
    prefix = tmp_path / "tiny"
    options = f"--out {prefix} --variants 40 --individuals 100 --seed 1"
    options += " --heritability 0.1 --maf 0.3"
    assert main(["simulate", *options.split()]) == 0
    for ranks in (1, 4):
        command = make_command(ranks, f"{prefix}.bed", "--out", tmp_path / str(ranks))
        assert get_end(command)[:2] == (0, [])
    record = json.loads((tmp_path / "4" / "manifest.json").read_text())
    assert record["search"]["tasks"] == 1
    assert_same(tmp_path / "4", tmp_path / "1")


# One rank of some fails in the middle, while tasks would outlast all patience
FAILING = """
import os, signal, time
from hpc_connector import cli
from hpc_connector.partitioner.ending import abort_on_error
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.pipeline.ranks import run_on_ranks

comm = get_mpicomm()

def run_task(task, thread):
    time.sleep(0.02 if comm.rank == comm.size - 1 else {others_s})
    if comm.rank == comm.size - 1 and task >= 10:
        {failure}

with abort_on_error(comm, lambda error: cli.explain("program", error)):
    run_on_ranks(
        comm, run_task, range(10**6), lambda *_: None, threads={threads}
    )
"""


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        ("raise ValueError('no such cell')", "ValueError: no such cell"),
        ("raise OSError(5, 'Input/output error', 'x')", "program: [Errno 5]"),
        ("raise MemoryError", "program: out of memory"),
    ],
)
@pytest.mark.parametrize(
    ("ranks", "threads", "others_s"), [(1, 2, 0), (3, 1, 0.02), (2, 1, 3600)]
)
def test_run_on_ranks__one_that_raises_ends_all(
    failure, line, ranks, threads, others_s
):
    program = FAILING.format(failure=failure, threads=threads, others_s=others_s)
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    code, lines, _ = get_end([*launch, sys.executable, "-c", program])
    assert code == 1
    assert lines[-1].startswith(line)
    assert len(lines) == 1 or lines[0].startswith("Traceback")


def test_run_on_ranks__one_that_is_killed_ends_all():
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    program = FAILING.format(failure=kill, threads=1, others_s=3600)
    code, _, _ = get_end(["mpirun", "-n", "2", sys.executable, "-c", program])
    assert code != 0


def test_get_mpicomm__a_rank_that_never_starts_ends_all():
    start = "from hpc_connector.partitioner import get_mpicomm; get_mpicomm()"
    shell = (
        f'[ "$PMI_RANK" = 1 ] && exec sleep 3600; exec {sys.executable} -c "{start}"'
    )
    environment = os.environ | {"CONNECTOR_START_S": "30"}  # by then it has met mpirun
    code, lines, _ = get_end(["mpirun", "-n", "2", "sh", "-c", shell], env=environment)
    assert code == 1
    assert lines[0] == "Timeout (0:00:30)!"
    assert "start_mpi" in "".join(lines)


# Leaves a file as a rank is given no task: from then on none is left to any
TELLING = """
import os
from hpc_connector.pipeline import ranks

take = ranks.Queue.take

def take_and_tell(queue):
    task = take(queue)
    if task is None:
        open("no task is left", "w").close()
    return task

ranks.Queue.take = take_and_tell

def is_none_left():
    return os.path.exists("no task is left")
"""


# Every rank notes the tasks it ran. The first may stop itself after 30, which all wait
# for in their 30th
COUNTING = """
import os, signal, sys, threading, time
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.pipeline.ranks import run_on_ranks

comm = get_mpicomm()
done, is_stopped, once = [], threading.Event(), threading.Lock()
is_over = is_stopped.is_set if comm.rank == 0 else is_none_left

def run_task(task, thread):
    time.sleep(0.002)
    done.append(task)
    if {stops} and len(done) >= 30:
        if comm.rank == 0 and once.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGTERM)
        while not is_over():
            time.sleep(0.001)

saved = {{}}  # by thread, what it has saved last: all that it has finished
outcome = run_on_ranks(
    comm, run_task, range(2000), lambda at, tasks: saved.update({{at: list(tasks)}}),
    threads={threads}, is_stopped=is_stopped
)
is_done = outcome.is_done
assert is_done is not {stops}
everyone = sorted(task for tasks in comm.allgather(done) for task in tasks)
assert len(set(everyone)) == len(everyone)
assert sorted(task for tasks in saved.values() for task in tasks) == sorted(done)
assert (everyone == list(range(2000))) is is_done
assert is_done or comm.rank > 0 or {threads} > 1 or len(done) == 30
"""


@pytest.mark.parametrize("stops", [False, True], ids=["to the end", "stopped"])
@pytest.mark.parametrize(("ranks", "threads"), [(1, 1), (1, 3), (2, 1), (3, 2), (4, 1)])
def test_run_on_ranks__each_task_once(tmp_path, ranks, threads, stops):
    program = TELLING + COUNTING.format(threads=threads, stops=stops)
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command = [*launch, sys.executable, "-c", program]
    assert get_end(command, cwd=tmp_path)[:2] == (0, [])


# The last rank stops itself after three tasks, which all wait for in their third
STOPPING = """
import itertools, os, signal, sys, time
from hpc_connector.partitioner.launch import get_mpicomm
from mdr_epistasis import program, tasks

comm, bind, calls = get_mpicomm(), tasks.learner.bind_search, itertools.count(1)

def bind_and_wait(*known):
    search = bind(*known)

    def search_and_wait(*tile):
        search(*tile)
        if next(calls) < 3:
            return
        if comm.rank == comm.size - 1:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        while not is_none_left():
            time.sleep(0.01)

    return search_and_wait

tasks.learner.bind_search = bind_and_wait
sys.exit(program.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("ranks", "nodes"), [(1, 1), (2, 1), (3, 1), (4, 2)])
def test_run__same_bytes_after_a_stop_of_one_rank(
    cohort, reference, tmp_path, ranks, nodes
):
    apart = os.environ | {"MPIR_CVAR_NUM_CLIQUES": str(nodes)}
    options = ["run", *cohort, "--out", str(tmp_path / "out")]
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    program = [*launch, sys.executable, "-c", TELLING + STOPPING, *options]
    code, lines, _ = get_end(program, env=apart, cwd=tmp_path)
    assert code == 75, lines
    n_done = len(list(tmp_path.glob("out/all_models/*.h5")))
    assert 3 <= n_done <= 3 * ranks  # of 55
    resume = make_command(ranks, *options[1:], "--resume")
    assert get_end(resume, env=apart)[:2] == (0, [])
    assert_same(tmp_path / "out", reference[0])
