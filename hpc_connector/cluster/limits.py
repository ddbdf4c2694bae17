"""What a job may have: by the site file, its partition, its account and its QOS.

Slurm is asked what the file does not say, and what does not answer is not known.
"""

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpc_connector import slurm
from hpc_connector.allocation.cost import Allocation, Limits
from hpc_connector.cluster.rules import Caps, Row, ask_account, ask_qos, get_rules
from hpc_connector.cluster.site import Site
from hpc_connector.units import parse_time

FREE = Allocation()
# Of a partition, and the flag of a QOS that lifts it
OF_PARTITION = {
    "MaxTime": ("most_s", "PartitionTimeLimit"),
    "MaxNodes": ("most_nodes", "PartitionMaxNodes"),
    "TotalNodes": ("most_nodes", ""),
    "MaxCPUsPerNode": ("cores", ""),
    "MaxMemPerNode": ("mem_bytes", ""),
}


@dataclass(frozen=True)
class Kind:
    """Nodes with at least these cores and memory; how many, 0 if it is not known."""

    n_nodes: int
    cores: int
    mem_bytes: int


@dataclass(frozen=True)
class Place:
    """What Slurm says of where a job goes; nothing of what it does not answer.

    Parameters
    ----------
    name
        Of the partition: the default one, if the site names none.
    qos
        That of the account, if the site names none.
    caps
        By the site file, the partition, the account and the QOS.
    """

    site: Site
    name: str = ""
    qos: str = ""
    kinds: Sequence[Kind] = ()
    caps: Sequence[Caps] = ()

    @property
    def who(self) -> str:
        """What it is called in a message."""
        kind = "partition" if self.site.slurm_partition else "default partition"
        return f"the {kind} {self.name}".strip()


def ask_place(site: Site) -> Place:
    """Ask Slurm where a job of a site goes, and what may be had there."""
    partitions = ask_partitions(site.slurm_partition)
    name = ",".join(p["PartitionName"] for p in partitions) or site.slurm_partition
    account = ask_account(site.account, name)
    qos = site.qos or account.get("DefaultQOS", "")
    place = Place(site, name, qos, ask_kinds(name))
    caps = list_caps(partitions, account, qos, place.who)
    return replace(place, caps=[get_site_caps(site), *caps])


def find_limits(place: Place, asked: Allocation = FREE, least_bytes: int = 0) -> Limits:
    """Return the limits of a job.

    Where nobody says what a node has, it is what this machine has.

    Parameters
    ----------
    asked
        Where nodes differ, it is of those that can serve this.
    least_bytes
        Of memory that a node must have.
    """
    kind = choose_kind(place.kinds, asked, max(least_bytes, asked.mem_bytes))
    largest = choose_kind(place.kinds, asked, math.inf)
    of_kind, of_largest = (get_kind_caps(k, place) for k in (kind, largest))
    limits = join_caps([*place.caps, of_kind])
    return replace(
        fill_in(limits),
        largest_bytes=join_caps([*place.caps, of_largest]).mem_bytes,
        reasons=describe_kinds(place.kinds, kind, place.name),
    )


def ask_partitions(names: str) -> list[Row]:
    """Return Slurm's rows of partitions, of the default one without names."""
    lines = slurm.ask("scontrol", "show", "partition", "--oneliner").splitlines()
    rows = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
    if not names:
        return [row for row in rows if row.get("Default") == "YES"]
    return [row for row in rows if row.get("PartitionName") in names.split(",")]


def ask_kinds(slurm_partition: str) -> list[Kind]:
    """Return the nodes of a partition, of all without a name, as what they can serve.

    Nodes of a kind can serve what smaller ones can: they count among those as well.
    """
    command = ["sinfo", "--exact", "--noheader", "--format", "%D %c %m"]
    chosen = ["--partition", slurm_partition] if slurm_partition else []
    lines = slurm.ask(*command, *chosen).splitlines()
    rows = [[int(n) for n in re.findall(r"\d+", line)] for line in lines]
    found = [Kind(sum(r[:-2]), r[-2], r[-1] << 20) for r in rows if len(r) > 1]
    return [replace(kind, n_nodes=count_nodes(found, kind)) for kind in found]


def count_nodes(kinds: Iterable[Kind], least: Kind) -> int:
    """Return how many nodes have at least the cores and the memory of a kind."""
    return sum(
        kind.n_nodes
        for kind in kinds
        if kind.cores >= least.cores and kind.mem_bytes >= least.mem_bytes
    )


