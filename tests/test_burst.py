"""Tasks in functions: each counts once, whatever functions do, with the same bytes."""

import json
import os
import random
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector import cli
from hpc_connector.allocation.cost import Cost
from hpc_connector.burst import package
from hpc_connector.burst.batching import Goal, count_affordable, count_excess, split
from hpc_connector.burst.config import Settings
from hpc_connector.burst.connection import Connection, Remote
from hpc_connector.burst.dispatch import Answer, Burst, PendingBatch
from hpc_connector.burst.plan import plan_burst
from hpc_connector.burst.worker import (
    Payload,
    decode_answer,
    encode_answer,
    run_payload,
)
from hpc_connector.commands.main import main as connector
from hpc_connector.errors import BadInput
from hpc_connector.pipeline.ledger import DAMAGED
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import list_names
from hpc_connector.telemetry.calls import read_calls
from mdr_epistasis.program import main as mdr
from mdr_epistasis.program import make_parser
from metabolite_annotation.program import main as annotate
from programs import PATIENCE_S, assert_same, get_end, wait_for, write_run
from s3 import ACCESS, BUCKET

DATA = Path(__file__).parent / "data"


class World:
    """Functions that fail, die, answer twice, late, or with what is not whole."""

    def __init__(self, tasks, chance, ways):
        self.tasks, self.chance, self.ways = list(tasks), chance, ways
        self.on_the_way = []
        self.accepted = []
        self.given_mb = []

    def take(self, burst):
        n = self.chance.randint(1, 5)
        batch, self.tasks = tuple(self.tasks[:n]), self.tasks[n:]
        return batch or None

    def send(self, batch, attempt, tasks, memory_mb):
        self.given_mb.append(memory_mb)
        way = self.chance.choice(self.ways)
        if way == "refused":
            raise OSError("no function")
        answers = {
            "good": [Answer(batch, attempt, tasks)],
            "twice": [Answer(batch, attempt, tasks)] * 2,
            "damaged": [Answer(batch, attempt, None)],
            "error": [Answer(batch, attempt, error="OSError: no space")],
            "short": [Answer(batch, attempt, error="MemoryError", is_short=True)],
            "dead": [],
        }
        self.on_the_way += answers[way]

    def receive(self):
        self.chance.shuffle(self.on_the_way)
        n = self.chance.randint(0, len(self.on_the_way))
        come, self.on_the_way = self.on_the_way[:n], self.on_the_way[n:]
        return come

    def grow(self, given_mb, attempt):
        return given_mb + 64 if given_mb < 640 else None

    def accept(self, batch, tasks, found):
        if found != tasks:
            raise ValueError("not whole")
        self.accepted += tasks
        return 1.0


def make_burst(world, patience_s, *, is_rank_free=False):
    functions = (world.take, world.send, world.receive, world.accept)
    return Burst(
        *functions,
        lambda: is_rank_free,
        lambda: 0.0,
        world.grow,
        3,
        512,
        tries=3,
        patience_s=patience_s,
        poll_s=0.0,
    )


WAYS = ["good", "twice", "damaged", "error", "short", "refused"]


@given(
    st.integers(0, 60),
    st.integers(0, 1 << 30),
    st.lists(st.sampled_from([*WAYS, "dead"]), min_size=1, max_size=6),
    st.booleans(),
)
def test_burst__every_task_counts_once_or_is_given_back(n, seed, ways, is_rank_free):
    world = World(range(n), random.Random(seed), ways)
    patience_s = 0.0 if "dead" in ways else 1e9
    burst = make_burst(world, patience_s, is_rank_free=is_rank_free)
    back = burst.run(lambda: False)
    assert sorted([*world.accepted, *back, *world.tasks]) == list(range(n))
    assert burst.usage.tasks_done == len(world.accepted)
    assert burst.usage.tasks_given_back == len(back)
    assert burst.usage.calls >= burst.usage.batches
    assert set(world.given_mb) <= ({512, 576, 640} if "short" in ways else {512})


