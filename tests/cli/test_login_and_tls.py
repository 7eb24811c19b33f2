"""`terraform login` and everything after it over HTTPS, with the certificate that `--dev-tls` makes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.server import Server, running
from tests.support.tf import Terraform, cloud, resources
from tests.support.wire import fresh
from tests.support.workspace import Workspace

CONFIGURATION = """
resource "terraform_data" "one" {
  input = 1
}
output "one" {
  value = terraform_data.one.output
}
"""


@pytest.fixture(scope="module")
def secure(engines: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with `--dev-tls`."""
    with running(tmp_path_factory.mktemp("secure"), dev_tls=True, settings=engines) as server:
        yield server


@pytest.fixture
def browser(secure: Server) -> Iterator[Browser]:
    """Somebody's browser."""
    browser = Browser(secure)
    yield browser
    browser.close()


def test_login_gives_terraform_a_token_after_sign_in_and_a_click(terraform: Path, secure: Server, browser: Browser, tmp_path: Path) -> None:
    tf = Terraform(terraform, tmp_path / "work", secure, signed_in=False)
    nowhere = {"PATH": str(tmp_path)}  # where no program is that could open a real browser
    with tf.terminal("login", secure.host, env=nowhere) as terminal:
        terminal.answer("yes")
        url = terminal.find(rf"https://{secure.host}/oauth/authorize\?\S+")
        page = browser.open(url)
        wrong = browser.submit(page, page.form("/app/sign-in"), email=secure.email, password="not the password")
        assert "wrong" in wrong.text.lower() or "not match" in wrong.text.lower()
        consent = browser.submit(wrong, wrong.form("/app/sign-in"), email=secure.email, password=secure.password)
        form = consent.form("/oauth/authorize")
        assert secure.email in consent.text

        assert browser.submit(consent, form, origin="https://evil.example").status == 403
        assert browser.submit(consent, form, **{"form-token": "made-up"}).status == 403
        done_page = browser.submit(consent, form)
        assert done_page.url.startswith("http://localhost:100"), done_page.text
        done = terminal.end()
    assert done.code == 0, done.text
    assert "obtained and saved an API token" in done.text

    kept = json.loads((tf.home / ".terraform.d" / "credentials.tfrc.json").read_text())
    token = kept["credentials"][secure.host]["token"]
    with secure.client(token) as api:
        assert api.get("account/details").json()["data"]["attributes"]["email"] == secure.email
    tf.write(cloud(secure, f'name = "{fresh()}"') + CONFIGURATION)
    tf.run("init", "-input=false")
    assert "Plan: 1 to add" in tf.run("plan").text
    tf.run("logout", secure.host)
    assert tf.run("plan", check=False).code == 1


def test_a_code_of_a_login_is_good_once(terraform: Path, secure: Server, browser: Browser, tmp_path: Path) -> None:
    tf = Terraform(terraform, tmp_path / "work", secure, signed_in=False)
    with tf.terminal("login", secure.host, env={"PATH": str(tmp_path)}) as terminal:
        terminal.answer("yes")
        page = browser.open(terminal.find(rf"https://{secure.host}/oauth/authorize\?\S+"))
        consent = browser.submit(page, page.form("/app/sign-in"), email=secure.email, password=secure.password)
        callback = browser.submit(consent, consent.form("/oauth/authorize")).url
        assert terminal.end().code == 0
    code = dict(part.split("=", 1) for part in callback.partition("?")[2].split("&"))["code"]
    token = json.loads((tf.home / ".terraform.d" / "credentials.tfrc.json").read_text())["credentials"][secure.host]["token"]
    again = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback.partition("?")[0],
        "client_id": "terraform-cli",
        "code_verifier": "v" * 43,
    }
    with secure.client(token) as api:
        assert api.get("account/details").status_code == 200
        answer = api.post(f"{secure.url}/oauth/token", data=again, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        assert api.get("account/details").status_code == 401  # whoever saw the code may have seen more


def test_remote_runs_and_state_work_over_tls(terraform: Path, secure: Server, tmp_path: Path) -> None:
    tf = Terraform(terraform, tmp_path / "work", secure)
    name = fresh()
    tf.write(cloud(secure, f'name = "{name}"') + CONFIGURATION)
    tf.run("init", "-input=false")
    assert "Apply complete! Resources: 1 added" in tf.run("apply", "-auto-approve").text
    assert tf.run("output", "-raw", "one").output == "1"
    workspace = Workspace(tf, name)
    workspace.update(execution_mode="local")
    tf.run("state", "mv", "terraform_data.one", "terraform_data.two")
    assert resources(workspace.state()) == {"two": "good"}


def test_terraform_refuses_a_server_whose_certificate_it_does_not_know(terraform: Path, secure: Server, tmp_path: Path) -> None:
    tf = Terraform(terraform, tmp_path / "work", secure)
    tf.write(cloud(secure, f'name = "{fresh()}"') + CONFIGURATION)
    done = tf.run("init", "-input=false", check=False, env={"SSL_CERT_FILE": "/dev/null"})
    assert done.code == 1
    assert "certificate" in done.text
