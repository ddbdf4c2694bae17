"""``hpc-connector submit``: run a program as a Slurm job."""

import argparse
import logging
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpc_connector import cli
from hpc_connector.allocation.ask import check_program, get_cost
from hpc_connector.allocation.cost import (
    Allocation,
    Cost,
    Limits,
    add_collecting,
    count_most_ranks,
    deal_ranks,
    propose,
)
from hpc_connector.allocation.growth import grow_most
from hpc_connector.cluster.array import (
    Element,
    cut_list,
    find_most,
    list_elements,
    list_parents,
)
from hpc_connector.cluster.batch import Job, check, render_sbatch, submit
from hpc_connector.cluster.groups import group_elements, list_costs
from hpc_connector.cluster.limits import Place, ask_place, find_limits
from hpc_connector.cluster.options import check_options
from hpc_connector.cluster.record import record_jobs
from hpc_connector.cluster.site import Site, get_site
from hpc_connector.cluster.unfinished import list_unfinished
from hpc_connector.commands import grants
from hpc_connector.errors import BadInput
from hpc_connector.units import parse_duration, parse_size

logger = logging.getLogger(__name__)

WARN_S = 120
MOST_WARN_S = 65535  # that sbatch takes
DASHED = ("--sbatch",)  # options whose value may begin with a dash


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "What is not given is chosen by what the run takes, which its program says, "
        "and by what the site, the partition and the QOS give. Options come before "
        "the site file, and that before the environment."
    )
    add_place(parser.add_argument_group("where it runs"))
    add_size(parser.add_argument_group("what it asks for"))
    add_array(parser.add_argument_group("many datasets"))
    add_end(parser.add_argument_group("how it ends, and what is seen of it"))
    add_grant(parser.add_argument_group("encrypted inputs that a keeper opens"))
    group = parser.add_argument_group("by what it is sized, and what is done")
    cli.add_question(group)
    shown = group.add_mutually_exclusive_group().add_argument
    shown("--dry-run", action="store_true", help="print the script, submit nothing")
    shown(
        "--check",
        action="store_true",
        help="print when and where sbatch would start it, submit nothing",
    )
    add = parser.add_argument
    add("program", metavar="PROGRAM", help="mdr-epistasis or metabolite-annotation")
    add(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="ARGUMENT",
        help="those of the program, such as run cohort.bed --out results",
    )


def add_place(group: Any) -> None:
    """Add where a job runs."""
    add = group.add_argument
    add("--site", type=Path, metavar="FILE", help="of the cluster, as slurm/mn5.env")
    add(
        "--account",
        default="",
        metavar="NAME",
        help="who pays (default: yours, by Slurm)",
    )
    add(
        "--qos",
        default="",
        metavar="NAME",
        help="of the job (default: that of the account, by Slurm)",
    )
    add(
        "--slurm-partition",
        "--partition",
        default="",
        metavar="NAME",
        help="of Slurm (default: that of the cluster)",
    )
    add(
        "--dependency",
        default="",
        metavar="LIST",
        help="as afterok:1234 (default: none)",
    )
    add(
        "--export",
        default="ALL",
        metavar="LIST",
        help="variables that the job gets, as sbatch takes it (default: ALL, which it "
        "needs)",
    )
    add(
        "--sbatch",
        action="append",
        default=[],
        type=as_option(check_options),
        metavar="OPTION",
        help='any other option of sbatch, as "--constraint=perf"; may be repeated',
    )


def add_size(group: Any) -> None:
    """Add how much a job asks for."""
    add, number = group.add_argument, cli.at_least(1)
    add(
        "--nodes",
        type=number,
        default=0,
        metavar="N",
        help="of the job (default: as few as will do)",
    )
    add(
        "--ntasks",
        type=number,
        default=0,
        metavar="N",
        help="ranks in all (default: by what the run takes)",
    )
    add(
        "--ntasks-per-node",
        type=number,
        default=0,
        metavar="N",
        help="ranks of each (default: by what the run takes)",
    )
    add(
        "--cpus-per-task",
        type=number,
        default=1,
        metavar="N",
        help="threads of a rank (default: %(default)s)",
    )
    add(
        "--time",
        type=as_option(read_time),
        default=0,
        metavar="TIME",
        help="minutes, MM:SS, H:MM:SS, D-HH, D-HH:MM:SS, 2h, 1h30m, UNLIMITED; the "
        "job is queued again if it does not suffice (default: twice what the run "
        "takes, 10 minutes at least)",
    )
    add(
        "--mem",
        type=as_option(read_memory),
        default=0,
        metavar="SIZE",
        help="of a node: 20G, 20GB, 20480 (megabytes), 0 for all that it has (default: "
        "1.2 times what the run takes)",
    )


