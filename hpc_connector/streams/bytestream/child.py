"""The process that calls the client of Pravega: it may be killed at any moment.

python -m hpc_connector.streams.bytestream.child tcp://HOST:PORT SOCKET

What is asked comes on a socket as name and arguments, and goes back as whether it was
done, and its result or why not. Nothing else is in this process, for the client waits
for a minute where nobody answers, and its panics are no `Exception`.
"""

import sys
import time
from collections import OrderedDict
from multiprocessing.connection import Connection
from typing import Any

MOST_OPEN = 16  # parts that are read; each has buffers of its own
POLL_S = 0.02
MISSING = ("status: NotFound", "NoSuchSegment")  # or it is being made
TAKEN = ("ConditionalCheckFailure", "RecvError", "failed to send request")


class Client:
    """Parts, which are streams of Pravega with one segment, as ranges of bytes."""

    def __init__(self, uri: str) -> None:
        import pravega_client

        self.manager = pravega_client.StreamManager(uri)
        self.opened: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self.written: dict[tuple[str, str], Any] = {}

    def list(self, scope: str, prefix: str) -> list[str]:
        """Return the names of parts, in their order."""
        found = self.manager.list_stream(scope)
        return sorted(name for name in found if name.startswith(prefix))

    def create_scope(self, scope: str) -> None:
        """Make a scope, unless it is there."""
        self.manager.create_scope(scope)

    def create(self, scope: str, name: str) -> bool:
        """Make a part; return whether it was not there."""
        return bool(self.manager.create_stream(scope, name, 1))

    def open(self, scope: str, name: str) -> tuple[Any, int] | None:
        """Return what reads a part, and its bytes; None if there is none."""
        found = self.opened.pop((scope, name), None)
        try:
            if found is None:
                found = self.manager.create_byte_stream(scope, name)
            n_bytes = int(found.current_tail_offset())
        except BaseException as error:  # a PanicException is no Exception
            if any(word in str(error) for word in MISSING):
                return None
            raise
        self.opened[scope, name] = found
        while len(self.opened) > MOST_OPEN:
            self.opened.popitem(last=False)
        return found, n_bytes

    def size(self, scope: str, name: str) -> int:
        """Return how many bytes a part has, 0 if there is none."""
        found = self.open(scope, name)
        return found[1] if found else 0

    def read(self, scope: str, name: str, byte: int, most: int) -> bytes | None:
        """Return bytes of a part, as many as there are; it never waits for more.

        None if there is no such part, or it is being made.
        """
        found = self.open(scope, name)
        if found is None:
            return None
        part, n_bytes = found
        data = bytearray(max(0, min(most, n_bytes - byte)))
        if data and part.tell() != byte:
            part.seek(byte, 0)
        done = 0
        while done < len(data):
            piece = data if not done else bytearray(len(data) - done)
            n = part.readinto(piece)
            if not n:
                raise OSError(f"{name} ends at byte {byte + done}")
            if done:
                data[done : done + n] = piece[:n]
            done += n
        return bytes(data)

    def begin(self, scope: str, name: str) -> int:
        """Open a part to append to it; return how many bytes it has.

        The client appends behind what it appended itself: that is all there may be.
        """
        while not (found := self.open(scope, name)):
            time.sleep(POLL_S)  # it is being made; whoever asks has a deadline
        self.written[scope, name] = self.opened.pop((scope, name))
        return found[1]

    def append(self, scope: str, name: str, data: bytes) -> bool:
        """Append bytes to a part, whole or not at all; return whether that was done.

        It is not where another process has appended, or sealed the part.

        Parameters
        ----------
        data
            At most 8 MiB.
        """
        part = self.written[scope, name]
        try:
            part.write(data)
            part.flush()
        except OSError as error:
            if any(word in str(error) for word in TAKEN):
                return False
            raise
        return True

    def end(self, scope: str, name: str) -> None:
        """Append no more to a part."""
        del self.written[scope, name]

    def seal(self, scope: str, name: str) -> None:
        """End a part: nothing can be appended."""
        self.manager.seal_stream(scope, name)

    def delete(self, scope: str, name: str) -> None:
        """Delete a part, which is sealed first, for else Pravega refuses."""
        self.opened.pop((scope, name), None)
        self.manager.seal_stream(scope, name)
        self.manager.delete_stream(scope, name)


def answer(client: Client, name: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    """Return whether a call was done, and its result or one line of why not."""
    try:
        return True, getattr(client, name)(*arguments)
    except BaseException as error:  # a PanicException is no Exception
        lines = str(error).splitlines() or [type(error).__name__]
        return False, lines[0]


def main() -> None:
    """Answer until nobody asks any more."""
    uri, descriptor = sys.argv[1:]
    with Connection(int(descriptor)) as asked:
        client = Client(uri)
        asked.send("here")
        while True:
            try:
                name, arguments = asked.recv()
            except EOFError:
                return
            asked.send(answer(client, name, arguments))


if __name__ == "__main__":
    main()
