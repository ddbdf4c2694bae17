"""A site's transport to a hub: HTTPS, four blocks under way."""

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.errors import BAD_INPUT, STOPPED, BadInput, Later
from hpc_connector.federation.hub.asking import Answer, Way
from hpc_connector.federation.hub.attempts import Ended, name_run
from hpc_connector.federation.hub.certificates import get_certificates
from hpc_connector.federation.hub.codec import decode, encode
from hpc_connector.federation.hub.exchange import DONE
from hpc_connector.federation.hub.folder import alone
from hpc_connector.federation.hub.memory import Memory
from hpc_connector.federation.hub.tls import make_client_context
from hpc_connector.federation.hub.wire import (
    HEADER,
    JOIN,
    PROTOCOL,
    UNDER_WAY,
    WAIT_S,
    check_crc,
    get_bytes,
    get_most_bytes,
    make_header,
    name_block,
    pack_header,
    read_header,
)
from hpc_connector.federation.masks import Numbers
from hpc_connector.federation.study import Study
from hpc_connector.text import pack_json

logger = logging.getLogger(__name__)

Parts = tuple[bytes | memoryview, ...]
ACCEPTED, LOST = 202, 404
LIFE_S = 5.0  # between signs of life, of a site that counts and says nothing
NEVER = 999_999_999  # number of a value that is not told
LEAVE_S = 30.0  # for a hub to hear that a site leaves
# What others hear of an error: the error itself may tell of individuals
UNTOLD = "its input cannot be used, and it says itself why"
FAILED = "it has failed, and says itself how"
MAY_GO_ON = OSError, Later, MemoryError  # with more room, or another network


class SiteTransport:
    """The way of a site to the hub; see ``federation.transport``.

    Parameters
    ----------
    way
        To the hub.
    memory
        Of the attempt.
    """

    is_scorer = False

    def __init__(self, study: Study, site: str, way: Way, memory: Memory) -> None:
        self.study, self.site, self.way, self.memory = study, site, way, memory
        self.attempt, self.run, self.n_told, self.has_left = 0, "", 0, False
        self.pool = ThreadPoolExecutor(UNDER_WAY + 1, "blocks")
        self.free = threading.BoundedSemaphore(UNDER_WAY)
        self.under_way: list[Future[Numbers | None]] = []

    def keep(self, name: str, value: Any) -> None:
        """Remember what must not change within the attempt; see ``Memory.keep``."""
        self.memory.keep(name, value)

    def gather(self, value: dict[str, Any]) -> list[Any]:
        """Return what the sites show to all, once all are there.

        A site that goes on shows the nonce that it has shown before. If the attempt is
        over, it begins another one.
        """
        hello, answer = self.memory.show(value), None
        if self.memory.goes_on:
            answer = self.join_again(hello)
            hello = self.memory.show(value)
        if answer is None:
            answer = self.join(hello, goes_on=False)
        self.attempt, hellos = answer["attempt"], answer["hellos"]
        shown = {one["site"]: one for one in hellos}
        names = [one["site"] for one in hellos]
        is_own = encode(shown.get(self.site)) == encode(hello)
        if tuple(names) != self.study.names or not is_own:
            raise BadInput(f"hub {self.way.url}: these are not the sites of the study")
        self.run = name_run(self.study, self.attempt, hellos)
        self.memory.keep("run", self.run)
        self.pool.submit(self.show_life, self.way)
        logger.info("all sites are here: attempt %d", self.attempt)
        return list(hellos)

    def show_life(self, way: Way) -> None:
        """Let the hub see that this site is at work: it may read or count for long."""
        with contextlib.suppress(BadInput, Later):
            while not way.is_over.wait(LIFE_S):
                self.ask("GET", f"/v1/runs/{self.run}/told/{NEVER}")

    def join_again(self, hello: dict[str, Any]) -> Any:
        """Return the attempt that this site goes on in, None if it is over."""
        try:
            return self.join(hello, goes_on=True)
        except Later as error:
            if not self.has_left:
                raise
            logger.info("begins anew, for %s", error)
            self.memory.forget()
            self.has_left, self.way = False, self.way.begin_again(self.way.patience_s)
            return None

    def join(self, hello: dict[str, Any], *, goes_on: bool) -> Any:
        """Return the attempt that this site takes part in, once all sites are there."""
        told = encode({"hello": hello, "goes_on": goes_on, "protocol": PROTOCOL})
        found, said = self.ask("POST", JOIN, [told]), ""
        while found.status == ACCEPTED:
            if said != (said := describe_waiting(json.loads(found.data))):
                logger.info("%s", said)
            found = self.ask("POST", JOIN, [told], WAIT_S)
        return decode(found.data)

    def ask(self, *request: Any) -> Answer:
        """Return what the hub answers; see ``Way.ask``."""
        try:
            return self.way.ask(*request)
        except Ended as ended:
            self.has_left = True
            raise ended.explain() from None

    def add(
        self, stage: int, block: int, make: Callable[[], Numbers] | None
    ) -> Numbers | None:
        """Send a block, and return its sum if sites may see it.

        It may still be under way when this returns, if they may not.
        """
        assert make is not None
        path = f"/v1/runs/{self.run}/{stage}/{block}"
        if (stage, block) in self.memory.sent:  # before this process
            found = self.ask("GET", path)
            if found.status not in (ACCEPTED, LOST):
                return self.read_sum(found)
        self.free.acquire()
        try:
            self.raise_failed()
            numbers = make()
            header = make_header(stage, block, numbers)
            if header.n_bytes > (most := get_most_bytes(self.study.folds)):
                raise BadInput(f"{header.n_bytes} bytes: a block has {most} at most")
            self.memory.send(header)
            parts: Parts = (pack_header(header), get_bytes(numbers))
            future = self.pool.submit(self.send, path, parts)
        except BaseException:
            self.free.release()
            raise
        future.add_done_callback(lambda _: self.free.release())
        if self.study.scorer == "sites":
            return future.result()
        self.under_way = [one for one in self.under_way if not one.done()]
        self.under_way.append(future)
        return None

    def raise_failed(self) -> None:
        """Raise what a block under way has failed by."""
        for future in self.under_way:
            if future.done():
                future.result()

    def send(self, path: str, parts: Parts) -> Numbers | None:
        """Send a block until the hub has the sum on its disk."""
        found = self.ask("PUT", path, parts, WAIT_S)
        while found.status in (ACCEPTED, LOST):
            if found.status == ACCEPTED:
                found = self.ask("GET", path, (), WAIT_S)
            else:  # the hub was killed
                found = self.ask("PUT", path, parts, WAIT_S)
        return self.read_sum(found)

    def read_sum(self, answer: Answer) -> Numbers | None:
        """Return the sum in an answer, if there is one.

        Raises
        ------
        BadInput
            It is cut, or damaged.
        """
        if not answer.data:
            return None
        header = read_header(answer.data[: HEADER.size])
        if header.n_bytes != len(answer.data) - HEADER.size:
            raise BadInput(
                f"hub {self.way.url}: {name_block(header.stage, header.block)}: "
                f"{len(answer.data)} bytes, and the header says {header.n_bytes}"
            )
        numbers: Numbers = np.frombuffer(answer.data, header.dtype, offset=HEADER.size)
        check_crc(header, numbers)
        return numbers.copy()

    def drain(self) -> None:
        """Wait until nothing is under way."""
        for future in self.under_way:
            future.result()
        self.under_way.clear()

    def tell(self, value: Any = None) -> Any:
        """Return the next value that the scorer tells."""
        self.drain()
        path = f"/v1/runs/{self.run}/told/{self.n_told}"
        found = self.ask("GET", path, (), WAIT_S)
        while found.status == ACCEPTED:
            found = self.ask("GET", path, (), WAIT_S)
        self.n_told += 1
        return decode(found.data)

    def leave(self, reason: str = DONE, code: int = BAD_INPUT) -> bool:
        """Tell the hub that this site has the result, or must stop.

        Parameters
        ----------
        code
            With which the others end then.

        Returns
        -------
        Whether it has heard of it.
        """
        if not self.run or self.has_left:
            return True
        self.has_left = True
        path = f"/v1/runs/{self.run}/leave"
        told = {"reason": reason} | ({} if reason == DONE else {"code": code})
        way = self.way.begin_again(min(self.way.patience_s, LEAVE_S))
        with contextlib.closing(way):
            try:
                way.ask("POST", path, [pack_json(told)])
            except (BadInput, Ended):  # it knows of no such attempt, or of its end
                return True
            except Later as error:
                logger.warning("the hub has not heard that this site ends: %s", error)
                return False
        return True

    def close(self) -> None:
        """End what is under way."""
        self.way.stop()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.way.close()


