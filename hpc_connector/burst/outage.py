"""A store that does not answer for a while, as when its server starts again."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from hpc_connector.storage.stores import NoAnswer

AGAIN_S = 1.0

logger = logging.getLogger(__name__)

Done = TypeVar("Done")


def outlast(act: Callable[[], Done], patience_s: float) -> Done:
    """Return the result of an act, tried again while a store does not answer.

    Raises
    ------
    NoAnswer
        It has not answered for so long.
    """
    outage = Outage(patience_s)
    while True:
        try:
            return act()
        except NoAnswer as error:
            outage.note(error)
            if outage.is_long():
                raise
            time.sleep(min(AGAIN_S, patience_s))


class Outage:
    """Since when a store has not answered, if it does not."""

    def __init__(self, patience_s: float):
        self.patience_s = patience_s
        self.since_s: float | None = None

    def note(self, error: Exception) -> None:
        """Note that a store did not answer; the first time is logged."""
        if self.since_s is None:
            self.since_s = time.monotonic()
            logger.warning("%s; tried again for %.0f s", error, self.patience_s)

    def end(self) -> None:
        """Note that it has answered."""
        self.since_s = None

    def is_long(self) -> bool:
        """Return whether it has not answered for longer than patience lasts."""
        if self.since_s is None:
            return False
        return time.monotonic() - self.since_s >= self.patience_s
