"""What somebody between the browser and the sites can try with a sign-in, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from sqlalchemy import select

from terrapod_core.accounts import SignedIn, User
from terrapod_core.authz import SYSTEM
from terrapod_core.plugin import Identity
from terrapod_core.settings import Settings
from terrapod_core.testing import FakeClock, FakeRedirectProvider
from tests.support.people import PASSWORD, Browser, Page, People

ADA = Identity("ada-1", "https://idp.example", "ada@example.com", True, "ada")
CALLBACK = "/api/v2/auth/callback"
SECURE = "https://terrapod.example.com"
FORM = "application/x-www-form-urlencoded"
IDP = {"Origin": "https://idp.example", "Sec_Fetch_Site": "cross-site"}


async def away(browser: Browser, provider: str = "okta", return_to: str = "/app") -> str:
    """Press the provider's button; where the browser is sent."""
    page = await browser.open(f"/app/sign-in?{urlencode({'provider': provider, 'return_to': return_to, 'again': '1'})}")
    assert page.status == 303
    return page.leads_to


async def land(browser: Browser, values: Mapping[str, str]) -> Page:
    """Come back by a redirect."""
    return await browser.open(f"{CALLBACK}?{urlencode(values)}")


async def sessions(people: People) -> int:
    return len(await people.db.read(lambda session: session.execute(select(SignedIn.id)).all()))


def cookies(page: Page) -> dict[str, str]:
    """What the page sets: name to the whole header."""
    return {header.partition("=")[0]: header for header in page.response.headers.getlist("Set-Cookie")}


async def test_a_person_signs_in_elsewhere_and_lands_where_they_wanted_to_go(people: People, okta: FakeRedirectProvider) -> None:
    browser = people.browser()
    page = await land(browser, okta.come_back(await away(browser, return_to="/app/settings/tokens"), ADA))
    assert (page.status, page.leads_to) == (303, "/app/settings/tokens")
    assert (await browser.open(page.leads_to)).status == 200


async def test_what_is_stolen_stale_or_sent_twice_lets_nobody_in(people: People, okta: FakeRedirectProvider, clock: FakeClock) -> None:
    ada, mallory = people.browser(), people.browser()
    await away(mallory)
    stolen = okta.come_back(await away(ada), ADA)
    for values in (stolen, {**stolen, "state": "x" * 43}, {"code": stolen["code"]}, {**stolen, "state": ""}):
        page = await land(mallory, values)
        assert (page.status, "terrapod" in cookies(page)) == (400, False)
        assert "begin again" in page.text
    mallorys = okta.come_back(await away(mallory), Identity("mallory", "https://idp.example", "mallory@example.com", True))
    planted = await land(ada, mallorys)
    assert planted.status == 400, "nobody is signed in as somebody else by a link"
    assert await sessions(people) == 0
    assert (await land(ada, stolen)).status == 303
    assert (await land(ada, stolen)).status == 400
    late = okta.come_back(await away(ada), ADA)
    clock.advance(minutes=10)
    assert (await land(ada, late)).status == 400
    assert await sessions(people) == 1


async def test_a_parameter_that_comes_twice_is_refused_and_spends_nothing(people: People, okta: FakeRedirectProvider) -> None:
    browser = people.browser()
    values = okta.come_back(await away(browser), ADA)
    page = await browser.open(f"{CALLBACK}?{urlencode(values)}&code=another")
    assert page.status == 400
    assert "more than once" in page.text
    assert (await land(browser, values)).status == 303


async def test_a_refusal_is_shown_with_every_other_way_to_sign_in(people: People, okta: FakeRedirectProvider) -> None:
    await people.user("alice")
    browser = people.browser()
    values = okta.come_back(await away(browser, return_to="/app/settings/tokens"), ADA)
    page = await land(browser, {**values, "code": "<b>forged</b>"})
    assert page.status == 401
    assert "does not come from a sign-in that began here" in page.text
    assert "forged" not in page.text
    assert "provider=okta" in page.text
    typed = {**page.hidden(), "email": "alice@example.com", "password": PASSWORD}
    assert (await browser.send("/app/sign-in", typed)).leads_to == "/app/settings/tokens"


