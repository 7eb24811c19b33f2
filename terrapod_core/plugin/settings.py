"""The settings of a plugin: its own section, its own frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass

from terrapod_core.settings import Settings, build


@dataclass(frozen=True, kw_only=True)
class PluginSettings:
    """Base of what `register_settings` returns.

    A subclass is a frozen dataclass whose fields are made with `setting(default, doc)`; text, whole numbers, true or false,
    paths, `Literal` choices and tuples of text are understood. A field without a default must be set. `__post_init__` may
    raise `ValueError` with a sentence for the operator. A field typed `Mapping[str, SomeDataclass]` and made with `subsections(doc)`
    takes sections under names of the operator's: `[auth.oidc.providers.okta]`.
    """


def section_of(plugin: str) -> tuple[str, str]:
    """Kind and name of a plugin's section: `vcs-github` reads `[vcs.github]`, `sync` reads `[plugin.sync]`."""
    kind, dash, name = plugin.partition("-")
    return (kind, name) if dash else ("plugin", plugin)


def settings_of(plugin: str, declared: type[PluginSettings], settings: Settings) -> PluginSettings:
    """The plugin's settings out of what was given; raises `SettingsError` naming the setting and where it came from."""
    kind, name = section_of(plugin)
    return build(declared, f"{kind}.{name}.", settings.plugin_section(kind, name))
