"""What nodes and partitions of a cluster give a job."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from hpc_connector.cluster.site import Site
from hpc_connector.units import parse_time


def find_node(site: Site) -> tuple[int, int]:
    """Return cores and bytes of a node: of the site file, else the least of Slurm's.

    Where neither says, it is that of this machine.
    """
    cores, mem_bytes = site.node_cores, int(site.node_mem_gb * 1e9)
    if cores and mem_bytes:
        return cores, mem_bytes
    chosen = ["--partition", site.slurm_partition] if site.slurm_partition else []
    command = ["sinfo", "--noheader", "--format", "%c %m", *chosen]
    lines: Sequence[str] = []
    if shutil.which("sinfo"):
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.splitlines()
    nodes = [tuple(int(n.rstrip("+")) for n in line.split()) for line in lines]
    if nodes:
        least_cores, least_mib = (min(n[k] for n in nodes) for k in (0, 1))
    else:
        least_cores = os.cpu_count() or 1
        n_pages = os.sysconf("SC_PHYS_PAGES")
        least_mib = n_pages * os.sysconf("SC_PAGE_SIZE") >> 20
    return cores or least_cores, mem_bytes or least_mib << 20


def find_limits(site: Site) -> tuple[int, float]:
    """Return the most nodes and seconds of a job: of the site file, else of Slurm.

    Where there is no Slurm it is this machine alone, and 0 for any time.
    """
    nodes, most_s = site.most_nodes, 3600 * site.most_hours
    if not shutil.which("sinfo"):
        return nodes or 1, most_s
    chosen = ["--partition", site.slurm_partition] if site.slurm_partition else []
    command = ["sinfo", "--noheader", "--format", "%D %l", *chosen]
    done = subprocess.run(command, capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    times = [parse_time(text) for _, text in rows if text[:1].isdigit()]
    return (
        nodes or max((int(n) for n, _ in rows), default=1),
        most_s or max(times, default=0.0),
    )
