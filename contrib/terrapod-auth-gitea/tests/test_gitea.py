from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from gitea_server import CLIENT_ID, CLIENT_SECRET, Gitea, gitea
from terrapod_auth_gitea import GiteaProvider, GiteaSettings, register_auth_providers

from terrapod_core.plugin import Callback, Identity, LoginRefused, LoginRequest, PluginContext, ProviderUnavailable
from terrapod_core.testing.auth import CALLBACK_URL, AuthProviderKit


@pytest.fixture
def server() -> Iterator[Gitea]:
    with gitea() as running:
        yield running


@pytest.fixture
def provider(server: Gitea, plugin_context: PluginContext) -> GiteaProvider:
    settings = GiteaSettings(url=server.url + "/", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    return register_auth_providers(replace(plugin_context, settings=settings))[0]


async def sign_in(provider: GiteaProvider, server: Gitea) -> Callback:
    """Begin, say yes at Gitea, and come back."""
    login = LoginRequest("s" * 43, CALLBACK_URL, "/app")
    step = await provider.begin(login)
    back = dict(parse_qsl(urlsplit(server.authorize(urlsplit(step.url).query)).query))
    return Callback({"code": back["code"]}, back["state"], login.callback_url, step.remember)


class TestGitea(AuthProviderKit):
    @pytest.fixture
    def provider(self, provider: GiteaProvider) -> GiteaProvider:
        return provider

    @pytest.fixture
    async def good_callback(self, provider: GiteaProvider, server: Gitea) -> Callback:
        return await sign_in(provider, server)

    @pytest.fixture
    async def another_good_callback(self, provider: GiteaProvider, server: Gitea) -> Callback:
        return await sign_in(provider, server)

    @pytest.fixture
    async def bad_callback(self, provider: GiteaProvider, server: Gitea) -> Callback:
        return replace(await sign_in(provider, server), values={"code": "forged-code"})


async def test_a_person_is_their_number_at_this_server_with_primary_address_and_organizations(
    provider: GiteaProvider, server: Gitea
) -> None:
    server.organizations = [{"username": f"team-{number}"} for number in range(120)]
    identity = await provider.finish(await sign_in(provider, server))
    names = frozenset(f"team-{number}" for number in range(120))
    assert identity == Identity("7", server.url, "ada@example.com", True, "ada", names)


async def test_an_address_that_gitea_did_not_verify_is_not_verified(provider: GiteaProvider, server: Gitea) -> None:
    server.addresses = [{"email": "ada@example.com", "verified": False, "primary": True}]
    assert not (await provider.finish(await sign_in(provider, server))).email_verified
    server.addresses = []
    assert not (await provider.finish(await sign_in(provider, server))).email_verified


async def test_saying_no_at_gitea_is_a_refusal(provider: GiteaProvider, server: Gitea) -> None:
    callback = await sign_in(provider, server)
    with pytest.raises(LoginRefused):
        await provider.finish(replace(callback, values={"error": "access_denied"}))


async def test_a_server_that_is_down_or_lies_is_no_refusal_and_is_not_quoted(provider: GiteaProvider, server: Gitea) -> None:
    server.down = True
    with pytest.raises(ProviderUnavailable, match="answers 500") as away:
        await provider.finish(await sign_in(provider, server))
    assert "nobody asked" not in away.value.reason
    server.down = False
    for path, lie in (("/login/oauth/access_token", b"{}"), ("/api/v1/user", b'{"id": "x"}'), ("/api/v1/user/orgs", b"<html>")):
        server.instead = {path: lie}
        with pytest.raises(ProviderUnavailable, match="no sense"):
            await provider.finish(await sign_in(provider, server))


async def test_a_server_that_is_gone_is_no_refusal(plugin_context: PluginContext) -> None:
    settings = GiteaSettings(url="http://localhost:1", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    provider = register_auth_providers(replace(plugin_context, settings=settings))[0]
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        await provider.finish(Callback({"code": "x"}, "s", CALLBACK_URL, {"verifier": "v"}))


def test_without_a_url_there_is_no_provider(plugin_context: PluginContext) -> None:
    assert register_auth_providers(replace(plugin_context, settings=GiteaSettings())) == []


@pytest.mark.parametrize("wrong", [{"url": "git.example.com"}, {"url": "https://git.example.com"}])
def test_settings_that_cannot_work_are_refused_at_the_start(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="url"):
        GiteaSettings(**wrong)
