"""Nodes, ranks, memory and time for a run, by what earlier ones took."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpc_connector.allocation.candidates import (
    Candidate,
    choose,
    learn,
    list_candidates,
    make_allocation,
)
from hpc_connector.allocation.cost import (
    AIM_S,
    Allocation,
    Cost,
    Limits,
    check_asked,
)
from hpc_connector.allocation.history import Run, read_history
from hpc_connector.allocation.limits import (
    Machine,
    Policy,
    check_site,
    get_limits,
    read_machine,
    read_policy,
)
from hpc_connector.cli import find_out
from hpc_connector.cluster.limits import Place
from hpc_connector.errors import BadInput
from hpc_connector.report.text import say_count


@dataclass(frozen=True)
class Question:
    """What is wanted of a run: the deadline, 0 for none, and what is to be least."""

    deadline_s: float = 0.0
    minimise: str = ""


@dataclass(frozen=True)
class Answer:
    """What to ask for, of which candidates it was chosen, and why.

    `allocation` and `chosen` are None where no allocation meets what is wanted.
    """

    allocation: Allocation | None
    chosen: Candidate | None
    candidates: tuple[Candidate, ...]
    uncapped: Candidate | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """By what a run is sized, besides the formula of its program.

    Parameters
    ----------
    program, arguments
        The command of the run.
    policy
        TOML: caps, margin, growth.
    history
        Recorded runs, or folders of them; None for those beside its ``--out``.
    is_calibrated
        The cost was measured here, so recorded runs are not looked at.
    """

    program: str
    arguments: tuple[str, ...]
    policy: Path | None = None
    history: Sequence[Path] | None = None
    is_calibrated: bool = False


def choose_allocation(
    evidence: Evidence,
    deadline_s: float,
    cost: Cost,
    place: Place,
    limits: Limits,
    asked: Allocation,
) -> Allocation:
    """Return the allocation to ask for; what is asked for stays as it is.

    Parameters
    ----------
    deadline_s
        0 for none.

    Raises
    ------
    BadInput
        No allocation meets the deadline and the policy, or what is asked for.
    """
    check_asked(asked, get_limits(read_policy(evidence.policy)))
    check_asked(asked, limits)
    machine, question = get_machine(None, limits), Question(deadline_s)
    answer = answer_for(evidence, cost, place, machine, question, asked)
    if answer.allocation is None:
        raise BadInput(explain(answer))
    return answer.allocation


def answer_for(
    evidence: Evidence,
    cost: Cost,
    place: Place,
    machine: Machine,
    question: Question,
    asked: Allocation | None = None,
) -> Answer:
    """Return the answer by the policy and the history of a command line.

    Raises
    ------
    BadInput
        A policy that cannot be read, or does not allow the partition or the QOS.
    """
    policy = read_policy(evidence.policy)
    check_site(policy, place.site.slurm_partition, place.site.qos)
    runs: list[Run] = []
    notes = ["calibrated here: recorded runs are not looked at"]
    if not evidence.is_calibrated:
        runs, notes = get_runs(evidence.history, evidence.arguments, evidence.program)
    answer = recommend(cost, runs, machine, policy, question, asked, notes)
    if answer.allocation:  # where it goes if nothing is named
        check_site(policy, place.name, place.qos)
    return answer


def get_machine(path: Path | None, limits: Limits) -> Machine:
    """Return the limits of a file, and of the site what the file does not say.

    Without Slurm it is this machine alone.
    """
    machine = read_machine(path) if path else Machine()
    alone = 0 if shutil.which("sinfo") else 1
    return replace(
        machine,
        cores=machine.cores or limits.cores,
        mem=machine.mem or float(limits.mem_bytes),
        most_nodes=machine.most_nodes or limits.most_nodes or alone,
        most_time=machine.most_time or float(limits.most_s),
        most_cores=machine.most_cores or limits.most_cores,
        most_job_mem=machine.most_job_mem or float(limits.most_mem_bytes),
    )


def get_runs(
    folders: Sequence[Path] | None, arguments: Sequence[str], program: str
) -> tuple[list[Run], list[str]]:
    """Return recorded runs of a program, and what is to be said of them."""
    out = find_out(list(arguments))
    if folders is None:
        folders = [out.parent] if out else []
    runs, skipped = read_history(folders, program)
    where = ", ".join(map(str, folders)) or "no folder"
    notes = [f"left out: {reason}" for reason in skipped]
    if runs:
        ranks = max(run.ranks * run.threads for run in runs)
        known = f"{say_count(len(runs), 'run')} in {where}"
        return runs, [*notes, f"{known}, on at most {say_count(ranks, 'core')}"]
    said = f"no recorded run of {program} in {where}: by the formula of the program"
    return runs, [*notes, said]


def recommend(
    cost: Cost,
    runs: Sequence[Run],
    machine: Machine,
    policy: Policy,
    question: Question,
    asked: Allocation | None = None,
    notes: Sequence[str] = (),
) -> Answer:
    """Return the best allocation for a run.

    Without a deadline, and nothing to minimise, it is the cheapest that ends within
    ``AIM_S``, or the fastest where none does.

    Raises
    ------
    BadInput
        Energy is to be minimised, and the watts of a node are not known.
    """
    by_energy = question.minimise == "energy" or policy.energy_weight > 0
    if by_energy and not machine.busy_watts:
        raise BadInput("energy: expected idle_watts and busy_watts in --limits")
    asked = asked or Allocation(cpus_per_task=0)
    known = learn(cost, runs)
    is_open = not (question.deadline_s or question.minimise or asked.time_s)
    limit_s = AIM_S if is_open else question.deadline_s
    minimise = question.minimise or "cost"
    candidates = list_candidates(known, machine, policy, limit_s, asked)
    chosen = choose(candidates, minimise, policy.energy_weight)
    reasons = [*cost.reasons, *notes]
    if is_open and chosen is None:
        candidates = list_candidates(known, machine, policy, 0, asked)
        chosen = choose(candidates, "time", 0)
        reasons.append(f"none ends within {AIM_S} s: the fastest")
    free = list_candidates(known, machine, Policy(), limit_s, asked)
    uncapped = choose(free, minimise, policy.energy_weight) or chosen
    allocation = None
    if chosen is not None:
        reasons += describe(chosen)
        allocation = make_allocation(chosen, machine, policy, asked)
        allocation = replace(allocation, reasons=tuple(reasons))
    return Answer(allocation, chosen, tuple(candidates), uncapped, tuple(reasons))


def describe(chosen: Candidate) -> list[str]:
    """Return a sentence on what is expected of a candidate."""
    return [
        f"{chosen.describe()} nodes x ranks x threads: {chosen.p50_s:,.0f} s (P50), "
        f"{chosen.p90_s:,.0f} s (P90)",
        f"{chosen.p50_mem_bytes / 1e9:.2f} GB a node (P50), "
        f"{chosen.p90_mem_bytes / 1e9:.2f} GB (P90)",
    ]


def explain(answer: Answer) -> str:
    """Return why no allocation meets what is wanted: the reason of the nearest."""
    late = [c for c in answer.candidates if "may take" in c.rejected]
    nearest = min(late, key=lambda c: c.p90_s) if late else answer.candidates[0]
    return f"no allocation meets this; {nearest.describe()}: {nearest.rejected}"
