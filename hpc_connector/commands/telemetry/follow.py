"""``hpc-connector telemetry follow``: what runs use, while they go on.

``--json`` prints an object for each node at each refresh: the fields of
:class:`hpc_connector.telemetry.live.nodes.Figures`; "at_s", the time; and "next", what
is foretold of the next window.
"""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hpc_connector import cli
from hpc_connector.commands.telemetry.screen import open_screen
from hpc_connector.errors import BadInput
from hpc_connector.telemetry.live.board import Board
from hpc_connector.telemetry.live.sources import open_source
from hpc_connector.telemetry.live.view import Told, View

Show = Callable[[View], None]
PAGE_S = 5.0  # between two pages, at least: they hold pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        "places",
        nargs="+",
        metavar="DIR|URL",
        help="folders of runs with --telemetry, or streams of --telemetry-stream",
    )
    add(
        "--interval",
        type=cli.seconds,
        default=1.0,
        metavar="TIME",
        help="from refresh to refresh: 1, 5s, 1m (default: 1 s)",
    )
    said = "from telemetry train: foretell the next window of each node (default: none)"
    add("--model", type=Path, metavar="MODEL", help=said)
    add("--page", type=cli.local, metavar="FILE", help="a page that refreshes itself")
    said = "print an object for each node at each refresh"
    add("--json", action="store_true", help=said)
    said = "credentials and certificates for NATS"
    add("--profile", type=Path, metavar="FILE", help=said)


def run(args: argparse.Namespace) -> int:
    """Show nodes until all have ended, or Ctrl-C.

    Raises
    ------
    BadInput
        Nothing is to be followed, or it has ended without a row.
    """
    with contextlib.ExitStack() as stack:
        sources = [open_source(place, args.profile) for place in args.places]
        board = Board(sources)
        stack.callback(board.close)
        foretell = choose_outlook(args)
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        show = stack.enter_context(open_show(args))
        while True:
            began_s = time.monotonic()
            board.poll()
            view = board.get_view(foretell(board))
            show(view)
            if view.is_over and not view.figures:
                raise BadInput(
                    f"{', '.join(args.places)}: ended without a row of telemetry: "
                    "expected runs with --telemetry"
                )
            if view.is_over:
                break
            time.sleep(max(0.0, began_s + args.interval - time.monotonic()))
    return cli.DONE


@contextlib.contextmanager
def open_show(args: argparse.Namespace) -> Iterator[Show]:
    """Give what shows nodes: on a terminal, as lines or objects, and on a page."""
    with open_screen(args.json) as show:
        if args.page is None:
            yield show
            return
        from hpc_connector.report.telemetry.live_page import save_live_page

        due_s = 0.0

        def show_both(view: View) -> None:
            nonlocal due_s
            show(view)
            if view.is_over or time.monotonic() >= due_s:
                due_s = time.monotonic() + max(PAGE_S, args.interval)
                save_live_page(args.page, view, max(PAGE_S, args.interval))

        yield show_both


def choose_outlook(args: argparse.Namespace) -> Callable[[Board], Told]:
    """Return what foretells the next window of nodes.

    By a model, or as ``telemetry forecast`` has told it in the folders of runs.
    """
    from hpc_connector.forecast import live_outlook

    return (
        live_outlook.LiveOutlook(args.model) if args.model else live_outlook.read_told
    )
