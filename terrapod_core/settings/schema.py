"""The core's settings, drawn once: the loader reads them from here and the reference is printed from here."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from terrapod_core.settings._base_url import check_base_url
from terrapod_core.settings._convert import Raw
from terrapod_core.settings._fields import Field, fields_of, is_table, masked, setting, sounds_secret, table
from terrapod_core.settings._watching import Metrics, Tracing

Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]

RoleMapping: TypeAlias = Mapping[str, Mapping[str, tuple[str, ...]]]

MiB = 1 << 20
GiB = 1 << 30

FIRST_STRUCTURED = 202302
"""The release of Terraform Enterprise from which on terraform's CLI renders structured run output."""


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
class Bootstrap:
    """The first admin; applying it again changes nothing."""

    admin_email: str | None = setting(None, "E-mail address of the first admin.", shown_default="admin@localhost, when there is no user")
    admin_password: str | None = setting(None, "Their password.", secret=True, shown_default="made and printed once")
    admin_token: str | None = setting(None, "A fixed API token of theirs, at least 32 characters, for automation.", secret=True)

    def __post_init__(self) -> None:
        if self.admin_token is not None and not re.fullmatch(r"[!-~]{32,}", self.admin_token):
            raise ValueError("admin_token must be at least 32 visible ASCII characters without spaces")
        if self.admin_email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", self.admin_email):
            raise ValueError("admin_email must be an e-mail address")


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


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """API tokens."""

    default_days: Positive = setting(365, "Lifetime of a token made without one.")
    max_days: Positive = setting(730, "The longest lifetime one may ask for.")
    reauthenticate_days: Positive = setting(30, "A session makes a token that is good for longer only soon after its sign-in.")
    reauthenticate_minutes: Positive = setting(15, "How long after its sign-in a session may do that.")

    def __post_init__(self) -> None:
        if self.default_days > self.max_days:
            raise ValueError(f"default_days ({self.default_days}) must not be more than max_days ({self.max_days})")


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Sign-ins in a browser."""

    idle_hours: Positive = setting(12, "A session ends when it was not used for so long.")
    max_days: Positive = setting(7, "A session ends after this in any case.")
    allow_plain_http: bool = setting(False, "Let people on other machines sign in without TLS; anybody on the way can read along.")


@dataclass(frozen=True, kw_only=True)
class Auth:
    """Signing in through auth providers."""

    role_mapping: RoleMapping = table("Roles that groups give, until the next sign-in: provider, then group, then a list of roles.")
    max_role_age_hours: Positive = setting(24, "Roles that groups gave end when their user did not sign in for so long.")
    unseen_token_days: Positive = setting(30, "API tokens of a user of another provider rest when the user did not sign in for so long.")
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=120)] = setting(15, "How long a provider may take for one step of a sign-in.")
    allow_new_users: Literal["everyone", "assigned"] = setting(
        "everyone", "Who may sign in for the first time: whom a provider knows, or only whom a role was assigned or mapped to."
    )

    def __post_init__(self) -> None:
        for provider, groups in self.role_mapping.items():
            for group, roles in groups.items():
                if not provider or not group or not all(roles):
                    raise ValueError('role_mapping has an empty name in it; write [auth.role_mapping.okta] and "a group" = ["a role"]')


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most the server takes; bytes where the name says so."""

    json_bytes: Positive = setting(5 * MiB, "A JSON request body.")
    configuration_bytes: Positive = setting(GiB, "A configuration archive, as uploaded.")
    unpacked_bytes: Positive = setting(2 * GiB, "A configuration archive, unpacked.")
    archive_entries: Positive = setting(100_000, "Files and directories in a configuration archive.")
    module_bytes: Positive = setting(100 * MiB, "An archive of a module, as uploaded.")
    provider_bytes: Positive = setting(GiB, "The zip of a provider for one platform.")
    state_bytes: Positive = setting(GiB, "A state.")
    plan_bytes: Positive = setting(GiB, "A saved plan, its JSON, or provider schemas.")
    log_bytes: Positive = setting(64 * MiB, "The log of one phase; the rest is dropped, and the log says so.")
    pending_runs_per_workspace: Positive = setting(20, "Runs that wait in one workspace.")
    pending_runs_per_user: Positive = setting(100, "Runs that wait of one user.")
    workspaces_per_user: Positive = setting(100, "Workspaces owned by one user who is no platform admin.")
    requests_per_second_per_token: Annotated[int, Meta(ge=0)] = setting(
        30, "Requests with one token, session or signed link, after twice as many at once; 0 sets no limit."
    )
    requests_per_second_per_address: Annotated[int, Meta(ge=0)] = setting(
        20, "Requests from one address without a token that has proved valid, after twice as many at once; 0 sets no limit."
    )
    requests_per_minute_per_run: Annotated[int, Meta(ge=0)] = setting(
        1_000, "Requests with a token of one phase, the runner's or its terraform's; 0 sets no limit."
    )
    connections_per_address: Annotated[int, Meta(ge=0)] = setting(
        50, "Open connections from one address that no valid token was shown on; trusted proxies are exempt; 0 sets no limit."
    )


