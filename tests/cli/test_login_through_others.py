"""`terraform login` by people whose passwords are kept elsewhere: the browser goes to their identity provider and comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.browser import Browser, Page
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, client, identity_provider
from tests.support.saml_idp import needs_xmlsec1, serving
from tests.support.server import Server, free_port
from tests.support.tf import Terraform


@pytest.fixture(scope="module")
def company(engines: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with passwords, an OpenID Connect and a SAML provider."""
    directory, port = tmp_path_factory.mktemp("company"), free_port()
    with ExitStack() as running:
        saml = running.enter_context(serving(directory / "idp"))
        metadata = directory / "idp.xml"
        metadata.write_text(saml.metadata())
        settings = {
            **engines,
            "AUTH__SAML__IDP_METADATA_FILE": str(metadata),
            "AUTH__OIDC__ISSUER": f"http://127.0.0.1:{port}",
            "AUTH__OIDC__CLIENT_ID": CLIENT_ID,
            "AUTH__OIDC__CLIENT_SECRET": CLIENT_SECRET,
        }
        server = Server(directory / "server", dev_tls=True, settings=settings)
        running.callback(server.close)
        running.enter_context(identity_provider([client(f"{server.url}/api/v2/auth/callback")], port=port))
        server.start()
        saml.learn(httpx.get(f"{server.url}/api/v2/auth/providers/saml/metadata", verify=server.trust, trust_env=False).content)
        yield server


def at_oidc(browser: Browser, page: Page) -> Page:
    """Sign in and agree, page by page."""
    while page.url.startswith("http://127.0.0.1:"):
        page = browser.submit(page, page.forms[0], login="ana", password="any")
    return page


def at_saml(browser: Browser, page: Page) -> Page:
    """Choose who one is; what comes back is a form of the identity provider's."""
    answer = browser.submit(page, page.forms[0], who="ana")
    return browser.submit(answer, answer.forms[0], origin=answer.url.partition("/sso")[0])


@pytest.mark.parametrize(("provider", "signs_in"), [("oidc", at_oidc), pytest.param("saml", at_saml, marks=needs_xmlsec1)])
def test_terraform_login_ends_with_a_token_of_the_person_the_provider_knows(
    terraform: Path, company: Server, tmp_path: Path, provider: str, signs_in: Callable[[Browser, Page], Page]
) -> None:
    tf, browser = Terraform(terraform, tmp_path / "work", company, signed_in=False), Browser(company)
    with tf.terminal("login", company.host, env={"PATH": str(tmp_path)}) as terminal:
        terminal.answer("yes")
        page = browser.open(terminal.find(rf"https://{company.host}/oauth/authorize\?\S+"))
        consent = signs_in(browser, browser.open(page.link(f"provider={provider}")))
        assert "ana@example.com" in consent.text
        browser.submit(consent, consent.form("/oauth/authorize"))
        done = terminal.end()
    browser.close()
    assert "obtained and saved an API token" in done.text
    kept = json.loads((tf.home / ".terraform.d" / "credentials.tfrc.json").read_text())
    with company.client(kept["credentials"][company.host]["token"]) as api:
        shown = api.get("account/details").json()["data"]["attributes"]
    assert (shown["email"], shown["auth-method"], shown["is-sso-login"]) == ("ana@example.com", provider, True)
