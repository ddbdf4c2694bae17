"""``hpc-connector telemetry forecast``: what the next windows of a run will use."""

import argparse
from pathlib import Path

from hpc_connector import cli
from hpc_connector.errors import BadInput
from hpc_connector.forecast.features import HORIZONS
from hpc_connector.forecast.model_folder import load_model
from hpc_connector.forecast.outlook import (
    UNITS,
    Outlook,
    forecast,
    get_next,
    pick,
    save_forecast,
)
from hpc_connector.forecast.windows import TARGETS, WIDTH_S, read_series


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("run", type=Path, metavar="DIR", help="folder of a run, which may go on")
    said = "from telemetry train (default: persistence)"
    add("--model", type=Path, metavar="MODEL", help=said)
    said = "a window: 10, 10s, 1m (default: the model's, else 10 seconds)"
    add("--window", type=cli.seconds, metavar="TIME", help=said)
    add("--svg", type=cli.local, metavar="FILE", help="draw it")
    said = "that is drawn: NODE, or 'NODE rank N' (default: the busiest)"
    add("--series", metavar="NAME", help=said)


def run(args: argparse.Namespace) -> int:
    """Print the forecast, save it beside the telemetry, and draw it."""
    predictor, card = None, None
    if args.model is not None:
        predictor, card = load_model(args.model)
        if args.window not in (None, predictor.width_s):
            raise BadInput(
                f"--window {args.window:g}: {args.model} was trained on windows of "
                f"{predictor.width_s:g} s; expected those, or a model of this width"
            )
    width_s = predictor.width_s if predictor else args.window or WIDTH_S
    series = read_series(args.run, width_s)
    outlooks = forecast(series, predictor, card)
    print(format_outlooks(outlooks))
    save_forecast(args.run, outlooks, args.model)
    if args.svg is not None:
        from hpc_connector.report.telemetry.forecast_picture import draw_forecast

        args.svg.write_text(draw_forecast(pick(outlooks, args.series)))
    return cli.DONE


def format_outlooks(outlooks: list[Outlook]) -> str:
    """Return the next windows as a table."""
    width_s = outlooks[0].series.width_s
    ahead = "".join(f"{f'+{width_s * h:g} s':>18}" for h in range(1, HORIZONS + 1))
    lines = [f"{'series':24}{'':18}{'last':>9}{ahead}   (P50, P90)"]
    for outlook in outlooks:
        for target, found in get_next(outlook).items():
            if target not in TARGETS:
                continue
            size, unit = UNITS[target]
            pairs = zip(found["p50"], found["p90"], strict=True)
            cells = "".join(f"{a / size:9.2f}{b / size:9.2f}" for a, b in pairs)
            lines.append(
                f"{outlook.series.name:24}{f'{target}, {unit}':18}"
                f"{found['last'] / size:9.2f}{cells}   {found['by'][0]}"
            )
    return "\n".join(lines)
