"""Settings from file, environment and command line, each over the one before."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from terrapod_core.settings import _sources as sources
from terrapod_core.settings._convert import build, unknown
from terrapod_core.settings.schema import SECTIONS, Settings, core_fields

NOTHING: Mapping[str, object] = MappingProxyType({})


def load(*, path: Path | None = None, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, object] = NOTHING) -> Settings:
    """The settings in force.

    `path` names the file; without it `TERRAPOD_CONFIG` does, else `terrapod.toml` in the working directory, else the one
    in `/etc/terrapod`. `overrides` are options of a command by full key (`server.port`); `None` among them is ignored.
    Relative paths count from the working directory. Raises `SettingsError` for anything that is wrong or unknown.
    """
    file = sources.find_file(path, environ)
    found = sources.from_file(file) if file else {}
    found |= sources.from_environment(environ)
    found |= sources.from_overrides(overrides)
    core, plugins = sources.split(found)
    for name in {kind for kind, _ in plugins} & set(SECTIONS) - PLUGIN_KINDS:
        kind, plugin = next(each for each in plugins if each[0] == name)
        field, raw = next(iter(plugins[kind, plugin].items()))
        raise unknown(f"{kind}.{plugin}.{field}", raw, core_fields())
    made: dict[str, Any] = {name: build(section, f"{name}.", core[name]) for name, section in SECTIONS.items()}
    made |= {
        "plugin_sections": MappingProxyType({each: MappingProxyType(given) for each, given in plugins.items()}),
        "origins": MappingProxyType({key: found[key].origin if key in found else "default" for key in core_fields()}),
    }
    return build(Settings, "", core[""], made)


PLUGIN_KINDS = frozenset({"auth", "storage", "runner", "vcs"})
"""Sections of the core whose tables inside are plugins: `[runner.local]`."""
