"""A network between workers and a scheduler that can be made to fail: it carries TCP, so what it loses is a connection.

A call whose answer is lost is made again by its caller: the scheduler hears it twice. A delayed chunk makes everything
behind it on its connection late. A split lasts longer than a lease.
"""

import asyncio
import contextlib
import threading
import time


class Network:
    """Listens on a port of its own and carries every connection to `target`, a port of the same machine."""

    def __init__(self, target, rng):
        self.target, self.rng = target, rng
        self.lose = None  # "request" or "answer": of the next chunk that a worker sends
        self.delayed_until = self.split_until = 0.0
        self.connections = set()
        self.port = None
        listens = threading.Event()
        threading.Thread(target=self.run, args=(listens,), daemon=True).start()
        listens.wait()

    def run(self, listens):
        async def serve():
            server = await asyncio.start_server(self.carry, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            listens.set()
            await server.serve_forever()

        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(serve())

    async def carry(self, reader, writer):
        if time.monotonic() < self.split_until:
            return writer.transport.abort()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            return writer.transport.abort()
        line = (writer.transport, far_writer.transport)
        self.connections.add(line)
        pumps = [self.pump(reader, far_writer, line, "request"), self.pump(far_reader, writer, line, "answer")]
        await asyncio.gather(*pumps)
        self.drop(line)

    async def pump(self, reader, writer, line, kind):
        # An end that is killed resets its connection: that is what this network is for.
        with contextlib.suppress(OSError):
            await self.carry_one_way(reader, writer, line, kind)
        writer.close()

    async def carry_one_way(self, reader, writer, line, kind):
        while chunk := await reader.read(1 << 16):
            if time.monotonic() < self.delayed_until:
                await asyncio.sleep(self.rng.uniform(0.05, 3.0))
            if kind == "request" and self.lose == "request":
                self.lose = None
                return self.drop(line)
            writer.write(chunk)
            await writer.drain()
            if kind == "request" and self.lose == "answer":
                self.lose = None
                # Long enough to be heard, and most often to be answered, by the other end.
                line[0].pause_reading()
                await asyncio.sleep(0.05)
                return self.drop(line)

    def drop(self, line):
        self.connections.discard(line)
        for transport in line:
            transport.abort()

    def split(self, seconds):
        self.split_until = time.monotonic() + seconds
        for line in list(self.connections):
            self.loop.call_soon_threadsafe(self.drop, line)

    def delay(self, seconds):
        self.delayed_until = time.monotonic() + seconds
