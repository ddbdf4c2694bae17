"""What runs are sized by: memory, time, policies, and the command that says so."""

import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector import cli
from hpc_connector.allocation import runtime
from hpc_connector.allocation.calibrate import extend
from hpc_connector.allocation.candidates import (
    Knowledge,
    estimate_cpu,
    estimate_memory,
    learn,
)
from hpc_connector.allocation.cost import MARGIN, START_S, Allocation, Cost
from hpc_connector.allocation.history import Run, read_history
from hpc_connector.allocation.limits import (
    Growth,
    Machine,
    Policy,
    check_site,
    grow,
    read_machine,
    read_policy,
)
from hpc_connector.allocation.memory import (
    LEAST_RUNS,
    MOST_RUNS,
    SPARE_BYTES,
    SPREADS,
    EndedTask,
    choose_spread,
    follow,
    grow_memory,
    replay,
    size_memory,
)
from hpc_connector.allocation.recommend import Question, recommend
from hpc_connector.cli import deadline
from hpc_connector.commands import submit
from hpc_connector.commands.main import main
from hpc_connector.commands.telemetry import recommend as command
from hpc_connector.commands.telemetry.recommend import add_arguments
from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.molecules import Database
from hpc_connector.manifest import read_manifest, save_manifest
from mdr_epistasis.program import main as search
from metabolite_annotation.inputs.files import take_share

