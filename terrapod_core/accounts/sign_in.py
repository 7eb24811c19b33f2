"""Signing in through an auth provider: begun in a browser, finished in the same one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from terrapod_core.accounts import asking
from terrapod_core.accounts.asking import OWN_FIELDS, ProviderView
from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.identities import AddressTaken, welcomed
from terrapod_core.accounts.models import REMEMBERED, ComesBack, LoginState, SignedIn, User
from terrapod_core.accounts.sessions import Sessions
from terrapod_core.accounts.texts import plain_digest
from terrapod_core.accounts.throttle import Throttle
from terrapod_core.audit import Refusals, record
from terrapod_core.audit.refusals import ANONYMOUS
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.authz.emails import EMAIL_LENGTH, email_key
from terrapod_core.db import Database
from terrapod_core.errors import BadGateway, BadRequest, Forbidden, NotFound, TerrapodError, TooManyRequests, Unauthorized, Unavailable
from terrapod_core.plugin.auth import AuthProvider, Callback, Form, Identity, LoginRefused, LoginRequest, Redirect, SupportsPasswords
from terrapod_core.secrets import Keyring, SecretUnreadable
from terrapod_core.settings import Auth
from terrapod_core.web.visitors import neighbourhood

STATE_LIVES: Final = timedelta(minutes=10)
SIGN_IN_PAGE: Final = "/app/sign-in"
CALLBACK: Final = "/api/v2/auth/callback"
HOME: Final = "/app"
RETURN_LENGTH: Final = 2048
_STALE: Final = "this sign-in was begun in another browser or too long ago; begin again"

log = structlog.get_logger("terrapod.accounts")


@dataclass(frozen=True)
class Visitor:
    """The one at the other end, before anybody knows who it is."""

    browser: str | None = field(default=None, repr=False)
    """The cookie that tells this browser from others."""
    posting: str | None = field(default=None, repr=False)
    """The cookie that does the same, and also comes along with a form of another site's page."""
    session: str | None = field(default=None, repr=False)
    """The bearer text of the session it has, if any; a new one takes its place."""
    address: str | None = None
    """Of the connection. Headers that claim another are not believed."""
    user_agent: str | None = None
    by_link: bool = False
    """It came by a link or a redirect, with what it says in the URL."""
    foreign: bool = False
    """It sent a form of another site's page."""

    @property
    def near(self) -> str:
        """What its attempts are counted by: one subscriber has a whole /64 of IPv6 addresses."""
        return neighbourhood(self.address)


@dataclass(frozen=True)
class Begun:
    """A sign-in under way."""

    provider: AuthProvider
    step: Redirect | Form
    state: str = field(repr=False)
    browser: str = field(repr=False)
    """For the browser's cookie: `Visitor.posting` when `posts`, else `Visitor.browser`."""
    posts: bool = False
    """Another site's form will bring the browser back, so that only a cookie for other sites' forms comes along."""


@dataclass(frozen=True)
class Welcome:
    """Signed in."""

    user: User
    session: SignedIn
    text: str = field(repr=False)
    """The session's bearer text."""
    return_to: str


class Refused(Unauthorized):
    """A sign-in that failed; knows where it was to lead, so that the page can offer another try."""

    def __init__(self, detail: str, *, provider: str, return_to: str) -> None:
        super().__init__(detail)
        self.provider = provider
        self.return_to = return_to


class Unjudged(BadGateway):
    """A sign-in that came back and that the provider could not judge; knows where it was to lead."""

    def __init__(self, problem: BadGateway, *, return_to: str) -> None:
        super().__init__(problem.detail, code=problem.code)
        self.return_to = return_to


