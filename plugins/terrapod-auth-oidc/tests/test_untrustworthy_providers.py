"""A provider that is down, slow, or lies; and what of it all is written down."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from terrapod_auth_oidc.answers import LARGEST
from terrapod_auth_oidc.provider import DISTRUST, OIDCProvider
from terrapod_core.plugin import Callback, Identity, LoginRefused, LoginRequest, PluginContext, ProviderUnavailable
from terrapod_core.testing import FakeClock
from tests.support.forged_oidc import ACCESS_TOKEN, CLIENT_SECRET, ISSUER, ForgedProvider, Handler, key, published
from tests.support.server import free_port

CALLBACK = "https://terrapod.example/api/v2/auth/callback"
LOGIN = LoginRequest(state="s" * 43, callback_url=CALLBACK, return_to="/app")
ENDPOINTS = ("/.well-known/openid-configuration", "/token", "/jwks", "/userinfo")

Make = Callable[..., OIDCProvider]


@pytest.fixture
def idp(clock: FakeClock) -> ForgedProvider:
    return ForgedProvider(clock)


@pytest.fixture
def make(idp: ForgedProvider, plugin_context: PluginContext) -> Make:
    return lambda **changes: OIDCProvider("house", idp.instance(**changes), replace(plugin_context, http=idp.clients()))


async def sign_in(provider: OIDCProvider, idp: ForgedProvider, **values: str) -> Identity:
    begun = await provider.begin(LOGIN)
    idp.nonce = begun.remember["nonce"]
    return await provider.finish(Callback({"code": idp.code(), **values}, LOGIN.state, CALLBACK, begun.remember))


# -- answers that are none


class Endless(httpx.AsyncByteStream):
    """Blanks for ever; counts how many were taken."""

    def __init__(self) -> None:
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.given += 1 << 16
            yield b" " * (1 << 16)


class Dripping(httpx.AsyncByteStream):
    """One byte at a time, so that each read is quick and the whole is not."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)


def failing(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody is there", request=request)


async def silent(request: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def whole(status: int, **content: object) -> Handler:
    return lambda request: httpx.Response(status, **content)  # type: ignore[arg-type]


WRONG_ANSWERS: dict[str, Handler] = {
    "nobody": failing,
    "silence": silent,
    "a byte now and then": lambda request: httpx.Response(200, stream=Dripping()),
    "more and more": lambda request: httpx.Response(200, stream=Endless()),
    "a failure": whole(500, json={"error": "server_error"}),
    "too many requests": whole(429, json={}),
    "a page": whole(200, html="<h1>Please sign in to the guest network</h1>"),
    "nothing": whole(200, content=b""),
    "a list": whole(200, json=[1, 2]),
    "an empty object": whole(200, json={"sub": None}),
    "something deep": whole(200, content=b'{"keys":' + b"[" * 100_000),
    "no text": whole(200, content=b"\xff\xfe\x00"),
    "a far number": whole(200, content=b'{"expires_in": ' + b"9" * 10_000 + b"}"),
    "another place": whole(302, headers={"Location": "https://evil.example/"}, json={}),
    "the same in compressed": whole(200, headers={"Content-Encoding": "gzip"}, content=b""),
}


SAID = {"another place": "elsewhere", "the same in compressed": "encoding", "silence": "too long", "nobody": "could not be asked"}
"""Part of what is told of some of them."""


@pytest.mark.parametrize(
    ("path", "wrong"),
    # An empty object is an answer about claims, if one about nobody: that is judged below.
    [(path, wrong) for path in ENDPOINTS for wrong in WRONG_ANSWERS if (path, wrong) != ("/userinfo", "an empty object")],
)
async def test_what_is_no_answer_is_told_as_such_and_counts_against_nobody(make: Make, idp: ForgedProvider, path: str, wrong: str) -> None:
    idp.claims = {"preferred_username": None}
    provider = make(timeout_seconds=0.1)
    idp.handlers = {path: WRONG_ANSWERS[wrong]}
    with pytest.raises(ProviderUnavailable) as unavailable:
        await sign_in(provider, idp)
    assert SAID.get(wrong, "") in unavailable.value.reason
    assert "evil" not in unavailable.value.reason
    assert "guest" not in unavailable.value.reason
    assert not any(path.startswith("//") or path == "/" for path in idp.asked), "nobody followed the redirect"
    idp.handlers = {}
    idp.clock.advance(minutes=2)  # type: ignore[attr-defined]
    assert (await sign_in(make(), idp)).subject == "alice", "and it was only that answer"


async def test_of_an_endless_answer_little_more_is_read_than_may_be(make: Make, idp: ForgedProvider) -> None:
    endless = Endless()
    idp.handlers = {"/jwks": lambda request: httpx.Response(200, stream=endless)}
    with pytest.raises(ProviderUnavailable, match="more than 1 MiB"):
        await sign_in(make(), idp)
    assert LARGEST <= endless.given <= LARGEST + (1 << 17)


async def test_a_provider_that_is_down_is_unavailable_over_a_real_network_too(idp: ForgedProvider, plugin_context: PluginContext) -> None:
    instance = idp.instance(issuer=f"http://127.0.0.1:{free_port()}")
    provider = OIDCProvider("house", instance, plugin_context)
    with pytest.raises(ProviderUnavailable, match="could not be asked for its discovery document"):
        await provider.begin(LOGIN)


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ISSUER + "/"},
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"authorization_endpoint": None},
        {"token_endpoint": 7},
        {"token_endpoint": "http://idp.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://[::1/jwks"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": "https://user:word@idp.example/"},
    ],
)
async def test_a_discovery_document_that_does_not_hold_water_is_refused(make: Make, idp: ForgedProvider, change: dict[str, object]) -> None:
    idp.metadata = change
    with pytest.raises(ProviderUnavailable):
        await make().begin(LOGIN)


