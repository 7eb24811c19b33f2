"""How one registry is asked: where it is, by discovery and by the settings, and who it is told that we are.

Protocol: "Remote Service Discovery" and "Module/Provider Registry Protocol" of terraform's documentation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from terrapod_core.plugin import Answer, Document, HostList, HTTPClients, Upstream, UpstreamFailed, UpstreamMissing, plain_host
from terrapod_mirror_registry.settings import RegistrySettings

T = TypeVar("T")

HEAD_BYTES = 64 << 10
"""Of an answer whose headers alone count."""


class Services(msgspec.Struct):
    """What a host's discovery document says."""

    providers: str | None = msgspec.field(name="providers.v1", default=None)
    modules: str | None = msgspec.field(name="modules.v1", default=None)


@dataclass(frozen=True)
class Found(Document[T]):
    """A document, and the URL it is at for others than us: what is relative in it is relative to that."""

    base: str

    def link(self, to: str, base: str | None = None) -> str:
        return super().link(to, self.base if base is None else base)


class Registry:
    """One host. URLs here are those that the host has for everybody; `addresses` of the settings come in when one is asked."""

    def __init__(self, host: str, settings: RegistrySettings, http: HTTPClients) -> None:
        self.host = host
        self._addresses = settings.addresses_by_host
        self._token = settings.tokens_by_host.get(host)
        self._remembered_for = settings.discovery_seconds
        listed = HostList.of(settings.archive_hosts, "archive_hosts")
        others = [address for name, address in self._addresses.items() if _is_on(listed, name)]
        self._upstream = Upstream(http, [self._at(f"https://{host}"), *others], "mirror.registry", settings)
        self._services: tuple[float, Services] | None = None
        self._asking: asyncio.Task[Services] | None = None

    async def providers(self) -> str:
        """The URL that providers are below, with a slash at its end; raises `UpstreamMissing` when the host has none."""
        return self._checked((await self._discovered()).providers, "providers")

    async def modules(self) -> str:
        """Likewise."""
        return self._checked((await self._discovered()).modules, "modules")

    async def document(self, url: str, kind: type[T], *, missing: str, validator: str | None = None) -> Found[T] | None:
        """As `Upstream.document`."""
        asked = self._at(url)
        found = await self._upstream.document(asked, kind, missing=missing, validator=validator, headers=self._credentials(asked))
        return None if found is None else Found(found.value, found.answer, self._base(url, asked, found.answer))

    async def head(self, url: str, *, missing: str) -> Found[None]:
        """An answer whose headers count."""
        asked = self._at(url)
        found = await self._upstream.get(asked, most=HEAD_BYTES, missing=missing, headers=self._credentials(asked))
        assert found is not None, "there was no condition"
        return Found(None, found, self._base(url, asked, found))

    async def whole(self, url: str, *, most: int, missing: str) -> bytes:
        """As `Upstream.whole`; nobody is told who we are, as terraform does it."""
        return await self._upstream.whole(self._at(url), most=most, missing=missing)

    def stream(self, url: str, *, missing: str) -> AsyncIterator[bytes]:
        """As `Upstream.stream`; likewise."""
        return self._upstream.stream(self._at(url), missing=missing)

    async def _discovered(self) -> Services:
        """What discovery says; many that want to know it at once wait for one answer, or one failure."""
        if self._services is not None and time.monotonic() < self._services[0]:
            return self._services[1]
        if self._asking is None:
            self._asking = asyncio.create_task(self._discover(), name=f"discovery of {self.host}")
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    async def _discover(self) -> Services:
        url = f"https://{self.host}/.well-known/terraform.json"
        found = await self.document(url, Services, missing=f"{self.host} has no registry: nothing is at {url}.")
        assert found is not None, "there was no condition"
        links = [found.link(each) if each else None for each in (found.value.providers, found.value.modules)]
        self._services = time.monotonic() + self._remembered_for, Services(*links)
        return self._services[1]

    def _asked(self, task: asyncio.Task[Services]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # those who wait have it; nobody may be left who does

    def _checked(self, url: str | None, what: str) -> str:
        if url is None:
            raise UpstreamMissing(f"{self.host} has no registry of {what}.")
        return url if url.endswith("/") else f"{url}/"

    def _at(self, url: str) -> str:
        """Where this URL is asked."""
        address = self._addresses.get(_host_of(url))
        if address is None:
            return url
        parts = urlsplit(url)
        return f"{address.rstrip('/')}{parts.path}" + (f"?{parts.query}" if parts.query else "")

    def _base(self, url: str, asked: str, answer: Answer) -> str:
        """A redirect to another host is where everybody is led to; anything else is our own way there."""
        return url if _host_of(answer.url) == _host_of(asked) else answer.url

    def _credentials(self, asked: str) -> dict[str, str]:
        own = self._at(f"https://{self.host}")
        if self._token is None or urlsplit(asked).scheme != "https" or _host_of(asked) != _host_of(own):
            return {}
        return {"Authorization": f"Bearer {self._token}"}


def _host_of(url: str) -> str:
    try:
        return plain_host(urlsplit(url).netloc)
    except ValueError:
        raise UpstreamFailed("the upstream: names an address that cannot be read") from None


def _is_on(hosts: HostList, name: str) -> bool:
    parts = urlsplit(f"//{name}")
    return hosts.has(parts.hostname or "", parts.port)
