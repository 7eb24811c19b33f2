"""Loads one plugin: import, hooks, settings. Whatever is wrong becomes a `PluginFailed` with a sentence."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pluggy

from terrapod_core.plugin._discovery import Candidate
from terrapod_core.plugin.hookspecs import HOOKS
from terrapod_core.plugin.settings import PluginSettings, section_of, settings_of
from terrapod_core.settings import Settings, SettingsError, nearest


class PluginFailed(Exception):
    """This plugin cannot be used; the text says why."""


@dataclass(frozen=True)
class Hook:
    """A plugin's implementation of one hook."""

    function: Callable[..., Any]
    arguments: tuple[str, ...]

    def call(self, **offered: object) -> Any:
        """Call it with those of the arguments it takes."""
        return self.function(**{name: offered[name] for name in self.arguments})


@dataclass(frozen=True)
class Loaded:
    """A plugin that works so far."""

    name: str
    hooks: Mapping[str, Hook]
    settings: PluginSettings


def said(error: BaseException) -> str:
    """An exception as part of a sentence."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def load(manager: pluggy.PluginManager, candidate: Candidate, settings: Settings) -> Loaded:
    """Import the plugin, check its hooks, fill in its settings; raises `PluginFailed`, and then nothing is left registered."""
    try:
        module = candidate.load()
    except (Exception, SystemExit) as error:
        raise PluginFailed(f"it cannot be imported: {said(error)}") from error
    try:
        hooks = _register(manager, candidate.name, module)
        filled = _settings(candidate.name, hooks, settings)
    except PluginFailed:
        if manager.has_plugin(candidate.name):
            manager.unregister(name=candidate.name)
        raise
    return Loaded(candidate.name, hooks, filled)


def _register(manager: pluggy.PluginManager, name: str, module: object) -> dict[str, Hook]:
    try:
        manager.register(module, name)
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginFailed(_flat(error)) from error
    hooks = {
        caller.name: Hook(each.function, tuple(each.argnames))
        for caller in manager.get_hookcallers(module) or []
        for each in caller.get_hookimpls()
        if each.plugin is module
    }
    for hook, implementation in hooks.items():
        if hook not in HOOKS:
            meant = nearest(hook, HOOKS)
            raise PluginFailed(f"there is no hook {hook}" + (f"; did you mean {meant}?" if meant else ""))
        if inspect.iscoroutinefunction(implementation.function):
            raise PluginFailed(f"{hook} must be a plain function, not async")
    if not hooks:
        raise PluginFailed("it implements no hook: functions named after one need the @hookimpl marker")
    return hooks


def _flat(error: Exception) -> str:
    return " ".join(str(error).split())


def _settings(name: str, hooks: Mapping[str, Hook], settings: Settings) -> PluginSettings:
    declared: object = PluginSettings
    if "register_settings" in hooks:
        try:
            declared = hooks["register_settings"].call()
        except Exception as error:
            raise PluginFailed(f"register_settings raised {said(error)}") from error
    if not (isinstance(declared, type) and issubclass(declared, PluginSettings) and dataclasses.is_dataclass(declared)):
        raise PluginFailed(f"register_settings must return a dataclass that extends PluginSettings, not {declared!r}")
    try:
        return settings_of(name, declared, settings)
    except SettingsError as error:
        raise PluginFailed(str(error)) from error
    except Exception as error:
        kind, section = section_of(name)
        raise PluginFailed(f"its settings [{kind}.{section}] raised {said(error)}") from error