async def test_the_discovery_document_is_kept_for_an_hour_and_used_for_a_day_when_there_is_no_newer(
    make: Make, idp: ForgedProvider, clock: FakeClock
) -> None:
    provider, path = make(), ENDPOINTS[0]
    await asyncio.gather(*(provider.begin(LOGIN) for _ in range(5)))
    clock.advance(minutes=59)
    await provider.begin(LOGIN)
    assert idp.count(path) == 1
    clock.advance(minutes=2)
    idp.metadata = {"authorization_endpoint": f"{ISSUER}/moved"}
    assert urlsplit((await provider.begin(LOGIN)).url).path == "/moved"
    idp.handlers = {path: failing}
    clock.advance(hours=2)
    for _ in range(3):
        assert urlsplit((await provider.begin(LOGIN)).url).path == "/moved"
    assert idp.count(path) == 3, "asked again once, and then not for a minute"
    clock.advance(hours=23)
    with pytest.raises(ProviderUnavailable):
        await provider.begin(LOGIN)


@pytest.mark.parametrize(
    "change", [{"token_type": "mac"}, {"token_type": None}, {"access_token": None}, {"access_token": "two words"}, {"id_token": 7}]
)
async def test_tokens_that_are_not_what_was_asked_for_are_no_answer(make: Make, idp: ForgedProvider, change: dict[str, object]) -> None:
    provider = make()
    begun = await provider.begin(LOGIN)
    idp.nonce = begun.remember["nonce"]
    good = {"access_token": ACCESS_TOKEN, "token_type": "bearer", "id_token": idp.id_token()}
    for answer, is_good in ((good | change, False), (good, True)):
        idp.handlers = {"/token": whole(200, json=answer)}
        callback = Callback({"code": idp.code()}, LOGIN.state, CALLBACK, begun.remember)
        if is_good:
            assert (await provider.finish(callback)).subject == "alice"
        else:
            with pytest.raises(ProviderUnavailable, match="without"):
                await provider.finish(callback)


# -- keys that come and go


async def test_keys_are_fetched_once(make: Make, idp: ForgedProvider) -> None:
    provider = make()
    for _ in range(3):
        await sign_in(provider, idp)
    assert idp.count("/jwks") == 1


