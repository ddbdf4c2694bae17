"""``hpc-connector telemetry recommend``: nodes, ranks, memory and time for a run."""

import argparse
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hpc_connector import cli
from hpc_connector.allocation.ask import check_program, get_cost
from hpc_connector.allocation.candidates import (
    Candidate,
)
from hpc_connector.allocation.cost import (
    add_collecting,
)
from hpc_connector.allocation.limits import (
    Machine,
)
from hpc_connector.allocation.recommend import (
    Answer,
    Evidence,
    Question,
    answer_for,
    explain,
    get_machine,
)
from hpc_connector.cli import add_question
from hpc_connector.cluster.limits import ask_place, find_limits
from hpc_connector.cluster.site import get_container, get_site
from hpc_connector.errors import BadInput


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
        from hpc_connector.allocation.calibrate import calibrate

        command = [*get_container(site), args.program]
        cost = calibrate(command, args.arguments, cost)
    least_bytes = cost.node_bytes + cost.rank_bytes + cost.more_bytes
    place = ask_place(site)
    limits = find_limits(place, least_bytes=least_bytes)
    machine = get_machine(args.limits, limits)
    question = Question(args.deadline, args.minimise)
    evidence = Evidence(
        args.program, tuple(args.arguments), args.policy, args.history, args.calibrate
    )
    answer = answer_for(evidence, cost, place, machine, question)
    print(FORMATS[args.format](answer, args.program, machine))
    if answer.chosen is None:
        raise BadInput(explain(answer))
    return cli.DONE


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
