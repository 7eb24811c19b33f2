"""Signing in through OpenID Connect providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from terrapod_auth_oidc.settings import OIDCSettings
from terrapod_core.plugin import PluginContext, hookimpl

if TYPE_CHECKING:
    from terrapod_auth_oidc.provider import OIDCProvider


@hookimpl
def register_settings() -> type[OIDCSettings]:
    """`[auth.oidc]`."""
    return OIDCSettings


@hookimpl
def register_auth_providers(context: PluginContext[OIDCSettings]) -> list[OIDCProvider]:
    """One provider for each instance in the settings; none without any."""
    instances = context.settings.instances()
    if not instances:
        return []
    from terrapod_auth_oidc.provider import OIDCProvider  # what it needs takes a while to import

    return [OIDCProvider(name, instance, context) for name, instance in instances.items()]