async def test_a_disabled_user_is_told_on_the_way_back(people: People, okta: FakeRedirectProvider) -> None:
    browser = people.browser()
    await land(browser, okta.come_back(await away(browser), ADA))
    user_id = await people.db.read(lambda session: session.execute(select(User.id)).scalar_one())
    await people.services.accounts.disable(SYSTEM, user_id)
    other = people.browser()
    page = await land(other, okta.come_back(await away(other), ADA))
    assert (page.status, await sessions(people)) == (401, 0)
    assert "disabled" in page.text


# -- a provider that is down


@pytest.mark.parametrize("step", ["there", "back"])
async def test_a_provider_that_is_down_is_named_on_a_page_that_still_works(people: People, okta: FakeRedirectProvider, step: str) -> None:
    await people.user("alice")
    browser = people.browser()
    if step == "there":
        okta.away = "nobody answers at its address"
        page = await browser.open("/app/sign-in?provider=okta&return_to=/app/settings/tokens")
    else:
        values = okta.come_back(await away(browser, return_to="/app/settings/tokens"), ADA)
        okta.away = "nobody answers at its address"
        page = await land(browser, values)
    assert page.status == 502
    assert "Retry-After" not in page.headers
    assert "signing in with Okta does not work at the moment: nobody answers at its address" in page.text
    for way in ("provider=okta", "provider=corporate", 'name="password"'):
        assert way in page.text
    typed = {**page.hidden(), "email": "alice@example.com", "password": PASSWORD}
    assert (await browser.send("/app/sign-in", typed)).leads_to == "/app/settings/tokens"


async def test_a_form_whose_provider_breaks_says_so_beside_the_others(people: People, okta: FakeRedirectProvider) -> None:
    browser = people.browser()
    page = await browser.open("/app/sign-in")

    async def broken(_: object) -> Any:
        raise RuntimeError("no threads left")

    people.passwords.finish = broken  # type: ignore[method-assign, assignment]
    page = await browser.send("/app/sign-in", {**page.hidden(), "email": "alice@example.com", "password": PASSWORD})
    assert page.status == 502
    assert "E-mail and password does not work at the moment" in page.text
    assert "provider=okta" in page.text
    people.passwords.begin = broken  # type: ignore[method-assign, assignment]
    page = await browser.open("/app/sign-in")
    assert (page.status, 'name="password"' in page.text, "provider=okta" in page.text) == (502, False, True)
    assert (await land(browser, okta.come_back(await away(browser), ADA))).status == 303


@pytest.mark.parametrize("path", ["/api/v2/auth/authorize?provider=okta", CALLBACK])
async def test_programs_get_a_document_that_names_the_provider(people: People, okta: FakeRedirectProvider, path: str) -> None:
    client = people.app().test_client()
    headers = {"Host": "localhost:8080", "Accept": "application/vnd.api+json"}
    if path == CALLBACK:
        begun = await (await client.get("/api/v2/auth/authorize?provider=okta", headers=headers)).get_json(force=True)
        url = begun["data"]["attributes"]["url"]
        okta.away = "its certificate has expired"
        response = await client.post(path, json=okta.come_back(url, ADA), headers=headers)
    else:
        okta.away = "its certificate has expired"
        response = await client.get(path, headers=headers)
    assert response.status_code == 502
    (error,) = (await response.get_json(force=True))["errors"]
    assert (error["status"], error["code"]) == ("502", "provider_unavailable")
    assert "Okta" in error["detail"]
    assert "its certificate has expired" in error["detail"]


async def test_an_unknown_provider_in_the_address_offers_those_that_are_there(people: People) -> None:
    page = await people.browser().open("/app/sign-in?provider=nowhere")
    assert page.status == 404
    assert "provider=corporate" in page.text


# -- forms


