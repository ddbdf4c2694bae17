"""What sites and the scorer exchange: hellos, masked blocks and sums, told values.

Threads of sites and of the scorer meet here. What a site was told to be done is on the
disk: who was killed at any moment asks again, and the same bytes come.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.confidential.refused import Refused
from hpc_connector.errors import BAD_INPUT, STOPPED, BadInput, Later
from hpc_connector.federation.blocks import SIZES
from hpc_connector.federation.hub.attempts import (
    Attempt,
    End,
    Ended,
    load_attempt,
    make_attempt,
    remove_files,
    save_attempt,
)
from hpc_connector.federation.hub.block_file import BlockFile, Name
from hpc_connector.federation.hub.codec import encode
from hpc_connector.federation.hub.sums import State, Sums
from hpc_connector.federation.hub.wire import Header, name_block
from hpc_connector.federation.masks import Numbers
from hpc_connector.federation.study import HUB, Study

GUEST_S = 60.0  # that a site is taken to be there after it has asked to join
TOLD = 255  # the stage under which told values are kept
DONE = "done"  # why a site leaves that has the result
LINGER_S = 10.0  # for sites to hear how an attempt has ended

logger = logging.getLogger(__name__)

Log = Callable[..., None]  # takes an event, the party it is of, and more about it


class Anew(Later):
    """All sites have begun another attempt."""


class Guest(NamedTuple):
    """A site that waits for the others, and until when it is taken to."""

    hello: dict[str, Any]
    until_s: float


class Exchange:
    """Where the threads of a hub meet.

    Parameters
    ----------
    folder
        Of the state, which is there.
    patience_s
        With a site that does not send what is waited for.
    """

    def __init__(self, study: Study, folder: Path, patience_s: float, log: Log) -> None:
        self.study, self.folder = study, folder
        self.patience_s, self.log = patience_s, log
        self.changed = threading.Condition()
        self.room: dict[str, Guest] = {}
        self.seen_s = dict.fromkeys(study.names, time.monotonic())
        self.sent_s: dict[str, float] = {}  # of sites that have read their files
        self.asked_s: dict[str, float] = {}  # since when sites wait to be told
        self.heard: set[str] = set()  # who is not to be told of the end
        self.failure: OSError | None = None
        self.is_closed = False
        self.attempt = load_attempt(folder, study)
        if self.attempt is not None and self.attempt.end is None:
            self.open_files(self.attempt)

    def open_files(self, attempt: Attempt) -> None:
        """Open the files of sums and of told values of an attempt."""
        self.sums = Sums(self.folder / f"sums.{attempt.number}", self.study.names)
        self.told = BlockFile(self.folder / f"told.{attempt.number}")

    def save(self, attempt: Attempt) -> None:
        """Keep what is known of the attempt, and let all know."""
        try:
            save_attempt(self.folder, self.study, attempt)
        except OSError as error:  # the hub stops, and goes on with what it has kept
            self.failure = error
            self.changed.notify_all()
            raise
        self.attempt = attempt
        self.changed.notify_all()

    def clear_if_over(self) -> None:
        """Remove the sums of an attempt in which nobody goes on."""
        with self.changed:
            if self.attempt is not None and self.attempt.end is not None:
                remove_files(self.folder)

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()

    # What sites ask

    def see(self, site: str, run: str) -> None:
        """Note that a site is there, if it takes part in the attempt."""
        if self.attempt is not None and self.attempt.run == run:
            self.seen_s[site] = time.monotonic()

    def note_heard(self, site: str) -> None:
        """Note that a site knows how the attempt has ended."""
        with self.changed:
            self.heard.add(site)
            self.changed.notify_all()

    def join(
        self, site: str, hello: dict[str, Any], *, goes_on: bool, wait_s: float
    ) -> Attempt | None:
        """Return the attempt that a site takes part in, None while others lack.

        Parameters
        ----------
        goes_on
            The site has taken part in it already.
        """
        with self.changed:
            if not self.is_in(site, hello):
                if goes_on:
                    raise Ended(End(STOPPED, self.say_over()))
                if site not in self.room:
                    logger.info("site %s is here", site)
                until_s = time.monotonic() + wait_s + GUEST_S
                self.room[site] = Guest(hello, until_s)
                self.begin_if_all()
                self.changed.wait_for(
                    lambda: self.is_in(site, hello) or self.is_closed, wait_s
                )
            if not self.is_in(site, hello):
                return None
            attempt = self.check(self.get_attempt().run)
            self.see(site, attempt.run)
            for known in (self.sent_s, self.asked_s):
                known.pop(site, None)  # it reads its files, maybe for long
            return attempt

    def is_in(self, site: str, hello: dict[str, Any]) -> bool:
        """Return whether a site has begun the attempt with a hello."""
        if self.attempt is None:
            return False
        place = self.study.names.index(site)
        return encode(self.attempt.hellos[place]) == encode(hello)

    def say_over(self) -> str:
        """Return why a site cannot go on in an attempt that is not the last one."""
        if self.attempt is None:
            return "the hub has no attempt of this study: expected to begin anew"
        number, end = self.attempt.number, self.attempt.end
        said = f"it has ended: {end.reason}" if end else "this site is not in it so"
        return f"attempt {number} is the last one; {said}: expected to begin anew"

    def list_lacking(self) -> list[str]:
        """Return the sites that an attempt waits for to begin."""
        now_s = time.monotonic()
        here = {name for name, guest in self.room.items() if guest.until_s >= now_s}
        return [name for name in self.study.names if name not in here]

    def begin_if_all(self) -> None:
        """Begin an attempt once all sites wait for it."""
        if self.list_lacking():
            return
        hellos = [self.room[name].hello for name in self.study.names]
        number = 1 if self.attempt is None else self.attempt.number + 1
        attempt = make_attempt(self.study, number, hellos)
        self.save(attempt)
        self.room.clear()
        self.seen_s = dict.fromkeys(self.study.names, time.monotonic())
        remove_files(self.folder)
        self.open_files(attempt)
        for name in self.study.names:
            self.log("join", name, reason=f"attempt {number}")

    def get_number(self) -> int | None:
        """Return the number of the attempt that is under way, None without one."""
        is_under_way = self.attempt is not None and self.attempt.end is None
        return self.attempt.number if self.attempt and is_under_way else None

    def get_attempt(self) -> Attempt:
        """Return the attempt, which must be there."""
        assert self.attempt is not None
        return self.attempt

    def check(self, run: str) -> Attempt:
        """Return the attempt, which must be that of a run, and not have ended."""
        attempt = self.attempt
        if self.is_closed:
            raise Later("the hub is about to end")
        if attempt is None or attempt.run != run:
            raise Refused("run", "it is of another attempt: expected to begin anew")
        if attempt.end is not None:
            raise Ended(attempt.end)
        return attempt

    def put(
        self, site: str, run: str, header: Header, numbers: Numbers, wait_s: float
    ) -> bool:
        """Add a block of a site; return whether the sum is on the disk."""
        name = header.stage, header.block
        with self.changed:
            self.check(run)
            try:
                is_last = self.sums.take(site, header, numbers)
            except Refused:
                raise
            except BadInput as error:  # masks of two messages would cancel
                raise self.end(BAD_INPUT, str(error)) from None
            if header.stage != SIZES:
                self.sent_s[site] = time.monotonic()
        if is_last:
            self.finish(name)
        return self.wait(site, run, name, wait_s) == "done"

    def finish(self, name: Name) -> None:
        """Write a sum to the disk, and let all know."""
        try:
            self.sums.save(name)
        except OSError as error:  # the hub stops: what sites have kept comes again
            self.failure = error
            raise
        finally:
            with self.changed:
                self.sums.forget(name)
                self.changed.notify_all()

    def wait(self, site: str, run: str, name: Name, wait_s: float) -> State:
        """Return the state of a block, as soon as it is done, or after a while."""
        with self.changed:

            def is_known() -> bool:
                self.check(run)
                return self.sums.get_state(site, name) != "waits"

            self.changed.wait_for(is_known, wait_s)
            return self.sums.get_state(site, name)

    def get_told(self, site: str, run: str, n: int, wait_s: float) -> bytes | None:
        """Return what was told, None if it was not yet."""
        with self.changed:

            def is_told() -> bool:
                self.check(run)
                return (TOLD, n) in self.told.kept

            if wait_s:  # else it shows life
                self.asked_s.setdefault(site, time.monotonic())
            found = self.changed.wait_for(is_told, wait_s)
            if found:
                self.asked_s.pop(site, None)
        return self.told.get((TOLD, n)).tobytes() if found else None

    def leave(self, site: str, run: str, reason: str, code: int = BAD_INPUT) -> None:
        """Have a site go: it has the result, or the attempt ends with a code."""
        with self.changed:
            attempt = self.check(run)
            if reason != DONE:
                self.heard.add(site)
                self.end(code, f"site {site} has left: {reason}")
            elif site not in attempt.done:
                self.save(replace(attempt, done=(*attempt.done, site)))

    def end(self, code: int, reason: str) -> Ended:
        """End the attempt; return what whoever asks is told."""
        with self.changed:
            attempt = self.get_attempt()
            if attempt.end is None:
                self.log("end", HUB, reason=reason)
                self.save(replace(attempt, end=End(code, reason)))
            return Ended(self.get_attempt().end or End(code, reason))

    # What the scorer asks

    def meet(self) -> Attempt:
        """Return the attempt once all sites are there."""
        with self.changed:
            self.changed.wait_for(
                lambda: (
                    self.failure is not None
                    or (self.attempt is not None and self.attempt.end is None)
                )
            )
            if self.failure is not None:
                raise self.failure
            return self.get_attempt()

    def look(self, number: int) -> None:
        """Raise what the scorer of an attempt is to end with, if it is."""
        attempt = self.get_attempt()
        if attempt.number != number:
            raise Anew("all sites have begun anew")
        if attempt.end is not None:
            raise Ended(attempt.end).explain()
        if self.failure is not None:
            raise self.failure

    def wait_for_sum(self, number: int, name: Name) -> Numbers:
        """Return the sum of a block.

        Raises
        ------
        Later
            A site is silent, or asks and sends nothing: the attempt ends.
        """
        start_s = time.monotonic()

        def is_there() -> bool:
            self.look(number)
            return name in self.sums.file.kept

        with self.changed:
            while not self.changed.wait_for(is_there, self.patience_s / 2):
                before_s = time.monotonic() - self.patience_s
                lacking = self.sums.list_lacking(name)
                silent = [site for site in lacking if self.seen_s[site] < before_s]
                self.heard |= set(silent)
                self.end_for(silent, "silent for", name)
                if start_s < before_s:
                    stuck = [s for s in lacking if self.get_since_s(s) < before_s]
                    self.end_for(stuck, "there, and has sent nothing for", name)
        return self.sums.file.get(name)

    def get_since_s(self, site: str) -> float:
        """Return since when a site sends nothing, infinite while it may read files.

        Who waits to be told has sent all before.
        """
        return min(known.get(site, inf) for known in (self.sent_s, self.asked_s))

    def end_for(self, sites: Sequence[str], said: str, name: Name) -> None:
        """End the attempt for sites that do not send a block, if there are some.

        Raises
        ------
        Later
            There are.
        """
        if sites:
            who = " and ".join(f"site {site}" for site in sites)
            for_s = f"{self.patience_s:g} s ({name_block(*name)})"
            raise self.end(STOPPED, f"{who}: {said} {for_s}").explain()

    def tell(self, number: int, n: int, data: bytes) -> None:
        """Keep what the scorer tells, and let the sites know.

        Raises
        ------
        RuntimeError
            Something else was told before the hub was started again.
        """
        with self.changed:
            self.look(number)
        numbers = np.frombuffer(data, np.uint8)
        if (TOLD, n) in self.told.kept:
            if self.told.get((TOLD, n)).tobytes() != data:
                raise RuntimeError(f"told value {n} is not what it was")
            return
        self.told.put((TOLD, n), numbers)
        with self.changed:
            self.changed.notify_all()

    def wait_for_done(self, number: int) -> None:
        """Wait until all sites have the result.

        Raises
        ------
        Later
            One does not ask for it: the hub can be started again.
        """

        def is_done() -> bool:
            self.look(number)
            return set(self.get_attempt().done) == set(self.study.names)

        with self.changed:
            while not self.changed.wait_for(is_done, self.patience_s):
                left = [s for s in self.study.names if s not in self.get_attempt().done]
                before_s = time.monotonic() - self.patience_s
                if silent := [site for site in left if self.seen_s[site] < before_s]:
                    raise Later(
                        f"site {silent[0]} has not asked for the result: start the hub "
                        "again when it will"
                    )

    def linger(self) -> None:
        """Wait until the sites have heard how the attempt has ended, if it has."""
        if self.attempt is None or self.attempt.end is None:
            return
        with self.changed:
            self.changed.wait_for(
                lambda: self.heard >= set(self.study.names),
                min(LINGER_S, self.patience_s),
            )
