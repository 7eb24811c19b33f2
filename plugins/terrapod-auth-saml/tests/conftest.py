"""A provider before an identity provider that the tests hold the pen of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from terrapod_auth_saml.bench import Bench
from terrapod_auth_saml.provider import SAMLProvider
from terrapod_auth_saml.settings import IdentityProviderSettings, SAMLSettings
from terrapod_core.plugin import PluginContext, PluginContexts
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords
from tests.support.saml_forge import IDP, SSO, Pen, Story, pen

Make = Callable[..., SAMLProvider]


@pytest.fixture(scope="session")
def idp_pen() -> Pen:
    """The identity provider's key."""
    return pen()


@pytest.fixture(scope="session")
def stranger() -> Pen:
    """A key that nobody here trusts."""
    return pen()


@pytest.fixture(scope="session")
def own_pen() -> Pen:
    """This server's key."""
    return pen()


@pytest.fixture
def clock() -> FakeClock:
    """Now: python3-saml looks at the machine's own clock."""
    return FakeClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def story(clock: FakeClock) -> Story:
    """A right answer to the request `_request`."""
    return Story(clock.now())


@pytest.fixture
def context(clock: FakeClock, tmp_path: Path) -> PluginContext[SAMLSettings]:
    contexts = PluginContexts(clock=clock, data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce(clock))
    return contexts("auth-saml", SAMLSettings())


@pytest.fixture
def make(context: PluginContext[SAMLSettings], idp_pen: Pen) -> Make:
    """Makes a provider called `saml`; arguments are settings."""

    def provider(**settings: object) -> SAMLProvider:
        given = {"idp_entity_id": IDP, "idp_sso_url": SSO, "idp_certificate": idp_pen.certificate, **settings}
        return SAMLProvider("saml", IdentityProviderSettings(**given), context, Bench())  # type: ignore[arg-type]

    return provider


@pytest.fixture
def provider(make: Make) -> SAMLProvider:
    return make()


@pytest.fixture
def own_key(own_pen: Pen) -> dict[str, str]:
    """Settings that give this server a key."""
    return {"sp_key": own_pen.key, "sp_certificate": own_pen.certificate}


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the operator's log says."""
    caplog.set_level(logging.WARNING, "terrapod.plugins.auth-saml")
    return caplog
