"""One OpenID Connect provider: authorization code flow with PKCE."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from terrapod_auth_oidc.answers import Answer, Asking
from terrapod_auth_oidc.claims import Claims, identity_of, lacks
from terrapod_auth_oidc.directory import Directory, Metadata
from terrapod_auth_oidc.settings import Instance, OIDCSettings
from terrapod_auth_oidc.tokens import LAPSES, LARGEST, Distrusted, Judge
from terrapod_core.plugin import Callback, Identity, LoginRefused, LoginRequest, PluginContext, ProviderUnavailable, Redirect

LONGEST_CODE: Final = 8192
DISTRUST: Final = "the answer of the provider could not be trusted; begin again"
STALE: Final = "this sign-in was used already or took too long; begin again"

BUSY_ERRORS: Final = ("server_error", "temporarily_unavailable")
"""Errors of the authorization endpoint (RFC 6749 section 4.1.2.1) that say nothing about the person."""
WORDS: Final = {
    "access_denied": "the provider did not let you in, or you did not agree",
    "login_required": "you are not signed in at the provider",
    "interaction_required": "the provider has to ask you something first; sign in there and begin again",
    "consent_required": "you have not agreed at the provider that this server may know who you are",
}


class OIDCProvider:
    """Signs people in at another site, and believes what that site's signed token says."""

    def __init__(self, name: str, instance: Instance, context: PluginContext[OIDCSettings]) -> None:
        self.name = name
        self.display_name = instance.display_name or ("Single sign-on" if name == "oidc" else name.replace("-", " ").capitalize())
        self._instance = instance
        self._log = context.log
        self._once = context.once
        self._clock = context.clock
        self._asking = Asking(context.http, instance.timeout_seconds)
        self._directory = Directory(instance, self._asking, context.clock)
        self._judge = Judge(instance, self._directory, context.clock)

    async def begin(self, login: LoginRequest) -> Redirect:
        """To the provider's authorization endpoint. Raises `ProviderUnavailable` when it does not say where that is."""
        metadata = await self._directory.metadata()
        nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        instance = self._instance
        url: str = prepare_grant_uri(
            metadata.authorization_endpoint,
            client_id=instance.client_id,
            response_type="code",
            redirect_uri=login.callback_url,
            scope=" ".join(instance.scopes),
            state=login.state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            prompt=instance.prompt,
            max_age=None if instance.max_age is None else str(instance.max_age),
        )
        return Redirect(url, remember={"nonce": nonce, "verifier": verifier})

    async def finish(self, callback: Callback) -> Identity:
        """Who it was, by an ID token that was checked and never used before."""
        metadata = await self._directory.metadata()
        code = self._code(callback.values, metadata)
        nonce, verifier = callback.remembered.get("nonce"), callback.remembered.get("verifier")
        if not nonce or not verifier:
            raise LoginRefused(STALE)
        # Not left to the provider alone: many revoke all that a code gave when they see it again, the first one's tokens too.
        if not await self._first(f"code {hashlib.sha256(code.encode()).hexdigest()}"):
            raise LoginRefused(STALE)
        id_token, access_token = await self._redeem(metadata, code, verifier, callback.callback_url)
        try:
            token = await self._judge.read(id_token, nonce=nonce, access_token=access_token)
        except Distrusted as reason:
            raise self._distrust(f"the ID token is refused: {reason}") from None
        if not await self._first(f"token {token.fingerprint}"):
            raise self._distrust("the ID token was used before")
        sources = [token.claims, *await self._userinfo(metadata, token.claims, access_token)]
        return identity_of(sources, self._instance, self._log, self.name)

    def _code(self, values: Mapping[str, str], metadata: Metadata) -> str:
        """The code in the callback, when the callback is this provider's own and no error."""
        issuer = values.get("iss")
        # RFC 9207: else another provider's callback could be passed off as this one's.
        if issuer != self._instance.issuer and (issuer is not None or metadata.names_itself):
            raise self._distrust("the callback does not name this provider (iss)")
        error = values.get("error")
        if error is not None:
            self._refuse(error)
        code = values.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE or not code.isascii() or not code.isprintable():
            raise LoginRefused("the provider sent no usable code; begin again")
        return code

    def _refuse(self, error: str) -> None:
        """Say the provider's error in words of ours: its own come through the browser, where anybody may have written them."""
        self._log.info("sign-in through %s: the provider answered %s", self.name, _sanitised(error))
        if error in BUSY_ERRORS:
            raise ProviderUnavailable("says that it is out of order at the moment")
        raise LoginRefused(WORDS.get(error, "the provider refused the sign-in"))

    async def _redeem(self, metadata: Metadata, code: str, verifier: str, callback_url: str) -> tuple[str, str]:
        """The ID token and the access token for a code."""
        form = {"code": code, "code_verifier": verifier}
        headers: dict[str, str] = {}
        instance, way = self._instance, self._client_authentication(metadata)
        if way == "client_secret_basic":
            pair = f"{quote_plus(instance.client_id)}:{quote_plus(instance.client_secret or '')}"  # RFC 6749 section 2.3.1
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = instance.client_id
            if way == "client_secret_post":
                form["client_secret"] = instance.client_secret or ""
        body: str = prepare_token_request("authorization_code", redirect_uri=callback_url, **form)
        answer = await self._asking.post("tokens", metadata.token_endpoint, body, headers=headers)
        if answer.status != 200:
            raise self._not_redeemed(answer)
        id_token, access_token, kind = (answer.members.get(name) for name in ("id_token", "access_token", "token_type"))
        if not isinstance(id_token, str) or not 0 < len(id_token) <= LARGEST:
            raise ProviderUnavailable("answered the request for tokens without an ID token; is the scope openid allowed there?")
        usable = isinstance(access_token, str) and re.fullmatch(r"[!-~]+", access_token)
        if not isinstance(access_token, str) or not usable or not isinstance(kind, str) or kind.lower() != "bearer":
            raise ProviderUnavailable("answered the request for tokens without a bearer token")
        return id_token, access_token

    def _client_authentication(self, metadata: Metadata) -> str:
        if self._instance.token_endpoint_auth_method is not None:
            return self._instance.token_endpoint_auth_method
        taken = metadata.client_authentication
        return "client_secret_post" if "client_secret_post" in taken and "client_secret_basic" not in taken else "client_secret_basic"

    def _not_redeemed(self, answer: Answer) -> LoginRefused | ProviderUnavailable:
        error = answer.members.get("error")
        self._log.warning("sign-in through %s: no tokens for a code: status %s, %s", self.name, answer.status, _sanitised(error))
        if error == "invalid_grant":
            return LoginRefused(STALE)
        return ProviderUnavailable(f"answered the request for tokens with status {answer.status}")

    async def _first(self, what: str) -> bool:
        """Whether this is the first use of a thing that is good once."""
        return await self._once.claim(f"oidc {self.name} {what}", self._clock.now() + LAPSES)

    async def _userinfo(self, metadata: Metadata, claims: Claims, access_token: str) -> list[Claims]:
        """What the userinfo endpoint says, when there is need for it."""
        if not self._instance.userinfo or metadata.userinfo_endpoint is None or not lacks(claims, self._instance):
            return []
        headers = {"Authorization": f"Bearer {access_token}"}
        answer = await self._asking.get("claims", metadata.userinfo_endpoint, headers=headers)
        if answer.status != 200:
            raise ProviderUnavailable(f"answered the request for claims with status {answer.status}")
        if answer.members.get("sub") != claims["sub"]:
            raise self._distrust("userinfo speaks of somebody else (sub)")
        return [answer.members]

    def _distrust(self, detail: str) -> LoginRefused:
        self._log.warning("sign-in through %s: %s", self.name, detail)
        return LoginRefused(DISTRUST)


def _sanitised(error: object) -> str:
    """An error's code as it may stand in a log."""
    return error if isinstance(error, str) and re.fullmatch(r"[a-z_]{1,40}", error) else "an error that has no name"