GB = 10**9
NODE = Machine(cores=16, mem=64e9, most_nodes=4)
COHORT = Path(__file__).parent / "data/bitepi_plink_100snps_2000/bfile.bed"
COST = Cost(3600.0, 5.0, GB, GB // 2, 1000, ("by the formula",))

times = st.floats(0, 1e4)
tasks = st.builds(
    lambda kind, start, took, asked, peak: EndedTask(
        kind, start, start + took, took, asked * 1e9, peak * 1e9
    ),
    st.sampled_from("ab"),
    times,
    st.floats(0, 1e3),
    st.floats(0.1, 64),
    st.floats(0.01, 64),
)


@given(st.lists(tasks, max_size=30), times, tasks)
def test_follow__a_later_end_changes_nothing_before(past, now, late):
    late = replace(late, start_s=now, end_s=now + late.run_s)
    before = [(t, list(p)) for t, p in follow(past) if t.start_s <= late.end_s]
    after = [(t, list(p)) for t, p in follow([*past, late]) if t.start_s <= late.end_s]
    after.remove((late, next(p for t, p in after if t is late)))
    assert sorted(before, key=repr) == sorted(after, key=repr)


@given(st.lists(tasks, max_size=30))
def test_follow__knows_what_had_ended(past):
    for task, peaks in follow(past):
        ended = [t for t in past if t.kind == task.kind and t.end_s < task.start_s]
        assert sorted(peaks) == sorted(t.peak_bytes for t in ended)


def test_size_memory__asks_as_the_user_while_little_is_known():
    assert size_memory([], 8e9) == size_memory([1e9] * (LEAST_RUNS - 1), 8e9) == 8e9
    assert size_memory([1e9] * LEAST_RUNS, 8e9) == 1e9 + (100 << 20)
    assert size_memory([1e9, 3e9, 5e9], 8e9) > 6.6e9


@given(st.lists(st.floats(0, 1e12), min_size=LEAST_RUNS), st.floats(1, 1e12))
def test_size_memory__is_above_the_last_that_were_seen(peaks, asked):
    assert size_memory(peaks, asked) >= max(peaks[-MOST_RUNS:])


@given(st.lists(st.floats(0, 1e12), min_size=LEAST_RUNS, max_size=20))
def test_choose_spread__wastes_least_on_what_was_seen(peaks):
    def get_waste(spread):
        total = 0.0
        for k in range(LEAST_RUNS, len(peaks)):
            given = max(peaks[:k]) + max(SPARE_BYTES, spread * np.std(peaks[:k]))
            if given < peaks[k]:
                given += max(2 * given, peaks[k])
            total += given - peaks[k]
        return total

    best = min(map(get_waste, SPREADS))
    assert get_waste(choose_spread(np.array(peaks))) <= best * (1 + 1e-9) + 1


@given(st.floats(1e6, 1e11), st.lists(st.floats(0, 1e11)))
def test_grow_memory__grows(given_bytes, peaks):
    assert grow_memory(given_bytes, peaks) > given_bytes


def test_replay__counts_attempts_that_fail():
    rows = [EndedTask("a", 10 * k, 10 * k + 1, 1, 8e9, 1e9) for k in range(5)]
    rows.append(EndedTask("a", 90, 92, 2, 8e9, 3e9))
    found = replay(rows)
    first, later = 3 * 7e9, 2 * (100 << 20)
    failed = 2 * (1e9 + (100 << 20))  # in vain; doubled twice, it is enough
    last = 2 * (4 * (1e9 + (100 << 20)) - 3e9)
    assert (found.failing, found.tasks) == (1, 6)
    assert found.byte_s == pytest.approx(first + later + 3 * failed + last)


matrices = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(matrices, st.integers(1, 12), st.integers(1, 5))
def test_solve_nonnegative__meets_the_conditions_of_an_optimum(rng, n_rows, n_columns):
    scale = 10.0 ** rng.integers(-4, 5, n_columns)
    matrix = rng.normal(size=(n_rows, n_columns)) * scale
    target = rng.normal(size=n_rows)
    x = runtime.solve_nonnegative(matrix, target)
    assert (x >= 0).all()
    slope = (matrix / scale).T @ (matrix @ x - target)
    assert (slope > -1e-7).all()
    assert np.abs(slope[x > 0]).max(initial=0) < 1e-7


@settings(max_examples=20)
@given(st.lists(st.floats(0.1, 10), min_size=5, max_size=5), st.floats(1.0, 8.0))
def test_fit__finds_what_runs_were_made_from(coefficients, spread):
    work, ranks = np.meshgrid([100.0, 200.0 * spread, 900.0], [1.0, 2, 4, 8, 16])
    sizes = runtime.Sizes((work / ranks).ravel(), work.ravel(), ranks.ravel())
    scaled = np.array(coefficients) * [10, 1, 1, 0.1, 0.01]
    time_s = runtime._make_terms(sizes) @ scaled
    more = runtime.Sizes(np.array([40.0]), np.array([1280.0]), np.array([32.0]))
    truth = float((runtime._make_terms(more) @ scaled)[0])
    model = runtime.fit(sizes, time_s, trust=0)
    assert (model.coefficients >= 0).all()
    assert runtime.predict(model, more)[0] == pytest.approx(truth, rel=0.1)
    assert runtime.predict(model, more, 0.9)[0] >= runtime.predict(model, more)[0]


def test_fit__a_single_run_leaves_the_formula_in_place():
    one = runtime.Sizes(np.array([0.001]), np.array([0.001]), np.array([1.0]))
    model = runtime.fit(one, np.array([3.0]))
    big = runtime.Sizes(np.array([1000.0]), np.array([1000.0]), np.array([1.0]))
    assert runtime.predict(model, big)[0] == pytest.approx(1003, rel=0.01)
    assert runtime.predict(model, big, 0.9)[0] >= 1.9 * 1003


def test_fit__p90_covers_runs_to_come():
    rng = np.random.default_rng(5)
    ranks = rng.integers(1, 33, 240).astype(float)
    work = rng.uniform(500, 2000, 240)
    time_s = (20 + 1.3 * work / ranks) * np.exp(rng.normal(0, 0.1, 240))
    sizes = runtime.Sizes(work / ranks, work, ranks)
    model = runtime.fit(sizes[:40], time_s[:40])
    later = sizes[40:]
    assert np.mean(time_s[40:] <= runtime.predict(model, later, 0.9)) > 0.82
    assert 0.3 < np.mean(time_s[40:] <= runtime.predict(model, later)) < 0.7


states = st.sampled_from(["PREEMPTED", "NODE_FAIL", "FAILED", "CANCELLED", "COMPLETED"])
asked_for = st.builds(
    Allocation,
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 10**12),
    st.integers(60, 10**6),
)


