"""Skill of the forecasts of CPU and memory over persistence, and P90, as Markdown.

    python benchmarks/telemetry_models.py --data FOLDER [--models hgb,linear,...]

FOLDER holds tasks_10s_eager.parquet (10 s windows of 1,232 tasks of a workflow, from
the k-Segments traces) and own_10hz.csv.gz (18 runs of our own at 10 Hz). Of each type
of task the later 30 % test; only windows that ended before the first of them trains.
The pinball ratio is to persistence plus the 90 % quantile of its residuals. Then each
type is held out: the model has never seen it, while the baseline of P90 is given the
quantile of the test itself. Last, how long 60,000 windows take to train.
"""

import argparse
import csv
import gzip
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet

from hpc_connector.forecast.evaluate import evaluate, get_pinball, get_quantile
from hpc_connector.forecast.features import HORIZONS, make_examples, split_examples
from hpc_connector.forecast.predictor import train_predictor
from hpc_connector.forecast.windows import TARGETS, Series, make_windows

UNIT = {"cpu": 1.0, "memory": 2.0**30}
MODELS = "hgb,hgb recursive,svr,linear,mlp"
LEAST = 50  # windows of a type, to be told


def read_tasks(path):
    """Return the tasks of the workflow, one series each."""
    table = pyarrow.parquet.read_table(path)
    names, kinds = (np.array(table[c].to_pylist()) for c in ("task", "process"))
    start_s = table["start_unix_s"].to_numpy()
    memory = table["mem_mib_max"].to_numpy().astype(float) * 2**20
    values = np.column_stack([table["cpu_cores_mean"].to_numpy(), memory])
    cuts = np.flatnonzero(names[1:] != names[:-1]) + 1
    return [
        Series(names[k], names[k], kinds[k], float(start_s[k]), 10.0, values[part])
        for part in np.split(np.arange(len(names)), cuts)
        for k in part[:1]
    ]


def read_own(path):
    """Return our own runs in windows of a second."""
    with gzip.open(path, "rt") as stream:
        lines = list(csv.DictReader(stream))
    found = []
    for run in sorted({line["run_id"] for line in lines}):
        mine = [line for line in lines if line["run_id"] == run]
        columns = ("t_s", "cpu_seconds_total", "rss_bytes")
        samples = [np.array([float(line[c]) for line in mine]) for c in columns]
        values = make_windows(*samples, width_s=1.0)
        found.append(Series(run, run, mine[0]["kind"], 0.0, 1.0, values))
    return found


def make_all(series):
    return {target: make_examples(series, target) for target in TARGETS}


def get_kinds(series, rows):
    return np.array([one.group for one in series])[rows["cpu"].series]


def tell(name, figures):
    """Print the figures of a model: skill of median, model and guard, and P90."""
    for target in TARGETS:
        mine = [f for f in figures if f.target == target]
        cells = [
            "/".join(f"{f.mae_persistence / UNIT[target]:.3f}" for f in mine),
            *(
                "/".join(f"{f.get_skill(of):+.2f}" for f in mine)
                for of in ("mae_median", "mae_model")
            ),
            "/".join(f"**{f.get_skill():+.3f}**" for f in mine),
            "/".join(f"{100 * f.coverage:.0f}" for f in mine),
            "/".join(f"{f.pinball / f.pinball_persistence:.2f}" for f in mine),
        ]
        print(f"| {name} | {target} | {' | '.join(cells)} |", flush=True)


def print_header(title):
    print(f"\n### {title}\n")
    print(
        "| trained | target | persistence MAE | median of 3 | model alone | guarded "
        "| P90 covers, % | pinball ratio |\n" + "| --- " * 8 + "|"
    )


def run_models(series, rows, models):
    """Train on earlier tasks and test on later ones."""
    train, test = split_examples(series, rows["cpu"])
    known = np.ones(len(test), bool)
    print_header(
        f"Later tasks: {train.sum():,} windows train, {test.sum():,} test; "
        "horizons 1/2/3"
    )
    for name in models:
        kind, *option = name.split()
        predictor = train_predictor(
            rows, train, kind=kind, width_s=10.0, recursive=bool(option)
        )
        tell(name, evaluate(predictor, rows, train, test, known))