@dataclass(frozen=True, kw_only=True)
class Live:
    """Streams of events and logs."""

    keep_minutes: Positive = setting(60, "How long events are kept for those who come back and name the last one they saw.")
    streams_per_user: Positive = setting(20, "Streams that one user may have open at once, on each server.")


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """Requests that the server makes to others. Addresses that users chose are guarded; those in these settings are not."""

    ca_file: Path | None = setting(None, "PEM file of certificate authorities that are trusted beside the usual ones.")
    proxy: str | None = setting(
        None, "`http://…` or `https://…` of a forward proxy that all requests go through; it resolves names.", in_repr=False
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "The only hosts that users may have the server ask, as `example.com` or `*.example.com`.",
        shown_default="all public ones; with a proxy, none",
    )
    allow_http: bool = setting(False, "Whether users may name `http://` addresses.")
    extra_ports: tuple[Port, ...] = setting((), "Ports that users may name beside 80, 443 and 8443.")
    timeout_seconds: Annotated[int, Meta(ge=1, le=3600)] = setting(10, "How long one request may take, its answer included.")
    max_bytes: Positive = setting(10 * MiB, "The largest answer that is read.")

    def __post_init__(self) -> None:
        if self.proxy is not None and not re.fullmatch(r"https?://[^/?#\s]+/?", self.proxy):
            raise ValueError("proxy must be http://host:port or https://host:port, with user:password@ before the host if it asks for one")
        wrong = [each for each in self.allowed_hosts if not re.fullmatch(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", each)]
        if wrong:
            raise ValueError(f"allowed_hosts must be host names as example.com or *.example.com, not {wrong[0]}")


@dataclass(frozen=True, kw_only=True)
class Workspaces:
    """Rules for workspaces."""

    create: tuple[str, ...] = setting(
        ("everyone",), "Who may create workspaces beside platform admins: `everyone`, `admins` for nobody else, or names of roles."
    )


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long what runs leave is kept; without a number for ever. Runs themselves and states always stay."""

    log_days: int | None = setting(None, "Days after which logs of ended runs are removed.", shown_default="kept")
    plan_days: int | None = setting(None, "Days after which plan files and plan JSON of ended runs are removed.", shown_default="kept")
    configuration_days: int | None = setting(
        None, "Days after which configuration archives that nothing needs any more are removed.", shown_default="kept"
    )

    def __post_init__(self) -> None:
        for name in ("log_days", "plan_days", "configuration_days"):
            days = getattr(self, name)
            if days is not None and days < 1:
                raise ValueError(f"retention.{name} = {days} would remove what is just being used; it must be at least 1, or left out")


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The record of who did what."""

    keep_days: Positive | None = setting(
        None, "Entries that are older move to the object store, still sealed.", shown_default="they stay in the database for ever"
    )
    anchor_file: Path | None = setting(None, "Append-only file that every signed checkpoint is also written to, a line of JSON each.")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the operator chose. `load` makes it; tests may make it by hand."""

    external_url: str | None = setting(
        None, "The absolute base of every URL handed out.", shown_default="what the request came to, for loopback only"
    )
    data_dir: Path = setting(Path("terrapod-data"), "Directory of the database, objects and runs of a server that has nothing else.")
    tfe_version: str = setting(
        "v0.1.0", "Value of the header `X-TFE-Version`; `vYYYYMM-N` from `v202302-1` on turns structured run output on."
    )

    server: Server = field(default_factory=Server)
    log: Log = field(default_factory=Log)
    database: Database = field(default_factory=Database)
    redis: Redis = field(default_factory=Redis)
    storage: Storage = field(default_factory=Storage)
    runner: Runner = field(default_factory=Runner)
    secrets: Secrets = field(default_factory=Secrets)
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    plugins: PluginChoice = field(default_factory=PluginChoice)
    tokens: Tokens = field(default_factory=Tokens)
    sessions: Sessions = field(default_factory=Sessions)
    auth: Auth = field(default_factory=Auth)
    limits: Limits = field(default_factory=Limits)
    live: Live = field(default_factory=Live)
    outgoing: Outgoing = field(default_factory=Outgoing)
    workspaces: Workspaces = field(default_factory=Workspaces)
    audit: Audit = field(default_factory=Audit)
    retention: Retention = field(default_factory=Retention)
    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = field(default_factory=Tracing)

    plugin_sections: Mapping[tuple[str, str], Mapping[str, Raw]] = field(
        default_factory=dict, repr=False, compare=False, metadata={"internal": True}
    )
    """What was given for plugins, by kind and name (`("runner", "local")`), not yet looked at."""
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False, metadata={"internal": True})
    """Where each value came from: `database.url` -> a file's path, a variable's name, `the command line` or `default`."""

    def __post_init__(self) -> None:
        if self.external_url is not None:
            check_base_url("external_url", self.external_url)
            object.__setattr__(self, "external_url", self.external_url.rstrip("/"))
        elif self.server.trusted_proxies:
            raise ValueError("server.trusted_proxies is about proxies before the server: set external_url to the address that clients use")
        if not re.fullmatch(r"[!-~]+", self.tfe_version):
            raise ValueError("tfe_version must be visible ASCII characters without spaces, as v0.1.0")
        object.__setattr__(self, "data_dir", self.data_dir.absolute())
        if not self.database.url:
            url = f"sqlite+aiosqlite:///{self.data_dir / 'terrapod.db'}"
            object.__setattr__(self, "database", replace(self.database, url=url))

    @property
    def embedded(self) -> bool:
        """Whether the database is SQLite, so that this machine holds everything."""
        return self.database.url.startswith("sqlite")

    @property
    def structured_output(self) -> bool:
        """Whether terraform's CLI, told this version, renders structured run output. It cuts the version at the first `-`, reads what
        follows the first letter as a number, and ends with an error where there is none; releases before 202302 it takes for too old.
        """
        release = re.fullmatch(r"v(\d{6})-\d+", self.tfe_version, re.ASCII)
        return release is not None and int(release[1]) >= FIRST_STRUCTURED

    def plugin_section(self, kind: str, name: str) -> Mapping[str, Raw]:
        """What was given for the plugin `<kind>-<name>`: raw values with their origins; empty when nothing was.

        Only the plugin knows its fields, so the plugin loader checks and converts them.
        """
        return self.plugin_sections.get((kind.replace("-", "_"), name.replace("-", "_")), {})

    def show(self) -> list[tuple[str, str, str]]:
        """Key, value with secrets masked, and origin of every setting of the core and of what was given for plugins."""
        rows = [
            (key, masked(value, secret=each.secret), self.origins.get(key, "default"))
            for section, prefix in ((self, ""), *((getattr(self, name), f"{name}.") for name in SECTIONS))
            for each in fields_of(type(section))
            for key, value in [(prefix + each.name, getattr(section, each.name))]
        ]
        for (kind, name), given in sorted(self.plugin_sections.items()):
            for key, raw in given.items():
                rows += _as_given(f"{kind}.{name}.{key.replace('__', '.')}", raw.value, raw.origin)
        return rows


SECTIONS: Mapping[str, type] = {
    "server": Server,
    "log": Log,
    "database": Database,
    "redis": Redis,
    "storage": Storage,
    "runner": Runner,
    "secrets": Secrets,
    "bootstrap": Bootstrap,
    "plugins": PluginChoice,
    "tokens": Tokens,
    "sessions": Sessions,
    "auth": Auth,
    "limits": Limits,
    "live": Live,
    "outgoing": Outgoing,
    "workspaces": Workspaces,
    "audit": Audit,
    "retention": Retention,
    "metrics": Metrics,
    "tracing": Tracing,
}
"""The core's sections by name."""


def _as_given(key: str, value: object, origin: str) -> list[tuple[str, str, str]]:
    """A plugin's value as people may see it; of a table, one row for each of its values."""
    if isinstance(value, Mapping):
        return [row for name, inner in value.items() for row in _as_given(f"{key}.{name}", inner, origin)]
    return [(key, masked(value, secret=sounds_secret(key.rpartition(".")[2])), origin)]


def core_fields() -> Mapping[str, Field]:
    """Every setting of the core by its full key."""
    found = {each.name: each for each in fields_of(Settings)}
    for name, section in SECTIONS.items():
        found |= {f"{name}.{each.name}": each for each in fields_of(section)}
    return found


def core_tables() -> frozenset[str]:
    """The keys of the core's settings whose value is a whole table, as `auth.role_mapping`."""
    return frozenset(key for key, each in core_fields().items() if is_table(each.type))
