"""Whether an auth provider keeps its contract."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest

from terrapod_core.accounts.asking import checked_identity
from terrapod_core.plugin import (
    AuthProvider,
    Callback,
    Form,
    Identity,
    LoginRefused,
    LoginRequest,
    ProviderUnavailable,
    Redirect,
    SupportsMetadata,
)

CALLBACK_URL: Final = "https://terrapod.example/api/v2/auth/callback"

GARBAGE: Final[Mapping[str, str]] = {
    "nothing": "",
    "a blank": " ",
    "a line end": "x\r\nSet-Cookie: x=y",
    "a NUL": "\0",
    "letters of elsewhere": "ﷺ🐍é\u202e",
    "far too long": "A" * 100_000,
    "JSON": '{"sub": "1", "email": "root@example.com"}',
    "deep JSON": "[" * 5_000,
    "base64 of nothing": "AAAA====",
    "a token without a signature": "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
    "XML": "PCFET0NUWVBFIGEgWzwhRU5USVRZIHggIng+XT48YT4meDs8L2E+",
    "SQL": "' OR 1=1 --",
    "a path": "../../../../etc/passwd",
    "markup": "<script>alert(1)</script>",
    "a template": "{{7*7}}${7*7}%s%n",
}
"""What comes in the place of a value when somebody plays with the URL."""


@pytest.mark.asyncio
class AuthProviderKit:
    """Extend it, and fill the fixtures `provider`, `good_callback` and `bad_callback`; they may be coroutines.

    A provider that redirects makes the good callback as the world does: it calls `begin`, lets somebody sign in at the other
    site, and puts what `begin` asked to remember into `Callback.remembered`. It fills `another_good_callback` as well, since
    nothing of another site is good twice, and names in `optional` what may be missing from a callback.
    """

    optional: frozenset[str] = frozenset()
    """Names of values of the callback that the other site may leave out."""

    @pytest.fixture
    def provider(self) -> AuthProvider:
        """The provider under test."""
        pytest.fail("give the kit an auth provider: override the fixture `provider`")

    @pytest.fixture
    def good_callback(self) -> Callback:
        """What comes back when somebody the provider knows signs in."""
        pytest.fail("give the kit the callback of a good sign-in: override the fixture `good_callback`")

    @pytest.fixture
    def another_good_callback(self, good_callback: Callback) -> Callback:
        """The same person's next sign-in. What was typed into a form is good again; what another site sent is not."""
        return good_callback

    @pytest.fixture
    def bad_callback(self) -> Callback:
        """The same with a wrong password, or a forged answer."""
        pytest.fail("give the kit the callback of a bad sign-in: override the fixture `bad_callback`")

    @pytest.fixture
    def login(self) -> LoginRequest:
        """Somebody at the sign-in page."""
        return LoginRequest(state="c0ffee" * 8, callback_url=CALLBACK_URL, return_to="/app")

    # -- beginning

    async def test_it_is_an_auth_provider_with_names(self, provider: AuthProvider) -> None:
        assert isinstance(provider, AuthProvider)
        assert re.fullmatch(r"[a-z][a-z0-9-]*", provider.name)
        assert provider.display_name
        assert provider.display_name.isprintable()

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
        assert not {"state", "RelayState", "provider", "return_to"} & {field.name for field in first.fields}, "the core's own names"

    async def test_what_it_remembers_is_text_and_not_much(self, provider: AuthProvider, login: LoginRequest) -> None:
        redirect = await _redirect(provider, login)
        assert all(isinstance(text, str) for text in (*redirect.remember.keys(), *redirect.remember.values()))
        assert sum(len(name) + len(value) for name, value in redirect.remember.items()) < 8_000

    async def test_two_sign_ins_at_once_have_nothing_in_common(self, provider: AuthProvider, login: LoginRequest) -> None:
        one, two = await asyncio.gather(*(_redirect(provider, replace(login, state=letter * 43)) for letter in "ab"))
        assert "a" * 43 in one.url
        assert "b" * 43 in two.url
        assert not one.remember or one.remember != two.remember

    async def test_its_metadata_is_a_document(self, provider: AuthProvider) -> None:
        described: object = provider
        if not isinstance(described, SupportsMetadata):
            pytest.skip("this provider does not claim SupportsMetadata")
        content_type, document = described.metadata(CALLBACK_URL)
        assert re.fullmatch(r"[\w.+-]+/[\w.+-]+(; ?charset=[\w-]+)?", content_type)
        assert CALLBACK_URL.encode() in document

    # -- a good sign-in

    async def test_a_good_sign_in_says_who_it_was(self, provider: AuthProvider, good_callback: Callback) -> None:
        identity = await provider.finish(good_callback)
        assert isinstance(identity, Identity)
        assert identity.subject
        assert identity.issuer
        assert "@" in identity.email

    async def test_who_it_was_is_said_so_that_the_core_can_use_it(self, provider: AuthProvider, good_callback: Callback) -> None:
        assert checked_identity(await provider.finish(good_callback)).email

    async def test_the_same_person_is_the_same_subject(
        self, provider: AuthProvider, good_callback: Callback, another_good_callback: Callback
    ) -> None:
        first, second = await provider.finish(good_callback), await provider.finish(another_good_callback)
        assert (first.issuer, first.subject) == (second.issuer, second.subject)

    async def test_a_good_and_a_bad_sign_in_at_once_are_told_apart(
        self, provider: AuthProvider, good_callback: Callback, bad_callback: Callback
    ) -> None:
        good, bad = await asyncio.gather(provider.finish(good_callback), provider.finish(bad_callback), return_exceptions=True)
        assert isinstance(good, Identity)
        assert isinstance(bad, LoginRefused)

    async def test_what_it_is_given_stays_as_it_was(self, provider: AuthProvider, good_callback: Callback) -> None:
        values, remembered = dict(good_callback.values), dict(good_callback.remembered)
        given = replace(good_callback, values=values, remembered=remembered)
        await provider.finish(given)
        assert values == good_callback.values
        assert remembered == good_callback.remembered

    # -- a bad one

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
        for name in good_callback.values.keys() - self.optional:
            rest = {other: value for other, value in good_callback.values.items() if other != name}
            with pytest.raises(LoginRefused):
                await provider.finish(replace(good_callback, values=rest))

    @pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
    async def test_whatever_comes_is_judged_and_never_a_crash(
        self, provider: AuthProvider, good_callback: Callback, bad_callback: Callback, garbage: str
    ) -> None:
        for name in {*good_callback.values, *bad_callback.values}:
            for callback in (good_callback, bad_callback):
                reason = await _reason(provider, replace(callback, values={**callback.values, name: garbage}))
                assert len(garbage) < 8 or garbage not in reason, f"the refusal repeats {name}"

    async def test_values_that_nobody_asked_for_change_nothing(self, provider: AuthProvider, bad_callback: Callback) -> None:
        more = {"issuer": "x", "subject": "1", "sub": "1", "email": "root@example.com", "groups": "admin", "extra": "x"}
        with pytest.raises(LoginRefused):
            await provider.finish(replace(bad_callback, values={**more, **bad_callback.values}))

    # -- what another site sent is good once, and for the sign-in that it answers

    async def test_what_came_back_is_good_once(self, provider: AuthProvider, login: LoginRequest, good_callback: Callback) -> None:
        await _redirect(provider, login)
        assert isinstance(await provider.finish(good_callback), Identity)
        with pytest.raises(LoginRefused):
            await provider.finish(good_callback)

    async def test_what_came_back_twice_at_once_is_good_once(
        self, provider: AuthProvider, login: LoginRequest, good_callback: Callback
    ) -> None:
        await _redirect(provider, login)
        results = await asyncio.gather(*(provider.finish(good_callback) for _ in range(3)), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["Identity", "LoginRefused", "LoginRefused"]

    async def test_without_what_was_remembered_it_is_refused(
        self, provider: AuthProvider, login: LoginRequest, good_callback: Callback
    ) -> None:
        redirect = await _redirect(provider, login)
        if not redirect.remember:
            pytest.skip("this provider remembers nothing")
        with pytest.raises(LoginRefused):
            await provider.finish(replace(good_callback, remembered={}))

    async def test_what_another_sign_in_remembered_does_not_fit(
        self, provider: AuthProvider, login: LoginRequest, good_callback: Callback
    ) -> None:
        redirect = await _redirect(provider, login)
        if not redirect.remember:
            pytest.skip("this provider remembers nothing")
        with pytest.raises(LoginRefused):
            await provider.finish(replace(good_callback, remembered=redirect.remember))


async def _reason(provider: AuthProvider, callback: Callback) -> str:
    """What the person is told; empty when they are let in. Anything else that is raised fails the test."""
    try:
        identity = await provider.finish(callback)
    except (LoginRefused, ProviderUnavailable) as told:
        return told.reason
    assert isinstance(identity, Identity)
    return ""


async def _redirect(provider: AuthProvider, login: LoginRequest) -> Redirect:
    """The first step of a provider that sends people to another site."""
    step = await provider.begin(login)
    if not isinstance(step, Redirect):
        pytest.skip("this provider shows a form")
    return step
