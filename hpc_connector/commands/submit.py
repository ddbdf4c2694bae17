"""``hpc-connector submit``: run a program as a Slurm job."""

import argparse
import logging
from pathlib import Path

from hpc_connector import cli
from hpc_connector.allocation import Allocation, Limits, add_collecting, propose
from hpc_connector.cluster.array import list_arguments
from hpc_connector.cluster.ask import get_cost
from hpc_connector.cluster.batch import Job, render_sbatch, submit
from hpc_connector.cluster.nodes import find_node
from hpc_connector.cluster.site import Site, get_site, read_site
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
    """Render the script of a job, and submit it."""
    site = choose_site(args)
    script = render_sbatch(make_job(args, site), site)
    if args.dry_run:
        print(script, end="")
        return cli.DONE
    print(submit(script))
    return cli.DONE


def choose_site(args: argparse.Namespace) -> Site:
    """Return the site of the file, or of the environment; options win."""
    site = read_site(args.site) if args.site else get_site()
    names = ("account", "qos", "slurm_partition")
    chosen = {name: value for name in names if (value := getattr(args, name))}
    return Site(**(vars(site) | chosen))


def make_job(args: argparse.Namespace, site: Site) -> Job:
    """Return the job, its size by the cost of the run where it is not given."""
    arguments = list_arguments(tuple(args.arguments), args.array)
    cost = get_cost(args.program, arguments[0], site)
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
    chosen = grow_from_last(args, arguments[0], chosen, site, asked)
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
        output="%x-%A_%a.out" if len(arguments) > 1 else "%x-%j.out",
        telemetry=args.telemetry,
        policy=str(args.policy.resolve()) if args.policy else "",
    )


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
