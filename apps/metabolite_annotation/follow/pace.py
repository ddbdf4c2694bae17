"""When the next result of a growing dataset is due.

The first: after a tenth of the spectra, where it is known how many come, or some time
after the first of them, whichever is earlier. The next: when there are a quarter more
and some time has passed, whichever is later. So all of them together are no more work
than four times the last: 1 + 1 / 1.25 + 1 / 1.25**2 + ... = 5, and that one is in it.
"""

from dataclasses import dataclass

FIRST_SHARE = 0.1
GROWTH = 1.25
SETTLED_S = 5.0  # without a spectrum, once all are there: the seal is late


@dataclass
class Pace:
    """What a result waits for.

    Parameters
    ----------
    every_s
        Seconds between the beginnings of two results, at least.
    expected
        Spectra in all, None where that is not known.
    began_s
        When the last result was begun, or the first spectrum came.
    n_before
        Spectra of the last result, 0 before the first.
    n, last_s
        Spectra that are there, and when the last one came.
    """

    every_s: float
    expected: int | None = None
    began_s: float = 0.0
    n_before: int = 0
    n: int = 0
    last_s: float = 0.0

    def count(self, n: int, now_s: float) -> None:
        """Take note of how many spectra there are."""
        if self.n == 0 < n:
            self.began_s = now_s
        if n > self.n:
            self.n, self.last_s = n, now_s

    def is_due(self, now_s: float) -> bool:
        """Return whether a result is due."""
        is_late = now_s - self.began_s >= self.every_s
        if self.n == 0 or self._is_ending(now_s):
            return False
        if self.n_before == 0:
            share = FIRST_SHARE * (self.expected or float("inf"))
            return is_late or self.n >= share
        return is_late and self.n >= GROWTH * self.n_before

    def begin(self, now_s: float) -> None:
        """Take note that a result is begun."""
        self.began_s, self.n_before = now_s, self.n

    def _is_ending(self, now_s: float) -> bool:
        """Return whether all spectra are there, so that the seal must be near."""
        is_whole = self.expected is not None and self.n >= self.expected
        return is_whole and now_s - self.last_s < SETTLED_S
