"""Tasks in functions: batches go to functions, come back once, or are given back.

A batch that fails or is late is sent again; of its answers the first counts. One that
ran out of memory gets more. While the store does not answer, nothing is sent or given
up; where that takes too long, the burst is over. What no function has done in the end
is given back to the ranks.
"""

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hpc_connector.burst.outage import Outage
from hpc_connector.errors import BadInput

POLL_S = 0.3
LATE = 3.0  # times the longest batch so far, or what it takes on a rank

Batch = tuple[int, ...]


class Answer(NamedTuple):
    """What a function has left: what it found, or why it failed.

    ``is_short``: it ran out of memory.
    """

    batch: int
    attempt: int
    found: Any = None
    error: str = ""
    is_short: bool = False


@dataclass
class PendingBatch:
    """A batch that functions have, and that is not done.

    Parameters
    ----------
    memory_mb
        Of the next function that tries it; None where no more may be given.
    given_mb
        Memory of each function that has tried it.
    failed, short
        How many have failed, and run out of memory.
    """

    tasks: Batch
    memory_mb: int | None = 0
    given_mb: list[int] = field(default_factory=list)
    failed: int = 0
    short: int = 0
    sent_s: float = 0.0

    @property
    def attempts(self) -> int:
        """Functions that have tried it."""
        return len(self.given_mb)


@dataclass
class Usage:
    """What was sent and what came of it; every task sent is done or given back.

    ``grown_batches`` got more memory; ``gb_s`` are seconds of functions times memory.
    """

    batches: int = 0
    calls: int = 0
    failed_calls: int = 0
    late_calls: int = 0
    grown_batches: int = 0
    answers_dropped: int = 0
    tasks_done: int = 0
    tasks_given_back: int = 0
    function_s: float = 0.0
    gb_s: float = 0.0
    reason: str = ""


