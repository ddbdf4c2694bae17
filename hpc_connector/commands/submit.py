"""``hpc-connector submit``: run a program as a Slurm job."""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpc_connector import cli
from hpc_connector.allocation import Allocation, Cost, Limits, add_collecting, propose
from hpc_connector.cluster.array import (
    Element,
    cut_list,
    find_most,
    list_elements,
    list_parents,
)
from hpc_connector.cluster.ask import ask_each, get_cost
from hpc_connector.cluster.batch import Job, render_sbatch, submit
from hpc_connector.cluster.groups import cover, group_elements, list_costs
from hpc_connector.cluster.nodes import find_node
from hpc_connector.cluster.site import Site, get_site, read_site
from hpc_connector.cluster.unfinished import list_unfinished
from hpc_connector.errors import BadInput
from hpc_connector.manifest import find_out
from hpc_connector.units import parse_bytes, parse_time

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("--site", type=Path, metavar="FILE", help="of the cluster, as slurm/mn5.env")
    add("--account", default="")
    add("--qos", default="")
    add("--slurm-partition", default="", metavar="NAME")
    add("--nodes", type=cli.at_least(1), default=0, metavar="N")
    add("--ntasks", type=cli.at_least(1), default=0, metavar="N", help="ranks in all")
    add("--ntasks-per-node", type=cli.at_least(1), default=0, metavar="N")
    add("--cpus-per-task", type=cli.at_least(1), default=1, metavar="N", help="threads")
    add("--time", type=duration, default=0, metavar="TIME", help="such as 2:00:00")
    add("--mem", type=size, default=0, metavar="SIZE", help="of a node, such as 20G")
    add("--dependency", default="", metavar="LIST", help="as sbatch takes it")
    add(
        "--array",
        type=Path,
        metavar="FILE",
        help="a dataset a line, which {} stands for, and {name} for its bare name",
    )
    add(
        "--failed",
        action="store_true",
        help="of --array only what has not ended well, and is not queued",
    )
    add("--most-at-once", type=cli.at_least(1), default=0, metavar="N")
    cli.add_question(parser)
    add("--warn", type=duration, default=120, metavar="TIME", help="before the end")
    add("--telemetry", action="store_true", help="watch the ranks of each node")
    add("--dry-run", action="store_true", help="print the script, submit nothing")
    add("program", metavar="PROGRAM")
    add("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT")


def duration(text: str) -> int:
    """Return the seconds of a time as Slurm takes it: minutes, or with colons."""
    return round(parse_time(text if set(text) & set(":-") else f"{text}:00"))


def size(text: str) -> int:
    """Return the bytes of a size as Slurm takes it: megabytes without a letter."""
    if not (n_bytes := parse_bytes(f"{text}M" if text.isdigit() else text)):
        raise argparse.ArgumentTypeError(f"{text}: expected a size such as 20G")
    return n_bytes


def run(args: argparse.Namespace) -> int:
    """Render the script of a job, or of each array of a list, and submit them."""
    if args.failed and not args.array:
        raise BadInput("--failed: expected --array, whose datasets are submitted again")
    site = choose_site(args)
    jobs = make_arrays(args, site) if args.array else [make_single(args, site)]
    for n_done, job in enumerate(jobs):
        script = render_sbatch(job, site)
        if args.dry_run:
            print(script, end="")
            continue
        try:
            print(submit(script), flush=True)
        except BadInput as error:
            left = sum(len(job.indices) for job in jobs[n_done:])
            more = f"; {left:,} datasets are left, see --failed" if n_done else ""
            raise BadInput(f"{error}{more}") from None
    return cli.DONE


def choose_site(args: argparse.Namespace) -> Site:
    """Return the site of the file, or of the environment; options win."""
    site = read_site(args.site) if args.site else get_site()
    names = ("account", "qos", "slurm_partition")
    chosen = {name: value for name in names if (value := getattr(args, name))}
    return Site(**(vars(site) | chosen))


def make_single(args: argparse.Namespace, site: Site) -> Job:
    """Return a job of one run."""
    arguments = tuple(args.arguments)
    cost = get_cost(args.program, arguments, site)
    return make_job(args, site, (arguments,), cost)


