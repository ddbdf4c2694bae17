"""A connection to a server of NATS, which outlives that the server is restarted.

The client is one of asyncio: its event loop runs in a thread, to which work is given.
"""

import asyncio
import atexit
import contextlib
import ipaddress
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, ServiceUnavailableError

from hpc_connector.errors import BadInput, Later
from hpc_connector.streams.jetstream.profile import Profile, make_context

T = TypeVar("T")
OPENS_S, ANSWERS_S, CLOSES_S = 3.0, 4.0, 0.5
PATIENCE_S = 30.0  # with a server that answered before: it may be started again


class Broken(Exception):
    """The connection broke, or no answer came: what was asked may be done or not."""


BREAKS = (
    Broken,
    OSError,  # TimeoutError of asyncio is one
    errors.ConnectionReconnectingError,
    errors.FlushTimeoutError,
    errors.NoRespondersError,
    errors.OutboundBufferLimitError,
    errors.StaleConnectionError,
    errors.TimeoutError,
    ServiceUnavailableError,  # JetStream is not up yet
)


class CarefulClient(Client):
    """A client that tells nothing to a server without TLS that must have it."""

    needs_tls = False

    def _connect_command(self) -> bytes:
        if self.needs_tls and not self._server_info.get("tls_required"):
            raise errors.Error("no TLS")
        return super()._connect_command()


