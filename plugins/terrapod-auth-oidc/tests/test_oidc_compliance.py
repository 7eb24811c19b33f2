"""The kit, and what a code is worth, against the certified `oidc-provider`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from terrapod_auth_oidc import register_auth_providers
from terrapod_auth_oidc.provider import STALE, OIDCProvider
from terrapod_auth_oidc.settings import Instance, OIDCSettings
from terrapod_core.plugin import AuthProvider, Callback, LoginRefused, LoginRequest, PluginContext, ProviderUnavailable
from terrapod_core.testing import MemoryOnce
from terrapod_core.testing.auth import AuthProviderKit
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, IdentityProvider, client, identity_provider

CALLBACK = "http://localhost:8080/api/v2/auth/callback"
PEOPLE: dict[str, dict[str, object]] = {"carol": {"email_verified": False, "groups": ["dev"]}, "dave": {"email": None}}


class Today:
    """A clock that goes right."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture(scope="module")
def idp() -> Iterator[IdentityProvider]:
    """With a client of every way to prove who one is."""
    clients = [
        client(CALLBACK),
        client(CALLBACK, client_id="posting", token_endpoint_auth_method="client_secret_post"),
        client(CALLBACK, client_id="public", token_endpoint_auth_method="none", client_secret=None),
    ]
    with identity_provider([{key: value for key, value in each.items() if value is not None} for each in clients], PEOPLE) as running:
        yield running


@pytest.fixture
def context(plugin_context: PluginContext) -> PluginContext:
    """With the real time, which the identity provider has too."""
    return replace(plugin_context, clock=Today(), once=MemoryOnce(Today()))


@pytest.fixture
def instance(idp: IdentityProvider) -> Instance:
    return Instance(issuer=idp.issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)


@pytest.fixture
def provider(instance: Instance, context: PluginContext) -> OIDCProvider:
    return OIDCProvider("house", instance, context)


async def returned(provider: OIDCProvider, idp: IdentityProvider, name: str = "alice") -> Callback:
    """What comes back when somebody signs in."""
    login = LoginRequest(state="c0ffee" * 8, callback_url=CALLBACK, return_to="/app")
    begun = await provider.begin(login)
    values = idp.sign_in(begun.url, name, CALLBACK)
    assert values.pop("state") == login.state
    return Callback(values, login.state, CALLBACK, begun.remember)


class TestOIDC(AuthProviderKit):
    @pytest.fixture
    def provider(self, instance: Instance, context: PluginContext) -> AuthProvider:
        return OIDCProvider("house", instance, context)

    @pytest.fixture
    async def good_callback(self, provider: OIDCProvider, idp: IdentityProvider) -> Callback:
        return await returned(provider, idp)

    @pytest.fixture
    async def another_good_callback(self, provider: OIDCProvider, idp: IdentityProvider) -> Callback:
        return await returned(provider, idp)

    @pytest.fixture
    async def bad_callback(self, provider: OIDCProvider, good_callback: Callback) -> Callback:
        return replace(good_callback, values={**good_callback.values, "code": "a-code-that-nobody-was-given"})


async def test_a_person_is_known_by_issuer_and_subject_and_comes_with_their_groups(provider: OIDCProvider, idp: IdentityProvider) -> None:
    alice = await provider.finish(await returned(provider, idp))
    assert (alice.issuer, alice.subject) == (idp.issuer, "alice")
    assert (alice.email, alice.email_verified, alice.username) == ("alice@example.com", True, "alice")
    assert alice.groups == {"admins", "dev"}


async def test_an_address_that_the_provider_does_not_vouch_for_stays_unverified(provider: OIDCProvider, idp: IdentityProvider) -> None:
    assert not (await provider.finish(await returned(provider, idp, "carol"))).email_verified


async def test_somebody_without_an_address_is_told_so(provider: OIDCProvider, idp: IdentityProvider) -> None:
    with pytest.raises(LoginRefused, match="did not say your e-mail address"):
        await provider.finish(await returned(provider, idp, "dave"))


async def test_a_code_serves_once(provider: OIDCProvider, idp: IdentityProvider) -> None:
    callback = await returned(provider, idp)
    await provider.finish(callback)
    with pytest.raises(LoginRefused, match=STALE):
        await provider.finish(callback)


async def test_a_code_is_worth_nothing_with_another_verifier(provider: OIDCProvider, idp: IdentityProvider) -> None:
    callback = await returned(provider, idp)
    with pytest.raises(LoginRefused, match=STALE):
        await provider.finish(replace(callback, remembered={**callback.remembered, "verifier": "w" * 48}))


async def test_a_code_is_worth_nothing_with_another_callback_url(provider: OIDCProvider, idp: IdentityProvider) -> None:
    callback = await returned(provider, idp)
    with pytest.raises(LoginRefused, match=STALE):
        await provider.finish(replace(callback, callback_url="https://elsewhere.example/callback"))


async def test_the_token_of_another_sign_in_of_the_same_person_is_refused(provider: OIDCProvider, idp: IdentityProvider) -> None:
    callback = await returned(provider, idp)
    with pytest.raises(LoginRefused, match="could not be trusted"):
        await provider.finish(replace(callback, remembered={**callback.remembered, "nonce": "n" * 43}))


@pytest.mark.parametrize("change", [{"client_id": "posting"}, {"client_id": "public", "client_secret": None}])
async def test_every_way_to_prove_who_the_server_is_works(
    idp: IdentityProvider, instance: Instance, context: PluginContext, change: dict[str, str | None]
) -> None:
    way = {"posting": "client_secret_post", "public": "none"}[str(change["client_id"])]
    provider = OIDCProvider("house", replace(instance, **change, token_endpoint_auth_method=way), context)  # type: ignore[arg-type]
    assert (await provider.finish(await returned(provider, idp))).subject == "alice"


async def test_a_wrong_client_secret_is_no_failure_of_the_persons(
    idp: IdentityProvider, instance: Instance, context: PluginContext, caplog: pytest.LogCaptureFixture
) -> None:
    provider = OIDCProvider("house", replace(instance, client_secret="not it"), context)
    with pytest.raises(ProviderUnavailable, match="status 401"):
        await provider.finish(await returned(provider, idp))
    assert "invalid_client" in caplog.text


async def test_several_providers_sign_in_the_same_name_as_different_people(instance: Instance, context: PluginContext) -> None:
    with identity_provider([client(CALLBACK)]) as other:
        settings = OIDCSettings(providers={"first": instance, "second": replace(instance, issuer=other.issuer)})
        first, second = register_auth_providers(replace(context, settings=settings))
        assert (first.name, second.name) == ("first", "second")
        ours = await first.finish(await returned(first, IdentityProvider(instance.issuer)))
        theirs = await second.finish(await returned(second, other))
        assert ours.email == theirs.email
        assert (ours.issuer, ours.subject) != (theirs.issuer, theirs.subject)
        with pytest.raises(LoginRefused, match="could not be trusted"):
            await second.finish(await returned(first, IdentityProvider(instance.issuer)))
