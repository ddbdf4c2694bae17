"""What this process has asked of stores, and received."""

import os
import threading
from dataclasses import dataclass


@dataclass
class Traffic:
    """What this process has asked for, and received."""

    requests: int = 0
    n_bytes: int = 0


traffic = Traffic()
traffic_lock = threading.Lock()


def count_traffic(requests: int, n_bytes: int) -> None:
    """Add to what this process has asked for, and received, in whatever thread."""
    with traffic_lock:
        traffic.requests += requests
        traffic.n_bytes += n_bytes


def _renew_lock() -> None:
    """Have a lock that no thread holds, which a fork has left behind."""
    global traffic_lock
    traffic_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def get_traffic() -> tuple[int, int]:
    """Return the requests of this process, and the bytes it received."""
    return traffic.requests, traffic.n_bytes
