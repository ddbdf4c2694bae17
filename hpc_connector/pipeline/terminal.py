"""The progress of a run on a terminal, or in a log."""

import logging
import sys
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

LOG_EVERY_S = 60.0


def make_progress(
    *, quiet: bool, unit: str = "tasks"
) -> Callable[[int, int], None] | None:
    """Return the display of progress: a line on a terminal, else one a minute."""
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
        rate = taken / max(now_s - start_s, 1e-9)
        left_s = (total - taken) / rate
        line = f"{taken} of {total} {unit}, {rate:.1f}/s, {left_s:.0f} s left"
        if is_terminal:
            end = "\n" if taken == total else ""
            print(f"\r\033[K{line}", end=end, file=sys.stderr, flush=True)
        elif taken < total:
            logger.info(line)

    return show