def test_burst__gives_more_memory_after_a_function_ran_out_of_it_alone():
    world = World(range(12), random.Random(1), ["good"])
    burst = make_burst(world, 1e9)
    burst.workers = 1
    ways = iter(["error", "short", "refused", "short", *["good"] * 99])
    world.chance.choice = lambda _: next(ways)
    assert burst.run(lambda: False) == []
    assert world.given_mb[:5] == [512, 512, 576, 576, 640]
    assert set(world.given_mb[5:]) == {640}  # what the first batch has needed
    assert (burst.usage.grown_batches, burst.usage.failed_calls) == (1, 4)
    seconds = [1.0] * burst.usage.batches
    assert burst.usage.function_s == sum(seconds)
    assert burst.usage.gb_s == pytest.approx(640 / 1024 * sum(seconds))


def test_burst__gives_back_what_no_memory_is_enough_for():
    world = World(range(40), random.Random(1), ["short"])
    burst = make_burst(world, 1e9)
    back = burst.run(lambda: False)
    assert sorted([*back, *world.tasks]) == list(range(40))
    assert world.tasks  # it was seen that nothing works
    assert set(world.given_mb) == {512, 576, 640}
    assert burst.usage.calls == 3 * burst.usage.batches


def test_burst__goes_on_where_all_first_batches_ran_out_of_memory():
    world = World(range(90), random.Random(1), ["short"])
    world.chance.choice = lambda _: "good" if world.given_mb[-1] > 512 else "short"
    burst = make_burst(world, 1e9)
    burst.workers = 8
    burst.receive = lambda: [world.on_the_way.pop(0) for _ in world.on_the_way[:]]
    assert burst.run(lambda: False) == []
    assert sorted(world.accepted) == list(range(90))
    assert burst.usage.grown_batches == burst.usage.failed_calls == 8


def test_burst__a_late_word_of_an_earlier_try_does_not_grow_memory_twice():
    world = World(range(1), random.Random(1), ["dead"])
    burst = make_burst(world, 1e9)
    short = [Answer(0, k, error="MemoryError", is_short=True) for k in (0, 1, 2)]
    times = iter([[], short[:1], short[1:2], short[2:]])
    burst.receive = lambda: next(times, [])
    burst.patience_s = 0.0
    burst.tries = 9
    stops = iter([False] * 4 + [True])
    burst.run(lambda: next(stops))
    # late, late and short, short as before, short with more
    assert world.given_mb == [512, 512, 576, 576, 640]
    assert burst.pending[0].short == 2


def test_burst__tries_again_what_fails_and_gives_up_where_nothing_works():
    world = World(range(40), random.Random(1), ["error"])
    burst = make_burst(world, 1e9)
    back = burst.run(lambda: False)
    assert burst.usage.calls == 3 * burst.usage.batches
    assert 0 < len(back) < 40
    assert sorted([*back, *world.tasks]) == list(range(40))
    assert burst.usage.reason == "OSError: no space"
    assert set(world.given_mb) == {512}  # it was not memory that ran short


def test_burst__takes_a_late_answer_of_an_earlier_try():
    world = World(range(1), random.Random(1), ["dead"])
    burst = make_burst(world, 1e9)
    times = iter([[], [Answer(0, 0, (0,)), Answer(0, 1, (0,))], []])
    burst.receive = lambda: next(times, [])
    burst.patience_s = 0.0
    assert burst.run(lambda: False) == []
    assert world.accepted == [0]
    assert burst.usage.answers_dropped == 1


def test_burst__a_stop_waits_for_nothing():
    world = World(range(9), random.Random(1), ["dead"])
    burst = make_burst(world, 1e9)
    stops = iter([False, False, True])
    assert burst.run(lambda: next(stops)) == []
    assert world.accepted == []


@given(st.integers(0, 10**6), st.floats(0, 1e4), st.floats(-1e4, 1e6))
def test_count_excess__is_what_ranks_do_not_do(left, rate, left_s):
    excess = count_excess(left, rate, left_s)
    assert 0 <= excess <= left
    if left_s <= 0:
        assert excess == left
    assert left - excess <= max(rate * left_s, 0)


@given(st.lists(st.integers(0, 99)), st.floats(0, 1))
def test_split__covers_all(todo, share):
    near, far = split(todo, share)
    assert near + far == todo
    assert abs(len(far) - share * len(todo)) <= 0.5


PAID = Settings({}, Source("x"), workers=3, memory_mb=1024, eur_per_gb_s=0.01)


