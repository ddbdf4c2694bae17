"""What the sizing of runs gains: memory and time against peers, on public traces.

    python benchmarks/telemetry_sizing.py --data DIR

`DIR` holds memory_*.csv.gz (tasks of workflows, Sizey), scaleout_*.tsv (Spark jobs,
C3O) and mpi_numpy_scaling.csv (mpids_benchmarks). Prints tables in Markdown.
"""

import argparse
import csv
import gzip
import itertools
from pathlib import Path

import numpy as np

from hpc_connector.telemetry.sizing import LEAST_RUNS, Task, replay, size_memory

GIB_H = 2**30 * 3600
TRACES = ("methylseq", "eager", "chipseq", "iwd")


def read_tasks(path):
    """Return the completed tasks of a trace."""
    with gzip.open(path, "rt") as stream:
        rows = [r for r in csv.DictReader(stream) if r["status"] == "COMPLETED"]
    return [
        Task(
            f"{r['workflow']} {r['process']}",
            float(r["start_ms"]) / 1e3,
            float(r["complete_ms"]) / 1e3,
            float(r["realtime_ms"]) / 1e3,
            float(r["requested_memory_bytes"]),
            float(r["peak_rss_bytes"]),
        )
        for r in rows
    ]


def after_three(size):
    """Return a rule that gives what the user asks for while little is known."""

    def rule(peaks, task):
        return size(peaks) if len(peaks) >= LEAST_RUNS else task.asked_bytes

    return rule


def with_margin(spread, spare_mib):
    """Return the rule of `size_memory` with other constants."""
    return after_three(
        lambda peaks: max(peaks) + max(spare_mib * 2**20, spread * np.std(peaks))
    )


RULES = {
    "user request": lambda peaks, task: max(task.asked_bytes, task.peak_bytes),
    "p90 x 1.15 (as VPA)": after_three(lambda p: 1.15 * np.quantile(p, 0.9)),
    "p95 x 1.1": after_three(lambda p: 1.1 * np.quantile(p, 0.95)),
    "max x 1.1": after_three(lambda p: 1.1 * max(p)),
    "max + spread, 100 MiB at least (ours)": None,
    "the same, from the first run on": lambda peaks, task: (
        min(task.asked_bytes, 1.5 * max(peaks))
        if 0 < len(peaks) < LEAST_RUNS
        else size_memory(peaks, task.asked_bytes)
    ),
}


def show_memory(folder):
    """Print what each rule wastes and fails, for each workflow and in all."""
    traces = {n: read_tasks(folder / f"memory_{n}.csv.gz") for n in TRACES}
    print(f"| method | all {len(traces)} | {' | '.join(traces)} |")
    print("| --- " * (len(traces) + 2) + "|")
    users = [replay(t, RULES["user request"]) for t in traces.values()]
    print(
        f"| user request, GiB h | {sum(u.byte_s for u in users) / GIB_H:,.0f} | "
        + " | ".join(f"{u.byte_s / GIB_H:,.0f}" for u in users)
        + " |"
    )
    for name, rule in list(RULES.items())[1:]:
        found = [replay(tasks, rule) for tasks in traces.values()]
        cells = [compare(found, users)]
        cells += [compare([f], [u]) for f, u in zip(found, users, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")
    show_left_out(traces, users)


def compare(found, users):
    """Return what is wasted against the user's requests, and the share of failures."""
    waste = sum(f.byte_s for f in found) / sum(u.byte_s for u in users) - 1
    failing = sum(f.failing for f in found) / sum(f.tasks for f in found)
    return f"{waste:+.1%}, {failing:.1%}"


def show_left_out(traces, users):
    """Print what constants do that were chosen on the other workflows."""
    grid = list(itertools.product((0.5, 1, 1.5, 2), (50, 100, 200)))
    all_found = {
        pair: [replay(t, with_margin(*pair)) for t in traces.values()] for pair in grid
    }
    chosen = []
    for k in range(len(traces)):
        others = [j for j in range(len(traces)) if j != k]

        def cost(pair, others=others):
            found = [all_found[pair][j] for j in others]
            failing = sum(f.failing for f in found) / sum(f.tasks for f in found)
            return failing > 0.025, sum(f.byte_s for f in found)

        chosen.append(all_found[min(grid, key=cost)][k])
    print(
        f"\nConstants chosen on the other workflows (least waste at 2.5 % failing): "
        f"{compare(chosen, users)}"
    )
    cells = [compare(found, users) for found in all_found.values()]
    for (spread, spare), cell in zip(grid, cells, strict=True):
        print(f"- {spread} standard deviations, {spare} MiB at least: {cell}")


def main():
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    args = parser.parse_args()
    print("## Memory\n")
    show_memory(args.data)


if __name__ == "__main__":
    main()
