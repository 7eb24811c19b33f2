"""A server of nothing but plain archives, so that what they cost is seen alone. A program, with a port as its argument.

PUT /archive stores one over the storage that the settings choose, GET /archive sends it from here, GET /link from the store where it can.
"""

from __future__ import annotations

import asyncio
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Response, request

from terrapod_core.clock import SystemClock
from terrapod_core.plugin import PluginContexts, Plugins
from terrapod_core.settings import load
from terrapod_core.storage import ArchiveKind, Archives
from terrapod_core.storage.measured import measured
from terrapod_core.testing import MemoryOnce, MemoryPasswords
from terrapod_core.web.app import TerrapodQuart
from terrapod_core.web.archives import Archive, answer


async def main(port: int) -> None:
    """Serve until the process is ended."""
    settings = load()
    plugins = Plugins.discover(settings)
    contexts = PluginContexts(clock=SystemClock(), data_dir=settings.data_dir, passwords=MemoryPasswords(), once=MemoryOnce())
    backend = measured(plugins.choose(plugins.storage_backends(contexts), "storage", settings.storage.backend, "storage.backend"))
    here, there = Archives(backend, links=False), Archives(backend, links=True)
    kept: list[Archive] = []
    app = TerrapodQuart("archives")

    @app.put("/archive")
    async def put() -> Response:
        request.body_timeout = None
        stored = await here.put(ArchiveKind.PROVIDER, "prv-bench", request.body, limit=None)
        kept[:] = [Archive(stored.key, stored.size, stored.sha256)]
        return Response(stored.sha256)

    @app.get("/archive")
    async def get() -> Response:
        return await answer(here, kept[0])

    @app.get("/link")
    async def link() -> Response:
        return await answer(there, kept[0])

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    await serve(app, config)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