class SignIn:
    """Lets people in."""

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        sessions: Sessions,
        authentication: Authentication,
        providers: Mapping[str, AuthProvider],
        settings: Auth,
        refusals: Refusals,
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._sessions = sessions
        self._authentication = authentication
        self._settings = settings
        self._refusals = refusals
        self.providers = asking.usable(providers)
        again = "too many failed sign-ins; wait before you try again"
        self._by_address = Throttle(db.clock, limit=60, window=timedelta(minutes=5), sentence=again)
        self._by_account = Throttle(db.clock, limit=10, window=timedelta(minutes=5), sentence=again)
        self._begins = Throttle(db.clock, limit=120, window=timedelta(minutes=1), sentence="too many sign-ins were begun; wait a minute")

    def views(self) -> Sequence[ProviderView]:
        """The ways to sign in, as lists and pages show them."""
        return [asking.view_of(provider) for provider in self.providers.values()]

    @property
    def passwords(self) -> str | None:
        """The name of the provider whose form is shown before anybody chose one; `None` without such a provider."""
        return next((name for name, each in self.providers.items() if isinstance(each, SupportsPasswords)), None)

    def metadata(self, provider_name: str, base_url: str) -> tuple[str, bytes]:
        """Content type and bytes of what the provider's other side wants to know of this server. Raises `NotFound`, `BadGateway`."""
        return asking.metadata(self._provider(provider_name), base_url + CALLBACK)

    async def begin(self, provider_name: str | None, visitor: Visitor, *, return_to: str | None, base_url: str) -> Begun:
        """Start with a provider; `None` takes the only one there is.

        Raises `NotFound` for a provider that is not there, `BadGateway` naming one that is down, slow or talks nonsense.
        """
        provider = self._provider(provider_name)
        self._begins.charge(visitor.near)
        state, onward = secrets.token_urlsafe(32), checked_return(return_to)
        request = LoginRequest(state=state, callback_url=base_url + CALLBACK, return_to=onward)
        try:
            step = await asking.begin(provider, request, self._settings.timeout_seconds)
        except LoginRefused as refusal:
            self._begins.refund(visitor.near)
            raise Unavailable(refusal.reason, retry_after=refusal.retry_after) from None
        except TerrapodError:
            self._begins.refund(visitor.near)
            raise
        begun = _begun(provider, step, state, visitor, base_url)
        await self._keep(begun, request)
        return begun

    async def finish(self, visitor: Visitor, values: Mapping[str, str]) -> Welcome:
        """What came back, judged. Raises `BadRequest` for a state that is not this browser's, `Refused` for a failed sign-in,
        `TooManyRequests` after too many of them, `BadGateway` when the provider could not judge.
        """
        if not all(_is_text(value) for value in values.values()):
            raise BadRequest("the form holds a character that is not text")
        state = values.get("state") or values.get("RelayState") or ""
        begun, remembered = await self._resume(visitor, state)
        provider = self._provider(begun.provider)
        form = begun.comes_back == ComesBack.FORM
        given = {name: value for name, value in values.items() if name not in (OWN_FIELDS if form else ("state", "RelayState"))}
        account = _account(provider.name, given if form else {}, visitor)
        failures = self._charge(visitor, account)
        try:
            identity = await self._judge(provider, Callback(given, state, begun.callback_url, remembered), visitor, account)
            welcome = await self._admit(provider, identity, visitor, begun.return_to)
        except LoginRefused as refusal:
            await self._note(provider, failures, refusal.detail if isinstance(refusal, AddressTaken) else {})
            raise Refused(refusal.reason, provider=provider.name, return_to=begun.return_to) from None
        except BadGateway as problem:
            raise Unjudged(problem, return_to=begun.return_to) from None
        self._by_address.refund(visitor.near)
        self._by_account.clear(account)
        self._authentication.forget()
        return welcome

    def _provider(self, name: str | None) -> AuthProvider:
        if name is None and len(self.providers) == 1:
            return next(iter(self.providers.values()))
        if name is None or name not in self.providers:
            raise NotFound(f"choose how to sign in: {', '.join(self.providers) or 'no auth provider is loaded'}")
        return self.providers[name]

    async def _keep(self, begun: Begun, request: LoginRequest) -> None:
        """Remember, for ten minutes, what was begun and what the browser must not choose."""
        row = plain_digest(begun.state)
        sealed = None
        if isinstance(begun.step, Redirect) and begun.step.remember:
            sealed = self._keyring.seal(msgspec.json.encode(begun.step.remember), column=REMEMBERED, row=row)
        async with self._db.uow() as uow:
            uow.add(
                LoginState(
                    hash=row,
                    browser=plain_digest(begun.browser),
                    provider=begun.provider.name,
                    comes_back=_comes_back(begun.step).value,
                    return_to=request.return_to,
                    callback_url=request.callback_url,
                    remembered=sealed,
                    expires_at=uow.now() + STATE_LIVES,
                )
            )
            await uow.commit()

    async def _resume(self, visitor: Visitor, state: str) -> tuple[LoginState, Mapping[str, str]]:
        """Take the state out of the table, so that it serves once, and only in the browser that it was made for."""
        cookies = [plain_digest(cookie) for cookie in (visitor.browser, visitor.posting) if cookie]
        async with self._db.uow() as uow:
            mine = (LoginState.hash == plain_digest(state), LoginState.browser.in_(cookies))
            found = (await uow.session.execute(delete(LoginState).where(*mine).returning(LoginState))).scalar_one_or_none()
            await uow.commit()
        if found is None or found.expires_at <= self._db.clock.now():
            raise BadRequest(_STALE, code="stale_sign_in")
        if visitor.foreign and found.comes_back != ComesBack.POST:
            raise Forbidden("this form came from another site; open the page here and try again", code="foreign_origin")
        if visitor.by_link and found.comes_back == ComesBack.FORM:
            raise BadRequest("send what was typed as a form, by POST: a URL is kept in histories and logs", code="form_needed")
        if found.remembered is None:
            return found, {}
        try:
            kept = self._keyring.open(found.remembered, column=REMEMBERED, row=found.hash)
        except SecretUnreadable:
            log.warning("what a sign-in remembered cannot be read: its key is gone", provider=found.provider)
            raise BadRequest(_STALE, code="stale_sign_in") from None
        return found, msgspec.json.decode(kept, type=dict[str, str])

    def _charge(self, visitor: Visitor, account: str) -> int:
        self._by_address.charge(visitor.near)
        try:
            return self._by_account.charge(account)
        except TooManyRequests:
            self._by_address.refund(visitor.near)
            raise

    async def _judge(self, provider: AuthProvider, callback: Callback, visitor: Visitor, account: str) -> Identity:
        """Ask the provider. What was not judged (busy, away, broken) does not count as a failure."""
        problem: TerrapodError
        try:
            return await asking.finish(provider, callback, self._settings.timeout_seconds)
        except LoginRefused as refusal:
            if refusal.retry_after is None:
                raise
            problem = TooManyRequests(refusal.reason, retry_after=refusal.retry_after)
        except TerrapodError as error:
            problem = error
        self._by_address.refund(visitor.near)
        self._by_account.refund(account)
        raise problem

    async def _admit(self, provider: AuthProvider, identity: Identity, visitor: Visitor, return_to: str) -> Welcome:
        try:
            return await self._open(provider, identity, visitor, return_to)
        except IntegrityError:
            # The same person signed in for the first time twice at once; now they are known.
            return await self._open(provider, identity, visitor, return_to)

    async def _open(self, provider: AuthProvider, identity: Identity, visitor: Visitor, return_to: str) -> Welcome:
        async with self._db.uow() as uow:
            user = await welcomed(uow, provider.name, identity, self._settings)
            if visitor.session is not None:
                await self._sessions.discard(uow, visitor.session)
            text, session = self._sessions.open(uow, user, address=visitor.address, user_agent=visitor.user_agent)
            actor = Actor(ActorKind.USER, user.id, user.username, user.email, session_id=session.id)
            record(uow, actor, "session.create", "sessions", session.id, provider=provider.name)
            await uow.commit()
        return Welcome(user, session, text, return_to)

    async def _note(self, provider: AuthProvider, failures: int, detail: Mapping[str, Any]) -> None:
        """Record a failure and how many there were; not what was typed, which may be a password in the wrong field.

        All of them together are one party, so that a flood from many addresses is counted, too.
        """
        said = {"provider": provider.name, "failures": failures, **detail}
        try:
            await self._refusals.known(ANONYMOUS, "session.create", "sessions", "-", **said)
        except Unavailable:
            log.warning("a failed sign-in could not be recorded: the database is away")


