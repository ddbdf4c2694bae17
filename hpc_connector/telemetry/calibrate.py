"""What a run takes on this machine, from short runs on slices of its work."""

import logging
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpc_connector.allocation import Cost
from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest

logger = logging.getLogger(__name__)

SLICES = (0.01, 0.01, 0.05)  # of the work; the first run compiles and is not counted


def calibrate(command: Sequence[str], arguments: Sequence[str], cost: Cost) -> Cost:
    """Return the cost of a run, its CPU time by that of slices of its work.

    CPU time, for wall time depends on who else uses the machine.

    Raises
    ------
    BadInput
        The program refuses, or a slice fails.
    """
    work, cpu_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        for k, share in enumerate(SLICES):
            plan_s, used_s = run_slice(command, arguments, Path(folder, str(k)), share)
            logger.info("%g of the work: %.1f CPU s", share, used_s)
            work.append(plan_s)
            cpu_s.append(used_s)
    found_s = extend_line(np.array(work[1:]), np.array(cpu_s[1:]), cost.cpu_s)
    said = f"{SLICES[-1]:.0%} of the work ran here: {found_s:,.0f} CPU s in all"
    return replace(cost, cpu_s=found_s, reasons=(*cost.reasons, said))


def extend_line(work: np.ndarray, cpu_s: np.ndarray, all_work: float) -> float:
    """Return the CPU seconds of all work by a line through those of slices.

    What each run takes, whatever its size, is the part of the line at no work; the
    slope is not below 0.

    Parameters
    ----------
    work, cpu_s
        By the formula, and measured, shape (slices,), the greatest slice last.
    """
    x = work - work.mean()
    slope = max(float(x @ cpu_s) / max(float(x @ x), 1e-12), 0.0)
    return float(cpu_s[-1]) + slope * (all_work - float(work[-1]))


def run_slice(
    command: Sequence[str], arguments: Sequence[str], out: Path, share: float
) -> tuple[float, float]:
    """Run a slice on one rank; return the CPU seconds of its plan, and what it took."""
    words = [*arguments, "--out", str(out), "--slice", str(share), "--quiet"]
    before = os.times()
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    after = os.times()
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise BadInput(f"--calibrate: a slice of {share:g} failed: {said}")
    used_s = after.children_user - before.children_user
    used_s += after.children_system - before.children_system
    return float(read_manifest(out)["plan"]["cpu_s"]), used_s
