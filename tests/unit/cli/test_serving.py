"""How Hypercorn is told to serve."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import trustme
from hypercorn.asyncio import serve as hypercorn_serve

from terrapod_core.cli import serving as cli
from terrapod_core.settings import Server, Settings
from terrapod_core.web import TerrapodQuart
from tests.bench.tools.served import say_hello
from tests.support.server import free_port


async def test_a_tls_handshake_that_does_not_come_ends_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypercorn counts no connection before it, and would wait a minute for each."""
    monkeypatch.setattr(cli, "HEAD_SECONDS", 0.3)
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    port = free_port()
    server = Server(port=port, tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem", drain_seconds=1)
    app, ready, stop = TerrapodQuart("test"), asyncio.Event(), asyncio.Event()

    @app.before_serving
    async def begun() -> None:
        asyncio.get_running_loop().call_later(0, ready.set)

    serving = asyncio.create_task(hypercorn_serve(app, cli._config(Settings(server=server)), shutdown_trigger=stop.wait))
    await asyncio.wait_for(ready.wait(), 30)
    reader, writer = await connected(port)
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()
    stop.set()
    await serving


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, as soon as somebody listens."""
    for _ in range(1000):
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
    raise AssertionError("nobody listens")


def test_the_benchmarks_can_put_their_application_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """They replace what `serving` calls Hypercorn by, and run too seldom to notice that it is called otherwise."""
    monkeypatch.setattr(cli, "hypercorn_serve", hypercorn_serve)
    say_hello()
    assert vars(cli)["hypercorn_serve"] is not hypercorn_serve