@given(
    st.floats(0, 10),
    st.floats(0, 1e3),
    st.integers(1, 100),
    st.lists(st.integers(1, 9), max_size=3),
)
def test_count_affordable__keeps_within_the_budget(budget, seconds, done, pending):
    burst = make_burst(World([], random.Random(1), ["good"]), 1.0)
    burst.usage.tasks_done, burst.usage.gb_s = done, seconds  # with 1 GB
    now_s = time.monotonic()
    burst.pending = {
        k: PendingBatch(tuple(range(n)), given_mb=[1024], sent_s=now_s)
        for k, n in enumerate(pending)
    }
    n = count_affordable(burst, PAID, Goal(1, budget_eur=budget))
    each_s = seconds / done
    if 0 < n < sys.maxsize:
        assert 0.01 * (seconds + each_s * (sum(pending) + n)) <= budget
    burst.usage.tasks_done = 0
    probes = count_affordable(burst, PAID, Goal(1, budget_eur=budget))
    assert probes == (0 if pending else 1)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 500),
    st.sampled_from([(), (3,), (2, 5)]),
    st.sampled_from(["int32", "float64", "uint8"]),
    st.integers(1, 4096),
    st.integers(0, 1 << 30),
)
def test_package__gives_back_the_rows_asked_for(
    tmp_path_factory, n, tail, dtype, piece_bytes, seed
):
    folder = Source(str(tmp_path_factory.mktemp("store")))
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 200, (n, *tail)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "PIECE_BYTES", piece_bytes)
        name, sent = package.save_package(folder, {"a": 1}, {"rows": array})
        again = package.save_package(folder, {"a": 1}, {"rows": array})
    assert again == (name, 0)
    assert sent > 0
    loaded = package.load_package(folder, name)
    assert loaded.facts == {"a": 1}
    first, last = sorted(rng.integers(0, n + 1, 2).tolist())
    part = package.load_rows(loaded, "rows", [(first, last)])
    np.testing.assert_array_equal(part[first:last], array[first:last])
    whole = package.load_rows(loaded, "rows")
    assert whole.dtype == array.dtype
    np.testing.assert_array_equal(whole, array)


@pytest.mark.parametrize("harm", ["cut", "changed", "gone"])
def test_package__refuses_a_piece_that_is_another(tmp_path, harm):
    array = np.arange(1000)
    name, _ = package.save_package(Source(str(tmp_path)), {}, {"a": array})
    loaded = package.load_package(Source(str(tmp_path)), name)
    piece = tmp_path / "pieces" / loaded.arrays["a"].pieces[0]
    data = piece.read_bytes()
    if harm == "gone":
        piece.unlink()
    else:
        piece.write_bytes(data[:-1] if harm == "cut" else b"\x01" + data[1:])
    with pytest.raises(BadInput, match=r"no such object|another checksum"):
        package.load_rows(loaded, "a")