def choose_kind(
    kinds: Sequence[Kind], asked: Allocation, mem_bytes: float
) -> Kind | None:
    """Return the nodes that can serve a job, and have the most cores in all.

    Where none can, those that are nearest: of the most memory, or the most nodes.
    """
    cores = max(asked.ntasks_per_node, 1) * asked.cpus_per_task

    def rank(kind: Kind) -> tuple[bool, bool, bool, int]:
        has_memory = kind.mem_bytes >= mem_bytes
        has_nodes = not kind.n_nodes or kind.n_nodes >= asked.nodes
        in_all = max(kind.n_nodes, 1) * kind.cores
        best = in_all if has_memory else kind.mem_bytes
        return kind.cores >= cores, has_memory, has_nodes, best

    return max(kinds, key=rank, default=None)


def describe_kinds(
    kinds: Sequence[Kind], chosen: Kind | None, slurm_partition: str
) -> tuple[str, ...]:
    """Return which nodes are meant, where they differ."""
    in_all = max((kind.n_nodes for kind in kinds), default=0)
    if chosen is None or chosen.n_nodes == in_all:
        return ()
    where = f" of {slurm_partition}" if slurm_partition else ""
    return (
        f"nodes differ: for those of {chosen.cores} cores and "
        f"{chosen.mem_bytes / 1e9:.1f} GB, {chosen.n_nodes} of {in_all}{where}",
    )


def list_caps(
    partitions: Sequence[Row], account: Row, qos: str, who: str
) -> list[Caps]:
    """Return the limits of partitions, an account and the QOS.

    Parameters
    ----------
    partitions
        Rows of Slurm, one each.
    account
        Row of the association.
    qos
        Name of the job's.
    who
        Of the user, for what limits say.
    """
    known = ask_qos([qos, *(p.get("QoS", "") for p in partitions)])
    mine = known.get(qos.lower(), {})
    caps = [get_partition_caps(p, mine.get("Flags", ""), who) for p in partitions]
    ruling = [known.get(p.get("QoS", "").lower(), {}) for p in partitions] or [{}]
    return [*caps, *(get_rules(account, mine, row) for row in ruling)]


def get_site_caps(site: Site) -> Caps:
    """Return the limits of a job by the site file."""
    found = {"most_nodes": site.most_nodes}
    if site.most_hours:  # Slurm's times are whole minutes
        found["most_s"] = 60 * max(1, int(round(60 * site.most_hours, 6)))
    return {name: (value, "the site") for name, value in found.items() if value}


def get_kind_caps(kind: Kind | None, place: Place) -> Caps:
    """Return the resources of nodes of a kind; the site file knows a node better."""
    kind, site = kind or Kind(0, 0, 0), place.site
    found: Caps = {
        "cores": (site.node_cores or kind.cores, ""),
        "mem_bytes": (int(site.node_mem_gb * 1e9) or kind.mem_bytes, ""),
        "most_nodes": (kind.n_nodes, place.who),
    }
    return {name: cap for name, cap in found.items() if cap[0]}


def get_partition_caps(row: Row, flags: str, who: str) -> Caps:
    """Return the limits of a partition, but for those that flags of the QOS lift."""
    caps: Caps = {}
    for name, (field, lifting) in OF_PARTITION.items():
        text = row.get(name, "")
        if text[:1].isdigit() and not (lifting and lifting in flags.split(",")):
            value = parse_time(text) if name == "MaxTime" else int(text)
            value = value * (1 << 20) if name == "MaxMemPerNode" else value
            caps[field] = min(caps.get(field, (value, who)), (value, who))
    return caps


def join_caps(sources: Iterable[Caps]) -> Limits:
    """Return the least of what several give, and who gives it."""
    least: Caps = {}
    for caps in sources:
        for name, cap in caps.items():
            least[name] = min(least.get(name, cap), cap, key=lambda pair: pair[0])
    values: dict[str, Any] = {name: int(cap[0]) for name, cap in least.items()}
    return Limits(**values, by={n: who for n, (_, who) in least.items() if who})


def fill_in(limits: Limits) -> Limits:
    """Return limits with what a node has, which is a guess where nobody says it."""
    if limits.cores and limits.mem_bytes:
        return limits
    mem_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return replace(
        limits,
        cores=limits.cores or os.cpu_count() or 1,
        mem_bytes=limits.mem_bytes or mem_bytes,
    )
