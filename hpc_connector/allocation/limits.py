"""What a site or a group lets jobs ask for, and how they grow after a failure."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from hpc_connector.allocation.cost import Allocation, Limits
from hpc_connector.errors import BadInput
from hpc_connector.fields import Reader, fill, number, read_fields, whole
from hpc_connector.report.text import say_count
from hpc_connector.text import read_toml
from hpc_connector.units import parse_bytes, parse_duration

OUT_OF_MEMORY, TIME_OUT = "OUT_OF_MEMORY", "TIMEOUT"  # as Slurm calls them
PEAK_MARGIN = 1.1  # over a peak that was measured


@dataclass(frozen=True)
class Growth:
    """What is asked for after a resource ran short: the greatest of these."""

    factor: float
    least: float  # bytes or seconds more
    retries: int = 3


@dataclass(frozen=True)
class Policy:
    """Caps of a job, 0 or empty for none; the fields are the keys of the file.

    Parameters
    ----------
    most_nodes, most_cores, most_mem, most_time
        Cores are those of all nodes, memory (bytes) that of a node, time in seconds.
    partitions, qos
        Those of Slurm that may be used.
    energy_weight
        0 minimises cost, 1 energy; what lies between, both.
    margin
        Times what runs need at the most (P90), which is asked for.
    """

    most_nodes: int = 0
    most_cores: int = 0
    most_mem: float = 0.0
    most_time: float = 0.0
    partitions: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    energy_weight: float = 0.0
    margin: float = 1.0
    after_out_of_memory: Growth = field(default=Growth(1.2, 100.0 * (1 << 20)))
    after_time_out: Growth = field(default=Growth(1.5, 600.0))


@dataclass(frozen=True)
class Machine:
    """What nodes have; the fields are the keys of a file of limits, 0 is not known.

    Watts are those of a node that idles, and of one that is busy on all cores; most
    cores and memory of a job, those of all its nodes.
    """

    cores: int = 0
    mem: float = 0.0
    most_nodes: int = 0
    most_time: float = 0.0
    idle_watts: float = 0.0
    busy_watts: float = 0.0
    most_cores: int = 0
    most_job_mem: float = 0.0


def get_limits(policy: Policy) -> Limits:
    """Return the limits that a policy gives a job."""
    fields = ("mem_bytes", "most_nodes", "most_s", "most_cores")
    return Limits(
        mem_bytes=int(policy.most_mem),
        most_nodes=policy.most_nodes,
        most_s=policy.most_time,
        most_cores=policy.most_cores,
        by=dict.fromkeys(fields, "the policy"),
    )


def read_policy(path: Path | None) -> Policy:
    """Read a policy; without a file it is the one that has no caps.

    Raises
    ------
    BadInput
        A file that is not TOML, a key that is not known, or a value that is none.
    """
    if path is None:
        return Policy()
    readers = READERS | {
        "most_mem": _size,
        "most_time": _time,
        "after_out_of_memory": partial(
            _read_growth, path, "after_out_of_memory", _size
        ),
        "after_time_out": partial(_read_growth, path, "after_time_out", _time),
    }
    policy = fill(Policy, read_toml(path), str(path), readers)
    factors = (policy.after_out_of_memory.factor, policy.after_time_out.factor)
    if policy.energy_weight > 1 or min(policy.margin, *factors) < 1:
        raise BadInput(
            f"{path}: expected energy_weight 0..1, margin and factors of 1 or more"
        )
    return policy


def read_machine(path: Path) -> Machine:
    """Read the limits of a machine; see :func:`read_policy` for what is raised."""
    readers = READERS | dict.fromkeys(("mem", "most_job_mem"), _size)
    return fill(Machine, read_toml(path), str(path), readers | {"most_time": _time})


def check_site(policy: Policy, slurm_partition: str, qos: str) -> None:
    """Refuse a partition or a QOS that the policy does not name.

    Raises
    ------
    BadInput
        It is not among those that are allowed.
    """
    pairs = (
        ("partition", slurm_partition.split(","), policy.partitions),
        ("QOS", [qos.lower()], tuple(name.lower() for name in policy.qos)),
    )
    for what, asked, allowed in pairs:
        refused = [name for name in asked if allowed and name and name not in allowed]
        if refused:
            raise BadInput(
                f"{what} {refused[0]}: the policy allows {', '.join(sorted(allowed))}"
            )


def grow(
    policy: Policy, asked: Allocation, state: str, *, attempt: int, peak_bytes: int = 0
) -> Allocation:
    """Return the allocation after an attempt: only what ran short grows.

    Parameters
    ----------
    state
        Of the job, as Slurm has it: after a preemption, a failing node or a failure of
        the program nothing grows.
    attempt
        How many have ended like this, 1 or more.
    peak_bytes
        Of a node, where it was measured.

    Raises
    ------
    BadInput
        No more may be asked for, or it was tried often enough.
    """
    if state == OUT_OF_MEMORY:
        rule, most = policy.after_out_of_memory, policy.most_mem
        mem_bytes = _grow(rule, asked.mem_bytes, most, attempt, "memory")
        peak = PEAK_MARGIN * peak_bytes
        peak = min(peak, most) if most else peak
        return replace(asked, mem_bytes=max(mem_bytes, int(peak)))
    if state == TIME_OUT:
        rule, most = policy.after_time_out, policy.most_time
        time_s = _grow(rule, asked.time_s, most, attempt, "time")
        return replace(asked, time_s=time_s)
    return asked


def _grow(rule: Growth, given: float, most: float, attempt: int, what: str) -> int:
    """Return more than was given, at most what is allowed."""
    if attempt > rule.retries:
        raise BadInput(
            f"{what} ran short {say_count(attempt, 'time')} in a row: the policy tries "
            f"again {say_count(rule.retries, 'time')}"
        )
    more = max(given * rule.factor, given + rule.least)
    if most and given >= most:
        unit = "bytes" if what == "memory" else "s"
        raise BadInput(
            f"{what} ran short: no more than {most:,.0f} {unit} may be given"
        )
    return int(min(more, most) if most else more)


def _read_growth(path: Path, key: str, least: Reader, value: Any) -> Growth:
    """Return a table of growth, over what holds without one."""
    if not isinstance(value, dict):
        raise ValueError("a table of factor, least and retries")
    readers = READERS | {"least": least}
    found = read_fields(Growth, value, str(path), readers, above=f"{key}.")
    default: Growth = getattr(Policy, key)
    return replace(default, **found)


def _names(value: Any) -> tuple[str, ...]:
    """Return names of a list."""
    if not isinstance(value, list):
        raise ValueError("a list of names")
    return tuple(map(str, value))


def _size(value: Any) -> float:
    """Return bytes, from a number or a text."""
    expected = "bytes, or a size such as 20G"
    return _measure(value, lambda text: parse_bytes(text) or None, expected)


def _time(value: Any) -> float:
    """Return seconds, from a number or a text."""
    expected = "seconds, or a time such as 2h"
    return _measure(value, lambda text: parse_duration(text, 1), expected)


def _measure(value: Any, parse: Callable[[str], float | None], expected: str) -> float:
    """Return a number, or what `parse` makes of a text."""
    try:
        return number(parse(value) if isinstance(value, str) else value)
    except ValueError:
        raise ValueError(expected) from None


READERS: dict[Any, Reader] = {int: whole, float: number, tuple[str, ...]: _names}