@given(asked_for, states)
def test_grow__not_after_what_no_resource_is_short_for(asked, state):
    assert grow(Policy(), asked, state, attempt=99) == asked


@given(asked_for, st.integers(0, 10**12))
def test_grow__only_what_ran_short(asked, peak):
    more = grow(Policy(), asked, "OUT_OF_MEMORY", attempt=1, peak_bytes=peak)
    least = max(1.2 * asked.mem_bytes, asked.mem_bytes + (100 << 20), 1.1 * peak)
    assert more.mem_bytes == pytest.approx(least, abs=1)
    assert replace(more, mem_bytes=asked.mem_bytes) == asked
    more = grow(Policy(), asked, "TIMEOUT", attempt=1)
    assert more.time_s > asked.time_s
    assert replace(more, time_s=asked.time_s) == asked


@given(asked_for, st.integers(1, 10**12), st.integers(0, 10**12))
def test_grow__never_beyond_the_policy(asked, most, peak):
    policy = Policy(most_mem=float(most), most_time=3600.0)
    for state in ("OUT_OF_MEMORY", "TIMEOUT"):
        try:
            more = grow(policy, asked, state, attempt=1, peak_bytes=peak)
        except BadInput:
            continue
        assert asked.mem_bytes <= more.mem_bytes <= max(most, asked.mem_bytes)
        assert asked.time_s <= more.time_s <= max(3600, asked.time_s)


def test_grow__ends():
    asked = Allocation(1, 1, 1, GB, 600)
    with pytest.raises(BadInput, match="memory ran short 4 times"):
        grow(Policy(), asked, "OUT_OF_MEMORY", attempt=4)
    with pytest.raises(BadInput, match="no more than 600 s may be given"):
        grow(Policy(most_time=600), asked, "TIMEOUT", attempt=1)


def test_read_policy(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(
        'most_nodes = 2\nmost_mem = "20G"\nmost_time = "2h"\nqos = ["debug"]\n'
        'margin = 1.1\n[after_out_of_memory]\nfactor = 2\nleast = "1G"\n'
    )
    found = read_policy(path)
    growth = Growth(2.0, float(1 << 30))
    assert found == Policy(2, 0, 20.0 * 2**30, 7200.0, (), ("debug",), 0.0, 1.1, growth)
    check_site(found, "any", "debug")
    with pytest.raises(BadInput, match="QOS long: the policy allows debug"):
        check_site(found, "", "long")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("most_node = 2", "unknown key most_node; expected one of most_nodes"),
        ("[after_time_out]\nmore = 1", "unknown key after_time_out.more"),
        ("most_nodes = 1.5", "most_nodes = 1.5: expected a whole number"),
        ("most_nodes = true", "most_nodes = True: expected a number"),
        ('most_mem = "2h"', "most_mem = '2h': expected bytes"),
        ('most_time = "20G"', "most_time = '20G': expected seconds"),
        ("most_time = -1", "most_time = -1: expected seconds"),
        ("qos = 3", "qos = 3: expected a list of names"),
        ("after_time_out = 3", "expected a table"),
        ("margin = 0.5", "margin and factors of 1 or more"),
        ("energy_weight = 2", "energy_weight 0..1"),
        ("margin = [", "cannot be read as TOML"),
    ],
)
def test_read_policy__says_what_is_wrong(tmp_path, text, said):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match="policy") as error:
        read_policy(path)
    assert said in str(error.value)


def make_record(**changes):
    used = {"ranks": 4, "nodes": 1, "threads": 1, "wall_s": 950.0, "cpu_s": 3700.0}
    plan = {**vars(COST), "reasons": list(COST.reasons)}
    record = {
        "program": "mdr-epistasis",
        "status": "done",
        "attempt": 1,
        "plan": plan,
        "resources": {**used, "max_rss_bytes": GB},
    }
    return record | changes


