"""HTTP clients with the limits that every outgoing request keeps."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from terrapod_core import __version__
from terrapod_core.outgoing.errors import OutgoingRefused
from terrapod_core.outgoing.guard import Guard, Resolve, system_resolve
from terrapod_core.outgoing.listed import HostList
from terrapod_core.settings import Outgoing

if TYPE_CHECKING:
    import httpx

    from terrapod_core.outgoing.transport import Bounds, Judge, Pool

KEEP_ALIVE_SECONDS: Final = 5.0

_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_HEADERS: Final = {"User-Agent": f"Terrapod/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class HTTPClients:
    """Makes clients of other servers. Close each: `async with clients.trusted() as http`.

    Their errors are `OutgoingError`s that are `httpx.TransportError`s too. Variables as `HTTPS_PROXY` are not looked at:
    proxy, certificate authorities and limits are those of the settings.
    """

    settings: Outgoing = field(default_factory=Outgoing)
    refused: frozenset[str] = frozenset()
    """Our own servers, `host:port` or `host`: never asked for a user, whatever their address."""
    resolve: Resolve = field(default=system_resolve, repr=False)
    certificate: str | None = field(default=None, repr=False)
    """PEM of the one certificate that a server may show, whoever signed it and for whatever name; `None` asks the authorities."""

    def trusted(
        self,
        *,
        base_url: str = "",
        headers: Mapping[str, str] = _NONE,
        timeout: float | None = None,
        idle: float | None = None,
        max_bytes: int | None = None,
        follow_redirects: bool = False,
    ) -> httpx.AsyncClient:
        """For an address that the operator set: no address is refused.

        `timeout` (seconds) and `max_bytes` are for a whole request and a whole answer; `None` takes the settings'. `idle` is how many
        seconds may go by without a byte, for what is too large to have a time for all of it.
        """
        return self._client(None, base_url, headers, self._bounds(timeout, max_bytes, idle), follow_redirects)

    def listed(
        self,
        hosts: Iterable[str],
        setting: str,
        *,
        base_url: str = "",
        headers: Mapping[str, str] = _NONE,
        timeout: float | None = None,
        idle: float | None = None,
        max_bytes: int | None = None,
        follow_redirects: bool = True,
    ) -> httpx.AsyncClient:
        """For addresses that others name, at hosts that the operator listed: `host`, `host:port` (443 without one), `*.host`.

        Asks by https, whatever the addresses of these hosts. Raises `OutgoingRefused` for any other host, with a sentence that names it and
        `setting`, where it could be added. Every hop of a redirect is judged anew, three are followed, and another origin gets no
        credentials. `idle` is how many seconds may go by without a byte, for what is too large to have a time for all of it; `timeout` is
        that time all the same. Raises `ValueError` for a list that cannot be read.
        """
        return self._client(HostList.of(hosts, setting), base_url, headers, self._bounds(timeout, max_bytes, idle), follow_redirects)

    def guarded(
        self,
        *,
        base_url: str = "",
        headers: Mapping[str, str] = _NONE,
        timeout: float | None = None,
        max_bytes: int | None = None,
        follow_redirects: bool = True,
    ) -> httpx.AsyncClient:
        """For an address that a user chose: raises `OutgoingRefused` for one that is not public, or is ours.

        Every hop of a redirect is judged anew, three are followed, and another origin gets no credentials. Show a user no more
        of the answer than its status: the address may be one that they cannot reach themselves.
        """
        return self._client(self.guard, base_url, headers, self._bounds(timeout, max_bytes), follow_redirects)

    def check(self, url: str) -> None:
        """Raise `OutgoingRefused` for a URL that `guarded` would refuse by its looks: for forms, before it is stored.

        No name is resolved, so a URL that passes may be refused when it is asked.
        """
        import httpx

        try:
            parts = httpx.URL(url)
        except (httpx.InvalidURL, TypeError) as error:
            raise OutgoingRefused("the address", "is no URL that can be asked") from error
        host = parts.raw_host.decode("ascii").strip("[]").lower()
        self.guard.check(parts.scheme, host, parts.port, userinfo=bool(parts.userinfo))

    @cached_property
    def guard(self) -> Guard:
        """The judge of addresses that users chose."""
        return Guard(self.settings, self.refused, self.resolve)

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The authorities that are trusted: those that come along, the system's, and the operator's; or a single certificate."""
        import certifi

        if self.certificate is not None:
            only = ssl.create_default_context(cadata=self.certificate)
            only.check_hostname = False
            only.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            return only
        context = ssl.create_default_context(cafile=certifi.where())
        context.load_default_certs()
        if self.settings.ca_file is not None:
            context.load_verify_locations(self.settings.ca_file)
        return context

    def _bounds(self, timeout: float | None, max_bytes: int | None, idle: float | None = None) -> Bounds:
        from terrapod_core.outgoing.transport import Bounds

        return Bounds(timeout or float(self.settings.timeout_seconds), max_bytes or self.settings.max_bytes, idle)

    def _client(
        self,
        judge: Judge | None,
        base_url: str,
        headers: Mapping[str, str],
        bounds: Bounds,
        follow_redirects: bool,
    ) -> httpx.AsyncClient:
        from terrapod_core.outgoing.transport import Client, Transport

        return Client(
            base_url=base_url,
            headers={**_HEADERS, **headers},
            timeout=bounds.longest_wait,
            transport=Transport(self._pool(judge if isinstance(judge, Guard) else None), bounds, judge),
            follow_redirects=follow_redirects,
            trust_env=False,
        )

    def _pool(self, guard: Guard | None) -> Pool:
        import httpcore

        from terrapod_core.outgoing.transport import GuardedNetwork

        network = httpcore.AnyIOBackend()
        if self.settings.proxy is None:
            judged = network if guard is None else GuardedNetwork(guard, network)
            return httpcore.AsyncConnectionPool(ssl_context=self.tls, network_backend=judged, keepalive_expiry=KEEP_ALIVE_SECONDS)
        parts = urlsplit(self.settings.proxy)
        return httpcore.AsyncHTTPProxy(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            proxy_auth=(unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
            ssl_context=self.tls,
            proxy_ssl_context=self.tls if parts.scheme == "https" else None,
            network_backend=network,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
        )
