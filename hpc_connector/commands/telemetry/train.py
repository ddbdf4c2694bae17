"""``hpc-connector telemetry train``: learn from runs what the next windows need."""

import argparse
from pathlib import Path
from typing import Any

from hpc_connector import cli
from hpc_connector.forecast.features import LAGS
from hpc_connector.forecast.model_folder import save_model
from hpc_connector.forecast.models import KINDS
from hpc_connector.forecast.train import train
from hpc_connector.forecast.windows import WIDTH_S, read_series

UNITS = {"cpu": (1.0, "cores"), "memory": (2.0**20, "MiB")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        "runs",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="folder of a run with telemetry, or a Parquet table of windows",
    )
    add(
        "--out",
        type=cli.local,
        required=True,
        metavar="MODEL",
        help="folder of the model",
    )
    said = "a window: 10, 10s, 1m (default: %(default)g seconds)"
    add("--window", type=cli.seconds, default=WIDTH_S, metavar="TIME", help=said)
    said = "from window to window (default: as long as a window)"
    add("--step", type=cli.seconds, metavar="TIME", help=said)
    said = "windows to look back (default: %(default)s)"
    add("--lags", type=cli.at_least(3), default=LAGS, metavar="N", help=said)
    said = "hgb is gradient boosting, svr support vectors (default: hgb)"
    add("--model", choices=sorted(KINDS), default="hgb", help=said)
    add("--recursive", action="store_true", help="forecast from forecasts")


def run(args: argparse.Namespace) -> int:
    """Train, tell how good the model is on later runs, and save it."""
    series = [
        s for path in args.runs for s in read_series(path, args.window, args.step)
    ]
    predictor, about = train(
        series, kind=args.model, lags=args.lags, recursive=args.recursive
    )
    save_model(args.out, predictor, about)
    print(format_table(about))
    print(f"{args.out}: {about['verdict']}")
    return cli.DONE


def format_table(about: dict[str, Any]) -> str:
    """Return the figures as a table, persistence beside every one."""
    lines = [
        f"{about['train_windows']:,} windows train, {about['test_windows']:,} later "
        "ones test; MAE of persistence, of the model with its guard",
        f"{'':8}{'ahead':>6}{'persistence':>14}{'median of 3':>14}{'served':>10}"
        f"{'':8}{'skill':>7}{'P90 covers':>12}{'pinball, of persistence':>26}",
    ]
    for found in about["figures"]:
        size, unit = UNITS[found["target"]]
        low, high = found["pinball"] / size, found["pinball_persistence"] / size
        lines.append(
            f"{found['target']:8}{found['horizon']:6}"
            f"{found['mae_persistence'] / size:14.3f}{found['mae_median'] / size:14.3f}"
            f"{found['mae'] / size:10.3f} {unit:7}{found['skill']:+7.3f}"
            f"{100 * found['coverage']:10.1f} %{low:13.3f}{high:13.3f}"
        )
    return "\n".join(lines)