def describe_waiting(told: dict[str, Any]) -> str:
    """Return what a site waits for that would begin an attempt."""
    lacking = ", ".join(told["lacking"])
    if told["under_way"] is None:
        return f"waiting for {lacking}"
    return (
        f"attempt {told['under_way']} is under way, with another nonce of this site: "
        f"--resume takes part in it; waiting for {lacking}, to begin anew"
    )


@contextlib.contextmanager
def open_site(
    study: Study, site: str, tls_key: Path, state: Path, patience_s: float
) -> Iterator[SiteTransport]:
    """Give the transport of a site to the hub of its study.

    An error of the input ends the attempt for all sites, and so does one of the
    program. What else stops this one does not: it can go on with the same folder.

    Parameters
    ----------
    tls_key
        The private key of the site's certificate.
    state
        Folder of what the site remembers of the attempt, which is made; what is there
        is gone on with.
    patience_s
        With a hub that does not answer.

    Raises
    ------
    BadInput
        The study or the key cannot be used; the hub refuses; another process uses the
        folder.
    Later
        The hub does not answer, or the attempt has ended.
    """
    known = get_certificates(study)
    if site not in known.sites:
        raise BadInput(f"{site}: expected a site: one of {', '.join(known.sites)}")
    context = make_client_context(known.sites[site], tls_key, known.hub)
    way = Way(known.url, known.hub, context, patience_s)
    with alone(state), contextlib.closing(Memory(state)) as memory:
        transport = SiteTransport(study, site, way, memory)
        try:
            yield transport
        except BaseException as error:
            if isinstance(error, BadInput):
                transport.leave(UNTOLD)
            elif isinstance(error, Exception) and not isinstance(error, MAY_GO_ON):
                transport.leave(FAILED, STOPPED)
            raise
        finally:
            transport.close()
