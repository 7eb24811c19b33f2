"""Every way to forge an ID token, by somebody who controls all that the provider answers but not its keys."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from joserfc import jwk

from terrapod_auth_oidc.provider import DISTRUST, OIDCProvider
from terrapod_auth_oidc.tokens import half_hash
from terrapod_core.plugin import Callback, Identity, LoginRefused, LoginRequest, PluginContext
from terrapod_core.testing import FakeClock
from tests.support.forged_oidc import ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, ForgedProvider, key, part, published, sign

CALLBACK = "https://terrapod.example/api/v2/auth/callback"
LOGIN = LoginRequest(state="s" * 43, callback_url=CALLBACK, return_to="/app")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

Make = Callable[..., OIDCProvider]


@pytest.fixture
def idp(clock: FakeClock) -> ForgedProvider:
    return ForgedProvider(clock)


@pytest.fixture
def make(idp: ForgedProvider, plugin_context: PluginContext) -> Make:
    return lambda **changes: OIDCProvider("house", idp.instance(**changes), replace(plugin_context, http=idp.clients()))


async def sign_in(provider: OIDCProvider, idp: ForgedProvider) -> Identity:
    begun = await provider.begin(LOGIN)
    idp.nonce = begun.remember["nonce"]
    return await provider.finish(Callback({"code": idp.code()}, LOGIN.state, CALLBACK, begun.remember))


async def refused(provider: OIDCProvider, idp: ForgedProvider, caplog: pytest.LogCaptureFixture) -> str:
    """What the operator reads about a sign-in that is refused with the sentence that is the same for all."""
    caplog.clear()
    with pytest.raises(LoginRefused) as refusal:
        await sign_in(provider, idp)
    assert refusal.value.reason == DISTRUST
    return caplog.text


NOW = 1_767_268_800
"""The moment at which the tests' clock stands."""


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": "https://idp.example/"}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "somebody-else"}, "aud"),
        ({"aud": ["somebody-else"]}, "aud"),
        ({"aud": {CLIENT_ID: True}}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": [CLIENT_ID, "somebody-else"]}, "azp"),
        ({"aud": [CLIENT_ID, "somebody-else"], "azp": "somebody-else"}, "azp"),
        ({"azp": "somebody-else"}, "azp"),
        ({"nonce": "n" * 43}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": ""}, "nonce"),
        ({"exp": NOW - 60}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"exp": 10**400}, "exp"),
        ({"iat": NOW + 61}, "iat"),
        ({"iat": NOW - 361}, "iat"),
        ({"iat": float("nan")}, "iat"),
        ({"iat": None}, "iat"),
        ({"nbf": NOW + 61}, "nbf"),
        ({"sub": ""}, "sub"),
        ({"sub": None}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "a" * 256}, "sub"),
        ({"sub": "alice\0"}, "sub"),
        ({"sub": "\ud800"}, "sub"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at_hash"),
        ({"at_hash": 1}, "at_hash"),
    ],
)
async def test_a_claim_that_does_not_fit_is_refused(
    make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture, claims: dict[str, object], said: str
) -> None:
    assert idp.clock.now().timestamp() == NOW
    idp.claims = claims
    assert said in await refused(make(), idp, caplog)
    idp.claims = {}
    assert (await sign_in(make(), idp)).subject, "and only because of that claim"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 59},
        {"iat": NOW + 60},
        {"iat": NOW - 360},
        {"iat": NOW - 0.5},
        {"aud": [CLIENT_ID]},
        {"aud": [CLIENT_ID, "somebody-else"], "azp": CLIENT_ID},
        {"sub": "a" * 255},
        {"at_hash": half_hash(ACCESS_TOKEN, "RS256").decode()},
    ],
)
async def test_what_is_just_right_is_let_in(make: Make, idp: ForgedProvider, claims: dict[str, object]) -> None:
    idp.claims = claims
    assert (await sign_in(make(), idp)).email == "alice@example.com"


def test_the_half_hash_is_that_of_the_specification() -> None:
    """The example of OpenID Connect Core 1.0, appendix A.3."""
    assert half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "RS256") == b"77QmUPtjPfzWtF2AnpK9RQ"