def test_answer__comes_back_and_a_cut_one_is_refused():
    data = encode_answer([3, 1], {"maximum": np.arange(2.0)}, {"wall_s": 1.5})
    arrays, figures = decode_answer(data)
    assert figures == {"wall_s": 1.5}
    assert arrays["finished"].tolist() == [3, 1]
    with pytest.raises(DAMAGED):
        decode_answer(data[: len(data) // 2])


COST = Cost(cpu_s=1000.0, serial_s=2.0, node_bytes=0, rank_bytes=0, tasks=100)


def test_plan__a_deadline_and_a_budget():
    plan = plan_burst(COST, 2, PAID, deadline_s=302.0)
    assert plan.tasks_here == 54  # of what two do in 300 s, 90 %
    assert plan.tasks_away == 46
    assert plan.meets_deadline
    assert plan_burst(COST, 2, PAID, deadline_s=600.0).tasks_away == 0
    late = plan_burst(COST, 2, PAID, deadline_s=50.0)
    assert not late.meets_deadline
    assert "23 functions would meet the deadline" in late.reasons
    poor = plan_burst(COST, 2, PAID, deadline_s=302.0, budget_eur=1.0)
    assert poor.tasks_away < 46
    assert poor.cost_eur <= 1.0
    assert plan_burst(COST, 0, PAID).tasks_here == 0


CONFIG = {"lithops": {"backend": "localhost", "storage": "localhost"}}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "cannot be read as YAML"),
        ("lithops: [", "cannot be read as YAML"),
        ("words", "expected a configuration of Lithops"),
        (CONFIG, "expected a section burst with folder"),
        (CONFIG | {"burst": {"worker": 3}}, "unknown key 'worker'"),
        (CONFIG | {"burst": {"workers": "many"}}, "workers: 'many': expected a number"),
        (
            CONFIG | {"burst": {"most_workers": 0}},
            "most_workers: 0: expected 1 or more",
        ),
    ],
)
def test_run__bad_file_of_a_burst(tmp_path, capsys, config, message):
    path = tmp_path / "burst.yaml"
    if config is not None:
        path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    run = ["run", f"{DATA}/bitepi_plink_100snps_2000/bfile.bed", "--quiet", "--out"]
    assert mdr([*run, f"{tmp_path}/out", "--burst", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert message in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "1"], "--budget is for a burst: expected --burst FILE"),
        (["--policy", "p.toml"], "--policy is for a burst: expected --burst FILE"),
        (["--history", "runs"], "--history is for a burst: expected --burst FILE"),
        (["--engine", "lithops"], "--engine lithops: expected --burst FILE"),
        (["--burst", "b.yaml", "--all-models"], "--all-models: four bytes a model"),
        (["--deadline", "-3"], "argument --deadline: -3: expected 0 or more"),
        (["--deadline", "soon"], "argument --deadline: invalid seconds value: 'soon'"),
    ],
)
def test_run__bad_options_of_a_burst(tmp_path, capsys, options, message):
    run = ["run", f"{DATA}/bitepi_plink_100snps_2000/bfile.bed", "--quiet", "--out"]
    try:
        code = mdr([*run, f"{tmp_path}/out", *options])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_config__names_folders_of_recorded_runs(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('history = ["a", "b"]\npolicy = "p.toml"\n')
    parser, run = make_parser()
    words = ["run", "c.bed", "--out", "o", "--config", str(path), "--history", "c"]
    args = cli.parse(parser, run, words)
    assert args.history == [Path("a"), Path("b"), Path("c")]
    assert args.policy == Path("p.toml")


class Executor:
    """Lithops, as far as what it was asked for and how a function has ended."""

    ready, success, error = True, False, True
    _exception = (MemoryError, MemoryError("it was killed"), None)

    def call_async(self, function, data, **options):
        self.options = options
        return self

    def status(self, *, throw_except):
        assert not throw_except


def test_line__asks_for_memory_and_hears_who_lacked_it(tmp_path):
    remote = Remote("none", None, None, "mdr-epistasis", COST)
    place = Source(str(tmp_path / "answers"))
    connection = Connection(PAID, Executor(), remote, "none", 0, place)
    connection.send(3, 1, (7, 8), 704)
    assert connection.executor.options["runtime_memory"] == 704
    (answer,) = list(connection.receive())
    assert (answer[:2], answer.is_short) == ((3, 1), True)
    assert answer.error == "MemoryError: it was killed"
    assert list(connection.receive()) == []
    connection.send(4, 0, (7, 8), 704)
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers/000004-0.error").write_text("OSError: no space")
    (answer,) = list(connection.receive())  # its own word counts
    assert (answer[:2], answer.error) == ((4, 0), "OSError: no space")
    assert not answer.is_short


class ArrowMemoryError(MemoryError):
    """As pyarrow has it."""


def fail_like_arrow(payload):
    raise ArrowMemoryError("malloc of size 9 failed")


def test_payload__a_library_may_have_its_own_error_of_memory(tmp_path, monkeypatch):
    place = Source(str(tmp_path / "answer"))
    payload = Payload("none", Source(str(tmp_path)), "none", (0,), place)
    monkeypatch.setattr("hpc_connector.burst.worker.make_answer", fail_like_arrow)
    run_payload(payload)
    said = (tmp_path / "answer.error").read_text()
    assert said == "MemoryError: malloc of size 9 failed"


def test_settings__never_show_secrets():
    found = Settings({"minio": {"secret_access_key": "hidden"}}, Source("x"))
    assert "hidden" not in repr(found)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return a cohort of 2,000 variants, and its results without any function."""
    folder = tmp_path_factory.mktemp("cohort")
    options = "--variants 2000 --individuals 500 --heritability 0.1 --maf 0.3 --seed 3"
    assert mdr(["simulate", "--out", str(folder / "wide"), *options.split()]) == 0
    run = [f"{folder}/wide.bed", "--top", "50", "--permutations", "20"]
    assert mdr(["run", *run, "--out", str(folder / "out"), "--quiet"]) == 0
    return run, folder / "out"


@pytest.fixture
def near(s3_endpoint, tmp_path, monkeypatch):
    """Return what writes a configuration: functions of this machine, and S3."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where Lithops leaves things

    def write(*, runtime=sys.executable, **burst):
        keys = {k.removeprefix("AWS_").lower(): v for k, v in ACCESS.items()}
        config = {
            "lithops": {"backend": "localhost", "storage": "minio"},
            "minio": {"endpoint": s3_endpoint, "storage_bucket": BUCKET, **keys},
            "localhost": {"runtime": str(runtime), "worker_processes": 2},
            "burst": {"workers": 1} | burst,
        }
        (tmp_path / "burst.yaml").write_text(yaml.safe_dump(config))
        return ["--burst", str(tmp_path / "burst.yaml")]

    return write


def launch(ranks, program, *words):
    """Return what runs a program on some ranks, without a word."""
    before = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    return [*before, program, "run", *map(str, words), "--quiet"]


def read_burst(out):
    return json.loads((out / "manifest.json").read_text())["burst"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_run__half_of_it_in_functions(cohort, near, tmp_path, ranks):
    run, expected = cohort
    out = tmp_path / "out"
    options = [*near(), "--burst-share", "0.5", *["--telemetry"] * (ranks > 1)]
    code, lines, _ = get_end(
        launch(ranks, "mdr-epistasis", *run, "--out", out, *options)
    )
    assert code == 0, lines
    assert_same(out, expected)
    facts = read_burst(out)
    assert facts["tasks_done"] == facts["tasks_here"]
    tasks = json.loads((out / "manifest.json").read_text())["search"]["tasks"]
    assert facts["tasks_done"] + facts["tasks_here"] == tasks
    assert facts["failed_calls"] == facts["tasks_given_back"] == 0
    assert facts["cost_eur"] == 0
    assert facts["fetched_bytes"] > facts["answer_bytes"] > 0
    names = list_names(Source(f"s3://{BUCKET}/hpc-connector/answers"))
    assert names == []
    calls = read_calls(out)
    assert len(calls) == (facts["batches"] if ranks > 1 else 0)
    assert facts["peak_bytes"] > 10 << 20
    assert 0 < facts["task_p50_s"] <= facts["task_p90_s"]
    if ranks > 1:
        telemetry = json.loads((out / "manifest.json").read_text())["telemetry"]
        assert telemetry["functions"]["calls"] == len(calls)
        assert telemetry["functions"]["peak_bytes"] == facts["peak_bytes"]
        assert {rank["rank"] for rank in telemetry["ranks"]} == {0, 1}


MORTAL = """#!/bin/bash
# A Python of which every third that is to run a task is killed
if [ "$2" = run_job ]; then
    exec 9> {folder}/lock; flock 9
    n=$(($(cat {folder}/count 2>/dev/null) + 1)); echo $n > {folder}/count
    exec 9>&-
    if [ $((n % 3)) = 0 ]; then kill -9 $$; fi
fi
exec {python} "$@"
"""


def test_run__a_third_of_the_functions_is_killed(cohort, near, tmp_path):
    run, expected = cohort
    runtime = tmp_path / "mortal"
    runtime.write_text(MORTAL.format(folder=tmp_path, python=sys.executable))
    runtime.chmod(runtime.stat().st_mode | stat.S_IXUSR)
    options = [*near(runtime=runtime, patience_s=4, workers=2), "--burst-share", "0.5"]
    out = tmp_path / "out"
    code, lines, _ = get_end(launch(1, "mdr-epistasis", *run, "--out", out, *options))
    assert code == 0, lines
    assert_same(out, expected)
    facts = read_burst(out)
    assert facts["late_calls"] >= 1
    assert facts["grown_batches"] == 0  # nobody says that they ran out of memory
    tasks = json.loads((out / "manifest.json").read_text())["search"]["tasks"]
    assert facts["tasks_done"] + facts["tasks_here"] == tasks
    assert facts["tasks_done"] + facts["tasks_given_back"] == round(0.5 * tasks)


# In place of mdr_epistasis.remote: the first function of all runs out of memory
HUNGRY = """
import contextlib, os, signal
import numpy as np
from mdr_epistasis import remote
from mdr_epistasis.remote import pack

def run_tasks(package, tasks):
    with contextlib.suppress(FileExistsError):
        open(os.environ["MARK"], "x").close()
        if os.environ["WAY"] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        np.empty(1 << 60, np.uint8)
    return remote.run_tasks(package, tasks)
"""
PROGRAM = """
import sys
from mdr_epistasis import program, runner
choose = runner.choose_executor
runner.choose_executor = lambda *known: choose(*known[:3], "hungry", *known[4:])
sys.exit(program.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("way", ["raises", "killed"])
def test_run__functions_run_out_of_memory(cohort, near, tmp_path, way):
    run, expected = cohort
    (tmp_path / "hungry.py").write_text(HUNGRY)
    places = {"PYTHONPATH": f"{tmp_path}", "MARK": f"{tmp_path}/mark", "WAY": way}
    out = tmp_path / "out"
    words = ["run", *run, "--out", out, "--quiet", "--engine", "lithops"]
    words += near(memory_mb=512, workers=2, patience_s=120)
    code, lines, _ = get_end(
        [sys.executable, "-c", PROGRAM, *map(str, words)], env=os.environ | places
    )
    assert code == 0, lines
    assert_same(out, expected)
    facts = read_burst(out)
    assert facts["failed_calls"] == 1
    assert facts["tasks_given_back"] == facts["late_calls"] == 0
    assert (facts["memory_mb"], facts["last_memory_mb"]) == (512, 640)
    assert facts["grown_batches"] == 1


def test_run__wholly_in_functions(cohort, near, tmp_path):
    run, expected = cohort
    out = tmp_path / "out"
    options = [*near(workers=0, most_workers=3), "--engine", "lithops"]
    options += ["--deadline", "1h"]
    code, lines, _ = get_end(launch(2, "mdr-epistasis", *run, "--out", out, *options))
    assert code == 0, lines
    assert_same(out, expected)
    facts = read_burst(out)
    assert facts["tasks_here"] == 0
    assert facts["workers"] == 1
    said = f"memory of a function: {facts['memory_mb']} MB, by the formula"
    assert said in "\n".join(lines)
    assert "functions at a time: 1, which meet the deadline" in "\n".join(lines)


def test_run__annotation_in_functions(near, tmp_path):
    run = [f"{DATA}/imzml/Untreated_3_434_tiny.imzML", "--instrument", "FTICR"]
    run += ["--database", f"{DATA}/databases/lipidmaps_2017-12-12-v2.tsv.gz"]
    alone = ["run", *run, "--out", str(tmp_path / "alone"), "--quiet"]
    assert annotate(alone) == 0
    out = tmp_path / "out"
    options = [*near(), "--engine", "lithops"]
    code, lines, _ = get_end(
        launch(1, "metabolite-annotation", *run, "--out", out, *options)
    )
    assert code == 0, lines
    assert_same(out, tmp_path / "alone")
    facts = read_burst(out)
    assert facts["tasks_here"] == 0
    assert facts["tasks_done"] > 300


def test_run__stopped_in_a_burst_goes_on_without(cohort, near, tmp_path):
    run, expected = cohort
    asleep = tmp_path / "asleep"  # functions that never answer
    began = tmp_path / "began"
    sleep = f'[ "$2" = run_job ] && touch {began} && exec sleep 60'
    asleep.write_text(f'#!/bin/bash\n{sleep}\nexec {sys.executable} "$@"\n')
    asleep.chmod(0o755)
    out = tmp_path / "out"
    options = [*near(runtime=asleep), "--burst-share", "0.5"]
    command = launch(1, "mdr-epistasis", *run, "--out", out, *options)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(began.exists)
    process.terminate()
    assert process.wait(PATIENCE_S) == 75
    record = json.loads((out / "manifest.json").read_text())
    assert record["status"] == "stopped"
    assert mdr(["run", *run, "--out", str(out), "--resume", "--quiet"]) == 0
    assert_same(out, expected)


def test_run__in_a_folder_that_functions_share(cohort, tmp_path, monkeypatch):
    run, expected = cohort
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    config = CONFIG | {"burst": {"workers": 2, "folder": str(tmp_path / "shared")}}
    (tmp_path / "burst.yaml").write_text(yaml.safe_dump(config))
    options = ["--burst", tmp_path / "burst.yaml", "--burst-share", "0.2"]
    out = tmp_path / "out"
    code, lines, _ = get_end(launch(1, "mdr-epistasis", *run, "--out", out, *options))
    assert code == 0, lines
    assert_same(out, expected)
    assert read_burst(out)["tasks_done"] > 0


def test_run__a_cloud_that_lithops_does_not_know(cohort, near, tmp_path):
    run, _ = cohort
    near()
    path = tmp_path / "burst.yaml"
    config = yaml.safe_load(path.read_text())
    config["lithops"]["backend"] = "nowhere"
    path.write_text(yaml.safe_dump(config))
    out = tmp_path / "out"
    command = launch(2, "mdr-epistasis", *run, "--out", out, "--burst", path)
    code, lines, _ = get_end(command)
    assert code == 2
    assert "Lithops refuses its configuration" in lines[-1]


def test_run__a_store_that_refuses_the_credentials(cohort, near, tmp_path):
    run, _ = cohort
    out = tmp_path / "out"
    command = launch(1, "mdr-epistasis", *run, "--out", out, *near())
    wrong = os.environ | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    code, lines, _ = get_end(command, env=wrong)
    assert code == 2
    assert "access is denied" in lines[-1]


def test_run__a_budget_needs_a_price(cohort, near, tmp_path):
    run, _ = cohort
    near()
    path = tmp_path / "burst.yaml"
    config = yaml.safe_load(path.read_text())
    config["lithops"]["backend"] = "aws_lambda"
    path.write_text(yaml.safe_dump(config))
    command = launch(1, "mdr-epistasis", *run, "--out", tmp_path / "o", "--burst", path)
    code, lines, _ = get_end([*command, "--budget", "3"])
    assert code == 2
    assert "has no eur_per_gb_s" in lines[-1]


def test_plan__says_what_goes_where(cohort, near, tmp_path, capsys):
    run, _ = cohort
    words = ["mdr-epistasis", "run", *run, "--out", str(tmp_path / "out"), *near()]
    assert connector(["burst", "plan", "--json", *words, "--burst-share", "0.5"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert abs(plan["tasks_away"] - plan["tasks_here"]) <= 1
    assert "--burst-share: 50% of the tasks" in plan["reasons"]
    more = ["--permutations", "3000"]
    assert connector(["burst", "plan", *words, *more, "--deadline", "1s"]) == 0
    said = capsys.readouterr().out
    assert "THE DEADLINE IS MISSED" in said
    assert "no number of functions meets this deadline" in said
    assert "functions at a time: 1, as given" in said
    assert not (tmp_path / "out").exists()


def test_plan__sizes_functions(cohort, near, tmp_path, capsys):
    run, _ = cohort
    words = ["mdr-epistasis", "run", *run, "--out", str(tmp_path / "runs/new")]
    words += [*near(workers=0, most_workers=7), "--engine", "lithops"]

    def plan(*options):
        assert connector(["burst", "plan", "--json", *words, *options]) == 0
        found = json.loads(capsys.readouterr().out)
        return found["workers"], found["memory_mb"], found["reasons"]

    workers, memory_mb, reasons = plan()
    assert (workers, memory_mb % 64, memory_mb > 512) == (7, 0, True)
    assert "by the formula of the program" in reasons[0]
    assert plan("--deadline", "1h")[0] == 1
    for k in range(3):
        write_run(tmp_path / "learned", f"run{k}", 2000)
    assert plan("--history", f"{tmp_path}/learned")[1] == 2112
    assert plan("--history", f"{tmp_path}/none")[1] == memory_mb