async def test_a_storm_of_unknown_keys_asks_once_a_minute(make: Make, idp: ForgedProvider, clock: FakeClock) -> None:
    provider = make()
    await sign_in(provider, idp)
    for round_ in (2, 3):
        clock.advance(seconds=61)
        for number in range(20):
            idp.header = {"kid": f"unknown-{number}"}
            with pytest.raises(LoginRefused, match=DISTRUST):
                await sign_in(provider, idp)
        assert idp.count("/jwks") == round_
    idp.header = {}
    assert (await sign_in(provider, idp)).subject == "alice"


async def test_a_key_that_took_the_place_of_another_is_found(make: Make, idp: ForgedProvider, clock: FakeClock) -> None:
    provider = make()
    await sign_in(provider, idp)
    clock.advance(seconds=61)
    idp.keys, idp.signing_key = [published(key("two"))], key("two")
    assert (await sign_in(provider, idp)).subject == "alice"
    idp.signing_key = key("one")
    with pytest.raises(LoginRefused, match=DISTRUST):
        await sign_in(provider, idp)


async def test_many_who_meet_a_new_key_at_once_share_one_request(make: Make, idp: ForgedProvider, clock: FakeClock) -> None:
    provider = make()
    await sign_in(provider, idp)
    clock.advance(seconds=61)
    idp.keys, idp.signing_key = [published(key("two"))], key("two")
    found = await asyncio.gather(*(provider._directory.key("RS256", "two") for _ in range(10)))
    assert None not in found
    assert idp.count("/jwks") == 2


async def test_a_key_that_was_withdrawn_is_forgotten_within_the_hour(make: Make, idp: ForgedProvider, clock: FakeClock) -> None:
    provider = make()
    await sign_in(provider, idp)
    idp.keys = [published(key("two"))]
    clock.advance(minutes=61)
    with pytest.raises(LoginRefused, match=DISTRUST):
        await sign_in(provider, idp)


