"""A SAML identity provider that is not ours: pysaml2, with a sign-in page of its own, as a server on the loopback.

It signs by the program `xmlsec1` (Debian: apt-get install xmlsec1); without it, `needs_xmlsec1` skips.
"""

from __future__ import annotations

import base64
import shutil
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from tests.support.saml_forge import pen
from tests.support.server import Server, running

XMLSEC1: Final = shutil.which("xmlsec1")
needs_xmlsec1 = pytest.mark.skipif(XMLSEC1 is None, reason="no xmlsec1 on PATH, which pysaml2 signs with (Debian: apt-get install xmlsec1)")

PERSISTENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
PASSWORD: Final = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"


@dataclass(frozen=True)
class Someone:
    """Who can sign in there."""

    name_id: str
    attributes: Mapping[str, list[str]]


PEOPLE: Final[Mapping[str, Someone]] = {
    "ana": Someone("ana-4711", {"mail": ["ana@example.com"], "uid": ["ana"], "memberOf": ["ops", "dev"]}),
    "bob": Someone("bob-4712", {"mail": ["bob@example.com"], "uid": ["bob"], "memberOf": ["dev"]}),
}


@dataclass
class IdentityProvider:
    """The provider; it answers services whose metadata it was told."""

    directory: Path
    url: str = "https://idp.example.com"
    people: Mapping[str, Someone] = field(default_factory=lambda: dict(PEOPLE))

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        written = pen()
        self.certificate = written.certificate
        (self.directory / "idp.key").write_text(written.key)
        (self.directory / "idp.crt").write_text(written.certificate)
        self._server: Any = None

    @property
    def entity_id(self) -> str:
        return self.url + "/metadata"

    @property
    def sso_url(self) -> str:
        return self.url + "/sso"

    def metadata(self) -> str:
        """What the service's operator imports."""
        file = self.directory / "idp.xml"
        if not file.exists():
            file.write_text(str(_pysaml2().entity_descriptor(self._config(None))))
        return file.read_text()

    def learn(self, service: bytes) -> None:
        """Import a service's metadata."""
        file = self.directory / "service.xml"
        if file.exists() and file.read_bytes() == service:
            return
        file.write_bytes(service)
        self._server = _pysaml2().Server(config=self._config(file))

    def request(self, query: str) -> Any:
        """The request in a URL's query, as pysaml2 understands it."""
        assert self._server is not None, "the identity provider knows no service: call learn()"
        return self._server.parse_authn_request(dict(parse_qsl(query))["SAMLRequest"], _pysaml2().BINDING_HTTP_REDIRECT).message

    def answer(self, query: str, who: str) -> tuple[str, dict[str, str]]:
        """Somebody signs in: where the browser posts to, and what."""
        saml2, request, someone = _pysaml2(), self.request(query), self.people[who]
        service = request.issuer.text
        response = self._server.create_authn_response(
            dict(someone.attributes),
            request.id,
            request.assertion_consumer_service_url,
            sp_entity_id=service,
            name_id=saml2.NameID(format=PERSISTENT, text=someone.name_id),
            authn={"class_ref": PASSWORD},
            sign_assertion=True,
            sign_response=False,
            sign_alg="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",  # its own default is SHA-1
            digest_alg="http://www.w3.org/2001/04/xmlenc#sha256",
        )
        message = base64.b64encode(str(response).encode()).decode()
        return request.assertion_consumer_service_url, {"SAMLResponse": message, "RelayState": dict(parse_qsl(query)).get("RelayState", "")}

    def _config(self, service: Path | None) -> Any:
        saml2 = _pysaml2()
        return saml2.IdPConfig().load(
            {
                "entityid": self.entity_id,
                "xmlsec_binary": XMLSEC1,
                "key_file": str(self.directory / "idp.key"),
                "cert_file": str(self.directory / "idp.crt"),
                "metadata": {"local": [str(service)]} if service else {},
                "service": {
                    "idp": {
                        "endpoints": {"single_sign_on_service": [(self.sso_url, saml2.BINDING_HTTP_REDIRECT)]},
                        "policy": {"default": {"attribute_restrictions": None, "lifetime": {"minutes": 15}}},
                    }
                },
            }
        )


@contextmanager
def serving(directory: Path) -> Iterator[IdentityProvider]:
    """An identity provider with its sign-in page on a port of the loopback."""
    provider = IdentityProvider(directory)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _pages(provider))
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Two:
    """A server and an identity provider, each of which knows the other's metadata. `localhost` and `127.0.0.1`: two sites to a browser."""

    server: Server
    idp: IdentityProvider


@contextmanager
def signing_in(directory: Path, **settings: str) -> Iterator[Two]:
    """Both, the server over TLS as everywhere but on one's own machine."""
    with serving(directory / "idp") as idp:
        metadata = directory / "idp.xml"
        metadata.write_text(idp.metadata())
        known = {"AUTH__SAML__IDP_METADATA_FILE": str(metadata), "AUTH__SAML__DISPLAY_NAME": "Our directory"}
        with running(directory / "server", dev_tls=True, settings={**known, **settings}) as server:
            about = httpx.get(f"{server.url}/api/v2/auth/providers/saml/metadata", verify=server.trust, trust_env=False)
            idp.learn(about.content)
            yield Two(server, idp)


def _pages(provider: IdentityProvider) -> type[BaseHTTPRequestHandler]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """The sign-in page."""
            query = urlsplit(self.path).query
            if not self.path.startswith("/sso?"):
                self.send_error(404)
                return
            request = provider.request(query)
            buttons = "".join(f'<button name="who" value="{name}">{name}</button>' for name in provider.people)
            self._page(f"<p>Sign in to {escape(request.issuer.text)}</p><form method=post action='/sso?{escape(query)}'>{buttons}</form>")

        def do_POST(self) -> None:
            """Somebody signed in: their browser posts the answer."""
            typed = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            where, fields = provider.answer(urlsplit(self.path).query, typed["who"][0])
            inputs = "".join(f'<input type=hidden name="{name}" value="{escape(value)}">' for name, value in fields.items())
            self._page(
                f'<form method=post action="{escape(where)}">{inputs}<button>Go on</button></form>'
                "<script>document.forms[0].submit()</script>"
            )

        def _page(self, body: str) -> None:
            page = f"<!doctype html><title>Identity provider</title>{body}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    return Pages


def _pysaml2() -> Any:
    """Its names, imported late: it takes half a second, and warns of what Python is going to drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from saml2 import BINDING_HTTP_REDIRECT
        from saml2.config import IdPConfig
        from saml2.metadata import entity_descriptor
        from saml2.saml import NameID
        from saml2.server import Server
    return SimpleNamespace(
        BINDING_HTTP_REDIRECT=BINDING_HTTP_REDIRECT, IdPConfig=IdPConfig, entity_descriptor=entity_descriptor, NameID=NameID, Server=Server
    )
