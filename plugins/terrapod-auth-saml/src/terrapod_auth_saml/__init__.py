"""Signing in through SAML 2.0 identity providers."""

from __future__ import annotations

from terrapod_auth_saml.bench import Bench
from terrapod_auth_saml.provider import SAMLProvider
from terrapod_auth_saml.settings import SAMLSettings
from terrapod_core.plugin import PluginContext, hookimpl


@hookimpl
def register_settings() -> type[SAMLSettings]:
    """`[auth.saml]`."""
    return SAMLSettings


@hookimpl
def register_auth_providers(context: PluginContext[SAMLSettings]) -> list[SAMLProvider]:
    """One for each identity provider in the settings; none without any."""
    bench = Bench()
    return [SAMLProvider(name, settings, context, bench) for name, settings in context.settings.by_name().items()]
