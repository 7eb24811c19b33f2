"""Judges an address that a user chose: by what is written, then by what the name leads to."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from terrapod_core.outgoing.addresses import IPAddress, embedded, is_own, parsed, problem
from terrapod_core.outgoing.errors import OutgoingRefused, OutgoingUnreachable
from terrapod_core.settings import Outgoing

PORTS: Final = frozenset({80, 443, 8443})
KNOWN_SECONDS: Final = 30.0
"""How long the addresses of our own neighbours (the database's, say) are remembered."""

MOST_ADDRESSES: Final = 32

_NAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name, in the order in which to try them; raises `OSError` when it has none."""


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass(frozen=True)
class Endpoint:
    """A server of our own. `port` `None` means all of them."""

    host: str
    port: int | None = None

    @classmethod
    def of(cls, text: str) -> Endpoint:
        """From `host`, `host:port`, `[v6]` or `[v6]:port`."""
        if parsed(text) is not None:
            return cls(text.lower())
        parts = urlsplit(f"//{text}")
        return cls((parts.hostname or "").rstrip("."), parts.port)


@dataclass(frozen=True)
class Guard:
    """Lets through what is public and not ours."""

    settings: Outgoing
    refused: Iterable[str] = ()
    """Our own servers, as `host:port` or `host`: listeners, database, Redis, storage."""
    resolve: Resolve = system_resolve
    is_own: Callable[[IPAddress], bool] = is_own
    _known: dict[str, tuple[float, frozenset[IPAddress]]] = field(default_factory=dict, compare=False, repr=False)

    # -- what is written

    def check(self, scheme: str, host: str, port: int | None, *, userinfo: bool = False) -> None:
        """Raise `OutgoingRefused` for a URL with these parts. `host` is ASCII, in lower case, without brackets."""
        shown = host[:253] or "(no host)"
        if scheme not in ("http", "https"):
            raise OutgoingRefused(shown, "is not asked by http or https")
        if scheme == "http" and not self.settings.allow_http:
            raise OutgoingRefused(shown, "must be asked by https (outgoing.allow_http lifts this)")
        if userinfo:
            raise OutgoingRefused(shown, "is named with a user or a password in the URL, which is not sent anywhere")
        port = port or {"http": 80, "https": 443}[scheme]
        if port not in PORTS and port not in self.settings.extra_ports:
            raise OutgoingRefused(shown, f"is asked at port {port}, which is none of 80, 443 and 8443 (outgoing.extra_ports adds to them)")
        self._check_host(host.removesuffix("."), shown)
        self._check_refused(host.removesuffix("."), port, shown)

    def _check_host(self, host: str, shown: str) -> None:
        address = parsed(host)
        if address is not None:
            found = problem(address)
            if found is not None:
                raise OutgoingRefused(shown, found)
        elif not _NAME.fullmatch(host):
            raise OutgoingRefused(shown, "is no host name")
        elif _NUMBER.fullmatch(host.rpartition(".")[2]):
            # Resolvers read 2130706433, 0x7f.1 and 017700000001 as 127.0.0.1.
            raise OutgoingRefused(shown, "is an address in an unusual form; write four decimal numbers")
        if not self._is_allowed(host):
            raise OutgoingRefused(shown, "is not on the list of hosts that may be asked (outgoing.allowed_hosts)")

    def _is_allowed(self, host: str) -> bool:
        """With a proxy, names are resolved where we cannot look: then only listed hosts are asked."""
        allowed = [each.lower() for each in self.settings.allowed_hosts]
        if not allowed:
            return self.settings.proxy is None
        return host in allowed or any(each.startswith("*.") and host.endswith(each[1:]) for each in allowed)

    def _check_refused(self, host: str, port: int, shown: str) -> None:
        if any(own.host == host and own.port in (None, port) for own in self._own()):
            raise OutgoingRefused(shown, "is a server of this installation")

    # -- what it leads to

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to, all of them judged; the name is resolved this once.

        Raises `OutgoingRefused` when any of them may not be asked: an attacker's name has good ones beside the bad one.
        """
        try:
            texts = (await self.resolve(host, port))[:MOST_ADDRESSES]
        except (OSError, UnicodeError) as error:
            raise OutgoingUnreachable(host, "has no address") from error
        if not texts:
            raise OutgoingUnreachable(host, "has no address")
        found: list[str] = []
        for text in texts:
            address = parsed(text)
            if address is None:
                raise OutgoingRefused(host, "leads to an address that is none")
            await self._check_address(host, port, address)
            found.append(str(address))
        return found

    async def _check_address(self, host: str, port: int, address: IPAddress) -> None:
        found = problem(address)
        if found is not None:
            raise OutgoingRefused(host, f"leads to an address that {found}" if parsed(host) is None else found)
        # Through a gateway or a tunnel an address inside this one is reached.
        ends = {address, *embedded(address)}
        if any(map(self.is_own, ends)):
            raise OutgoingRefused(host, "leads to this machine itself")
        for own in self._own():
            if own.port in (None, port) and not ends.isdisjoint(await self._addresses_of(own)):
                raise OutgoingRefused(host, "leads to a server of this installation")

    def _own(self) -> list[Endpoint]:
        return [Endpoint.of(each) for each in self.refused]

    async def _addresses_of(self, own: Endpoint) -> frozenset[IPAddress]:
        literal = parsed(own.host)
        if literal is not None:
            return frozenset({literal})
        until, known = self._known.get(own.host, (0.0, frozenset()))
        if time.monotonic() < until:
            return known
        try:
            texts = await self.resolve(own.host, own.port or 443)
        except (OSError, UnicodeError):
            texts = ()
        # One that cannot be resolved now keeps the addresses it had.
        fresh = frozenset(each for each in map(parsed, texts) if each is not None) or known
        self._known[own.host] = (time.monotonic() + KNOWN_SECONDS, fresh)
        return fresh
