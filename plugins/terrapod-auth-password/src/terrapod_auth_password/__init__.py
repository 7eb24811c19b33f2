"""Signing in with an e-mail address and a password."""

from __future__ import annotations

from terrapod_auth_password.hashing import Hashing
from terrapod_auth_password.provider import PasswordProvider
from terrapod_auth_password.settings import PasswordAuthSettings
from terrapod_core.plugin import PluginContext, hookimpl


@hookimpl
def register_settings() -> type[PasswordAuthSettings]:
    """`[auth.password]`."""
    return PasswordAuthSettings


@hookimpl
def register_auth_providers(context: PluginContext[PasswordAuthSettings]) -> list[PasswordProvider]:
    """The provider `local`."""
    return [PasswordProvider(context.passwords, Hashing(context.settings), context.settings)]