def test_read_history__leaves_out_what_is_damaged(tmp_path):
    damaged = {
        "good": {},
        "other": {"program": "metabolite-annotation"},
        "stopped": {"status": "stopped"},
        "resumed": {"attempt": 2},
        "old": {"plan": {"cpu_s": 1}},
        "figures": {"resources": {"ranks": "many"}},
        "zero": {"resources": make_record()["resources"] | {"wall_s": 0}},
    }
    for name, changes in damaged.items():
        (tmp_path / name).mkdir()
        save_manifest(tmp_path / name, make_record(**changes))
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut/manifest.json").write_text('{"format_version": 1, "prog')
    runs, skipped = read_history([tmp_path, tmp_path / "good"], "mdr-epistasis")
    assert [run.folder.name for run in runs] == ["good"]
    assert runs[0].plan.cpu_s == COST.cpu_s
    assert len(skipped) == 6
    for name in ("stopped", "resumed", "old", "figures", "zero", "cut"):
        assert any(f"/{name}" in reason for reason in skipped), name


def test_read_history__takes_the_time_of_the_job(tmp_path):
    job = {"job": "1", "state": "COMPLETED", "elapsed_s": 1000}
    save_manifest(tmp_path, make_record(slurm=[job]))
    (run,), _ = read_history([tmp_path], "mdr-epistasis")
    assert run.wall_s == 1000


def make_run(ranks, wall_s, **changes):
    fields = {"plan": COST, "ranks": ranks, "nodes": 1, "threads": 1}
    fields |= {"wall_s": wall_s, "cpu_s": 3600.0, "max_rss_bytes": GB}
    return Run(Path("x"), "mdr-epistasis", "", **(fields | changes))


def test_recommend__by_the_formula_without_history():
    answer = recommend(COST, [], NODE, Policy(), Question(2 * 3600 * 1.1))
    assert answer.chosen.describe() == "1 x 1 x 1"
    assert answer.chosen.p50_s == COST.cpu_s + COST.serial_s + START_S
    assert answer.chosen.p90_s == MARGIN * answer.chosen.p50_s
    assert answer.allocation.time_s == 7320  # whole minutes


def test_recommend__learns_from_runs():
    runs = [make_run(n, 20 + 2 * COST.cpu_s / n) for n in (1, 2, 3, 4, 6, 8) * 2]
    answer = recommend(COST, runs, NODE, Policy(), Question(1000))
    cores = answer.chosen.nodes * answer.chosen.cores
    assert answer.chosen.p50_s == pytest.approx(20 + 2 * COST.cpu_s / cores, rel=0.1)
    assert answer.chosen.p90_s <= 1000
    fewer = [c for c in answer.candidates if c.nodes * c.cores < cores]
    assert fewer
    assert all("the deadline is in 1,000 s" in c.rejected for c in fewer)


def test_recommend__every_candidate_has_a_reason_or_a_rank():
    policy = Policy(most_cores=8, most_mem=4e9, most_time=4000)
    answer = recommend(COST, [], NODE, policy, Question(3000))
    for candidate in answer.candidates:
        if candidate.rejected:
            continue
        assert candidate.nodes * candidate.cores <= 8
        assert candidate.p90_mem_bytes <= 4e9
        assert candidate.p90_s <= 3000
        assert candidate.core_s >= answer.chosen.core_s
    said = " ".join(c.rejected for c in answer.candidates)
    for words in ("the policy gives 8", "GB, the policy", "the deadline is in"):
        assert words in said


def test_recommend__memory_is_a_reason():
    answer = recommend(
        replace(COST, rank_bytes=100 * GB), [], NODE, Policy(), Question()
    )
    assert answer.chosen is None
    assert "a node has 64.0 GB" in answer.candidates[0].rejected


@pytest.mark.parametrize("minimise", ["time", "cost", "energy"])
def test_recommend__minimises(minimise):
    node = replace(NODE, idle_watts=200, busy_watts=500)
    answer = recommend(COST, [], node, Policy(), Question(0, minimise))
    price = {"time": "p90_s", "cost": "core_s", "energy": "energy_j"}[minimise]
    best = min(getattr(c, price) for c in answer.candidates if not c.rejected)
    assert getattr(answer.chosen, price) == best
    if minimise == "energy":
        with pytest.raises(BadInput, match="idle_watts and busy_watts"):
            recommend(COST, [], NODE, Policy(), Question(0, minimise))