def make_arrays(args: argparse.Namespace, site: Site) -> list[Job]:
    """Return the arrays that run all datasets of a list, or those that have not ended.

    Alike ones are in one array, and each has the index that it has in the list.
    """
    from hpc_connector.pipeline import make_progress

    listed = list_elements(tuple(args.arguments), args.array)
    elements = list_unfinished(listed) if args.failed else listed
    if args.deadline or args.policy:
        args.history = args.history or list_parents(elements)
    show = make_progress(quiet=len(elements) < 2, unit="datasets looked at")
    sized: dict[Job, list[Element]] = {}
    costs = list_costs(args.program, elements, site, show)
    for alike, cost in group_elements(elements, costs):
        runs = tuple(element.arguments for element in alike)
        try:
            job = make_job(args, site, runs, cost)
        except BadInput as error:
            raise BadInput(f"{args.array}, {cost.reasons[0]}: {error}") from None
        sized.setdefault(replace(job, arguments=()), []).extend(alike)
    return cut_jobs(sized, find_most(listed))


def cut_jobs(sized: dict[Job, list[Element]], most: int) -> list[Job]:
    """Return the arrays of elements that ask for the same, each of at most so many."""
    jobs = [
        replace(
            job,
            arguments=tuple(element.arguments for element in part),
            indices=tuple(element.index % most for element in part),
        )
        for job, elements in sized.items()
        for part in cut_list(elements, most)
    ]
    if len(jobs) > 1:
        n_elements = sum(len(job.indices) for job in jobs)
        logger.info("%s datasets in %d arrays", f"{n_elements:,}", len(jobs))
        if jobs[0].most_at_once:
            logger.info("--most-at-once %d holds for each", jobs[0].most_at_once)
    return jobs


def make_job(
    args: argparse.Namespace,
    site: Site,
    arguments: tuple[tuple[str, ...], ...],
    cost: Cost,
) -> Job:
    """Return a job, or an array of them that all ask for the same."""
    if args.telemetry or "--telemetry" in arguments[0]:
        cost = add_collecting(cost)
    cores, mem_bytes = find_node(site)
    nodes, ntasks = deal_ranks(args, cores)
    asked = Allocation(nodes, ntasks, args.cpus_per_task, args.mem, args.time)
    if args.deadline or args.policy or args.history:
        from hpc_connector.telemetry.recommend import choose_allocation

        chosen = choose_allocation(args, arguments[0], cost, site, asked)
    else:
        most_s = round(3600 * site.most_hours)
        limits = Limits(cores, mem_bytes, site.most_nodes, most_s)
        chosen = propose(cost, limits, asked)
    chosen = grow_most(args, arguments, chosen, site, asked)
    for reason in chosen.reasons:
        logger.info("%s", reason)
    return Job(
        args.program,
        arguments,
        chosen.nodes,
        chosen.ntasks_per_node,
        chosen.cpus_per_task,
        chosen.time_s,
        chosen.mem_bytes,
        args.warn,
        dependency=args.dependency,
        most_at_once=args.most_at_once,
        telemetry=args.telemetry,
        policy=str(args.policy.resolve()) if args.policy else "",
    )


def grow_most(
    args: argparse.Namespace,
    runs: Sequence[tuple[str, ...]],
    chosen: Allocation,
    site: Site,
    asked: Allocation,
) -> Allocation:
    """Return what to ask for, as much as the last jobs of all runs were short of."""
    grown = list(
        ask_each(lambda run: grow_from_last(args, run, chosen, site, asked), runs)
    )
    for run, found in zip(runs, grown, strict=True):
        if isinstance(found, BadInput):
            raise BadInput(f"{find_out(list(run))}: {found}")
    return cover(chosen, [found for found in grown if isinstance(found, Allocation)])


def grow_from_last(
    args: argparse.Namespace,
    arguments: tuple[str, ...],
    chosen: Allocation,
    site: Site,
    asked: Allocation,
) -> Allocation:
    """Return what to ask for, more where the last job of this run was short of it."""
    out = find_out(list(arguments))
    if out is None or not out.exists():
        return chosen
    from hpc_connector.telemetry.grow import raise_to
    from hpc_connector.telemetry.policy import read_policy

    policy = read_policy(args.policy)
    return raise_to(chosen, asked, out, policy, site, args.warn)


def deal_ranks(args: argparse.Namespace, cores: int) -> tuple[int, int]:
    """Return nodes, and ranks of each, as far as the options say; else 0.

    Raises
    ------
    BadInput
        Ranks that are not the same number on every node.
    """
    if not args.ntasks:
        return args.nodes, args.ntasks_per_node
    nodes = args.nodes or -(-args.ntasks * args.cpus_per_task // cores)
    if args.ntasks % nodes or args.ntasks_per_node not in (0, args.ntasks // nodes):
        raise BadInput(
            f"--ntasks {args.ntasks} on {nodes} nodes: expected a multiple of the "
            "nodes, and --ntasks-per-node to agree"
        )
    return nodes, args.ntasks // nodes
