from __future__ import annotations

import pytest

from terrapod_core.accounts import FormTokens, Site, check_origin, checked_return
from terrapod_core.accounts.browser import site_of
from terrapod_core.errors import Forbidden
from terrapod_core.secrets import Keyring, new_key


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
def test_plain_http_will_do_on_the_same_machine(host: str) -> None:
    site = site_of("", scheme="http", host=host, external=False, allow_plain_http=False)
    assert (site.secure, site.session_cookie) == (False, "terrapod")


@pytest.mark.parametrize("host", ["terrapod.lan", "192.0.2.1:8080", "localhost.evil.example", "", "localhost@evil.example:1"])
def test_plain_http_from_elsewhere_is_refused_unless_it_is_set(host: str) -> None:
    with pytest.raises(Forbidden, match="https"):
        site_of("", scheme="http", host=host, external=False, allow_plain_http=False)
    assert site_of("", scheme="http", host=host, external=False, allow_plain_http=True).session_cookie == "terrapod"


def test_the_external_url_says_what_the_browser_sees_whatever_the_proxy_speaks() -> None:
    site = site_of("https://Terrapod.Example.com:443", scheme="http", host="10.0.0.7:8080", external=True, allow_plain_http=False)
    assert (site.secure, site.session_cookie, site.origin) == (True, "__Host-terrapod", "https://terrapod.example.com")
    assert site.cookie_flags() == {"path": "/", "httponly": True, "secure": True, "samesite": "Lax"}


SITE = Site("http://localhost:8080", secure=False)


@pytest.mark.parametrize(
    ("origin", "fetch_site"), [("http://localhost:8080", None), ("http://localhost:8080", "same-origin"), (None, "same-origin")]
)
def test_a_form_of_our_own_page_is_taken(origin: str | None, fetch_site: str | None) -> None:
    check_origin(SITE, origin=origin, fetch_site=fetch_site)


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [
        (None, None),
        ("null", None),
        ("null", "same-origin"),
        ("", None),
        ("http://localhost:8081", None),
        ("https://localhost:8080", None),
        ("http://localhost:8080.evil.example", None),
        ("http://localhost:8080", "cross-site"),
        (None, "cross-site"),
        (None, "same-site"),
        (None, "none"),
    ],
)
def test_any_other_form_is_refused(origin: str | None, fetch_site: str | None) -> None:
    with pytest.raises(Forbidden):
        check_origin(SITE, origin=origin, fetch_site=fetch_site)


def test_a_forms_token_is_good_for_one_session_and_survives_a_new_key() -> None:
    old, new = new_key(), new_key()
    token = FormTokens(Keyring(old)).make("session-a")
    FormTokens(Keyring(f"{new},{old}")).check("session-a", token)
    for session, given in (("session-b", token), ("session-a", token[:-1]), ("session-a", ""), ("session-a", "ä\ud800")):
        with pytest.raises(Forbidden):
            FormTokens(Keyring(old)).check(session, given)
    with pytest.raises(Forbidden):
        FormTokens(Keyring(new)).check("session-a", token)


@pytest.mark.parametrize("path", ["/app", "/app/settings/tokens?source=x", "/app?page=2", "/oauth/authorize?client_id=terraform-cli"])
def test_a_page_of_ours_may_come_after_signing_in(path: str) -> None:
    assert checked_return(path) == path


@pytest.mark.parametrize(
    "path", [None, "", "app", "/apple", "//app/", "/app\\x", "/api/v2/x", "https://app/", "/app/..//x", "/app/\t", "/app/" + "x" * 3000]
)
def test_anything_else_comes_down_to_the_first_page(path: str | None) -> None:
    assert checked_return(path) == "/app"
