"""A listener as the server meets one: it has a key, joins, and signs what it sends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from terrapod_core.signatures import PrivateKey, Signer, new_key
from tests.support import wire
from tests.support.wire import attributes, data, document, fresh


def request_for(key: Any, *extensions: x509.ExtensionType, name: str = "anything") -> str:
    """A signing request in PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(key, None if isinstance(key, Ed25519PrivateKey) else SHA256()).public_bytes(Encoding.PEM).decode()


def joining(key: PrivateKey, **sent: Any) -> dict[str, Any]:
    """The document with which a listener joins."""
    return document("listeners", **({"name": fresh("listener"), "csr": request_for(key), "version": "1.0.0", "capacity": 2} | sent))


def make_pool(api: httpx.Client, **settings: Any) -> dict[str, Any]:
    """A pool of a name of its own, as the API shows it."""
    made: dict[str, Any] = data(
        api.post(f"{wire.ORG}/agent-pools", json=document("agent-pools", **({"name": fresh("pool")} | settings))), 201
    )
    return made


def to_pool(api: httpx.Client, workspace_id: str, pool_id: str) -> None:
    """Let the pool carry out the workspace's runs from now on."""
    sent = document("workspaces", **{"execution-mode": "agent", "agent-pool-id": pool_id})
    data(api.patch(f"workspaces/{workspace_id}", json=sent))


def make_token(api: httpx.Client, pool_id: str, **settings: Any) -> str:
    """A join token's text."""
    sent = document("authentication-tokens", **({"description": "of a test"} | settings))
    text: str = attributes(api.post(f"agent-pools/{pool_id}/authentication-tokens", json=sent), 201)["token"]
    return text


def join(url: str, pool_id: str, token: str, sent: dict[str, Any], path: str = "/api/v2") -> httpx.Response:
    """Ask to join, as a listener asks."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": wire.JSON_API}
    return httpx.post(f"{url}{path}/agent-pools/{pool_id}/listeners/join", json=sent, headers=headers, trust_env=False, timeout=30)


@dataclass
class Joined:
    """A listener that has joined."""

    url: str
    """Where it sends its requests."""
    id: str
    name: str
    signer: Signer = field(repr=False)
    base: str = ""
    """The URL that it signs for; empty for the one that it sends to."""

    def send(self, what: str, body: bytes = b"", *, signed: dict[str, str] | None = None, **more: str) -> httpx.Response:
        """POST to `/listeners/{id}/{what}`; `signed` takes the place of the headers of a good signature, `more` is added to them."""
        path = f"/api/v2/listeners/{self.id}/{what}"
        headers = signed if signed is not None else self.sign(what, body)
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.post(self.url + path, content=body, headers={**headers, **more})

    def sign(self, what: str, body: bytes = b"", method: str = "POST") -> dict[str, str]:
        """The headers of a good signature of that request."""
        return self.signer.headers(method, f"{self.base or self.url}/api/v2/listeners/{self.id}/{what}", body)

    def poll(self, wait: int = 1, holds: str = "") -> httpx.Response:
        """Ask for a run."""
        what = f"runs/next?wait={wait}&holds={holds}"
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.get(f"{self.url}/api/v2/listeners/{self.id}/{what}", headers=self.sign(what, method="GET"))

    def tell(self, run_id: str, **said: Any) -> httpx.Response:
        """Tell of a run."""
        what, body = f"runs/{run_id}", json.dumps(document("runs", **said)).encode()
        with httpx.Client(trust_env=False, timeout=30) as client:
            signed = self.sign(what, body, "PATCH")
            return client.patch(f"{self.url}/api/v2/listeners/{self.id}/{what}", content=body, headers=signed)


def make_listener(api: httpx.Client, url: str, pool_id: str, *, key: PrivateKey | None = None, base: str = "") -> Joined:
    """A listener that joined the pool with a token of its own."""
    key = key or new_key()
    joined = data(join(url, pool_id, make_token(api, pool_id), joining(key)), 201)
    return Joined(url, joined["id"], joined["attributes"]["name"], Signer(key, joined["attributes"]["key-id"]), base)