async def test_the_cookie_for_forms_of_another_site_exists_over_tls_only_and_serves_one_sign_in(people: People) -> None:
    people.settings = Settings(external_url=SECURE)
    people.services = people.restarted(people.keyring)
    saml = FakeRedirectProvider("saml", "Corporate", returns_by_post=True)
    people.services.sign_in.providers["saml"] = saml
    browser = Browser(people.app().test_client(use_cookies=False), SECURE)
    begun = await browser.open("/app/sign-in?provider=saml")
    (name,) = set(cookies(begun))
    header = cookies(begun)[name]
    assert name == "__Host-terrapod-sign-in-post"
    for flag in ("Secure", "HttpOnly", "SameSite=None", "Path=/", "Max-Age=600"):
        assert flag in header
    assert "Domain" not in header
    binding = header.partition(";")[0]
    values = saml.come_back(begun.leads_to, ADA)
    lax = await browser.send(CALLBACK, values, **IDP, Cookie=binding.replace("-sign-in-post", "-sign-in-other"))
    assert lax.status == 400
    page = await browser.send(CALLBACK, values, **IDP, Cookie=binding)
    assert (page.status, page.leads_to) == (303, "/app")
    assert "SameSite=Lax" in cookies(page)["__Host-terrapod"]
    assert "Max-Age=0" in cookies(page)[name]
    assert (await browser.send(CALLBACK, values, **IDP, Cookie=binding)).status == 400
    again = await browser.open("/app/sign-in?provider=saml")
    assert cookies(again)[name].partition(";")[0] != binding


async def test_over_plain_http_on_this_machine_the_plain_cookie_does(people: People) -> None:
    saml = FakeRedirectProvider("saml", "Corporate", returns_by_post=True)
    people.services.sign_in.providers["saml"] = saml
    browser = people.browser()
    begun = await browser.open("/app/sign-in?provider=saml")
    assert set(cookies(begun)) == {"terrapod-sign-in"}
    page = await browser.send(CALLBACK, saml.come_back(begun.leads_to, ADA), Origin="http://localhost:9000", Sec_Fetch_Site="same-site")
    assert page.status == 303


@pytest.mark.parametrize("headers", [IDP, {"Origin": "null"}, {"Origin": "http://localhost:9000"}, {"Sec_Fetch_Site": "cross-site"}])
async def test_a_form_of_another_site_is_taken_nowhere_else(people: People, okta: FakeRedirectProvider, headers: dict[str, str]) -> None:
    await people.user("alice")
    browser = people.browser()
    form = await browser.open("/app/sign-in?provider=local")
    typed = {**form.hidden(), "email": "alice@example.com", "password": PASSWORD}
    for path in ("/app/sign-in", CALLBACK):
        assert (await browser.send(path, typed, **headers)).status == 403
    values = okta.come_back(await away(browser), ADA)
    assert (await browser.send(CALLBACK, values, **headers)).status == 403
    assert await sessions(people) == 0
    assert people.passwords.asked == 0


async def test_a_password_in_a_url_is_refused_unread(people: People) -> None:
    await people.user("alice")
    browser = people.browser()
    form = await browser.open("/app/sign-in?provider=local")
    page = await land(browser, {"state": form.hidden()["state"], "email": "alice@example.com", "password": PASSWORD})
    assert (page.status, people.passwords.asked) == (400, 0)
    assert PASSWORD not in page.text


async def test_a_large_answer_of_another_site_is_read_and_an_endless_one_is_not(people: People) -> None:
    saml = FakeRedirectProvider("saml", "Corporate", returns_by_post=True)
    people.services.sign_in.providers["saml"] = saml
    for size, status in ((300_000, 303), (600_000, 413)):
        browser = people.browser()
        values = saml.come_back(await away(browser, "saml"), ADA)
        assert (await browser.send(CALLBACK, {**values, "SAMLResponse": "A" * size})).status == status


# -- what is told of providers


class Described(FakeRedirectProvider):
    def metadata(self, callback_url: str) -> tuple[str, bytes]:
        return "application/samlmetadata+xml", f"<md url='{callback_url}'/>".encode()


