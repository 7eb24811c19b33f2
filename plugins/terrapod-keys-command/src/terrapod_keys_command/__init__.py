"""Keys from a command of the operator."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, hookimpl
from terrapod_keys_command.provider import CommandKeys
from terrapod_keys_command.settings import CommandKeysSettings


@hookimpl
def register_settings() -> type[CommandKeysSettings]:
    """`[keys.command]`."""
    return CommandKeysSettings


@hookimpl
def register_key_providers(context: PluginContext[CommandKeysSettings]) -> list[CommandKeys]:
    """The provider `command`. Nothing is run before `[secrets] provider` chooses it."""
    return [CommandKeys(context.settings.command, context.settings.timeout_seconds)]
