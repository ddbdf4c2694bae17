"""Run a server in a network of its own, and pass on what comes for it on sockets.

own_network.py SOCKET,SOCKET COMMAND

For a server that listens at all addresses: of this machine it is reached at those that
the sockets are bound to, and nowhere else. It ends when standard input does.
"""

import asyncio
import contextlib
import functools
import signal
import socket
import subprocess
import sys


async def copy(reader, writer):
    """Pass on what comes from one side, to its end."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def pass_on(port, reader, writer):
    """Connect one who comes with the same port in here."""
    try:
        inner = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(copy(reader, inner[1]), copy(inner[0], writer))


async def main(sockets, *command):
    """Run the command until it ends, or is to."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )

    def end():
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_reader(sys.stdin, end)  # its other end is closed
    servers = []
    for descriptor in sockets.split(","):
        outer = socket.socket(fileno=int(descriptor))
        passing = functools.partial(pass_on, outer.getsockname()[1])
        servers.append(await asyncio.start_server(passing, sock=outer))
    return await process.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
