"""Whether an auth provider keeps its contract."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from terrapod_core.plugin import AuthProvider, Callback, Form, Identity, LoginRefused, LoginRequest, Redirect


@pytest.mark.asyncio
class AuthProviderKit:
    """Extend it, and fill the fixtures `provider`, `good_callback` and `bad_callback`."""

    @pytest.fixture
    def provider(self) -> AuthProvider:
        """The provider under test."""
        pytest.fail("give the kit an auth provider: override the fixture `provider`")

    @pytest.fixture
    def good_callback(self) -> Callback:
        """What comes back when somebody the provider knows signs in."""
        pytest.fail("give the kit the callback of a good sign-in: override the fixture `good_callback`")

    @pytest.fixture
    def bad_callback(self) -> Callback:
        """The same with a wrong password, or a forged answer."""
        pytest.fail("give the kit the callback of a bad sign-in: override the fixture `bad_callback`")

    @pytest.fixture
    def login(self) -> LoginRequest:
        """Somebody at the sign-in page."""
        return LoginRequest(state="c0ffee" * 8, callback_url="https://terrapod.example/auth/test/callback", return_to="/app")

    async def test_it_is_an_auth_provider_with_names(self, provider: AuthProvider) -> None:
        assert isinstance(provider, AuthProvider)
        assert re.fullmatch(r"[a-z][a-z0-9-]*", provider.name)
        assert provider.display_name

    async def test_a_sign_in_begins_with_a_form_or_another_site(self, provider: AuthProvider, login: LoginRequest) -> None:
        first = await provider.begin(login)
        if isinstance(first, Redirect):
            assert first.url.startswith(("https://", "http://"))
            assert login.state in first.url
            return
        assert isinstance(first, Form)
        assert first.fields
        assert all(field.name and field.label for field in first.fields)
        assert len({field.name for field in first.fields}) == len(first.fields)

    async def test_a_good_sign_in_says_who_it_was(self, provider: AuthProvider, good_callback: Callback) -> None:
        identity = await provider.finish(good_callback)
        assert isinstance(identity, Identity)
        assert identity.subject
        assert identity.issuer
        assert "@" in identity.email

    async def test_the_same_person_is_the_same_subject(self, provider: AuthProvider, good_callback: Callback) -> None:
        first, second = await provider.finish(good_callback), await provider.finish(good_callback)
        assert (first.issuer, first.subject) == (second.issuer, second.subject)

    async def test_a_bad_sign_in_is_refused(self, provider: AuthProvider, bad_callback: Callback) -> None:
        with pytest.raises(LoginRefused):
            await provider.finish(bad_callback)

    async def test_a_refusal_repeats_nothing_that_was_typed(self, provider: AuthProvider, bad_callback: Callback) -> None:
        with pytest.raises(LoginRefused) as refused:
            await provider.finish(bad_callback)
        assert refused.value.reason
        assert not [value for value in bad_callback.values.values() if value and value in refused.value.reason]

    async def test_a_callback_without_values_is_refused(self, provider: AuthProvider, good_callback: Callback) -> None:
        with pytest.raises(LoginRefused):
            await provider.finish(replace(good_callback, values={}))

    async def test_a_callback_that_lacks_one_value_is_refused(self, provider: AuthProvider, good_callback: Callback) -> None:
        for name in good_callback.values:
            rest = {other: value for other, value in good_callback.values.items() if other != name}
            with pytest.raises(LoginRefused):
                await provider.finish(replace(good_callback, values=rest))
