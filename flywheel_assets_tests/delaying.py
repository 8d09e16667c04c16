"""A proxy that puts latency between a client and a server, for tests and benchmarks; run as a process of its own.

``python delaying.py LISTEN_PORT TARGET_PORT SECONDS``: every byte arrives ``SECONDS`` later than
it was sent, in either direction, at full bandwidth; opening a connection costs the round trip that a handshake would.
"""

import asyncio
import sys

CHUNK = 256 * 1024
# How much may be under way at once: 64 MiB keep a fast connection full over 60 ms.
CHUNKS_UNDER_WAY = 256


async def relay(source: asyncio.StreamReader, target: asyncio.StreamWriter, seconds: float, handshake: float) -> None:
    """Pass everything on, each chunk ``seconds`` after it came, the first one not before ``handshake`` is over."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_UNDER_WAY)
    opened = clock() + handshake

    async def take() -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = await source.read(CHUNK)
            except ConnectionError:
                chunk = b""
            await under_way.put((max(clock(), opened) + seconds, chunk))

    async def give() -> None:
        while True:
            due, chunk = await under_way.get()
            if (left := due - clock()) > 0:
                await asyncio.sleep(left)
            if not chunk:
                break
            target.write(chunk)
            await target.drain()
        target.write_eof()

    taking = asyncio.create_task(take())
    try:
        await give()
    except OSError:
        target.close()  # the other side no longer listens: both directions end
    finally:
        taking.cancel()


async def serve(listen: int, target: int, seconds: float) -> None:
    """Run until the process is ended."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(
                relay(reader, far_writer, seconds, 2 * seconds), relay(far_reader, writer, seconds, 0.0)
            )
        finally:
            writer.close()
            far_writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", listen, backlog=256)
    async with server:
        await server.serve_forever()


def command(listen: int, target: int, seconds: float) -> list[str]:
    """What runs it: the delay is in each direction."""
    return [sys.executable, __file__, str(listen), str(target), str(seconds)]


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