def _is_text(value: str) -> bool:
    """Whether it can be written down: no database and no hash takes half of a character."""
    return "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)


def _comes_back(step: Redirect | Form) -> ComesBack:
    if isinstance(step, Form):
        return ComesBack.FORM
    return ComesBack.POST if step.returns_by_post else ComesBack.LINK


def _begun(provider: AuthProvider, step: Redirect | Form, state: str, visitor: Visitor, base_url: str) -> Begun:
    """The sign-in with the text for the browser's cookie.

    A cookie that other sites' forms bring along exists over TLS alone, and serves for one sign-in alone. Over plain HTTP, on
    this machine, the other cookie does, as long as the other site is this machine as well.
    """
    if _comes_back(step) is ComesBack.POST and base_url.startswith("https://"):
        return Begun(provider, step, state, secrets.token_urlsafe(32), posts=True)
    return Begun(provider, step, state, visitor.browser or secrets.token_urlsafe(32))


def checked_return(path: str | None) -> str:
    """The path to go to after signing in, if it leads to a page of this server; else the first page."""
    if not path or len(path) > RETURN_LENGTH or not path.isprintable() or "\\" in path or "/.." in path:
        return HOME
    return path if path.startswith(("/app/", "/app?", "/oauth/authorize?")) or path == HOME else HOME


def _account(provider: str, given: Mapping[str, str], visitor: Visitor) -> str:
    """What the attempt is counted against beside the address: the account it names. What names none counts for its address."""
    name = email_key(given.get("email") or given.get("username") or "")[:EMAIL_LENGTH]
    return f"{provider}:{name}" if name else f"{provider} from {visitor.near}"
