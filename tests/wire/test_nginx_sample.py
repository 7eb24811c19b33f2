"""The nginx of docs/how-to/run-behind-a-proxy.md, taken from the page and run before a server."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest
import trustme

from tests.support.server import Server, free_port
from tests.support.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-behind-a-proxy.md"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
HOST = "terrapod.example.com"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@dataclass(frozen=True)
class Proxied:
    """A server, the nginx before it, and a client that comes through."""

    server: Server
    client: httpx.Client
    log: Path

    def logged(self, what: str) -> str:
        """The line of nginx's log that holds it."""
        return until(lambda: next((line for line in self.log.read_text().splitlines() if what in line), None), f"{what} in nginx's log")

    def seen(self, request_id: str) -> dict[str, object]:
        """The line of the server's log about a request."""

        def line() -> dict[str, object] | None:
            lines = (text for text in self.server.said().splitlines() if text.startswith("{") and request_id in text)
            return next((msgspec.json.decode(text) for text in lines), None)

        return until(line, "the line in the server's log", seconds=10)


def sample(directory: Path, *, listen: int, upstream: int) -> str:
    """The page's configuration for the addresses and files of this test; nothing else of it is changed."""
    [text] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for told, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{listen} ssl"),
        ("10.0.0.5:8080", f"127.0.0.1:{upstream}"),
        ("/etc/nginx/", f"{directory}/"),
        ("/var/log/nginx/", f"{directory}/"),
    ):
        assert told in text, told
        text = text.replace(told, here)
    kept = "".join(f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"daemon off;\npid {directory}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{kept}{text}}}\n"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    assert NGINX is not None
    directory = tmp_path_factory.mktemp("nginx")
    authority = trustme.CA()
    issued = authority.issue_cert(HOST)
    issued.cert_chain_pems[0].write_to_path(str(directory / "terrapod.pem"))
    issued.private_key_pem.write_to_path(str(directory / "terrapod.key"))
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    settings = {
        "EXTERNAL_URL": f"https://{HOST}",
        "SERVER__TRUSTED_PROXIES": "1",
        "SERVER__TRUSTED_PROXY_ADDRESSES": "127.0.0.1,::1",
        "LOG_FORMAT": "json",
    }
    server = Server(directory / "server", settings=settings).start()
    port = free_port()
    (directory / "nginx.conf").write_text(sample(directory, listen=port, upstream=server.port))
    with (directory / "said").open("wb") as said:
        process = subprocess.Popen([NGINX, "-c", str(directory / "nginx.conf"), "-e", "stderr"], stderr=said)
    try:
        with through(directory, port) as client:
            until(lambda: process.poll() is not None or answers(client), "nginx to answer")
            assert process.poll() is None, (directory / "said").read_text()
            yield Proxied(server, client, directory / "terrapod.log")
    finally:
        process.terminate()
        process.wait(10)
        server.close()


def through(directory: Path, port: int) -> httpx.Client:
    """A client that finds the name at nginx's port of this machine."""
    headers = {"Host": HOST, "Accept": "application/vnd.api+json"}
    context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    client = httpx.Client(base_url=f"https://127.0.0.1:{port}", headers=headers, verify=context, trust_env=False, timeout=30)
    client.event_hooks = {"request": [lambda request: request.extensions.update(sni_hostname=HOST)]}
    return client


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def test_the_server_sees_the_client_and_not_whom_it_claims_to_be(proxied: Proxied) -> None:
    headers = {"Authorization": f"Bearer {proxied.server.token}", "X-Forwarded-For": "203.0.113.7", "X-Request-Id": "through-nginx"}
    answer = proxied.client.get("/api/v2/account/details", headers=headers)
    assert answer.status_code == 200
    assert proxied.seen("through-nginx")["address"] == "127.0.0.1"


def test_urls_that_are_handed_out_lead_to_the_proxy(proxied: Proxied) -> None:
    headers = {"Authorization": f"Bearer {proxied.server.token}"}
    links = proxied.client.get("/api/v2/organizations/default/workspaces", headers=headers).json()["links"]
    assert links["self"].startswith(f"https://{HOST}/")


@pytest.mark.parametrize("path", ["/c/planted-1", "/c/planted?x=2", "//c/planted-3", "/%63/planted-4"])
def test_no_signed_link_is_in_its_log(proxied: Proxied, path: str) -> None:
    assert proxied.client.get(f"{proxied.client.base_url}{path}").status_code == 404
    proxied.client.get(f"/after-{path[-1]}")
    proxied.logged(f"/after-{path[-1]}")
    assert "/c/<token>" in proxied.log.read_text().splitlines()[-2]
    assert "planted" not in proxied.log.read_text()


def test_what_follows_the_question_mark_is_not_either(proxied: Proxied) -> None:
    proxied.client.get("/api/v2/auth/callback", params={"code": "planted-code", "state": "planted-state"})
    assert proxied.logged('"GET /api/v2/auth/callback"')
    assert "planted" not in proxied.log.read_text()
