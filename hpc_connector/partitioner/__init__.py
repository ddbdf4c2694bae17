"""Work to shares: ranks and what they share, tickets, tiles."""

from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.partitioner.shares import (
    get_comb_files,
    make_distribution,
    make_tiles,
)

__all__ = ["get_comb_files", "get_mpicomm", "make_distribution", "make_tiles"]
