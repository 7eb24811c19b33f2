"""The network between a server and its listeners: a proxy that passes everything on until it is told to do worse."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from tests.support.server import free_port

HOST = "127.0.0.1"
CHUNK = 1 << 16
END_SECONDS = 5.0


class _Connection:
    """A client's, and the one to the server that belongs to it."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near = near
        self.far = far
        self.dead = False
        """Nothing gets through any more, and neither end hears of it."""

    def reset(self) -> None:
        """End it at once, for both."""
        self.near.transport.abort()
        self.far.transport.abort()


class Network:
    """Leads from `url` to a port of this machine. Close it."""

    def __init__(self, to_port: int) -> None:
        self._to = to_port
        self._port = free_port()
        self.url = f"http://localhost:{self._port}"
        self._connections: set[_Connection] = set()
        self._silent = False
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="network", daemon=True).start()
        self._do(self._open())

    def close(self) -> None:
        """No way leads there any more."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def cut(self) -> None:
        """Reset what is open, and refuse what is new."""
        self._do(self._cut())

    def mend(self) -> None:
        """Let connections be made again that work; those that were silenced are dead for good."""
        self._do(self._mend())

    def silence(self) -> None:
        """Swallow all that is sent, and tell nobody."""
        self._do(self._silence())

    # --

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._lead, HOST, self._port)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for each in self._connections:
            each.reset()

    async def _end(self) -> None:
        await self._cut()
        if leading := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(leading, timeout=END_SECONDS)

    async def _mend(self) -> None:
        self._silent = False
        if self._server is None:
            await self._open()

    async def _silence(self) -> None:
        self._silent = True
        for each in self._connections:
            each.dead = True

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(HOST, self._to)
        except OSError:
            writer.transport.abort()  # the server is away
            return
        connection = _Connection(writer, to_server)
        connection.dead = self._silent
        self._connections.add(connection)
        try:
            await asyncio.gather(self._pass(reader, to_server, connection), self._pass(from_server, writer, connection))
        finally:
            self._connections.discard(connection)
            connection.reset()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if not connection.dead:
                    writer.write(data)
                    await writer.drain()
            if not connection.dead:
                writer.write_eof()
            return
        if not connection.dead:
            connection.reset()