async def test_only_those_whom_the_operator_named_may_share_a_token(
    make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    idp.claims = {"aud": [CLIENT_ID, "gateway"], "azp": CLIENT_ID}
    assert (await sign_in(make(audience=("gateway",)), idp)).subject
    assert "audience" in await refused(make(audience=("another",)), idp, caplog)


async def test_a_sign_in_at_the_provider_that_is_too_old_is_refused(
    make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider = make(max_age=600)
    assert "max_age=600" in (await provider.begin(LOGIN)).url
    assert "auth_time" in await refused(provider, idp, caplog)
    idp.claims = {"auth_time": NOW - 661}
    assert "auth_time" in await refused(provider, idp, caplog)
    idp.claims = {"auth_time": NOW - 660}
    assert (await sign_in(provider, idp)).subject


# -- signatures


def unsigned(idp: ForgedProvider) -> str:
    return f"{part({'alg': 'none'})}.{part(idp.good_claims())}."


def hmac_with(secret: bytes, idp: ForgedProvider) -> str:
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(idp.good_claims())}"
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def hmac_with_the_public_key(idp: ForgedProvider) -> str:
    return hmac_with(jwk.RSAKey.import_key(published(key("one"))).as_pem(), idp)


def hmac_with_the_client_secret(idp: ForgedProvider) -> str:
    return hmac_with(CLIENT_SECRET.encode(), idp)


def by_a_key_with_a_known_name(idp: ForgedProvider) -> str:
    return sign({"alg": "RS256", "kid": "one"}, json.dumps(idp.good_claims()), key("impostor"))


def by_a_key_it_brings_along(idp: ForgedProvider) -> str:
    header = {"alg": "RS256", "jwk": published(key("impostor")), "jku": "https://evil.example/jwks", "kid": "impostor"}
    return sign(header, json.dumps(idp.good_claims()), key("impostor"))


def with_other_claims_after_signing(idp: ForgedProvider) -> str:
    header, _, signature = idp.id_token().split(".")
    return f"{header}.{part(idp.good_claims() | {'sub': 'root'})}.{signature}"


def by_an_algorithm_that_is_not_allowed(idp: ForgedProvider) -> str:
    return sign({"alg": "RS512", "kid": "one"}, json.dumps(idp.good_claims()), key("one"))


def as_an_access_token(idp: ForgedProvider) -> str:
    return sign({"alg": "RS256", "kid": "one", "typ": "at+jwt"}, json.dumps(idp.good_claims()), key("one"))


def with_an_extension_that_must_be_understood(idp: ForgedProvider) -> str:
    good = sign({"alg": "RS256", "kid": "one"}, json.dumps(idp.good_claims()), key("one")).split(".")
    return ".".join([part({"alg": "RS256", "kid": "one", "crit": ["exp"], "exp": 1}), *good[1:]])


def claims_that_are_no_object(idp: ForgedProvider) -> str:
    return sign({"alg": "RS256", "kid": "one"}, "[]", key("one"))


def claims_that_are_very_deep(idp: ForgedProvider) -> str:
    return sign({"alg": "RS256", "kid": "one"}, '{"a":' + "[" * 20_000, key("one"))


def a_header_that_is_no_object(idp: ForgedProvider) -> str:
    return f"{part(['alg'])}.{part(idp.good_claims())}.AAAA"


def encrypted(idp: ForgedProvider) -> str:
    return f"{part({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.AAAA.AAAA.AAAA.AAAA"


def nonsense(idp: ForgedProvider) -> str:
    return "é.\0.."


@pytest.mark.parametrize(
    "forge",
    [
        unsigned,
        hmac_with_the_public_key,
        hmac_with_the_client_secret,
        by_a_key_with_a_known_name,
        by_a_key_it_brings_along,
        with_other_claims_after_signing,
        by_an_algorithm_that_is_not_allowed,
        as_an_access_token,
        with_an_extension_that_must_be_understood,
        claims_that_are_no_object,
        claims_that_are_very_deep,
        a_header_that_is_no_object,
        encrypted,
        nonsense,
    ],
)
async def test_a_forged_token_is_refused(
    make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture, forge: Callable[[ForgedProvider], str]
) -> None:
    provider = make()
    begun = await provider.begin(LOGIN)
    idp.nonce = begun.remember["nonce"]
    idp.token = forge(idp)
    with pytest.raises(LoginRefused, match=DISTRUST):
        await provider.finish(Callback({"code": idp.code()}, LOGIN.state, CALLBACK, begun.remember))
    idp.token = None
    assert (await provider.finish(Callback({"code": idp.code()}, LOGIN.state, CALLBACK, begun.remember))).subject, (
        "a good one for the same sign-in"
    )


@pytest.mark.parametrize(
    ("algorithm", "signer"),
    [
        ("PS256", key("one")),
        ("ES256", key("curve", "EC", "P-256")),
        ("EdDSA", key("edwards", "OKP", "Ed25519")),
    ],
)
async def test_each_algorithm_of_the_settings_is_understood(make: Make, idp: ForgedProvider, algorithm: str, signer: jwk.Key) -> None:
    idp.keys, idp.signing_key, idp.header = [published(signer)], signer, {"alg": algorithm}
    assert (await sign_in(make(), idp)).subject


@pytest.mark.parametrize(
    ("algorithm", "signer", "members"),
    [
        ("ES256", key("curve", "EC", "P-256"), {"crv": "P-384"}),
        ("RS256", key("one"), {"use": "enc"}),
        ("RS256", key("one"), {"alg": "PS256"}),
        ("RS256", key("one"), {"key_ops": ["sign"]}),
        ("RS256", key("one"), {"kty": "oct", "k": "AAAA"}),
        ("RS256", key("one"), {"n": "AQAB"}),
        ("RS256", key("one"), {"n": None}),
        ("RS256", key("one"), {"kid": 7}),
        ("HS256", jwk.import_key({"kty": "oct", "k": "A" * 86, "kid": "one"}), {}),
    ],
)
async def test_a_key_checks_only_what_it_is_for(
    make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture, algorithm: str, signer: jwk.Key, members: dict[str, object]
) -> None:
    shown = signer.as_dict(private=True) if signer.key_type == "oct" else published(signer)
    idp.keys, idp.signing_key, idp.header = [{**shown, **members}], signer, {"alg": algorithm}
    assert "refused" in await refused(make(), idp, caplog)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_a_key_that_is_too_short_checks_nothing(make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture) -> None:
    short = key("short", "RSA", 1024)
    idp.keys, idp.signing_key = [published(short)], short
    assert "key" in await refused(make(), idp, caplog)


async def test_a_key_without_a_name_must_be_the_only_one_that_fits(
    make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    idp.header = {"kid": None}
    idp.keys = [published(key("one")), published(key("curve", "EC", "P-256"))]
    assert (await sign_in(make(), idp)).subject
    idp.keys = [published(key("one")), published(key("two"))]
    assert "key" in await refused(make(), idp, caplog)


# -- used before


async def replay(provider: OIDCProvider, idp: ForgedProvider, respelled: Callable[[str], str], caplog: pytest.LogCaptureFixture) -> Any:
    begun = await provider.begin(LOGIN)
    idp.nonce = begun.remember["nonce"]
    idp.token = None
    assert (await provider.finish(Callback({"code": idp.code()}, LOGIN.state, CALLBACK, begun.remember))).subject
    idp.token = respelled(idp.given)
    with pytest.raises(LoginRefused, match=DISTRUST):
        await provider.finish(Callback({"code": idp.code()}, LOGIN.state, CALLBACK, begun.remember))
    assert "used before" in caplog.text


async def test_a_token_is_good_once(make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture) -> None:
    await replay(make(), idp, lambda token: token, caplog)


async def test_a_token_that_is_signed_in_another_spelling_is_the_same_token(
    make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an ECDSA signature (r, s) anybody can make (r, n - s), which is as valid."""
    curve = key("curve", "EC", "P-256")
    idp.keys, idp.signing_key, idp.header = [published(curve)], curve, {"alg": "ES256"}

    def respelled(token: str) -> str:
        signed, signature = token.rsplit(".", 1)
        raw = base64.urlsafe_b64decode(signature + "==")
        other = P256_ORDER - int.from_bytes(raw[32:])
        return f"{signed}.{base64.urlsafe_b64encode(raw[:32] + other.to_bytes(32)).decode().rstrip('=')}"

    await replay(make(), idp, respelled, caplog)


async def test_a_code_is_redeemed_once_even_if_the_provider_would_do_it_again(make: Make, idp: ForgedProvider) -> None:
    provider = make()
    begun = await provider.begin(LOGIN)
    idp.nonce = begun.remember["nonce"]
    callback = Callback({"code": idp.code()}, LOGIN.state, CALLBACK, begun.remember)
    assert (await provider.finish(callback)).subject
    idp.claims = {"iat": NOW - 1}
    with pytest.raises(LoginRefused, match="used already"):
        await provider.finish(callback)
    assert idp.count("/token") == 1
