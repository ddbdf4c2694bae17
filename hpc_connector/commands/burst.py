"""``hpc-connector burst plan``: what of a run would go to functions, and why."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from hpc_connector import cli
from hpc_connector.allocation.ask import get_cost
from hpc_connector.burst.config import read_settings
from hpc_connector.burst.plan import Plan, plan_burst
from hpc_connector.burst.resources import choose_resources
from hpc_connector.cluster.site import Site
from hpc_connector.options import BurstOptions, list_options
from hpc_connector.pipeline.executor import check_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hpc-connector burst``."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    said = "show what would go to functions, and why"
    add = cli.add_command(commands, "plan", said).add_argument
    said = "of MPI, that the run will have (default: %(default)s)"
    add("--ranks", type=cli.at_least(1), default=1, metavar="N", help=said)
    add("--json", action="store_true", help="print one JSON object")
    add("program", metavar="PROGRAM", help="mdr-epistasis or metabolite-annotation")
    said = "those of the program: run ... --burst FILE ..."
    add("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help=said)


def run(args: argparse.Namespace) -> int:
    """Print the plan of a run."""
    parser = cli.make_parser("hpc-connector burst plan", "")
    cli.add_burst(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked, _ = parser.parse_known_args(args.arguments)
    asked.burst = asked.burst or parser.error("expected run ... --burst FILE")
    chosen = BurstOptions(
        **{name: getattr(asked, name) for name in list_options(BurstOptions)}
    )
    check_options(chosen)
    settings = read_settings(asked.burst, asked.burst_workers)
    cost = get_cost(args.program, tuple(args.arguments), Site())
    workers = 0 if asked.engine == "lithops" else args.ranks * asked.threads
    settings, _, why = choose_resources(
        chosen, asked.out, settings, cost, workers, args.program
    )
    plan = plan_burst(
        cost,
        workers,
        settings,
        share=asked.burst_share,
        budget_eur=asked.budget,
        deadline_s=asked.deadline,
    )
    plan = replace(plan, reasons=(*why, *plan.reasons))
    if args.json:
        ask = {"workers": settings.workers, "memory_mb": settings.memory_mb}
        print(json.dumps(asdict(plan) | {"end_s": plan.end_s} | ask))
    else:
        print(format_plan(plan, workers, settings.workers, settings.backend))
    return cli.DONE


def format_plan(plan: Plan, workers: int, functions: int, backend: str) -> str:
    """Return a plan as text."""
    price = "price not known" if plan.cost_eur is None else f"{plan.cost_eur:.4f} EUR"
    met = "" if plan.meets_deadline else "; THE DEADLINE IS MISSED"
    lines = [f"{'':22}  tasks  workers  ends after"]
    lines.append(
        f"{'ranks':22}{plan.tasks_here:7}{workers:9}{plan.ranks_end_s:10,.0f} s"
    )
    lines.append(
        f"{f'functions ({backend})':22}{plan.tasks_away:7}{functions:9}"
        f"{plan.functions_end_s:10,.0f} s   {price}"
    )
    lines.append(f"the run ends after {plan.end_s:,.0f} s{met}")
    return "\n".join([*(f"- {reason}" for reason in plan.reasons), "", *lines])
