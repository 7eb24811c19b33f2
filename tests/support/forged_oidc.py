"""An OpenID Connect provider that answers whatever a test tells it to, in the place of the network."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast
from urllib.parse import parse_qs

import httpx
from joserfc import jwk, jws

from terrapod_auth_oidc.settings import Instance
from terrapod_core.outgoing import HTTPClients
from terrapod_core.plugin import Clock

ISSUER = "https://idp.example"
CLIENT_ID = "terrapod"
CLIENT_SECRET = "the-secret-of-the-client"
ACCESS_TOKEN = "the-access-token"

Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class _Signing(jws.JWSRegistry):
    """Signs with anything: a forger does not care what is recommended."""

    max_payload_length = 1 << 20
    max_header_length = 1 << 20

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


SIGNING = _Signing(strict_check_header=False)


@cache
def key(name: str, kind: str = "RSA", size: int | str = 2048) -> jwk.Key:
    """A private key by its key id, the same for all tests: making one takes a while."""
    made: jwk.Key = jwk.generate_key(kind, size, {"kid": name})  # type: ignore[call-overload]
    return made


def published(each: jwk.Key, **more: object) -> dict[str, Any]:
    """A key as it stands in a key set."""
    return {**each.as_dict(private=False), **more}


def sign(header: Mapping[str, object], payload: str, private: jwk.Key | None) -> str:
    """A compact signature of anything."""
    return jws.serialize_compact(dict(header), payload.encode("utf-8", "surrogatepass"), private, registry=SIGNING)


def part(members: object) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")


def document(members: object) -> httpx.Response:
    """JSON, with the numbers that JSON has no words for as Python writes them."""
    return httpx.Response(200, content=json.dumps(members).encode())


@dataclass
class ForgedProvider:
    """Its `handlers` by path take the place of the good answers; `asked` holds the path of every request."""

    clock: Clock
    keys: list[dict[str, object]] = field(default_factory=lambda: [published(key("one"))])
    metadata: dict[str, object] = field(default_factory=dict)
    """What differs from a good discovery document; `None` leaves a member out."""
    claims: dict[str, object] = field(default_factory=dict)
    """What differs from good claims; `None` leaves one out."""
    header: dict[str, object] = field(default_factory=dict)
    signing_key: jwk.Key | None = field(default_factory=lambda: key("one"))
    token: str | None = None
    """The whole ID token, when it is not to be made of the parts above."""
    userinfo: dict[str, object] = field(default_factory=dict)
    handlers: dict[str, Handler] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    """What was posted to the token endpoint."""
    nonce: str = ""
    given: str = ""
    """The ID token that was handed out last."""
    _codes: Any = field(default_factory=lambda: itertools.count(1))

    def instance(self, **changes: Any) -> Instance:
        """Settings for it."""
        return Instance(**{"issuer": ISSUER, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **changes})

    def code(self) -> str:
        """A code that nobody used yet."""
        return f"code-{next(self._codes)}"

    def count(self, path: str) -> int:
        """How often something was asked for."""
        return self.asked.count(path)

    def clients(self) -> HTTPClients:
        """What a plugin's context has, with this provider at the other end of every request."""
        return cast(HTTPClients, _Wires(self))

    def discovery(self) -> dict[str, object]:
        good: dict[str, object] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/jwks",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
        }
        return _without_nothing(good | self.metadata)

    def good_claims(self) -> dict[str, object]:
        """Claims of a token that is issued now."""
        now = int(self.clock.now().timestamp())
        return {
            "iss": ISSUER,
            "aud": CLIENT_ID,
            "sub": "alice",
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "email": "alice@example.com",
            "email_verified": True,
            "preferred_username": "alice",
            "groups": ["dev"],
        }

    def id_token(self) -> str:
        """A token of the parts that the test chose."""
        if self.token is not None:
            return self.token
        kid = {} if self.signing_key is None else {"kid": self.signing_key.kid}
        header = _without_nothing({"alg": "RS256", "typ": "JWT", **kid, **self.header})
        return sign(header, json.dumps(_without_nothing(self.good_claims() | self.claims)), self.signing_key)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """What comes over the wire."""
        answer = await self._answer(request)
        if answer.is_stream_consumed:  # one that was made in one piece; those of a network come in several
            return httpx.Response(answer.status_code, headers=answer.headers, stream=_Pieces(answer.content))
        return answer

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(path)
        if path in self.handlers:
            answer = self.handlers[path](request)
            return answer if isinstance(answer, httpx.Response) else await answer
        if path == "/token":
            form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
            self.forms.append(form)
            self.given = self.id_token()
            return document({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": self.given})
        answers: dict[str, object] = {
            "/.well-known/openid-configuration": self.discovery(),
            "/jwks": {"keys": self.keys},
            "/userinfo": {"sub": "alice", **self.userinfo},
        }
        return document(answers[path]) if path in answers else httpx.Response(404, json={})


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._content), 1000):
            yield self._content[at : at + 1000]


class _Wires:
    def __init__(self, provider: ForgedProvider) -> None:
        self._provider = provider

    def trusted(self, *, base_url: str = "", headers: Mapping[str, str] | None = None, timeout: float = 10.0) -> httpx.AsyncClient:
        transport = httpx.MockTransport(self._provider.handle)
        return httpx.AsyncClient(transport=transport, base_url=base_url, headers=dict(headers or {}), timeout=timeout)


def _without_nothing(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}