def test_recommend__keeps_what_is_asked():
    asked = Allocation(2, 3, 1, 50 * GB, 7000)
    answer = recommend(COST, [], NODE, Policy(), Question(3600), asked)
    assert replace(answer.allocation, reasons=()) == asked


def test_recommend__beyond_what_was_seen_is_less_sure():
    small = replace(COST, cpu_s=10.0)
    runs = [make_run(1, 15.0 + k / 100, plan=small, cpu_s=11.0) for k in range(9)]
    answer = recommend(COST, runs, NODE, Policy(), Question(9000))
    assert answer.chosen.p90_s >= MARGIN * answer.chosen.p50_s


def test_estimate_memory__is_corrected_by_three_runs():
    known = learn(COST, [make_run(1, 100.0, max_rss_bytes=GB // 4)] * 3)
    formula = estimate_memory(Knowledge(COST), 4)
    found = estimate_memory(known, 4)
    assert found[0] == pytest.approx(formula[0] / 6, rel=0.01)
    assert found[0] < found[1] < formula[1] / 2


def test_estimate_cpu__of_twice_the_ranks():
    runs = [make_run(n, 10.0, cpu_s=2 * n + 1.2 * COST.cpu_s) for n in (1, 2, 4)]
    found = estimate_cpu(learn(COST, runs), np.array([8.0]))
    assert found[0] == pytest.approx(16 + 1.2 * COST.cpu_s, rel=0.02)


def test_recommend__is_fast():
    began_s = time.process_time()
    runs = [make_run(1 + k % 32, 30 + COST.cpu_s / (1 + k % 32)) for k in range(300)]
    recommend(COST, runs, Machine(128, 5e11, 1024), Policy(), Question(3600))
    assert time.process_time() - began_s < 5  # some 0.2 s


def ask(*words):
    """Return the exit code of the command."""
    parser = cli.make_parser("recommend", "")
    add_arguments(parser)
    try:
        return command.run(parser.parse_args([str(word) for word in words]))
    except Exception as error:
        return cli.explain("recommend", error)


@pytest.fixture
def run_words(tmp_path, monkeypatch):
    """Return a run whose site has two nodes, and nothing beside its results."""
    for name, value in (("CORES", 4), ("MEM_GB", 16)):
        monkeypatch.setenv(f"CONNECTOR_NODE_{name}", str(value))
    monkeypatch.setenv("CONNECTOR_MOST_NODES", "2")
    monkeypatch.setenv("CONNECTOR_MOST_HOURS", "10")
    (tmp_path / "runs").mkdir()
    return ["mdr-epistasis", "run", str(COHORT), "--out", str(tmp_path / "runs/new")]


def test_command__falls_back_to_the_formula_and_says_so(run_words, capsys):
    assert ask("--deadline", "2h", *run_words) == 0
    said = capsys.readouterr().out
    assert said.startswith("--nodes 1 --ntasks-per-node 1 --cpus-per-task 1 --mem ")
    assert "no recorded run of mdr-epistasis in" in said
    assert "<- proposed" in said
    assert "2 cores for 1 tasks" in said


def test_command__no_allocation_is_an_answer(run_words, capsys, tmp_path):
    assert ask("--deadline", "2s", "--format", "json", *run_words) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["allocation"] is None
    assert "no allocation meets this; 1 x 1 x 1: may take 60 s" in said.err
    assert said.err.count("\n") == 1


def test_command__a_deadline_in_the_past(run_words, capsys):
    past = (datetime.now() - timedelta(hours=1)).isoformat()
    with pytest.raises(SystemExit) as end:
        ask("--deadline", past, *run_words)
    assert end.value.code == 2
    assert f"{past} is past: expected a time to come" in capsys.readouterr().err


def test_deadline__is_a_duration_or_a_time():
    soon = (datetime.now().astimezone() + timedelta(hours=1)).isoformat()
    assert deadline(soon) == pytest.approx(3600, abs=60)
    assert deadline("2h") == 7200


def test_command__a_policy_with_an_unknown_key(run_words, known_cost, capsys, tmp_path):
    (tmp_path / "policy.toml").write_text("most_node = 1\n")
    assert ask("--policy", tmp_path / "policy.toml", *run_words) == 2
    assert "unknown key most_node" in capsys.readouterr().err


def test_command__gives_what_kubernetes_reads(run_words, known_cost, capsys, tmp_path):
    (tmp_path / "limits.toml").write_text('cores = 8\nmem = "32G"\n')
    options = ["--limits", tmp_path / "limits.toml", "--format", "vpa"]
    assert read_machine(tmp_path / "limits.toml").mem == 32 * 2**30
    assert ask(*options, *run_words) == 0
    found = json.loads(capsys.readouterr().out)
    (container,) = found["recommendation"]["containerRecommendations"]
    assert container["containerName"] == "mdr-epistasis"
    for kind in ("cpu", "memory"):
        low, target, high = (
            int(container[name][kind])
            for name in ("lowerBound", "target", "upperBound")
        )
        assert 0 < low <= target <= high
        assert int(container["uncappedTarget"][kind]) > 0


@pytest.fixture
def known_cost(monkeypatch):
    """Spare a test the start of the program that says its cost."""
    for module in (command, submit):
        monkeypatch.setattr(module, "get_cost", lambda *_: COST)


@pytest.fixture(scope="module")
def slice_of_run(tmp_path_factory):
    """Return the folder of a run of a slice, and the runs beside it."""
    out = tmp_path_factory.mktemp("runs") / "first"
    words = ["run", str(COHORT), "--out", str(out), "--quiet", "--slice", "0.25"]
    assert search(words) == 0
    return out


def test_slice__of_a_search_has_a_share_of_the_models(slice_of_run):
    record = read_manifest(slice_of_run)
    assert record["cohort"]["variants_kept"] == 50
    assert record["cohort"]["removed"] == {"not in the slice": 50}
    assert record["search"]["models"] == 50 * 49 // 2
    assert "50 variants" in record["plan"]["reasons"][0]
    assert 0 < record["resources"]["task_cpu_s"] <= record["resources"]["cpu_s"]


def test_submit__by_a_deadline_and_the_runs_beside(run_words, slice_of_run, caplog):
    run = [*run_words[:-1], str(slice_of_run.parent / "second")]
    with caplog.at_level("INFO"):
        assert main(["submit", "--dry-run", "--deadline", "2h", *run]) == 0
    assert f"1 run in {slice_of_run.parent}, on at most 1 core" in caplog.text


def test_submit__keeps_to_a_policy(run_words, known_cost, capsys, tmp_path):
    (tmp_path / "policy.toml").write_text('most_time = "60s"\nqos = ["debug"]\n')
    options = ["--dry-run", "--policy", str(tmp_path / "policy.toml")]
    assert main(["submit", *options, "--qos", "long", *run_words]) == 2
    assert "QOS long: the policy allows debug" in capsys.readouterr().err
    assert main(["submit", *options, *run_words]) == 2
    assert "the policy gives 60 s" in capsys.readouterr().err


def test_submit__no_allocation_meets_the_deadline(run_words, known_cost, capsys):
    assert main(["submit", "--dry-run", "--deadline", "5s", *run_words]) == 2
    assert "no allocation meets this" in capsys.readouterr().err


def test_extend__of_a_share_of_the_tasks():
    assert extend(2.0, 0.5, 0.05) == pytest.approx(11.5)
    assert extend(2.0, 0.5, 1.0) == 2.0


def test_take_share__of_the_formulas():
    formulas = ("CH4", "H2O", "CH4", "CO2", "NH3")
    whole = Database("x.tsv", ("a", "b", "c", "d", "e"), tuple("ABCDE"), formulas)
    assert take_share(whole, 1.0) == whole
    half = take_share(whole, 0.5)
    assert half.formula == ("CH4", "CH4", "CO2")
    assert half.id == ("a", "c", "d")
    assert take_share(whole, 0.001).get_formulas() == ["CH4"]
