"""Memory and number of functions: given, learned or by the formula, within the caps."""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector import cli
from hpc_connector.allocation.cost import MARGIN, MEM_MARGIN, Cost
from hpc_connector.allocation.limits import Growth, Policy
from hpc_connector.allocation.memory import size_memory
from hpc_connector.burst.config import Settings, read_settings
from hpc_connector.burst.plan import plan_burst
from hpc_connector.burst.resources import (
    STEP_MB,
    choose_memory,
    choose_resources,
    choose_workers,
    grow_memory,
)
from hpc_connector.errors import BadInput
from hpc_connector.storage.address import Source
from programs import write_run

MIB = 1 << 20
OPEN = Settings({}, Source("x"), eur_per_gb_s=0.01)
COST = Cost(
    cpu_s=1000.0, serial_s=2.0, node_bytes=100 * MIB, rank_bytes=500 * MIB, tasks=100
)
PEAKS = st.lists(st.integers(1, 20_000).map(lambda mb: mb * MIB), max_size=50)
CAPS = st.one_of(st.just(0), st.integers(MIB, 20_000 * MIB))


@given(PEAKS, st.integers(1, 40_000), CAPS, st.integers(1, 20_000), st.floats(1, 3))
def test_choose_memory__covers_the_need_within_the_caps(
    peaks, mb, most_mem, most_mb, margin
):
    cost = replace(COST, rank_bytes=mb * MIB)
    policy = Policy(most_mem=most_mem, margin=margin)
    settings = replace(OPEN, most_memory_mb=most_mb)
    chosen, why = choose_memory(settings, cost, peaks, policy)
    formula = MEM_MARGIN * (cost.node_bytes + cost.rank_bytes)
    need_mb = margin * size_memory(peaks, formula) / MIB
    most = min(most_mb, most_mem // MIB) if most_mem else most_mb
    assert chosen.memory_mb <= most
    if chosen.memory_mb < most:
        assert chosen.memory_mb % STEP_MB == 0
        assert need_mb <= chosen.memory_mb < need_mb + STEP_MB
    assert why.startswith(f"memory of a function: {chosen.memory_mb} MB, by ")
    assert ("more than is allowed" in why) == (math.ceil(need_mb / 64) * 64 > most)
    assert ("the formula" in why) == (len(peaks) < 3)
    if len(peaks) >= 3 and chosen.memory_mb < most:
        assert chosen.memory_mb * MIB > max(peaks)


@pytest.mark.parametrize(
    ("section", "memory_mb"),
    [
        ("aws_lambda: {runtime_memory: 1024}", 1024),
        ("aws_lambda: {runtime_memory: 1024}\nburst: {memory_mb: 99}", 99),
        ("aws_lambda: {mem: 4G, worker_processes: 2}", 2048),
        ("aws_lambda: {runtime_memory: much}", 0),
        ("", 0),
    ],
)
def test_read_settings__takes_the_memory_of_the_backend(tmp_path, section, memory_mb):
    path = tmp_path / "burst.yaml"
    path.write_text(
        "lithops: {backend: aws_lambda, storage: aws_s3}\n"
        f"aws_s3: {{storage_bucket: b}}\n{section}\n"
    )
    assert read_settings(path).memory_mb == memory_mb


def test_choose_memory__one_that_is_given_stays():
    asked = replace(OPEN, memory_mb=100)
    policy = Policy(most_mem=50 * MIB)
    assert choose_memory(asked, COST, [MIB] * 9, policy)[0] == asked


@pytest.mark.parametrize(("backend", "memory_mb"), [("aws_lambda", 1792), ("k8s", 768)])
def test_choose_memory__is_a_whole_core_where_memory_is_cores(backend, memory_mb):
    settings = replace(OPEN, lithops={"lithops": {"backend": backend}})
    assert choose_memory(settings, COST, [], Policy())[0].memory_mb == memory_mb


DEADLINES = st.floats(1, 5000)
COSTS = st.builds(
    Cost,
    cpu_s=st.floats(1, 1e5),
    serial_s=st.floats(0, 100),
    node_bytes=st.just(0),
    rank_bytes=st.just(500 * MIB),
    tasks=st.integers(1, 2000),
)


@given(COSTS, st.integers(0, 20), DEADLINES, st.integers(1, 60), st.floats(0, 1))
def test_choose_workers__are_the_fewest_that_meet_it(
    cost, ranks, deadline, most, share
):
    settings = replace(OPEN, most_workers=most, memory_mb=1024)
    wanted = {"share": share or None, "deadline_s": deadline}
    chosen, _ = choose_workers(settings, cost, ranks, **wanted)
    slow = replace(cost, cpu_s=MARGIN * cost.cpu_s)

    def is_met(n):
        plan = plan_burst(slow, ranks, replace(chosen, workers=n), **wanted)
        return plan.functions_end_s <= deadline

    assert 1 <= chosen.workers <= most
    assert is_met(chosen.workers) or chosen.workers == most
    assert chosen.workers == 1 or not is_met(chosen.workers - 1)


@given(COSTS, st.floats(0, 50), st.one_of(st.none(), DEADLINES))
def test_choose_workers__are_no_more_than_the_budget_pays_for(cost, budget, deadline):
    settings = replace(OPEN, memory_mb=1024)
    wanted = {"budget_eur": budget, "deadline_s": deadline}
    chosen, why = choose_workers(settings, cost, 1, **wanted)
    assert 1 <= chosen.workers <= 100
    free, _ = choose_workers(settings, cost, 1, deadline_s=deadline)
    assert chosen.workers <= free.workers
    each_eur = 0.01 * (cost.cpu_s / cost.tasks + 5)  # its start too
    if chosen.workers > 1:
        assert chosen.workers * each_eur <= budget
    if chosen.workers < free.workers:
        assert f"the budget of {budget:g} EUR pays for" in why


def test_choose_workers__without_a_deadline_and_where_they_are_given():
    assert choose_workers(OPEN, COST, 1)[0].workers == 100
    asked = replace(OPEN, workers=300)
    chosen, why = choose_workers(asked, COST, 1, budget_eur=0.0, deadline_s=1e4)
    assert chosen == asked
    assert why == "functions at a time: 300, as given"
    impossible, why = choose_workers(OPEN, COST, 1, deadline_s=3.0)
    assert impossible.workers == 100
    assert "even so the deadline is missed" in why


@given(st.integers(64, 9000), st.floats(1, 3), st.integers(0, 2000), CAPS)
def test_grow_memory__by_the_rule_of_the_policy(given_mb, factor, least_mb, most_mem):
    rule = Growth(factor, least_mb * MIB, retries=2)
    policy = Policy(most_mem=most_mem, after_out_of_memory=rule)
    most = min(10240, most_mem // MIB) if most_mem else 10240
    more = grow_memory(OPEN, policy, given_mb, 1)
    if given_mb >= most:
        assert more is None
    else:
        need = max(given_mb * factor, given_mb + least_mb)
        assert more == min(math.ceil(need / STEP_MB - 1e-9) * STEP_MB, most)
    assert grow_memory(OPEN, policy, given_mb, 3) is None


def choose(out, cost=COST, settings=OPEN, **options):
    parser = cli.make_parser("test", "")
    cli.add_burst(parser)
    args = argparse.Namespace(**vars(parser.parse_args([])) | {"out": out} | options)
    chosen, _, why = choose_resources(args, out, settings, cost, 2, "mdr-epistasis")
    return chosen.memory_mb, why


def test_choose_resources__learns_from_the_runs_beside_out(tmp_path):
    for k, peak in enumerate((900, 910, 905)):
        write_run(tmp_path, f"run{k}", peak)
    write_run(tmp_path, "stopped", 5000, status="stopped")
    write_run(tmp_path, "other", 5000, program="metabolite-annotation")
    write_run(tmp_path, "alone", 0, burst={"backend": "localhost"})
    write_run(tmp_path, "far", 0, burst={"backend": "k8s", "peak_bytes": 5 << 30})
    damaged = {"backend": "localhost", "peak_bytes": "much"}
    write_run(tmp_path, "damaged", 0, burst=damaged)
    write_run(tmp_path, "listed", 0, burst=[])
    memory_mb, why = choose(tmp_path / "new")
    assert memory_mb == 1024  # 910 + 100, rounded up
    assert why[0].startswith(f"left out: {tmp_path}/damaged/manifest.json: damaged")
    assert why[1].startswith(f"left out: {tmp_path}/listed/manifest.json: damaged")
    assert why[2] == "memory of a function: 1024 MB, by 3 runs with peaks up to 910 MB"
    assert why[3] == "functions at a time: 100, the most, for there is no deadline"
    assert choose(tmp_path / "new", history=[tmp_path / "none"])[0] == 768
    assert choose(Path("elsewhere/new"), history=[tmp_path])[0] == 1024


def test_choose_resources__takes_smaller_runs_for_larger(tmp_path):
    for k in range(3):
        write_run(tmp_path, f"run{k}", 1000)
    double = replace(COST, rank_bytes=1100 * MIB)
    assert choose(tmp_path / "new", double)[0] == 2112
    half = replace(COST, rank_bytes=200 * MIB)  # Python needs its part all the same
    assert choose(tmp_path / "new", half)[0] == 1152


def test_choose_resources__by_a_policy(tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text('most_mem = "512M"\n')
    memory_mb, why = choose(tmp_path / "new", policy=policy)
    assert memory_mb == 512
    assert "768 MB is more than is allowed" in why[0]
    policy.write_text("most_men = 1\n")
    with pytest.raises(BadInput, match="unknown key most_men"):
        choose(tmp_path / "new", policy=policy)
