"""What a run takes on this machine, from a short run on a slice of its work."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpc_connector.allocation.cost import Cost
from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest

SHARE, FIRST = 0.05, 0.04  # of the work: two shares, lest the second finds results


def calibrate(command: Sequence[str], arguments: Sequence[str], cost: Cost) -> Cost:
    """Return the cost of a run, its CPU time by that of a slice of its work.

    Two runs, for kernels compile in the first; neither finds what the programs of the
    user keep between runs, such as isotope patterns. CPU time, for wall time depends on
    who else uses the machine.

    Raises
    ------
    BadInput
        The program refuses, or a slice fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        cache, outs = Path(folder, "cache"), (Path(folder, "1"), Path(folder, "2"))
        run_slice(command, arguments, outs[0], FIRST, cache)
        used_s, task_s = run_slice(command, arguments, outs[1], SHARE, cache)
    cpu_s = extend(used_s, task_s, SHARE)
    said = f"{SHARE:.0%} of the work ran here: {cpu_s:,.1f} CPU s for all of it"
    return replace(cost, cpu_s=cpu_s, reasons=(*cost.reasons, said))


def extend(used_s: float, task_s: float, share: float) -> float:
    """Return the CPU seconds of all the work, by those of a share of it.

    Tasks take as much more as there are more of them; what else a run takes, to start
    and to read, it takes once.

    Examples
    --------
    >>> extend(3.0, 1.0, 0.05)
    22.0
    """
    return used_s - task_s + task_s / share


def run_slice(
    command: Sequence[str],
    arguments: Sequence[str],
    out: Path,
    share: float,
    cache: Path,
) -> tuple[float, float]:
    """Run a slice on one rank; return its CPU seconds, and how many were of tasks.

    `cache` is where it keeps what a later run may use.

    Parameters
    ----------
    command
        Words that start the program.
    arguments
        Of the run, without its folder.
    out
        Folder of the slice.
    share
        Of the tasks, above 0 to 1.
    cache
        Folder where it keeps what a later run may use.
    """
    words = [*arguments, "--out", str(out), "--slice", str(share), "--quiet"]
    before = os.times()
    done = subprocess.run(
        [*command, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    after = os.times()
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise BadInput(f"--calibrate: a slice of {share:g} failed: {said}")
    used_s = after.children_user - before.children_user
    used_s += after.children_system - before.children_system
    return used_s, float(read_manifest(out)["resources"]["task_cpu_s"])
