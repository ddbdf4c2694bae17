"""What the sizing of runs gains: memory and time against peers, on public traces.

    python benchmarks/telemetry_sizing.py [--data DIR] [--programs]

`DIR` holds memory_*.csv.gz (tasks of workflows, Sizey), scaleout_*.tsv (Spark jobs,
C3O) and mpi_numpy_scaling.csv (mpids_benchmarks). Prints tables in Markdown.
`--programs` runs both programs, for some minutes.
"""

import argparse
import csv
import gzip
import itertools
import shutil
import tempfile
import time
from pathlib import Path

import annotate_kernels
import numpy as np
import ranks

from hpc_connector.allocation import runtime
from hpc_connector.allocation.ask import get_cost
from hpc_connector.allocation.calibrate import calibrate, run_slice
from hpc_connector.allocation.candidates import estimate_cpu, learn
from hpc_connector.allocation.cost import Cost
from hpc_connector.allocation.history import Run, read_history
from hpc_connector.allocation.limits import Machine, Policy
from hpc_connector.allocation.memory import LEAST_RUNS, EndedTask, replay, size_memory
from hpc_connector.allocation.recommend import Question, recommend
from hpc_connector.cluster.site import Site

LIPIDS = str(
    Path(__file__).parents[1] / "tests/data/databases/lipidmaps_2017-12-12-v2.tsv.gz"
)

GIB_H = 2**30 * 3600
TRACES = ("methylseq", "eager", "chipseq", "iwd")