def run_rules(series, rows):
    """Print what simple rules reach that need no training, on the same windows."""
    train, test = split_examples(series, rows["cpu"])
    print(
        "\n### Rules without training, horizons 1/2/3\n\n"
        "| target | rule | skill | P90 rule | covers, % | pinball ratio |\n"
        + "| --- " * 6
        + "|"
    )
    for target in TARGETS:
        made = rows[target].take(test)
        last, most = made.lags[:, -1], made.lags.max(axis=1)
        residuals = rows[target].future[train] - rows[target].lags[train, -1:]
        margins = [get_quantile(r) for r in residuals.T]
        middles = {
            "moving average of 3": made.lags[:, -3:].mean(axis=1),
            "moving average of 8": made.lags.mean(axis=1),
            "median of 3": np.median(made.lags[:, -3:], axis=1),
        }
        uppers = {
            "persistence + residual quantile": [last + margin for margin in margins],
            "max of 8": [most] * HORIZONS,
            "max of 8 x 1.15 (VPA-like)": [1.15 * most] * HORIZONS,
        }
        for (rule, middle), (upper_rule, upper) in zip(
            middles.items(), uppers.items(), strict=True
        ):
            skills, covers, losses = [], [], []
            for h, came in enumerate(made.future.T):
                kept = ~np.isnan(came)
                error = np.abs(np.stack([last, middle]) - came)[:, kept].mean(axis=1)
                skills.append(f"{1 - error[1] / error[0]:+.2f}")
                covers.append(f"{100 * (came <= upper[h])[kept].mean():.0f}")
                base = get_pinball(came[kept], (last + margins[h])[kept])
                losses.append(f"{get_pinball(came[kept], upper[h][kept]) / base:.2f}")
            cells = (target, rule, "/".join(skills), upper_rule)
            cells += "/".join(covers), "/".join(losses)
            print(f"| {' | '.join(cells)} |", flush=True)


def run_unseen(series, rows, own):
    """Test on programs that were not trained on, with the guard."""
    print_header("Programs not trained on (hgb)")
    train, test = split_examples(series, rows["cpu"])
    kinds, stranger, worst = get_kinds(series, rows), make_all(own), []
    every = train_predictor(rows, train, kind="hgb", width_s=10.0)
    is_own = np.ones(len(stranger["cpu"].series), bool)
    figures = evaluate(every, stranger, is_own, is_own, ~is_own)
    worst += [(f.get_skill(), "own_10hz") for f in figures]
    tell("all; own_10hz", figures)
    for kind in np.unique(kinds):
        held = kinds == kind
        if (test & held).sum() < LEAST:
            continue
        predictor = train_predictor(rows, train & ~held, kind="hgb", width_s=10.0)
        mine, never = test & held, np.zeros(len(held), bool)
        figures = evaluate(predictor, rows, mine, mine, never)
        tell(f"all but {kind}", figures)
        worst += [(f.get_skill(), f"{kind}, {f.target} {f.horizon}") for f in figures]
    skill, where = min(worst)
    print(f"\nworst skill on a program not trained on: {skill:+.3f} ({where})")


def time_training(rows, train):
    """Print how long 60,000 windows take, wall and CPU."""
    some = np.zeros(len(train), bool)
    some[np.flatnonzero(train)[:60000]] = True
    for kind in ("hgb", "svr"):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        train_predictor(rows, some, kind=kind, width_s=10.0)
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        print(f"\n{kind}: 60,000 windows train in {wall_s:.1f} s (CPU {cpu_s:.1f} s)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", default=MODELS)
    args = parser.parse_args()
    series = read_tasks(args.data / "tasks_10s_eager.parquet")
    rows = make_all(series)
    run_rules(series, rows)
    run_models(series, rows, args.models.split(","))
    run_unseen(series, rows, read_own(args.data / "own_10hz.csv.gz"))
    time_training(rows, split_examples(series, rows["cpu"])[0])


if __name__ == "__main__":
    main()
