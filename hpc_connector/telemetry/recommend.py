"""``hpc-connector telemetry recommend``: nodes, ranks, memory and time for a run."""

import argparse
import json
import logging
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hpc_connector import cli
from hpc_connector.allocation import (
    AIM_S,
    Allocation,
    Cost,
    Limits,
    add_collecting,
    check_asked,
)
from hpc_connector.cli import add_question
from hpc_connector.cluster.ask import check_program, get_cost
from hpc_connector.cluster.limits import Place, ask_place, find_limits
from hpc_connector.cluster.site import get_container, get_site
from hpc_connector.errors import BadInput
from hpc_connector.manifest import find_out
from hpc_connector.storer._text import say_count
from hpc_connector.telemetry.candidates import (
    Candidate,
    choose,
    learn,
    list_candidates,
    make_allocation,
)
from hpc_connector.telemetry.history import Run, read_history
from hpc_connector.telemetry.policy import (
    Machine,
    Policy,
    check_site,
    get_limits,
    read_machine,
    read_policy,
)

logger = logging.getLogger(__name__)


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_question(parser)
    said = "among what meets the deadline (default: cost)"
    add("--minimise", choices=("time", "cost", "energy"), default="", help=said)
    said = "TOML: cores, mem, most_nodes, ... (default: of the site, or of Slurm)"
    add("--limits", type=Path, metavar="FILE", help=said)
    said = "of the cluster, as slurm/mn5.env (default: what was sourced)"
    add("--site", type=Path, metavar="FILE", help=said)
    said = "of Slurm, whose nodes it may take (default: the site's)"
    add("--slurm-partition", "--partition", default="", metavar="NAME", help=said)
    add("--qos", default="", metavar="NAME", help="of Slurm (default: the site's)")
    add("--calibrate", action="store_true", help="run 5 %% of the work here first")
    said = "vpa: what Kubernetes' VerticalPodAutoscaler reads (default: text)"
    add("--format", choices=("text", "json", "vpa"), default="text", help=said)
    said = "mdr-epistasis or metabolite-annotation"
    add("program", metavar="PROGRAM", help=said)
    said = "those of the program: run ..."
    add("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help=said)


def run(args: argparse.Namespace) -> int:
    """Print what to ask for; the exit code is 2 where no allocation meets it."""
    site = get_site(args.site)
    chosen = {k: v for k in ("qos", "slurm_partition") if (v := getattr(args, k))}
    site = replace(site, **chosen)
    check_program(args.program, site)
    cost = get_cost(args.program, tuple(args.arguments), site)
    if "--telemetry" in args.arguments:
        cost = add_collecting(cost)
    if args.calibrate:
        from hpc_connector.telemetry.calibrate import calibrate

        command = [*get_container(site), args.program]
        cost = calibrate(command, args.arguments, cost)
    least_bytes = cost.node_bytes + cost.rank_bytes + cost.more_bytes
    place = ask_place(site)
    limits = find_limits(place, least_bytes=least_bytes)
    machine = get_machine(args.limits, limits)
    question = Question(args.deadline, args.minimise)
    answer = answer_for(args, args.arguments, cost, place, machine, question)
    print(FORMATS[args.format](answer, args.program, machine))
    if answer.chosen is None:
        raise BadInput(explain(answer))
    return cli.DONE


def choose_allocation(
    args: argparse.Namespace,
    arguments: Sequence[str],
    cost: Cost,
    place: Place,
    limits: Limits,
    asked: Allocation,
) -> Allocation:
    """Return what ``hpc-connector submit`` asks for; what is asked stays as it is.

    Raises
    ------
    BadInput
        No allocation meets the deadline and the policy, or what is asked for.
    """
    check_asked(asked, get_limits(read_policy(args.policy)))
    check_asked(asked, limits)
    machine, question = get_machine(None, limits), Question(args.deadline)
    answer = answer_for(args, arguments, cost, place, machine, question, asked)
    if answer.allocation is None:
        raise BadInput(explain(answer))
    return answer.allocation


def answer_for(
    args: argparse.Namespace,
    arguments: Sequence[str],
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
    policy = read_policy(args.policy)
    check_site(policy, place.site.slurm_partition, place.site.qos)
    runs: list[Run] = []
    notes = ["calibrated here: recorded runs are not looked at"]
    if not getattr(args, "calibrate", False):
        runs, notes = get_runs(args.history, arguments, args.program)
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
    """Return what is expected of a candidate, in words."""
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


def format_text(answer: Answer, program: str, machine: Machine) -> str:
    """Return an answer as text, every candidate in a line."""
    lines = []
    if answer.allocation:
        ask = answer.allocation
        lines += [
            f"--nodes {ask.nodes} --ntasks-per-node {ask.ntasks_per_node} "
            f"--cpus-per-task {ask.cpus_per_task} --mem {-(-ask.mem_bytes >> 20)}M "
            f"--time {-(-ask.time_s // 60)}"
        ]
    lines += [f"  {reason}" for reason in answer.reasons]
    head = ("nodes x ranks x threads", "P50 s", "P90 s", "GB a node", "core h", "kJ")
    lines += ["", "{:>24}{:>11}{:>11}{:>11}{:>10}{:>10}".format(*head)]
    lines += [format_candidate(c, c == answer.chosen) for c in answer.candidates]
    return "\n".join(lines)


def format_candidate(c: Candidate, is_chosen: bool) -> str:
    """Return a line of the table."""
    energy = "-" if c.energy_j is None else f"{c.energy_j / 1e3:,.1f}"
    verdict = c.rejected or ("<- proposed" if is_chosen else "")
    times = f"{c.p50_s:>11,.0f}{c.p90_s:>11,.0f}"
    price = f"{c.p90_mem_bytes / 1e9:>11.2f}{c.core_s / 3600:>10,.2f}{energy:>10}"
    return f"{c.describe():>24}{times}{price}  {verdict}".rstrip()


def format_json(answer: Answer, program: str, machine: Machine) -> str:
    """Return an answer as one JSON object."""
    return json.dumps(asdict(answer))


def format_vpa(answer: Answer, program: str, machine: Machine) -> str:
    """Return an answer as the VerticalPodAutoscaler of Kubernetes, a pod a node."""
    if answer.chosen is None or answer.allocation is None:
        return json.dumps({"recommendation": {"containerRecommendations": []}})
    chosen, free = answer.chosen, answer.uncapped or answer.chosen
    allowed = [c for c in answer.candidates if not c.rejected]
    target_bytes = answer.allocation.mem_bytes
    bounds = {
        "target": (chosen.cores, target_bytes),
        "lowerBound": (
            min(c.cores for c in allowed),
            min([target_bytes, *(c.p50_mem_bytes for c in allowed)]),
        ),
        "upperBound": (
            max(c.cores for c in allowed),
            max([target_bytes, *(c.p90_mem_bytes for c in allowed)]),
        ),
        "uncappedTarget": (free.cores, free.p90_mem_bytes),
    }
    container: dict[str, Any] = {"containerName": program}
    for name, (cores, n_bytes) in bounds.items():
        container[name] = {"cpu": str(cores), "memory": str(math.ceil(n_bytes))}
    return json.dumps({"recommendation": {"containerRecommendations": [container]}})


FORMATS = {"text": format_text, "json": format_json, "vpa": format_vpa}
