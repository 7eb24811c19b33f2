"""`terrapod serve` as it is, with three additions that only a benchmark wants. A program: `tests/bench/tools/servers.py` starts it.

`GET /hello` is answered by an empty Quart application beside ours on the same Hypercorn, in the same process: what a request
costs here before any of our code. `GET /pause` tells the longest pause of the event loop since the last time. `TERRAPOD_BENCH_DISK`
makes the store's disk as slow as so many bytes a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

from quart import Quart, Response

from terrapod_core.cli import main, serving
from terrapod_storage_local.files import Incoming

HELLO = "/hello"
PAUSE = "/pause"
LOOK_SECONDS = 0.002
DISK = "TERRAPOD_BENCH_DISK"


def say_hello() -> None:
    """Put the other application beside ours."""
    hello = Quart("hello")

    @hello.get(HELLO)
    async def say() -> Response:
        return Response(b'{"hello":"world"}', content_type="application/json")

    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(LOOK_SECONDS)
            longest = max(longest, time.perf_counter() - began - LOOK_SECONDS)

    @hello.get(PAUSE)
    async def pause() -> Response:
        nonlocal longest
        told, longest = longest, 0.0
        return Response(json.dumps({"longest": told}), content_type="application/json")

    module: Any = serving
    serve = module.hypercorn_serve

    async def with_hello(app: Any, config: Any, **options: Any) -> None:
        async def both(scope: Any, receive: Any, send: Any) -> None:
            await (hello if scope.get("path") in (HELLO, PAUSE) else app)(scope, receive, send)

        watching = asyncio.create_task(watch())
        try:
            await serve(both, config, **options)
        finally:
            watching.cancel()

    module.hypercorn_serve = with_hello


def slow_down(rate: float) -> None:
    """Let every write to the store take as long as it would on such a disk."""
    files: Any = Incoming
    write = files._write

    def slowly(incoming: Incoming, data: bytes) -> int:
        time.sleep(len(data) / rate)
        return int(write(incoming, data))

    files._write = slowly


if __name__ == "__main__":
    say_hello()
    if DISK in os.environ:
        slow_down(float(os.environ.pop(DISK)))
    main()