def add_array(group: Any) -> None:
    """Add how many datasets become an array of jobs."""
    add = group.add_argument
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
    add(
        "--most-at-once",
        type=cli.at_least(1),
        default=0,
        metavar="N",
        help="elements that run at a time (default: all that Slurm lets)",
    )


def add_end(group: Any) -> None:
    """Add how a job is stopped, and whether it is watched."""
    add = group.add_argument
    add(
        "--warn",
        type=as_option(read_warning),
        default=WARN_S,
        metavar="TIME",
        help="how long before the end of its time it is stopped, to go on in the next: "
        "seconds, MM:SS, H:MM:SS, 2m (default: %(default)s; a third of the time at "
        "most)",
    )
    add("--telemetry", action="store_true", help="watch the ranks of each node")


def add_grant(group: Any) -> None:
    """Add the grant of a job, and where the token of its owner comes from."""
    add = group.add_argument
    said = (
        "name of a grant, of hpc-connector keys grant: bound to the number of the job"
    )
    add("--grant", default="", metavar="NAME", help=said)
    said = "open file with the token on its first line (default: of keys login)"
    add("--token-fd", type=cli.at_least(0), metavar="N", help=said)
    said = "that prints the token, as 'oidc-token NAME'"
    add("--token-command", default="", metavar="COMMAND", help=said)


