"""`terraform login`: an authorization code with PKCE (RFC 6749, RFC 7636) that becomes an API token.

browser   GET  /oauth/authorize   checked here; the page asks the signed-in person
browser   POST /oauth/authorize   the click: a code, carried to terraform's own small server on this machine
terraform POST /oauth/token       the code and the verifier become a token
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from sqlalchemy import select, update

from terrapod_core import ids
from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.models import APIToken, AuthorizationCode, CodeKind, TokenOrigin, User
from terrapod_core.accounts.texts import plain_digest
from terrapod_core.accounts.tokens import IssuedToken, Tokens, revoke_tree
from terrapod_core.audit import record
from terrapod_core.authz import SYSTEM, Actor, ActorKind
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import BadRequest, Forbidden

CLIENT: Final = "terraform-cli"
CODE_LIVES: Final = timedelta(seconds=60)

REDIRECT: Final = re.compile(r"http://(localhost|127\.0\.0\.1):(100(?:0[0-9]|10))/login", re.ASCII)
"""The only places a code is sent to: the ports that service discovery names, on the machine of the browser."""

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_STATE: Final = re.compile(r"[!-~]{1,512}", re.ASCII)


@dataclass(frozen=True)
class AuthorizationRequest:
    """What terraform asks a person for, by way of the browser; checked."""

    redirect_uri: str
    challenge: str
    state: str

    @property
    def port(self) -> int:
        """Where terraform waits."""
        return int(self.redirect_uri.rpartition(":")[2].partition("/")[0])

    @property
    def origin(self) -> str:
        """Scheme, host and port of the address the code is sent to."""
        return self.redirect_uri.removesuffix("/login")

    def fields(self) -> dict[str, str]:
        """The request again, as the consent page's form carries it."""
        return {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": self.redirect_uri,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            "state": self.state,
        }


class OAuthRefused(Exception):
    """An exchange that failed, in RFC 6749's words (section 5.2)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


def authorization_request(values: Mapping[str, str]) -> AuthorizationRequest:
    """Check the parameters of `/oauth/authorize`. Raises `BadRequest`, to be shown here: an unchecked address gets nothing."""
    if values.get("client_id") != CLIENT:
        raise BadRequest(f"this sign-in is for the client {CLIENT} alone", parameter="client_id")
    if not REDIRECT.fullmatch(values.get("redirect_uri", "")):
        raise BadRequest("redirect_uri must be http://localhost:<port>/login with a port from 10000 to 10010", parameter="redirect_uri")
    if values.get("response_type") != "code":
        raise BadRequest("response_type must be code", parameter="response_type")
    if values.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(values.get("code_challenge", "")):
        raise BadRequest("a code_challenge made with S256 is needed; run terraform login again", parameter="code_challenge")
    if not _STATE.fullmatch(values.get("state", "")):
        raise BadRequest("state must have 1 to 512 visible characters; run terraform login again", parameter="state")
    return AuthorizationRequest(values["redirect_uri"], values["code_challenge"], values["state"])


class TerraformLogin:
    """Turns a click into a code, and a code into a token."""

    def __init__(self, db: Database, tokens: Tokens, authentication: Authentication) -> None:
        self._db = db
        self._tokens = tokens
        self._authentication = authentication

    async def consent(self, actor: Actor, request: AuthorizationRequest) -> str:
        """The person agreed: the URL that brings a code to terraform. Only a session may agree, never a token.

        Raises `SignInAgain` when its sign-in is too old for a token as long-lived as terraform's.
        """
        if actor.user_id is None or actor.session_id is None:
            raise Forbidden("sign in with a browser to let terraform in", code="session_needed")
        code = secrets.token_urlsafe(32)
        async with self._db.uow() as uow:
            await self._tokens.check_sign_in(uow, actor)
            row = AuthorizationCode(
                id=ids.new("code"),
                hash=plain_digest(code),
                kind=CodeKind.TERRAFORM_LOGIN.value,
                user_id=actor.user_id,
                client_id=CLIENT,
                redirect_uri=request.redirect_uri,
                challenge=request.challenge,
                created_at=uow.now(),
                expires_at=uow.now() + CODE_LIVES,
            )
            uow.add(row)
            record(uow, actor, "terraform-login.consent", "users", actor.user_id, port=request.port)
            await uow.commit()
        return f"{request.redirect_uri}?{urlencode({'code': code, 'state': request.state})}"

    async def exchange(self, values: Mapping[str, str]) -> IssuedToken:
        """A code for a token. Raises `OAuthRefused`; whatever was wrong, the code is spent."""
        if values.get("grant_type") != "authorization_code":
            raise OAuthRefused("unsupported_grant_type", "grant_type must be authorization_code")
        async with self._db.uow() as uow:
            # One statement decides who was first, whatever the database and however many servers.
            first = (AuthorizationCode.hash == plain_digest(values.get("code", "")), AuthorizationCode.used_at.is_(None))
            spend = update(AuthorizationCode).where(*first).values(used_at=uow.now()).returning(AuthorizationCode)
            code = (await uow.session.execute(spend)).scalar_one_or_none()
            replayed = code is None and await self._replayed(uow, values.get("code", ""))
            issued = await self._issue(uow, code, values) if code is not None else None
            await uow.commit()
        if replayed:
            self._authentication.forget()
        if issued is None:
            raise OAuthRefused("invalid_grant", "the code is unknown, used, expired or not yours; run terraform login again")
        return issued

    async def _issue(self, uow: UnitOfWork, code: AuthorizationCode, values: Mapping[str, str]) -> IssuedToken | None:
        user = await uow.session.get(User, code.user_id)
        if user is None or user.disabled_at is not None or code.expires_at <= uow.now() or not _matches(code, values):
            return None
        actor = Actor(ActorKind.USER, user.id, user.username, user.email)
        issued = self._tokens.issue(uow, actor, user, description="terraform login", origin=TokenOrigin.TERRAFORM_LOGIN)
        code.token_id = issued.id
        return issued

    async def _replayed(self, uow: UnitOfWork, text: str) -> bool:
        """A used code that comes again was seen by somebody else: its token ends (RFC 6749, section 4.1.2). Whether one did."""
        query = select(AuthorizationCode.token_id).where(AuthorizationCode.hash == plain_digest(text))
        token_id = (await uow.session.execute(query)).scalar_one_or_none()
        token = await uow.session.get(APIToken, token_id, with_for_update=True) if token_id else None
        if token is None or token.revoked_at is not None:
            return False
        await revoke_tree(uow, token.id)
        record(
            uow, SYSTEM, "authentication-token.revoke", "authentication-tokens", token.id, user=token.user_id, why="its code was used twice"
        )
        return True


def _matches(code: AuthorizationCode, values: Mapping[str, str]) -> bool:
    """Whether the exchange is made by the client that asked, for the address it named, with the verifier of its challenge."""
    verifier = values.get("code_verifier", "")
    if code.kind != CodeKind.TERRAFORM_LOGIN.value or values.get("client_id") != code.client_id:
        return False
    if values.get("redirect_uri") != code.redirect_uri or not _VERIFIER.fullmatch(verifier):
        return False
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(challenge, code.challenge)