class Connection:
    """A connection, opened; :meth:`run` does work on it.

    Parameters
    ----------
    where
        The stream, for messages.

    Raises
    ------
    BadInput
        Nobody answers there within 3 s, or refuses us.
    """

    def __init__(self, where: str, host: str, port: int, profile: Profile) -> None:
        self.where, self._server = where, f"{host}:{port}"
        self._process = os.getpid()
        self.jetstream: JetStreamContext
        self._last_error: Exception | None = None
        self.client = CarefulClient()
        self.client.needs_tls = profile.must_encrypt() or bool(
            profile.token and not is_loopback(host)
        )
        context = make_context(profile)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        atexit.register(self.close)
        try:
            self.run(self._open(host, port, profile, context))
        except BaseException:
            self.close()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work in the thread of the connection, and return its result.

        Raises
        ------
        BadInput
            The server refuses it.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except errors.Error as error:
            said = getattr(error, "description", None) or str(error)
            raise BadInput(f"{self.where}: refused by the server: {said}") from None
        finally:
            future.cancel()  # if we are interrupted: else it is done

    async def _open(self, host: str, port: int, profile: Profile, context: Any) -> None:
        """Connect, and see that there is JetStream."""
        self._is_up = asyncio.Event()
        try:
            async with asyncio.timeout(OPENS_S):
                await self._connect(host, port, profile, context)
                self.jetstream = self.client.jetstream(timeout=ANSWERS_S)
                self.inbox = Inbox(self.client)
                await self.inbox.open()
                await self.jetstream.account_info()
        except (ServiceUnavailableError, APIError):
            raise BadInput(
                f"{self.where}: {self._server} has no JetStream, or not for us: "
                "expected jetstream { store_dir: ... } in its configuration"
            ) from None
        except (errors.Error, OSError) as error:
            raise BadInput(self._explain(error)) from None

    async def _connect(
        self, host: str, port: int, profile: Profile, context: Any
    ) -> None:
        """Connect; whom the server refuses at first is refused."""
        address = f"[{host}]" if ":" in host else host
        await self.client.connect(
            f"nats://{address}:{port}",
            error_cb=self._note_error,
            disconnected_cb=self._note_break,
            reconnected_cb=self._note_return,
            allow_reconnect=False,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,  # type: ignore[arg-type] # of seconds
            ping_interval=5,
            tls=context,
            token=profile.token or None,
            nkeys_seed_str=profile.nkey or None,
        )
        self.client.options["allow_reconnect"] = True
        self._is_up.set()

    def _explain(self, error: Exception) -> str:
        """Return why there is no connection."""
        if "authorization" in (said := str(error).lower()):
            return (
                f"{self.where}: {self._server} refuses us: expected its token or nkey "
                "in the file of --profile"
            )
        if said == "no tls":
            return (
                f"{self.where}: {self._server} speaks no TLS: expected it, for the "
                "profile asks for it, or has a token, which is sent to this machine "
                "alone without"
            )
        if isinstance(error, TimeoutError):
            error = self._last_error or error
        reason = str(error) or f"nothing came in {OPENS_S:.0f} s"
        return (
            f"{self.where}: {self._server} does not answer ({reason}): expected a "
            "server of NATS"
        )

    async def _note_error(self, error: Exception) -> None:
        self._last_error = error

    async def _note_break(self) -> None:
        self._is_up.clear()
        if hasattr(self, "inbox"):
            self.inbox.fail(Broken(f"{self._server} has gone"))

    async def _note_return(self) -> None:
        self._is_up.set()

    async def keep_asking(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return an answer, also of a server that is started again meanwhile.

        Parameters
        ----------
        ask
            Is called again after a break: it must do no harm twice.

        Raises
        ------
        Later
            There was none for 30 s.
        """
        end_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await ask()
            except (*BREAKS, errors.ConnectionClosedError) as error:
                await self.wait_for_return(end_s, error)

    async def wait_for_return(self, end_s: float, error: Exception) -> None:
        """Wait until the server is there again, as it was.

        Parameters
        ----------
        end_s
            Of ``time.monotonic()``, when it is given up.
        """
        if self.client.is_closed:
            reason = self.client.last_error or error
            raise BadInput(f"{self.where}: {self._server} has shut us out ({reason})")
        left_s = end_s - time.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.sleep(0.02)
            await asyncio.wait_for(self._is_up.wait(), max(left_s, 0))
        if left_s <= 0:
            raise Later(
                f"{self.where}: {self._server} has not answered for {PATIENCE_S:.0f} s "
                f"({error or type(error).__name__})"
            ) from None

    def close(self) -> None:
        """Close the connection, and end its thread; twice does no harm."""
        if self._loop.is_closed() or os.getpid() != self._process:
            return  # a process that was forked has no such thread
        atexit.unregister(self.close)
        with contextlib.suppress(errors.Error, OSError):
            self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        """Close the client, and wait for what it has begun."""
        with contextlib.suppress(TimeoutError, errors.Error, OSError):
            await asyncio.wait_for(self.client.close(), CLOSES_S)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


class Inbox:
    """Where answers come in, those to one question at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = client.new_inbox()
        self._question = 0
        self._answers: list[Msg] = []
        self._is_enough: Callable[[list[Msg]], bool] = bool
        self._consumer = ""
        self._done: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Listen, with room for as much as is asked for."""
        await self._client.subscribe(
            f"{self._prefix}.>", cb=self._take, pending_bytes_limit=0
        )

    async def ask(
        self,
        send: Callable[[str], Awaitable[None]],
        is_enough: Callable[[list[Msg]], bool],
        limit_s: float,
        consumer: str = "",
    ) -> list[Msg]:
        """Send a question, and return its answers.

        Parameters
        ----------
        send
            Is given the beginning of the subjects to answer to.
        is_enough
            Whether these are all.
        consumer
            From which messages come, whose subject is their own.

        Raises
        ------
        Broken
            The connection broke, or they did not come in time.
        """
        self._question += 1
        self._answers, self._is_enough, self._consumer = [], is_enough, consumer
        self._done = asyncio.get_running_loop().create_future()
        try:
            await send(f"{self._prefix}.{self._question}")
            await asyncio.wait_for(self._done, limit_s)
        except TimeoutError:
            raise Broken(f"no answer for {limit_s:.0f} s") from None
        finally:
            if not self._done.cancel() and not self._done.cancelled():
                self._done.exception()  # seen
        return self._answers

    def fail(self, error: Exception) -> None:
        """Have the question under way fail."""
        if self._done and not self._done.done():
            self._done.set_exception(error)

    async def _take(self, message: Msg) -> None:
        """Keep an answer to the question under way."""
        if not self._is_answer(message) or not self._done or self._done.done():
            return
        self._answers.append(message)
        if self._is_enough(self._answers):
            self._done.set_result(None)

    def _is_answer(self, message: Msg) -> bool:
        """Return whether a message belongs to the question under way."""
        if message.reply:
            return f".{self._consumer}." in message.reply
        return f"{message.subject}.".startswith(f"{self._prefix}.{self._question}.")


def is_loopback(host: str) -> bool:
    """Return whether what is sent to a host stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