def read_tasks(path):
    """Return the completed tasks of a trace."""
    with gzip.open(path, "rt") as stream:
        rows = [r for r in csv.DictReader(stream) if r["status"] == "COMPLETED"]
    return [
        EndedTask(
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
    """Return a rule with the same margin for all kinds, in standard deviations."""
    return after_three(
        lambda peaks: max(peaks) + max(spare_mib * 2**20, spread * np.std(peaks))
    )


RULES = {
    "user request": lambda peaks, task: max(task.asked_bytes, task.peak_bytes),
    "p90 x 1.15 (as VPA)": after_three(lambda p: 1.15 * np.quantile(p, 0.9)),
    "p95 x 1.1": after_three(lambda p: 1.1 * np.quantile(p, 0.95)),
    "max x 1.1": after_three(lambda p: 1.1 * max(p)),
    "max + 1 standard deviation": with_margin(1, 100),
    "max + the spread that wasted least (ours)": None,
    "ours, from the first run on": lambda peaks, task: (
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
    """Print what one margin for all kinds does, chosen on the other workflows."""
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
        "\nOne margin for all kinds, chosen on the other workflows (least waste at "
        "2.5 % failing): "
        f"{compare(chosen, users)}"
    )
    cells = [compare(found, users) for found in all_found.values()]
    for (spread, spare), cell in zip(grid, cells, strict=True):
        print(f"- {spread} standard deviations, {spare} MiB at least: {cell}")


def read_scaleouts(folder):
    """Return the contexts of C3O that have three data sizes or more.

    Each is a name and a dict of the median seconds, by data size and machines, and all
    repetitions.
    """
    contexts = {}
    for name in ("grep", "sort", "kmeans"):
        with open(folder / f"scaleout_{name}.tsv") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                other = [row.get(k, "") for k in CONTEXT]
                point = (float(row["data_size_MB"]), float(row["instance_count"]))
                runs = contexts.setdefault((name, *other), {}).setdefault(point, [])
                runs.append(float(row["gross_runtime"]))
    return [c for c in contexts.values() if len({size for size, _ in c}) >= 3]


CONTEXT = ("machine_type", "line_length", "p_occurrence", "features", "k")


def to_arrays(context, rng=None):
    """Return data sizes, machines and seconds: medians, or with `rng` one run each."""
    points = np.array(list(context))
    pick = np.median if rng is None else rng.choice
    return *points.T, np.array([pick(runs) for runs in context.values()])


def predict_ours(quantile=0.5):
    """Return the model of this package, without a formula of the program."""

    def predict(work, p, time_s, work2, p2):
        model = runtime.fit(runtime.Sizes(work / p, work, p), time_s, trust=0)
        return runtime.predict(model, runtime.Sizes(work2 / p2, work2, p2), quantile)

    return predict


def predict_ernest(n_terms=4, *, relative=False, margin=1.0):
    """Return Ernest's model; with five terms, work that each rank repeats is one."""

    def predict(work, p, time_s, work2, p2):
        unit = work.mean()

        def make_terms(w, p):
            terms = [np.ones_like(p), w / p / unit, np.log2(p), p, w / unit]
            return np.stack(terms[:n_terms], axis=-1)

        weight = 1 / time_s if relative else np.ones_like(time_s)
        x = runtime.solve_nonnegative(
            make_terms(work, p) * weight[:, None], time_s * weight
        )
        return margin * make_terms(work2, p2) @ x

    return predict


def predict_log_linear(work, p, time_s, work2, p2):
    """Return what a product of powers of work and ranks says."""

    def make_terms(w, p):
        return np.stack([np.ones_like(p), np.log(p), np.log(w)], axis=-1)

    x = np.linalg.lstsq(make_terms(work, p), np.log(time_s))[0]
    return np.exp(make_terms(work2, p2) @ x)


TIMES = {
    "Ernest as published": predict_ernest(),
    "Ernest, relative errors": predict_ernest(relative=True),
    "the same + work each repeats": predict_ernest(5, relative=True),
    "log-linear": predict_log_linear,
    "ours": predict_ours(),
}


def show_extrapolation(contexts):
    """Print errors for more machines or more data than were seen."""
    print("\n## Run time, C3O: more machines or more data than seen\n")
    print("Absolute percentage error, mean / median. 5 or 10 random runs on at most 8")
    print(
        "machines, without the largest data; all with 10 or 12 machines or the largest"
    )
    print("data are predicted. 'All': one run of each size and number of machines.\n")
    print("| model | 5 runs | 10 runs | all |\n| --- | --- | --- | --- |")
    for name, predict in TIMES.items():
        cells = [format_errors(extrapolate(contexts, predict, n)) for n in (5, 10, 0)]
        print(f"| {name} | {' | '.join(cells)} |")


def extrapolate(contexts, predict, n_runs, seeds=6):
    """Return relative errors of all predictions."""
    rng = np.random.default_rng(1)
    errors = []
    for context, _ in itertools.product(contexts, range(seeds)):
        work, p, truth = to_arrays(context)
        once = to_arrays(context, rng)[2]
        is_seen = (p <= 8) & (work < work.max())
        seen = np.flatnonzero(is_seen)
        chosen = rng.choice(seen, n_runs, replace=False) if n_runs else seen
        found = predict(
            work[chosen], p[chosen], once[chosen], work[~is_seen], p[~is_seen]
        )
        errors.extend(np.abs(found / truth[~is_seen] - 1))
    return errors


def format_errors(errors):
    """Return mean and median, in percent."""
    return f"{100 * np.mean(errors):.1f} / {100 * np.median(errors):.1f}"


DECISIONS = {
    "always the largest": lambda w, p, t, w2, p2: np.where(p2 == p2.max(), 0, np.inf),
    "Ernest as published + 15 %": predict_ernest(margin=1.15),
    "Ernest, relative, repeated work, + 15 %": predict_ernest(
        5, relative=True, margin=1.15
    ),
    "ours, P50": predict_ours(),
    "ours, P80": predict_ours(0.8),
    "ours, P90": predict_ours(0.9),
}


def show_decisions(contexts):
    """Print how often the cheapest scale-out that should meet a deadline meets it."""
    print("\n## Decisions, C3O: cheapest number of machines that meets a deadline\n")
    print("Data of a size that was never run. Loose: four deadlines from 1.1 times the")
    print("fastest to 1.1 times the slowest; tight: quantiles .1, .3, .5, .7 of them.")
    print("Met, mean cost over the optimum where met, no allocation promised (the one")
    print("predicted fastest is taken then).\n")
    heads = [f"{n} runs, {kind}" for n in (5, 10) for kind in ("loose", "tight")]
    print(f"| rule | {' | '.join(heads)} |")
    print("| --- " * 5 + "|")
    for name, predict in DECISIONS.items():
        cells = [
            decide(contexts, predict, n, is_loose)
            for n in (5, 10)
            for is_loose in (True, False)
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def decide(contexts, predict, n_runs, is_loose, seeds=4):
    """Return the share of deadlines met, and what that costs."""
    rng = np.random.default_rng(2)
    met, refused, costs = [], [], []
    for context in contexts:
        work, p, truth = to_arrays(context)
        for target, _ in itertools.product(sorted(set(work)), range(seeds)):
            here = work == target
            once = to_arrays(context, rng)[2]
            chosen = rng.choice(np.flatnonzero(~here), n_runs, replace=False)
            said = predict(work[chosen], p[chosen], once[chosen], work[here], p[here])
            machines, time_s = p[here], truth[here]
            if is_loose:
                deadlines = np.geomspace(1.1 * time_s.min(), 1.1 * time_s.max(), 4)
            else:
                deadlines = np.quantile(time_s, (0.1, 0.3, 0.5, 0.7))
            for limit_s in deadlines:
                fits = said <= limit_s
                price = np.where(fits, machines * said, np.inf)
                k = np.argmin(price if fits.any() else said)
                met.append(time_s[k] <= limit_s)
                refused.append(not fits.any())
                if met[-1]:
                    best = (machines * time_s)[time_s <= limit_s].min()
                    costs.append(machines[k] * time_s[k] / best)
    return f"{np.mean(met):.0%}, {np.mean(costs):.2f}x, {np.mean(refused):.0%}"


def show_ranks(path):
    """Print errors at twice the ranks that were seen."""
    rows = list(csv.DictReader(path.open()))
    print("\n## Run time, mpi4py + NumPy: twice the ranks seen\n")
    print(
        "15 operations, strong and weak scaling together; mean / median of the absolute"
    )
    print("percentage error, share within 15 %. 'Long': at least 10 ms on the ranks")
    print("seen.\n")
    print("| model | 8 -> 16 | 16 -> 32 | 32 -> 64 | 64 -> 128 | all, long |")
    print("| --- " * 6 + "|")
    for name, predict in TIMES.items():
        by_cut = [double(rows, predict, cut, 0) for cut in (8, 16, 32, 64)]
        long = [e for cut in (8, 16, 32, 64) for e in double(rows, predict, cut, 0.01)]
        cells = [format_errors(errors) for errors in by_cut]
        within = np.mean(np.array(long) <= 0.15)
        print(f"| {name} | {' | '.join(cells)} | {format_errors(long)}, {within:.0%} |")


def double(rows, predict, most, least_s):
    """Return relative errors at 2 * most ranks by runs on at most that many."""
    errors = []
    for op in sorted({row["op"] for row in rows}):
        of = [row for row in rows if row["op"] == op]
        work, p, time_s = (
            np.array([float(row[name]) for row in of])
            for name in ("size_total", "ranks", "median_s")
        )
        seen, next_ = p <= most, p == 2 * most
        if np.median(time_s[seen]) < least_s:
            continue
        found = predict(work[seen], p[seen], time_s[seen], work[next_], p[next_])
        errors.extend(np.abs(found / time_s[next_] - 1))
    return errors


def show_programs():
    """Print how CPU time is predicted by a slice, and by runs on fewer ranks."""
    print("\n## CPU time of both programs\n")
    print("| program | slice 5 %: predicted, used s | 4 ranks by 1 and 2: the same |")
    print("| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for program, arguments in make_inputs(Path(folder)):
            out = Path(folder, program)
            words = [*arguments, "--out", str(out)]
            cost = calibrate([program], words, get_cost(program, tuple(words), Site()))
            for n in (0, 1, 2, 4):  # in the first one, kernels compile
                launch = ["mpirun", "-n", str(max(n, 1)), program]
                cache = Path(folder, f"cache {program} {n}")
                run_slice(launch, arguments, out / str(n), 1.0, cache)
            shutil.rmtree(out / "0")
            runs, _ = read_history([out], program)
            known = learn(runs[0].plan, [run for run in runs if run.ranks < 4])
            by_rank = {run.ranks: run.cpu_s for run in runs}
            four_s = float(estimate_cpu(known, np.array([4.0]))[0])
            cells = [compare_s(cost.cpu_s, by_rank[1]), compare_s(four_s, by_rank[4])]
            print(f"| {program} | {' | '.join(cells)} |", flush=True)


def compare_s(found_s, used_s):
    """Return two times and how far apart they are."""
    return f"{found_s:.1f}, {used_s:.1f}: {found_s / used_s - 1:+.1%}"


def make_inputs(folder):
    """Return both programs, each with the arguments of a run of half a minute."""
    ranks.simulate(folder / "cohort", 45_000, 4000)
    annotate_kernels.simulate(folder / "tissue.imzML", 12_000)
    given = ["--analysis-version", "1", "--instrument", "FTICR"]
    return [
        ("mdr-epistasis", ["run", f"{folder}/cohort.bed"]),
        (
            "metabolite-annotation",
            ["run", f"{folder}/tissue.imzML", "--database", LIPIDS, *given],
        ),
    ]


def show_answer(repeats=5):
    """Print how long `recommend` takes, with 64 recorded runs."""
    cost = Cost(1e5, 10, 10**9, 10**9, 10**6)
    rng = np.random.default_rng(0)
    runs = [
        Run(Path("x"), "p", "", cost, int(n), 1, 1, 30 + 1e5 / n, 1e5, 10**9)
        for n in rng.integers(1, 64, 64)
    ]
    best_s = float("inf")
    for _ in range(repeats):
        began_s = time.perf_counter()
        recommend(cost, runs, Machine(112, 2.4e11, 64), Policy(), Question(7200))
        best_s = min(best_s, time.perf_counter() - began_s)
    print(f"\n`recommend` with 64 recorded runs: {best_s:.2f} s beside the plan")


def main():
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--programs", action="store_true", help="run both: minutes")
    args = parser.parse_args()
    if args.data:
        print("## Memory\n")
        show_memory(args.data)
        contexts = read_scaleouts(args.data)
        show_extrapolation(contexts)
        show_decisions(contexts)
        show_ranks(args.data / "mpi_numpy_scaling.csv")
    if args.programs:
        show_programs()
    show_answer()


if __name__ == "__main__":
    main()
