"""From claims to people, for whatever claims a provider makes up."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings, strategies as st

from terrapod_auth_oidc.claims import identity_of, is_verified, value_at
from terrapod_auth_oidc.provider import OIDCProvider
from terrapod_auth_oidc.settings import Instance
from terrapod_core.plugin import (
    Callback,
    Identity,
    LoginRefused,
    LoginRequest,
    PluginContext,
    PluginContexts,
    PluginSettings,
    ProviderUnavailable,
)
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords
from tests.support.forged_oidc import ISSUER, ForgedProvider, key, part, sign

LOGIN = LoginRequest(state="s" * 43, callback_url="https://terrapod.example/cb", return_to="/app")
LOG = logging.getLogger("terrapod.plugins.test")
ALICE: dict[str, Any] = {"sub": "alice", "email": "alice@example.com", "email_verified": True, "groups": ["dev"]}


def identity(*sources: dict[str, Any], **changes: Any) -> Identity:
    instance = Instance(**{"issuer": ISSUER, "client_id": "terrapod", "client_secret": "s", **changes})
    return identity_of(sources, instance, LOG, "house")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("groups", ["dev"]),
        ("realm_access.roles", ["r"]),
        ("https://example.com/groups", ["whole"]),
        ("realm_access.nothing", None),
        ("groups.0", None),
        ("nothing", None),
    ],
)
def test_a_claim_is_found_by_its_name_or_a_dotted_path(path: str, found: object) -> None:
    assert value_at({**ALICE, "realm_access": {"roles": ["r"]}, "https://example.com/groups": ["whole"]}, path) == found


@pytest.mark.parametrize(
    ("said", "verified"),
    [
        ([{"email": "a@x", "email_verified": True}], True),
        ([{"email": "a@x", "email_verified": "true"}], True),
        ([{"email": "a@x", "email_verified": "false"}], False),
        ([{"email": "a@x", "email_verified": "yes"}], False),
        ([{"email": "a@x", "email_verified": 1}], False),
        ([{"email": "a@x"}], False),
        ([{"email": "b@x", "email_verified": True}], False),
        ([{"email": "a@x"}, {"email": "a@x", "email_verified": True}], True),
        ([{"email": "a@x"}, {"email": "b@x", "email_verified": True}], False),
        ([{"email": "a@x", "email_verified": False}, {"email": "a@x", "email_verified": True}], False),
    ],
)
def test_an_address_is_verified_when_the_provider_says_so_of_that_very_address(said: list[dict[str, Any]], verified: bool) -> None:
    assert is_verified(said, "a@x") == verified


def test_an_address_of_another_claim_is_not_verified_by_what_is_said_of_email() -> None:
    claims = {**ALICE, "upn": "root@example.com"}
    assert not identity(claims, email_claim="upn").email_verified
    assert identity(claims, email_claim="upn", trust_unverified_email=True).email_verified


@pytest.mark.parametrize("email", ["", "alice", "a b@x", "a@b@c", "a\n@x", 7, ["a@x"], "a" * 250 + "@x.org", "\ud800@x"])
def test_an_address_that_is_none_is_refused(email: object) -> None:
    with pytest.raises(LoginRefused):
        identity({**ALICE, "email": email})


def test_a_missing_address_is_named_to_the_operator(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(LoginRefused, match="did not say your e-mail address"):
        identity({"sub": "alice"}, email_claim="contact.mail")
    assert "contact.mail" in caplog.text


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        (["dev", "ops"], {"dev", "ops"}),
        ("dev", {"dev"}),
        (["dev", 7, None, "", "x" * 256, "a\nb", ["ops"]], {"dev"}),
        ({"dev": True}, set()),
        (True, set()),
    ],
)
def test_groups_are_a_list_of_texts_or_one(groups: object, found: set[str]) -> None:
    assert identity({**ALICE, "groups": groups}).groups == frozenset(found)


def test_too_many_groups_are_refused_rather_than_some_of_them_forgotten() -> None:
    assert len(identity({**ALICE, "groups": [f"g{number}" for number in range(1000)]}).groups) == 1000
    with pytest.raises(LoginRefused, match="more than 1000 groups"):
        identity({**ALICE, "groups": [f"g{number}" for number in range(1001)]})


def test_who_is_in_none_of_the_required_groups_is_refused() -> None:
    assert identity(ALICE, required_groups=("ops", "dev")).subject == "alice"
    for groups in (["Dev"], [], None, {"dev": True}):
        with pytest.raises(LoginRefused, match="none of the groups"):
            identity({**ALICE, "groups": groups}, required_groups=("dev",))


# -- whatever it says: somebody, nobody, or not to be judged

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["alice", "a@x.org", "terrapod", ISSUER, "dev"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["kty", "keys", "sub"]), inner, max_size=4)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "iss",
        "aud",
        "azp",
        "sub",
        "iat",
        "exp",
        "nbf",
        "nonce",
        "at_hash",
        "auth_time",
        "email",
        "email_verified",
        "preferred_username",
        "groups",
        "realm_access",
    ]
)
HEADER = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "cty", "enc", "zip"])
MEMBERS = st.sampled_from(["kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y", "d", "k"])
DISCOVERY = st.sampled_from(
    ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "token_endpoint_auth_methods_supported"]
)


def stage() -> tuple[ForgedProvider, PluginContext]:
    clock = FakeClock()
    idp = ForgedProvider(clock)
    contexts = PluginContexts(clock=clock, data_dir=Path("nowhere"), passwords=MemoryPasswords(), once=MemoryOnce(clock))
    return idp, replace(contexts("test", PluginSettings()), http=idp.clients())


async def judged(idp: ForgedProvider, context: PluginContext, **values: str) -> None:
    """Sign in; anything but an identity, a refusal and a provider that cannot be used is a crash."""
    provider = OIDCProvider("house", idp.instance(max_age=60, groups_claim="groups.names"), context)
    try:
        begun = await provider.begin(LOGIN)
        idp.nonce = begun.remember["nonce"]
        who = await provider.finish(Callback({"code": "code", **values}, LOGIN.state, LOGIN.callback_url, begun.remember))
    except (LoginRefused, ProviderUnavailable):
        return
    assert isinstance(who, Identity)
    for text in (who.subject, who.email, who.username or "-", *who.groups):
        assert text.isprintable()
        text.encode()


@settings(deadline=None, max_examples=150)
@given(claims=st.dictionaries(NAMES, JSON, max_size=4), userinfo=st.dictionaries(NAMES, JSON, max_size=4))
async def test_any_claims_are_judged(claims: dict[str, object], userinfo: dict[str, object]) -> None:
    idp, context = stage()
    idp.claims, idp.userinfo = {"auth_time": idp.clock.now().timestamp(), **claims}, userinfo
    await judged(idp, context)


@settings(deadline=None, max_examples=100)
@given(
    header=st.dictionaries(HEADER, JSON, max_size=3),
    body=JSON,
)
async def test_any_token_is_judged(header: dict[str, object], body: object) -> None:
    idp, context = stage()
    signature = sign({"alg": "RS256"}, "{}", key("one")).rpartition(".")[2]
    idp.token = f"{part({'alg': 'RS256', 'kid': 'one', **header})}.{part(body)}.{signature}"
    await judged(idp, context)


@settings(deadline=None, max_examples=100)
@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
async def test_any_text_is_judged_as_a_token_and_as_a_callback(text: str) -> None:
    idp, context = stage()
    idp.token = text
    await judged(idp, context)
    await judged(idp, context, code=text)
    await judged(idp, context, error=text)
    await judged(idp, context, iss=text)


@settings(deadline=None, max_examples=100)
@given(discovery=st.dictionaries(DISCOVERY, JSON, max_size=3), keys=st.dictionaries(MEMBERS, JSON, max_size=5))
async def test_any_documents_of_the_provider_are_judged(discovery: dict[str, object], keys: dict[str, object]) -> None:
    idp, context = stage()
    idp.metadata, idp.keys = discovery, [{**idp.keys[0], **keys}]
    await judged(idp, context)


@settings(deadline=None, max_examples=100)
@given(path=st.sampled_from(["/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"]), status=st.integers(200, 599), body=JSON)
async def test_any_answer_is_judged(path: str, status: int, body: object) -> None:
    idp, context = stage()
    idp.handlers = {path: lambda request: httpx.Response(status, content=json.dumps(body).encode())}
    await judged(idp, context)
