"""What an operator may write, and what they read when it is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import terrapod_auth_oidc
from terrapod_auth_oidc.settings import OIDCSettings
from terrapod_core.plugin import PluginContext, PluginContexts, Plugins, PluginState, SettingsError
from terrapod_core.plugin.settings import settings_of
from terrapod_core.settings import MASK, load, reference_of
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords
from tests.support import ROOT

PLAIN = {
    "TERRAPOD_AUTH__OIDC__ISSUER": "https://idp.example",
    "TERRAPOD_AUTH__OIDC__CLIENT_ID": "terrapod",
    "TERRAPOD_AUTH__OIDC__CLIENT_SECRET": "hunter2",
}
TWO = """
[auth.oidc.providers.okta]
issuer = "https://okta.example"
client_id = "a"
client_secret = "hunter2"
groups_claim = "realm_access.roles"
scopes = ["openid", "email", "groups"]

[auth.oidc.providers.big-corp]
issuer = "https://corp.example/"
client_id = "b"
display_name = "Big Corp"
"""
SECRET_OF_BIG_CORP = {"TERRAPOD_AUTH__OIDC__PROVIDERS__BIG_CORP__CLIENT_SECRET": "hunter2"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str = "", environ: Mapping[str, str] | None = None) -> OIDCSettings:
    Path("terrapod.toml").write_text(text)
    found = settings_of("auth-oidc", OIDCSettings, load(environ=environ or {}))
    assert isinstance(found, OIDCSettings)
    return found


def refused(text: str = "", environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as error:
        read(text, environ)
    assert "hunter2" not in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_settings_no_provider_is_offered(plugin_context: PluginContext) -> None:
    assert terrapod_auth_oidc.register_auth_providers(replace(plugin_context, settings=read())) == []


def test_one_provider_is_described_by_variables_alone() -> None:
    instances = read(environ=PLAIN).instances()
    assert list(instances) == ["oidc"]
    assert (instances["oidc"].issuer, instances["oidc"].client_secret) == ("https://idp.example", "hunter2")
    assert list(read(environ={**PLAIN, "TERRAPOD_AUTH__OIDC__NAME": "keycloak"}).instances()) == ["keycloak"]


def test_several_providers_are_described_in_sections_and_their_secrets_by_variables(plugin_context: PluginContext) -> None:
    found = read(TWO, {**PLAIN, **SECRET_OF_BIG_CORP})
    assert list(found.instances()) == ["oidc", "okta", "big-corp"]
    assert found.providers["okta"].groups_claim == "realm_access.roles"
    assert found.providers["big-corp"].client_secret == "hunter2"
    offered = terrapod_auth_oidc.register_auth_providers(replace(plugin_context, settings=found))
    assert [(each.name, each.display_name) for each in offered] == [("oidc", "Single sign-on"), ("okta", "Okta"), ("big-corp", "Big Corp")]


def test_a_secret_may_be_in_a_file() -> None:
    Path("secret").write_text("hunter2\n")
    text = TWO.replace('client_secret = "hunter2"', 'client_secret_file = "secret"')
    assert read(text, SECRET_OF_BIG_CORP).providers["okta"].client_secret == "hunter2"
    by_variable = {"TERRAPOD_AUTH__OIDC__PROVIDERS__BIG_CORP__CLIENT_SECRET_FILE": "secret"}
    assert read(TWO, by_variable).providers["big-corp"].client_secret == "hunter2"
    assert "client_secret_file names" in refused(text.replace('"secret"', '"nowhere"'), SECRET_OF_BIG_CORP)


def test_secrets_are_not_shown() -> None:
    Path("terrapod.toml").write_text(TWO)
    settings = load(environ={**PLAIN, **SECRET_OF_BIG_CORP})
    shown = {key: value for key, value, _ in settings.show()}
    assert shown["auth.oidc.client_secret"] == MASK
    assert shown["auth.oidc.providers.okta.client_secret"] == MASK
    assert shown["auth.oidc.providers.okta.issuer"] == "https://okta.example"
    assert shown["auth.oidc.providers.big_corp.client_secret"] == MASK
    assert "hunter2" not in repr(settings) + str(shown) + repr(read(TWO, SECRET_OF_BIG_CORP))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"TERRAPOD_AUTH__OIDC__ISSUER": "http://idp.example"}, "issuer must begin with https://"),
        ({"TERRAPOD_AUTH__OIDC__ISSUER": "idp.example"}, "issuer must be an absolute https:// URL"),
        ({"TERRAPOD_AUTH__OIDC__ISSUER": "https://u:hunter2@idp.example"}, "issuer must be an absolute https:// URL"),
        ({"TERRAPOD_AUTH__OIDC__ISSUER": "https://idp.example?a=b"}, "issuer must be a URL without a query"),
        ({"TERRAPOD_AUTH__OIDC__ISSUER": ""}, "issuer is missing"),
        ({"TERRAPOD_AUTH__OIDC__CLIENT_ID": ""}, "client_id is missing"),
        ({"TERRAPOD_AUTH__OIDC__CLIENT_SECRET": ""}, "client_secret is missing"),
        ({"TERRAPOD_AUTH__OIDC__TOKEN_ENDPOINT_AUTH_METHOD": "none"}, "there must be no client_secret"),
        ({"TERRAPOD_AUTH__OIDC__TOKEN_ENDPOINT_AUTH_METHOD": "private_key_jwt"}, "TOKEN_ENDPOINT_AUTH_METHOD must be one of"),
        ({"TERRAPOD_AUTH__OIDC__SCOPES": "email,profile"}, "scopes must hold openid"),
        ({"TERRAPOD_AUTH__OIDC__SCOPES": 'openid,a"b'}, "scopes must be words"),
        ({"TERRAPOD_AUTH__OIDC__ALGORITHMS": "RS256,HS256"}, "TERRAPOD_AUTH__OIDC__ALGORITHMS must be"),
        ({"TERRAPOD_AUTH__OIDC__ALGORITHMS": "none"}, "TERRAPOD_AUTH__OIDC__ALGORITHMS must be"),
        ({"TERRAPOD_AUTH__OIDC__MAX_AGE": "-1"}, "TERRAPOD_AUTH__OIDC__MAX_AGE must be a whole number, at least 0"),
        ({"TERRAPOD_AUTH__OIDC__NAME": "local"}, "no provider may be called local"),
        ({"TERRAPOD_AUTH__OIDC__NAME": "My IdP"}, "My IdP is no name of a provider"),
        (
            {"TERRAPOD_AUTH__OIDC__ISSUR": "x"},
            "ISSUR in the environment; did you mean TERRAPOD_AUTH__OIDC__ISSUER?",
        ),
        ({"TERRAPOD_AUTH__OIDC__PROVIDERS__X__ISSUR": "x"}, "did you mean TERRAPOD_AUTH__OIDC__PROVIDERS__X__ISSUER?"),
        ({"TERRAPOD_AUTH__OIDC__PROVIDERS__OIDC__ISSUER": "https://x"}, "[auth.oidc.providers.oidc] client_id is missing"),
    ],
)
def test_a_wrong_variable_is_named(change: dict[str, str], said: str) -> None:
    assert said in refused(environ={**PLAIN, **change})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('issuer = "https://x"', "unknown setting"),
        ('[auth.oidc.providers.x]\nissuer = "https://x"', "[auth.oidc.providers.x] client_id is missing (from terrapod.toml)"),
        (
            "[auth.oidc.providers.x]\nissuers = 1",
            "x.issuers in terrapod.toml; did you mean auth.oidc.providers.x.issuer?",
        ),
        ("[auth.oidc.providers.x]\nmax_age = 'long'", "auth.oidc.providers.x.max_age in terrapod.toml must be a whole number, at least 0"),
        ("[auth.oidc]\nproviders = 1", "auth.oidc.providers in terrapod.toml must be sections"),
        ("[auth.oidc.providers]\nissuer = 'https://x'", "auth.oidc.providers in terrapod.toml must be sections"),
        ('[auth.oidc.providers."My IdP"]\nissuer = "x"', "[auth.oidc.providers.My IdP] in terrapod.toml: the name has lower-case letters"),
        ("[auth.oidc]\ndisplay_name = 'x'", "[auth.oidc] issuer is missing (from terrapod.toml)"),
    ],
)
def test_a_wrong_line_is_named(text: str, said: str) -> None:
    assert said in refused(text)


def test_a_name_is_given_once() -> None:
    text = TWO.replace("okta]", "oidc]")
    assert "oidc names the provider of the plain keys and one of" in refused(text, {**PLAIN, **SECRET_OF_BIG_CORP})


def test_wrong_settings_are_a_line_in_the_list_of_plugins_and_no_end_of_the_server(tmp_path: Path) -> None:
    Path("terrapod.toml").write_text("[auth.oidc.providers.x]\nissuer = 'https://x'")
    plugins = Plugins.discover(load(environ={}), modules={"auth-oidc": terrapod_auth_oidc})
    contexts = PluginContexts(clock=FakeClock(), data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce())
    assert plugins.auth_providers(contexts) == {}
    record = next(each for each in plugins.records if each.name == "auth-oidc")
    assert record.state is PluginState.FAILED
    assert "client_id is missing" in (record.reason or "")


def test_a_server_without_settings_for_it_loads_the_plugin_and_nothing_more(tmp_path: Path) -> None:
    plugins = Plugins.discover(load(environ={}), modules={"auth-oidc": terrapod_auth_oidc})
    contexts = PluginContexts(clock=FakeClock(), data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce())
    assert plugins.auth_providers(contexts) == {}
    assert [each.state for each in plugins.records if each.name == "auth-oidc"] == [PluginState.LOADED]


@pytest.mark.parametrize("page", ["plugins/terrapod-auth-oidc/README.md", "docs/how-to/sign-in-with-oidc.md"])
def test_what_the_pages_say_can_be_written_down(page: str) -> None:
    text = (ROOT / page).read_text()
    files = [block.replace('"/run/secrets/', '"') for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    variables = [
        dict(line.split("=", 1) for line in block.splitlines()) for block in re.findall(r"```sh\n(TERRAPOD_.*?)```", text, re.DOTALL)
    ]
    assert files
    assert variables
    for name in ("okta", "partners"):
        Path(name).write_text("hunter2")
    for file in files:
        assert read(file).instances() or "role_mapping" in file
    for environ in variables:
        assert read(environ={**environ, "TERRAPOD_AUTH__OIDC__CLIENT_SECRET_FILE": "okta"}).instances()


def test_the_plugins_page_lists_every_setting() -> None:
    text = (ROOT / "plugins/terrapod-auth-oidc/README.md").read_text()
    keys = {row.key.rpartition(".")[2] for row in reference_of(OIDCSettings, "auth.oidc.")}
    assert not [key for key in keys if f"`{key}`" not in text and key != "providers"]