@dataclass
class Burst:
    """How a burst is run; what it does to the world are seven functions.

    Parameters
    ----------
    take
        Returns the tasks of a batch, none where none goes at the moment, and None where
        none will go any more.
    send
        Starts a function: number of the batch, attempt, tasks, MB of memory.
    receive
        Yields the answers that have come since, from any function. Raises BadInput
        where the store does not say; what was not yielded comes the next time.
    accept
        Keeps what a batch has found: its number, its tasks, what was found; returns the
        seconds of the function. Raises ValueError where that is not whole.
    is_rank_free
        Returns whether ranks wait for what is pending.
    get_task_s
        Returns the seconds that a task takes on a rank, as far as is known.
    grow
        Returns the memory to give after functions ran out of it: what the last one
        had, and how many did; None where that is the most.
    memory_mb
        Of a function; of later ones as much as a batch has turned out to need.
    patience_s
        Before a batch is late, at least; and ``LATE`` times what it should take. Also
        how long the store may fail.
    """

    take: Callable[["Burst"], Batch | None]
    send: Callable[[int, int, Batch, int], None]
    receive: Callable[[], Iterable[Answer]]
    accept: Callable[[int, Batch, Any], float]
    is_rank_free: Callable[[], bool]
    get_task_s: Callable[[], float]
    grow: Callable[[int, int], int | None]
    workers: int
    memory_mb: int
    tries: int = 3
    patience_s: float = 60.0
    poll_s: float = POLL_S
    usage: Usage = field(default_factory=Usage)
    pending: dict[int, PendingBatch] = field(default_factory=dict)
    longest_s: float = 0.0
    largest_done: int = 0
    is_over: bool = False

    def run(self, is_stopped: Callable[[], bool]) -> list[int]:
        """Send batches until none is left; return the tasks that no function has done.

        After a stop, what is pending is not waited for.
        """
        back: list[int] = []
        numbers, outage = itertools.count(), Outage(self.patience_s)
        while not is_stopped():
            if not self.is_over and not outage.since_s:
                self._send_new(numbers)
            try:
                for answer in self.receive():
                    self._take_answer(answer)
            except BadInput as error:
                outage.note(error)
                back += self._give_up(error) if outage.is_long() else []
            else:
                outage.end()
                back += self._settle()
            if self.is_over and not self.pending:
                break
            time.sleep(self.poll_s)
        self.usage.tasks_given_back += len(back)
        return back

    def _send_new(self, numbers: Iterable[int]) -> None:
        """Send batches while functions are free."""
        while len(self.pending) < self.workers:
            tasks = self.take(self)
            if tasks is None:
                self.is_over = True
            if not tasks:
                return
            number = next(iter(numbers))
            self.pending[number] = PendingBatch(tasks, self.memory_mb)
            self.usage.batches += 1
            self._send(number)
            if self.pending[number].failed:
                return  # so may the next

    def _send(self, number: int) -> None:
        """Send a batch; one that cannot be sent has failed."""
        pending = self.pending[number]
        attempt, memory_mb = pending.attempts, pending.memory_mb or 0
        pending.given_mb.append(memory_mb)
        pending.sent_s = time.monotonic()
        self.usage.calls += 1
        try:
            self.send(number, attempt, pending.tasks, memory_mb)
        except Exception as error:
            self._fail(pending, error)

    def _fail(self, pending: PendingBatch, error: Any) -> None:
        """Note that a function has failed."""
        pending.failed += 1
        self.usage.failed_calls += 1
        self.usage.reason = (str(error).splitlines() or [""])[0][:200]

    def _give_more(self, pending: PendingBatch, given_mb: int) -> None:
        """Have a batch tried with more memory than a function that ran out of it."""
        if pending.memory_mb is None or pending.memory_mb > given_mb:
            return  # it is of an earlier try
        pending.short += 1
        more = self.grow(given_mb, pending.short)
        pending.memory_mb = more and max(more, self.memory_mb)
        self.usage.grown_batches += pending.short == 1 and more is not None

    def _take_answer(self, answer: Answer) -> None:
        """Keep what a function found, if it is the first of its batch to come."""
        pending = self.pending.get(answer.batch)
        if answer.error:
            if pending:
                self._fail(pending, answer.error)
            if pending and answer.is_short:
                self._give_more(pending, pending.given_mb[answer.attempt])
            return
        if pending is None:
            self.usage.answers_dropped += 1
            return
        try:
            took_s = self.accept(answer.batch, pending.tasks, answer.found)
        except ValueError as error:  # what came is not whole
            self._fail(pending, error)
            return
        given_mb = pending.given_mb[answer.attempt]
        self.memory_mb = max(self.memory_mb, given_mb)
        self.usage.function_s += took_s
        self.usage.gb_s += took_s * given_mb / 1024
        self.longest_s = max(self.longest_s, time.monotonic() - pending.sent_s)
        self.largest_done = max(self.largest_done, len(pending.tasks))
        self.usage.tasks_done += len(pending.tasks)
        del self.pending[answer.batch]

    def _settle(self) -> list[int]:
        """Send again what failed or is late; return the tasks that are given back.

        A late function may still answer first. What is late is given to whoever is
        free first, which may be a rank.
        """
        back: list[int] = []
        for number, pending in list(self.pending.items()):
            expected_s = max(self.longest_s, self.get_task_s() * len(pending.tasks))
            patience_s = max(self.patience_s, LATE * expected_s)
            is_late = time.monotonic() - pending.sent_s > patience_s
            has_failed = pending.failed == pending.attempts
            if not (is_late or has_failed):
                continue
            self.usage.late_calls += not has_failed
            self._give_up_if_nothing_works()
            # how often memory grows is another limit, which `grow` keeps
            is_tried = pending.attempts - pending.short >= self.tries
            is_hopeless = is_tried or pending.memory_mb is None
            if not is_hopeless and not self.is_rank_free():
                self._send(number)
            else:
                back += pending.tasks
                del self.pending[number]
        return back

    def _give_up(self, error: Exception) -> list[int]:
        """Take no more tasks, and return those that are pending."""
        self.usage.reason = str(error)
        self.is_over = True
        back = [task for pending in self.pending.values() for task in pending.tasks]
        self.pending.clear()
        return back

    def _give_up_if_nothing_works(self) -> None:
        """Take no more tasks where functions only fail, with more memory too."""
        in_vain = self.usage.failed_calls - self.usage.grown_batches
        if not self.usage.tasks_done and in_vain > 2 * self.tries:
            self.is_over = True
