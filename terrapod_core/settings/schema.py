"""The core's settings, drawn once: the loader reads them from here and the reference is printed from here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from terrapod_core.settings._base_url import check_base_url
from terrapod_core.settings._bounds import Audit, Limits, Live, Outgoing, Retention
from terrapod_core.settings._convert import Raw
from terrapod_core.settings._fields import Field, fields_of, is_table, masked, setting, sounds_secret
from terrapod_core.settings._mirrors import Mirrors
from terrapod_core.settings._parts import Database, Log, PluginChoice, Redis, Runner, Secrets, Server, Storage
from terrapod_core.settings._people import Auth, Bootstrap, Sessions, Tokens, Workspaces
from terrapod_core.settings._vcs import VCS
from terrapod_core.settings._watching import Metrics, Tracing

FIRST_STRUCTURED = 202302
"""The release of Terraform Enterprise from which on terraform's CLI renders structured run output."""


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
    mirrors: Mirrors = field(default_factory=Mirrors)
    vcs: VCS = field(default_factory=VCS)
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
    "mirrors": Mirrors,
    "vcs": VCS,
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
