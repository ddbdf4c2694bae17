"""The progress of a run on a terminal, or in a log."""

import logging
import sys
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

LOG_EVERY_S = 60.0


def make_progress(
    *, quiet: bool, unit: str = "tasks", get_took_s: Callable[[], float] | None = None
) -> Callable[[int, int], None] | None:
    """Return the display of progress: a line on a terminal, else one a minute.

    Parameters
    ----------
    get_took_s
        Gives the seconds in which what is taken came (default: since this call).
    """
    if quiet:
        return None
    start_s = time.monotonic()
    shown_s = [start_s]
    is_terminal = sys.stderr.isatty()

    def show(taken: int, total: int) -> None:
        now_s = time.monotonic()
        if now_s - shown_s[0] < (0.2 if is_terminal else LOG_EVERY_S) and taken < total:
            return
        shown_s[0] = now_s
        took_s = get_took_s() if get_took_s else now_s - start_s
        line = f"{taken} of {total} {unit}"
        if taken and took_s > 0:
            rate = taken / took_s
            line += f", {rate:.1f}/s, {(total - taken) / rate:.0f} s left"
        if is_terminal:
            end = "\n" if taken == total else ""
            print(f"\r\033[K{line}", end=end, file=sys.stderr, flush=True)
        elif taken < total:
            logger.info(line)

    return show
