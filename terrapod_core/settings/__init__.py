"""What the operator chose: `terrapod.toml` and `TERRAPOD_*` as frozen dataclasses, with where each value came from."""

from __future__ import annotations

from terrapod_core.settings._base_url import check_base_url
from terrapod_core.settings._bounds import Audit, Limits, Live, Outgoing, Retention
from terrapod_core.settings._convert import Raw, build, nearest
from terrapod_core.settings._fields import MASK, SettingsError, fields_of, masked, setting, subsections, variable
from terrapod_core.settings._load import load
from terrapod_core.settings._mirrors import Mirrors
from terrapod_core.settings._parts import Database, Log, PluginChoice, Redis, Runner, Secrets, Server, Storage
from terrapod_core.settings._people import Auth, Bootstrap, Sessions, Tokens, Workspaces
from terrapod_core.settings._reference import Reference, reference, reference_of
from terrapod_core.settings._secrecy import holds_secret
from terrapod_core.settings._vcs import VCS
from terrapod_core.settings._watching import Metrics, Tracing
from terrapod_core.settings.schema import Settings

__all__ = [
    "MASK",
    "VCS",
    "Audit",
    "Auth",
    "Bootstrap",
    "Database",
    "Limits",
    "Live",
    "Log",
    "Metrics",
    "Mirrors",
    "Outgoing",
    "PluginChoice",
    "Raw",
    "Redis",
    "Reference",
    "Retention",
    "Runner",
    "Secrets",
    "Server",
    "Sessions",
    "Settings",
    "SettingsError",
    "Storage",
    "Tokens",
    "Tracing",
    "Workspaces",
    "build",
    "check_base_url",
    "fields_of",
    "holds_secret",
    "load",
    "masked",
    "nearest",
    "reference",
    "reference_of",
    "setting",
    "subsections",
    "variable",
]
