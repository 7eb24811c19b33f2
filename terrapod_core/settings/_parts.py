"""The sections about the parts a server is made of."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from terrapod_core.settings._base_url import check_base_url
from terrapod_core.settings._fields import masked, setting
from terrapod_core.settings._numbers import Port, Positive


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where the server listens."""

    host: str = setting("127.0.0.1", "Address to listen on.")
    port: Port = setting(8080, "Port to listen on; 0 takes a free one.")
    workers: Annotated[int, Meta(ge=1, le=255)] = setting(1, "Processes that serve; more than one needs PostgreSQL.")
    tls_cert: Path | None = setting(None, "PEM file with the certificate and its chain; serves HTTPS.")
    tls_key: Path | None = setting(None, "PEM file with the certificate's private key.")
    leave_seconds: Annotated[int, Meta(ge=0, le=600)] = setting(
        0, "How long after SIGTERM it goes on as before while `/ready` says that it leaves, for balancers that ask there."
    )
    drain_seconds: Annotated[int, Meta(ge=0, le=3600)] = setting(25, "How long requests and log readers may finish after SIGTERM.")
    trusted_proxies: Annotated[int, Meta(ge=0, le=10)] = setting(
        0, "How many proxies of yours stand before the server; that many entries of `X-Forwarded-For`, from the right, are believed."
    )
    trusted_proxy_addresses: tuple[str, ...] = setting(
        (), "Their addresses or networks; from anybody else the header is not believed.", shown_default="whoever connects"
    )

    def __post_init__(self) -> None:
        for each in self.trusted_proxy_addresses:
            try:
                ipaddress.ip_network(each)
            except ValueError as error:
                raise ValueError(f"trusted_proxy_addresses must be addresses or networks as 10.0.0.0/8: {error}") from None
        if self.trusted_proxy_addresses and not self.trusted_proxies:
            raise ValueError("trusted_proxy_addresses says nothing while trusted_proxies is 0: set how many proxies there are")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: set both, or neither")


@dataclass(frozen=True, kw_only=True)
class Log:
    """The server's own log."""

    format: Literal["console", "json"] = setting("console", "For people, or one JSON object a line.", alias="TERRAPOD_LOG_FORMAT")
    level: Literal["debug", "info", "warning", "error"] = setting("info", "The least that is written.", alias="TERRAPOD_LOG_LEVEL")


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where rows are kept."""

    url: str = setting(
        "",
        "`sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`.",
        in_repr=False,
        alias="TERRAPOD_DATABASE_URL",
        shown_default="sqlite+aiosqlite:///<data_dir>/terrapod.db",
    )
    auto_upgrade: bool = setting(True, "Bring an older schema up to date at the start; `false` refuses to start instead.")
    pool_size: Positive = setting(8, "Connections per process (PostgreSQL), beside four for look-ups.")
    statement_timeout_seconds: Positive = setting(
        30, "A statement of a request that takes longer is stopped, and the request answered 503; background work is exempt."
    )
    lock_timeout_seconds: Positive = setting(10, "How long a change waits for a row that another one holds (PostgreSQL).")
    idle_transaction_seconds: Positive = setting(60, "PostgreSQL ends a transaction in which nothing happened for so long.")
    connection_wait_seconds: Positive = setting(20, "How long a request waits for a free connection before it is answered 503.")

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("sqlite+aiosqlite://", "postgresql+asyncpg://")):
            scheme = self.url.partition("://")[0]
            raise ValueError(f"url must begin with sqlite+aiosqlite:// or postgresql+asyncpg://, not with {masked(scheme, secret=False)}")


@dataclass(frozen=True, kw_only=True)
class Redis:
    """What several servers may share beside the database: they wake each other through it and count requests together."""

    url: str | None = setting(
        None,
        "`redis://…`, `rediss://…` or `unix://…`: one Redis for all servers, used by the plugin coordination-redis.",
        in_repr=False,
        alias="TERRAPOD_REDIS_URL",
    )

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("url must begin with redis://, rediss:// or unix://; Sentinel and Redis Cluster are not supported")


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Where objects (states, logs, archives) are kept."""

    backend: str = setting("local", "The storage backend, by the name its plugin gives it.")
    redirect: bool = setting(True, "Send clients of plain archives to the store, if it signs links. Not where they cannot reach it.")


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Where runs outside agent pools are carried out."""

    backend: str = setting("local", "The runner backend, by the name its plugin gives it.")
    engines_dir: Path | None = setting(None, "Directory of terraform and tofu binaries, looked through before `PATH`.")
    url: str | None = setting(None, "Base URL of this server as runs reach it.", shown_default="the address it listens on")

    def __post_init__(self) -> None:
        if self.url is not None:
            check_base_url("url", self.url)


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Keys that stored secrets are encrypted under."""

    provider: str = setting(
        "settings", "The key provider, by the name its plugin gives it; `settings` reads `secrets.keys` or the key file."
    )

    keys: str | None = setting(
        None,
        "Comma-separated `id:base64key` of 32 bytes each, newest first. Made and kept in the data directory when absent on SQLite.",
        secret=True,
    )


@dataclass(frozen=True, kw_only=True)
class PluginChoice:
    """Which installed plugins are used, by entry-point name."""

    enabled: tuple[str, ...] = setting((), "Only these.", shown_default="all that are installed")
    disabled: tuple[str, ...] = setting((), "Not these.")
    required: tuple[str, ...] = setting((), "Without these the server does not start.")
    trace: bool = setting(False, "Log every call of a plugin's hook.", alias="TERRAPOD_TRACE_PLUGINS")

    def __post_init__(self) -> None:
        both = sorted(set(self.disabled) & {*self.required, *self.enabled})
        if both:
            raise ValueError(f"{', '.join(both)} cannot be disabled and {'required' if both[0] in self.required else 'enabled'} at once")
