"""Signing in with an account of a Gitea or Forgejo server: OAuth 2.0's authorization code flow with PKCE (RFC 6749, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec

from terrapod_core.plugin import (
    Callback,
    HTTPClients,
    Identity,
    LoginRefused,
    LoginRequest,
    PluginContext,
    PluginSettings,
    ProviderUnavailable,
    Redirect,
    hookimpl,
    setting,
)

T = TypeVar("T")

SCOPES: Final = "read:user read:organization"
PAGE: Final = 50
MOST_PAGES: Final = 20
REFUSED: Final = "This sign-in is not valid, or not any more. Begin again."


@dataclass(frozen=True, kw_only=True)
class GiteaSettings(PluginSettings):
    """`[auth.gitea]`."""

    url: str = setting("", "Base URL of the Gitea server; the provider is off without it.")
    client_id: str = setting("", "Of the OAuth2 application that stands for this server there.")
    client_secret: str = setting("", "The application's secret.", secret=True)
    display_name: str = setting("Gitea", "What the button on the sign-in page says.")

    def __post_init__(self) -> None:
        if self.url and (urlsplit(self.url).scheme not in ("https", "http") or not urlsplit(self.url).hostname):
            raise ValueError("url must begin with https:// or http://")
        if self.url and not (self.client_id and self.client_secret):
            raise ValueError("url needs client_id and client_secret: make an OAuth2 application in Gitea's settings")


@hookimpl
def register_settings() -> type[GiteaSettings]:
    return GiteaSettings


@hookimpl
def register_auth_providers(context: PluginContext[GiteaSettings]) -> list[GiteaProvider]:
    return [GiteaProvider(context.settings, context.http)] if context.settings.url else []


class _Token(msgspec.Struct):
    access_token: str


class _Account(msgspec.Struct):
    id: int
    login: str
    email: str = ""


class _Address(msgspec.Struct):
    email: str
    verified: bool = False
    primary: bool = False


class _Organization(msgspec.Struct):
    username: str


class GiteaProvider:
    """An `AuthProvider`. It keeps nothing: what a sign-in needs to remember, the core keeps."""

    name = "gitea"

    def __init__(self, settings: GiteaSettings, http: HTTPClients) -> None:
        self.display_name = settings.display_name
        self._settings = settings
        self._url = settings.url.rstrip("/")
        self._http = http

    async def begin(self, login: LoginRequest) -> Redirect:
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": self._settings.client_id,
            "redirect_uri": login.callback_url,
            "response_type": "code",
            "scope": SCOPES,
            "state": login.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return Redirect(f"{self._url}/login/oauth/authorize?{urlencode(asked)}", remember={"verifier": verifier})

    async def finish(self, callback: Callback) -> Identity:
        code, verifier = callback.values.get("code"), callback.remembered.get("verifier")
        if not code or not verifier:  # also when the person said no there: then `error` came instead
            raise LoginRefused(REFUSED)
        try:
            async with self._http.trusted(base_url=self._url) as http:
                token = await self._token(http, code, verifier, callback.callback_url)
                return await self._identity(http, token)
        except httpx.HTTPError:
            raise ProviderUnavailable("it cannot be reached, or takes too long") from None
        except msgspec.DecodeError:
            raise ProviderUnavailable("its answer makes no sense") from None

    async def _token(self, http: httpx.AsyncClient, code: str, verifier: str, callback_url: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret,
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": callback_url,
        }
        answer = await http.post("/login/oauth/access_token", data=form, headers={"Accept": "application/json"})
        if answer.status_code == 400:  # RFC 6749, section 5.2: the code is unknown, used, or of another sign-in
            raise LoginRefused(REFUSED)
        return _read(answer, _Token).access_token

    async def _identity(self, http: httpx.AsyncClient, token: str) -> Identity:
        http.headers["Authorization"] = f"Bearer {token}"
        account = _read(await http.get("/api/v1/user"), _Account)
        addresses = _read(await http.get("/api/v1/user/emails"), list[_Address])
        primary = next((each for each in addresses if each.primary), _Address(account.email))
        return Identity(
            subject=str(account.id),  # names can be changed, and taken by somebody else afterwards
            issuer=self._url,
            email=primary.email,
            email_verified=primary.verified,
            username=account.login,
            groups=await self._organizations(http),
        )

    async def _organizations(self, http: httpx.AsyncClient) -> frozenset[str]:
        names: set[str] = set()
        for page in range(1, MOST_PAGES + 1):
            found = _read(await http.get("/api/v1/user/orgs", params={"page": page, "limit": PAGE}), list[_Organization])
            names |= {each.username for each in found}
            if len(found) < PAGE:
                break
        return frozenset(names)


def _read(answer: httpx.Response, kind: type[T]) -> T:
    """The body as `kind`; `ProviderUnavailable` for any status but 200, without a word of what the body said."""
    if answer.status_code != 200:
        raise ProviderUnavailable(f"it answers {answer.status_code} to this server")
    return msgspec.json.decode(answer.content, type=kind)
