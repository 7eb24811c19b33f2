"""The kit, with answers of pysaml2's: what one library writes, another reads."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from terrapod_auth_saml.provider import SAMLProvider
from terrapod_core.plugin import AuthProvider, Callback, LoginRequest, Redirect
from terrapod_core.testing.auth import CALLBACK_URL, AuthProviderKit
from tests.support.saml_idp import IdentityProvider, needs_xmlsec1

pytestmark = [
    needs_xmlsec1,
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:saml2"),
]

LOGIN = LoginRequest(state="decade" * 8, callback_url=CALLBACK_URL, return_to="/app")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> IdentityProvider:
    """The identity provider."""
    return IdentityProvider(tmp_path_factory.mktemp("idp"))


@pytest.fixture
def provider(make: Callable[..., SAMLProvider], elsewhere: IdentityProvider) -> SAMLProvider:
    made = make(idp_entity_id="", idp_sso_url="", idp_certificate="", idp_metadata=elsewhere.metadata())
    elsewhere.learn(made.metadata(CALLBACK_URL)[1])
    return made


async def signed_in(provider: SAMLProvider, elsewhere: IdentityProvider) -> Callback:
    """Ana signs in at the other site."""
    step = await provider.begin(LOGIN)
    assert isinstance(step, Redirect)
    where, fields = elsewhere.answer(urlsplit(step.url).query, "ana")
    assert (where, fields.pop("RelayState")) == (CALLBACK_URL, LOGIN.state)
    return Callback(fields, state=LOGIN.state, callback_url=where, remembered=step.remember)


class TestSAMLAuth(AuthProviderKit):
    @pytest.fixture
    def provider(self, provider: SAMLProvider) -> AuthProvider:
        return provider

    @pytest.fixture
    async def good_callback(self, provider: SAMLProvider, elsewhere: IdentityProvider) -> Callback:
        return await signed_in(provider, elsewhere)

    @pytest.fixture
    async def another_good_callback(self, provider: SAMLProvider, elsewhere: IdentityProvider) -> Callback:
        return await signed_in(provider, elsewhere)

    @pytest.fixture
    async def bad_callback(self, provider: SAMLProvider, elsewhere: IdentityProvider) -> Callback:
        callback = await signed_in(provider, elsewhere)
        response = base64.b64decode(callback.values["SAMLResponse"])
        forged = response.replace(b"ana-4711", b"root-001")
        assert forged != response
        return replace(callback, values={"SAMLResponse": base64.b64encode(forged).decode()})


async def test_pysaml2_and_python3_saml_agree_who_it_was(provider: SAMLProvider, elsewhere: IdentityProvider) -> None:
    identity = await provider.finish(await signed_in(provider, elsewhere))
    assert (identity.issuer, identity.subject, identity.email) == (elsewhere.entity_id, "ana-4711", "ana@example.com")
    assert identity.username == "ana"
    assert identity.groups == {"ops", "dev"}


async def test_pysaml2_takes_a_signed_request(
    make: Callable[..., SAMLProvider], own_key: dict[str, str], elsewhere: IdentityProvider
) -> None:
    made = make(idp_entity_id="", idp_sso_url="", idp_certificate="", idp_metadata=elsewhere.metadata(), **own_key)
    elsewhere.learn(made.metadata(CALLBACK_URL)[1])
    assert (await made.finish(await signed_in(made, elsewhere))).subject == "ana-4711"
