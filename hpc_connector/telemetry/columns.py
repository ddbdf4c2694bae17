"""The columns of a node's rows, and by what name the node goes."""

import os

COLUMNS = (
    *("time_s", "elapsed_s", "node", "rank", "pid", "cpu_s", "rss_bytes"),
    *("peak_bytes", "read_bytes", "write_bytes", "net_rx_bytes", "net_tx_bytes"),
    *("energy_j", "source", "energy_source"),
)


def get_name() -> str:
    """Return the name of this node: Slurm's, where it has one of its own."""
    return os.environ.get("SLURMD_NODENAME") or os.uname().nodename.split(".")[0]