async def test_the_other_sides_administrator_finds_our_metadata_by_the_list(people: People, okta: FakeRedirectProvider) -> None:
    people.services.sign_in.providers["saml"] = Described("saml", "Corporate")
    client, headers = people.app().test_client(), {"Host": "localhost:8080"}
    listed = (await (await client.get("/api/v2/auth/providers", headers=headers)).get_json())["data"]
    links = {each["id"]: each["links"] for each in listed}
    assert links["saml"]["metadata"] == "/api/v2/auth/providers/saml/metadata"
    assert "metadata" not in links["okta"]
    response = await client.get(links["saml"]["metadata"], headers=headers)
    assert (response.status_code, response.content_type) == (200, "application/samlmetadata+xml")
    assert await response.get_data() == b"<md url='http://localhost:8080/api/v2/auth/callback'/>"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    for none in ("okta", "nowhere"):
        assert (await client.get(f"/api/v2/auth/providers/{none}/metadata", headers=headers)).status_code == 404


# -- terraform login through another site

ASKED = {
    "client_id": "terraform-cli",
    "code_challenge": "A" * 43,
    "code_challenge_method": "S256",
    "redirect_uri": "http://localhost:10001/login",
    "response_type": "code",
    "state": "98af5f64-6e19-fd79-cc6f-96e18f43c5c1",
}


async def test_terraform_login_goes_through_another_site_and_still_asks_for_a_click(people: People, okta: FakeRedirectProvider) -> None:
    browser = people.browser()
    page = await browser.open(f"/oauth/authorize?{urlencode(ASKED)}")
    return_to = dict(parse_qsl(urlsplit(page.leads_to).query))["return_to"]
    page = await land(browser, okta.come_back(await away(browser, return_to=return_to), ADA))
    consent = await browser.open(page.leads_to)
    assert (consent.status, consent.leads_to) == (200, "")
    assert "Let terraform in?" in consent.text
    assert "ada" in consent.text
    agreed = await browser.send("/oauth/authorize", {**consent.hidden(), "decision": "allow"})
    assert agreed.leads_to.startswith("http://localhost:10001/login?code=")


@pytest.mark.parametrize("carries", ["state", "code"])
async def test_what_a_web_sign_in_carries_never_becomes_an_api_token(people: People, okta: FakeRedirectProvider, carries: str) -> None:
    browser = people.browser()
    values = okta.come_back(await away(browser), ADA)
    fields = {"grant_type": "authorization_code", "code": values[carries], "client_id": "terraform-cli", "code_verifier": "v" * 43}
    headers = {"Host": "localhost:8080", "Content-Type": FORM}
    response = await browser.client.post("/oauth/token", data=urlencode({**fields, "redirect_uri": ASKED["redirect_uri"]}), headers=headers)
    assert (response.status_code, (await response.get_json())["error"]) == (400, "invalid_grant")
    assert (await land(browser, values)).status == 303, "and the sign-in it belongs to is not spent"


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://localhost@evil.example:10000/login",
        "http://user:secret@localhost:10000/login",
        "http://localhost:10000:10000/login",
        "http://localhost:9999/login",
        "http://localhost:010000/login",
        "https://localhost:10000/login",
        "http://localhost:10000/login/../evil",
        "http://localhost:10000/../login",
        "http://localhost:10000//login",
        "http://localhost:10000/%6cogin",
        "http://localhost:10000/Login",
        "http://localhost:10000/login%00",
        "http://localhost:10000/login;x",
        "http://localhost:10000/login ",
        " http://localhost:10000/login",
        "http://localhost:10000/login#@evil.example",
        "http://localhost:10000/login?next=http://evil.example",
        "http://localhost.:10000/login",
        "http://localhost:10000\\@evil.example/login",
        "http://[::1]:10000/login",
        "http://[::ffff:127.0.0.1]:10000/login",
        "http://0x7f000001:10000/login",
        "http://127.1:10000/login",
        "http://127.0.0.1.nip.example:10000/login",
        "HTTP://localhost:10000/login",
        "http:localhost:10000/login",
        "http:///localhost:10000/login",
        "http://lo\u0441alhost:10000/login",
    ],
)
async def test_a_redirect_that_is_not_exactly_terraforms_is_refused_before_anybody_signs_in(people: People, redirect_uri: str) -> None:
    page = await people.browser().open(f"/oauth/authorize?{urlencode({**ASKED, 'redirect_uri': redirect_uri})}")
    assert (page.status, page.leads_to) == (400, "")
    assert "redirect_uri" in page.text
