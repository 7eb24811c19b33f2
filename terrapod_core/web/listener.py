"""Connections that keep us waiting. Hypercorn has one time for all of them, and counts none."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

from hypercorn.asyncio import run as hypercorn_run
from hypercorn.asyncio.tcp_server import TCPServer

from terrapod_core.settings import Settings
from terrapod_core.web.visitors import Proxies, neighbourhood

CONNECTION: Final = "terrapod.connection"
"""Where a request's `scope["state"]` has its connection."""

HEAD_SECONDS: Final = 10.0
"""How long a connection that has shown nothing valid yet may take for the head of a request."""

HURRIED_SECONDS: Final = 1.0
"""The same, beyond an address's share of such connections. Not refused: who comes to ask, asks at once."""


class Waiting(Protocol):
    """A connection, as its requests see it."""

    proved: bool
    """Whether something valid was shown on it. Then it may idle as long as Hypercorn is told."""


class Crowd:
    """How many connections each address has that showed nothing valid yet."""

    def __init__(self, share: int, proxies: Proxies) -> None:
        self._share = share
        self._proxies = proxies
        self._open: Counter[str] = Counter()

    def enter(self, peer: str | None) -> str | None:
        """Count one; the name to leave under, or `None` for who is not counted: proxies, and who comes by a socket file."""
        if not self._share or peer is None or self._proxies.is_proxy(peer):
            return None
        name = neighbourhood(peer)
        self._open[name] += 1
        return name

    def leave(self, name: str | None) -> None:
        """Count one less."""
        if name is None:
            return
        self._open[name] -= 1
        if self._open[name] <= 0:
            del self._open[name]

    def patience(self, name: str | None) -> float:
        """Seconds that such a connection may idle."""
        return HURRIED_SECONDS if name is not None and self._open[name] > self._share else HEAD_SECONDS


class Connection(TCPServer):
    """Hypercorn's connection, which is in a hurry until something valid was shown on it."""

    crowd: Crowd

    async def run(self) -> None:
        """Serve until either side hangs up."""
        peer = self.writer.get_extra_info("peername")
        self._name = self.crowd.enter(peer[0] if isinstance(peer, tuple) else None)
        self._proved = False
        self.state = type(self.state)({**self.state, CONNECTION: self})
        try:
            await super().run()
        finally:
            self.crowd.leave(self._name)

    @property
    def proved(self) -> bool:
        """Whether something valid was shown."""
        return self._proved

    @proved.setter
    def proved(self, value: bool) -> None:
        if value and not self._proved:
            self._proved = True
            self.crowd.leave(self._name)
            self._name = None

    async def _idle_timeout(self) -> None:
        seconds = self.config.keep_alive_timeout if self._proved else self.crowd.patience(self._name)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.context.terminated.wait(), seconds)
        await asyncio.shield(self._initiate_server_close())


@contextmanager
def in_a_hurry(settings: Settings) -> Iterator[None]:
    """Let Hypercorn make `Connection`s. It has no door for that: the name it looks up is exchanged while it serves."""
    server = settings.server
    crowd = Crowd(settings.limits.connections_per_address, Proxies(server.trusted_proxies, server.trusted_proxy_addresses))
    module: Any = hypercorn_run
    before = module.TCPServer
    module.TCPServer = type("Connection", (Connection,), {"crowd": crowd})
    try:
        yield
    finally:
        module.TCPServer = before