async def test_who_gives_up_waiting_does_not_end_the_request_of_the_others(make: Make, idp: ForgedProvider) -> None:
    provider, gate = make(), asyncio.Event()

    async def late(request: httpx.Request) -> httpx.Response:
        await gate.wait()
        return httpx.Response(200, json=idp.discovery())

    idp.handlers = {ENDPOINTS[0]: late}
    first, second = (asyncio.create_task(provider.begin(LOGIN)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert (await second).url.startswith(ISSUER)
    assert idp.count(ENDPOINTS[0]) == 1


# -- what goes out


async def test_what_goes_to_the_provider_is_what_the_flow_asks_for(make: Make, idp: ForgedProvider) -> None:
    begun = await make(prompt="login", scopes=("openid", "email", "groups")).begin(LOGIN)
    query = {name: values[0] for name, values in parse_qs(urlsplit(begun.url).query).items()}
    challenge = query.pop("code_challenge")
    assert query == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "terrapod",
        "redirect_uri": CALLBACK,
        "scope": "openid email groups",
        "state": LOGIN.state,
        "nonce": begun.remember["nonce"],
        "code_challenge_method": "S256",
        "prompt": "login",
    }
    assert len(challenge) == 43
    assert begun.remember["verifier"] not in begun.url


@pytest.mark.parametrize(
    ("taken", "posted"), [(None, False), (["client_secret_basic", "client_secret_post"], False), (["client_secret_post"], True)]
)
async def test_the_secret_goes_the_way_that_the_provider_takes(
    make: Make, idp: ForgedProvider, taken: list[str] | None, posted: bool
) -> None:
    idp.metadata = {"token_endpoint_auth_methods_supported": taken}
    await sign_in(make(), idp)
    assert ("client_secret" in idp.forms[0]) == posted


# -- what comes back through the browser


@pytest.mark.parametrize("announced", [True, False])
async def test_a_callback_of_another_provider_is_refused(make: Make, idp: ForgedProvider, announced: bool) -> None:
    idp.metadata = {"authorization_response_iss_parameter_supported": announced}
    with pytest.raises(LoginRefused, match=DISTRUST):
        await sign_in(make(), idp, iss="https://evil.example")
    assert (await sign_in(make(), idp, iss=ISSUER)).subject == "alice"
    if announced:
        with pytest.raises(LoginRefused, match=DISTRUST):
            await sign_in(make(), idp)
    assert idp.count("/token") == 1


@pytest.mark.parametrize("error", ["access_denied", "login_required", "made_up", "<script>alert(1)</script>", "x\r\nforged log line", ""])
async def test_an_error_is_told_in_words_of_our_own(make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture, error: str) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(LoginRefused) as refused:
        await sign_in(make(), idp, error=error, error_description="<b>Call this number</b>")
    assert "number" not in refused.value.reason + caplog.text
    assert "script" not in refused.value.reason + caplog.text
    assert "forged" not in caplog.text
    assert idp.count("/token") == 0


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable"])
async def test_a_provider_that_says_it_is_out_of_order_is_believed(make: Make, idp: ForgedProvider, error: str) -> None:
    with pytest.raises(ProviderUnavailable):
        await sign_in(make(), idp, error=error)


# -- userinfo


async def test_userinfo_fills_in_what_the_token_lacks_and_changes_nothing(make: Make, idp: ForgedProvider) -> None:
    idp.claims = {"email": None, "email_verified": None, "groups": None}
    idp.userinfo = {"email": "a@example.com", "email_verified": "true", "groups": ["ops"], "preferred_username": "mallory"}
    alice = await sign_in(make(), idp)
    assert (alice.email, alice.email_verified, alice.username) == ("a@example.com", True, "alice")
    assert alice.groups == {"ops"}


async def test_userinfo_about_somebody_else_is_refused(make: Make, idp: ForgedProvider) -> None:
    idp.claims = {"groups": None}
    for subject in ("mallory", None, ["alice"]):
        idp.userinfo = {"sub": subject, "groups": ["admins"]}
        with pytest.raises(LoginRefused, match=DISTRUST):
            await sign_in(make(), idp)


async def test_userinfo_is_asked_only_when_something_is_missing_and_the_operator_lets_it(make: Make, idp: ForgedProvider) -> None:
    await sign_in(make(), idp)
    idp.claims = {"groups": None}
    await sign_in(make(userinfo=False), idp)
    idp.metadata = {"userinfo_endpoint": None}
    await sign_in(make(), idp)
    assert idp.count("/userinfo") == 0


# -- what is written down


async def test_no_secret_is_in_a_log_a_repr_or_an_error(make: Make, idp: ForgedProvider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider = make()
    begun = await provider.begin(LOGIN)
    idp.nonce = begun.remember["nonce"]
    told: list[str] = [repr(begun), repr(provider), repr(idp.instance())]
    tokens: list[str] = []
    codes: list[str] = []
    changes: list[dict[str, object]] = [{}, {"aud": "x"}, {"email": None}, {"groups": None}]
    for change in changes:
        idp.claims, idp.userinfo = change, {"sub": "mallory"} if "groups" in change else {}
        callback = Callback({"code": f"secret-{idp.code()}"}, LOGIN.state, CALLBACK, begun.remember)
        codes.append(callback.values["code"])
        try:
            told.append(repr(await provider.finish(callback)))
        except LoginRefused as refused:
            told += [repr(refused), *traceback.format_exception(refused)]
        told.append(repr(callback))
        tokens.append(idp.given)
    idp.handlers = {"/token": whole(400, json={"error": "invalid_grant", "error_description": ACCESS_TOKEN})}
    codes.append(f"secret-{idp.code()}")
    with pytest.raises(LoginRefused) as last:
        await provider.finish(Callback({"code": codes[-1]}, LOGIN.state, CALLBACK, begun.remember))
    everything = "\n".join([*told, *traceback.format_exception(last.value), caplog.text])
    signatures = [token.rpartition(".")[2] for token in tokens]
    assert len(caplog.records) >= 4
    assert not [each for each in (CLIENT_SECRET, ACCESS_TOKEN, begun.remember["verifier"], *codes, *signatures) if each in everything]