def as_option(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a type for argparse, which says what the reader says of bad text."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def read_time(text: str) -> float:
    """Return the seconds of a job, whole minutes as in Slurm; 0 is without a limit."""
    seconds = parse_duration(text)
    return 60 * math.ceil(seconds / 60) if 0 < seconds < math.inf else math.inf


def read_memory(text: str) -> float:
    """Return the bytes of a node; 0 is all that it has."""
    return parse_size(text) or math.inf


def read_warning(text: str) -> int:
    """Return the whole seconds of a warning."""
    seconds = parse_duration(text, 1)
    if not 1 <= seconds < math.inf:
        raise ValueError(f"{text}: expected seconds of 1 or more, or H:MM:SS")
    return round(seconds)


def run(args: argparse.Namespace) -> int:
    """Render the script of a job, or of each array of a list, and submit them."""
    if args.failed and not args.array:
        raise BadInput("--failed: expected --array, whose datasets are submitted again")
    place = ask_place(choose_site(args))
    check_program(args.program, place.site)
    args.arguments = list(grants.add_grant(tuple(args.arguments), args.grant))
    granted = grants.prepare(args)
    jobs = make_arrays(args, place) if args.array else [make_single(args, place)]
    if granted:
        grants.check_jobs(jobs)
    for n_done, job in enumerate(jobs):
        try:
            hand_in(args, job, place.site, granted)
        except BadInput as error:
            left = sum(len(job.indices) for job in jobs[n_done:])
            more = f"; {left:,} datasets are left, see --failed" if n_done else ""
            raise BadInput(f"{error}{more}") from None
    return cli.DONE


def hand_in(
    args: argparse.Namespace,
    job: Job,
    site: Site,
    granted: grants.Granted | None = None,
) -> None:
    """Submit a job and keep its record, or say what would be submitted."""
    script = render_sbatch(job, site)
    if args.dry_run:
        sys.stdout.buffer.write(os.fsencode(script))  # names of files as they are
    elif args.check:
        print(check(script))
    else:
        number = submit(script)
        if granted:
            grants.bind(granted, number)
        print(number, flush=True)
        record_jobs(number, job, site)


def choose_site(args: argparse.Namespace) -> Site:
    """Return the site of the options, of the file, and of the environment."""
    names = ("account", "qos", "slurm_partition")
    chosen = {name: value for name in names if (value := getattr(args, name))}
    return replace(get_site(args.site), **chosen)


def make_single(args: argparse.Namespace, place: Place) -> Job:
    """Return a job of one run."""
    arguments = tuple(args.arguments)
    if args.grant:
        cost = grants.get_cost(args)
    else:
        cost = get_cost(args.program, arguments, place.site)
    return make_job(args, place, (arguments,), cost)


def make_arrays(args: argparse.Namespace, place: Place) -> list[Job]:
    """Return the arrays that run all datasets of a list, or those that have not ended.

    Alike ones are in one array, and each has the index that it has in the list.
    """
    from hpc_connector.pipeline.terminal import make_progress

    listed = list_elements(tuple(args.arguments), args.array)
    elements = list_unfinished(listed) if args.failed else listed
    if args.deadline or args.policy:
        args.history = args.history or list_parents(elements)
    show = make_progress(quiet=len(elements) < 2, unit="datasets looked at")
    sized: dict[Job, list[Element]] = {}
    if args.grant:
        costs = [grants.get_cost(args)] * len(elements)
    else:
        costs = list_costs(args.program, elements, place.site, show)
    for alike, cost in group_elements(elements, costs):
        runs = tuple(element.arguments for element in alike)
        try:
            job = make_job(args, place, runs, cost)
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
    place: Place,
    arguments: tuple[tuple[str, ...], ...],
    cost: Cost,
) -> Job:
    """Return a job, or an array of them that all ask for the same."""
    if args.telemetry or any(w.startswith("--telemetry") for w in arguments[0]):
        cost = add_collecting(cost)
    asked, limits = ask_within(args, place, cost)
    if args.deadline or args.policy or args.history:
        from hpc_connector.allocation.recommend import Evidence, choose_allocation

        known = Evidence(args.program, arguments[0], args.policy, args.history)
        chosen = choose_allocation(known, args.deadline, cost, place, limits, asked)
    else:
        chosen = propose(cost, limits, asked)
    chosen = grow_most(arguments, chosen, asked, place, args.policy, args.warn)
    for reason in chosen.reasons:
        logger.info("%s", reason)
    return Job(
        args.program,
        arguments,
        chosen.nodes,
        chosen.ntasks_per_node,
        chosen.cpus_per_task,
        chosen.time_s,
        args.mem if math.isinf(args.mem) else chosen.mem_bytes,
        limit_warning(args.warn, chosen.time_s),
        dependency=args.dependency,
        most_at_once=args.most_at_once,
        telemetry=args.telemetry,
        policy=str(args.policy.resolve()) if args.policy else "",
        export=args.export,
        more=tuple(args.sbatch),
        most_s=limits.most_s,
        most_node_bytes=limits.largest_bytes,
    )


def ask_within(
    args: argparse.Namespace, place: Place, cost: Cost
) -> tuple[Allocation, Limits]:
    """Return the allocation asked for, and the limits of where the job goes."""
    mem_bytes = 0 if math.isinf(args.mem) else args.mem
    asked = Allocation(
        args.nodes, args.ntasks_per_node, args.cpus_per_task, mem_bytes, args.time
    )
    least_bytes = cost.node_bytes + cost.rank_bytes + cost.more_bytes
    limits = find_limits(place, asked, least_bytes)
    if mem_bytes > limits.mem_bytes:
        said = "--mem %.1f GB: a node has %.1f GB, and sbatch refuses more"
        logger.info(said, mem_bytes / 1e9, limits.mem_bytes / 1e9)
    most = count_most_ranks(cost, limits, asked)
    nodes, ntasks = deal_ranks(args.ntasks, args.nodes, args.ntasks_per_node, most)
    mem_bytes = limits.mem_bytes if math.isinf(args.mem) else mem_bytes
    asked = replace(asked, nodes=nodes, ntasks_per_node=ntasks, mem_bytes=mem_bytes)
    return asked, limits


def limit_warning(warn_s: int, time_s: float) -> int:
    """Return how long before its end a job is warned: a third of its time at most."""
    most_s = int(min(time_s / 3, MOST_WARN_S))
    if warn_s <= most_s:
        return warn_s
    logger.info("--warn %d s: %d s, a third of the time", warn_s, most_s)
    return most_s
