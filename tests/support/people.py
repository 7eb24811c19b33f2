"""Accounts over a real database, with an application in process that has their routes and pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from quart import Response
from quart.typing import TestClientProtocol
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.datastructures import Headers

from terrapod_core import ui
from terrapod_core.accounts import AccountServices, UserPasswords, Visitor, open_accounts, register_includes, routes
from terrapod_core.agents import Pools, PoolTokens
from terrapod_core.agents.resources import POOL_TOKEN
from terrapod_core.audit import AuditEntry, Refusals
from terrapod_core.authz import SYSTEM, Actor, Authorizer, PlatformRole
from terrapod_core.db import Database
from terrapod_core.jsonapi import Includes
from terrapod_core.plugin import (
    AuthProvider,
    Callback,
    Form,
    FormField,
    Identity,
    LoginRefused,
    LoginRequest,
    PasswordRefused,
    PasswordStore,
    Redirect,
)
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.settings import Settings
from terrapod_core.testing import FakeClock
from terrapod_core.web import TerrapodQuart, Web
from terrapod_core.web.dress import dress
from terrapod_core.web.failures import Failures
from terrapod_core.workspaces.pool_users import UsersOfPools

BASE = "http://localhost:8080"
PASSWORD = "a quiet walnut drawer"
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


class PlainPasswords:
    """The provider of local users, without the cost of real hashing."""

    name = "local"
    display_name = "E-mail and password"

    def __init__(self, passwords: PasswordStore) -> None:
        self.passwords = passwords
        self.asked = 0
        self.busy = False

    async def begin(self, login: LoginRequest) -> Form:
        return Form((FormField("email", "E-mail", "email"), FormField("password", "Password", "password")))

    async def finish(self, callback: Callback) -> Identity:
        self.asked += 1
        if self.busy:
            raise LoginRefused("too many at once", retry_after=2)
        stored = await self.passwords.find(callback.values.get("email", ""))
        if stored is None or stored.hash != "hash of " + callback.values.get("password", ""):
            raise LoginRefused("the e-mail address or the password is wrong")
        return Identity(stored.user_id, "local", stored.email, True, stored.username)

    async def hash_password(self, password: str, *, known: Sequence[str] = ()) -> str:
        if len(password) < 10:
            raise PasswordRefused("this password is too easy to guess")
        return "hash of " + password


@dataclass
class Elsewhere:
    """A provider that sends people to another site; `person` is who comes back."""

    name: str = "corporate"
    display_name: str = "Corporate sign-in"
    person: Identity = field(default_factory=lambda: Identity("42", "https://idp.example", "alice@example.com", True, "alice"))
    broken: bool = False

    async def begin(self, login: LoginRequest) -> Redirect:
        return Redirect(f"https://idp.example/sign-in?state={login.state}")

    async def finish(self, callback: Callback) -> Identity:
        if self.broken:
            raise RuntimeError("the other site speaks nonsense")
        if "error" in callback.values:
            raise LoginRefused("the other site said no")
        return self.person


@dataclass
class People:
    """The services of accounts, and a server around them."""

    db: Database
    clock: FakeClock
    settings: Settings = field(default_factory=Settings)
    runs: ui.RunPages | None = None
    workspaces: ui.WorkspacePages | None = None
    readable: set[str] = field(default_factory=set)
    """The ids of workspaces that there are, for everybody."""
    keyring: Keyring = field(default_factory=lambda: Keyring(new_key()))

    def __post_init__(self) -> None:
        self.refusals = Refusals(self.db)
        self.passwords = PlainPasswords(UserPasswords(self.db))
        self.elsewhere = Elsewhere()
        self.services = self.restarted(self.keyring)

    def restarted(self, keyring: Keyring) -> AccountServices:
        """The services as another process has them."""
        providers: dict[str, AuthProvider] = {"local": self.passwords, "corporate": self.elsewhere}
        return open_accounts(self.db, keyring, self.settings, Authorizer(), providers, self._readable, self.refusals)

    def _readable(self, _session: Session, _actor: Actor, workspace_ids: Sequence[str]) -> set[str]:
        return {each for each in workspace_ids if each in self.readable}

    async def user(self, name: str, *roles: PlatformRole) -> str:
        """The id of a new local user."""
        made = await self.services.accounts.create_user(SYSTEM, f"{name}@example.com", password=PASSWORD, username=name, roles=roles)
        return made.id

    async def token(self, user_id: str, **more: Any) -> str:
        """The text of a new token of theirs."""
        return (await self.services.tokens.create(SYSTEM, user_id=user_id, **more)).text

    async def actor(self, text: str) -> Actor:
        """Who shows this text."""
        found = await self.services.tokens.authenticate(text)
        assert found is not None, "the text is refused"
        return found

    async def session(self, email: str, password: str = PASSWORD) -> str:
        """Sign in; the session's bearer text."""
        visitor = Visitor(browser="one browser", address="192.0.2.1", user_agent="tests")
        begun = await self.services.sign_in.begin("local", visitor, return_to=None, base_url=BASE)
        values = {"state": begun.state, "email": email, "password": password}
        return (await self.services.sign_in.finish(visitor, values)).text

    async def audited(self) -> list[tuple[str, str, str]]:
        """Action, actor and outcome of every audit entry so far, sorted: the clock may stand still."""
        rows = await self.db.read(lambda session: session.execute(select(AuditEntry)).scalars().all())
        return sorted((row.action, row.actor_name, row.outcome) for row in rows)

    def app(self) -> TerrapodQuart:
        """The application: routes under /api/v2, OAuth, pages."""
        app, includes = TerrapodQuart("test"), Includes()
        web = Web(self.settings, self.db, includes, self.services.tokens.authenticate)
        failures = Failures(app, self.refusals)
        dress(app, self.settings)
        register_includes(includes, Authorizer())
        pool_tokens = PoolTokens(
            self.db, Authorizer(), self.keyring, Pools(self.db, Authorizer(), UsersOfPools(Authorizer())), self.settings.tokens
        )
        app.register_blueprint(routes.routes(self.services, web, pool_tokens, POOL_TOKEN), url_prefix="/api/v2")
        app.register_blueprint(routes.oauth_routes(self.services, web))
        ui.register(app, failures, ui.Pages(self.services, web, runs=self.runs, workspaces=self.workspaces))
        return app

    def browser(self, app: TerrapodQuart | None = None) -> Browser:
        """A browser with no cookies."""
        return Browser((app or self.app()).test_client())


class Browser:
    """Opens pages and sends forms, as a browser does: with cookies, with its own origin."""

    def __init__(self, client: TestClientProtocol, origin: str = BASE) -> None:
        self.client = client
        self.origin = origin

    async def open(self, path: str, **headers: str) -> Page:
        """GET a page; redirects are not followed."""
        return await self._page(await self.client.get(path, headers=self._headers(headers)))

    async def send(self, path: str, fields: Mapping[str, str], **headers: str) -> Page:
        """POST a form."""
        sent = {"Origin": self.origin, "Content-Type": "application/x-www-form-urlencoded", **headers}
        return await self._page(await self.client.post(path, data=urlencode(fields), headers=self._headers(sent)))

    async def sign_in(self, email: str, password: str = PASSWORD, return_to: str = "/app") -> Page:
        """Open the sign-in page and fill it in."""
        page = await self.open(f"/app/sign-in?{urlencode({'provider': 'local', 'return_to': return_to})}")
        return await self.send("/app/sign-in", {**page.hidden(), "email": email, "password": password})

    def cookies(self) -> dict[str, str]:
        """What it holds for this server."""
        return {cookie.name: cookie.value or "" for cookie in self.client.cookie_jar} if self.client.cookie_jar is not None else {}

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "Host": self.origin.partition("://")[2],
            "Accept": BROWSER,
            **{name.replace("_", "-"): value for name, value in more.items()},
        }

    async def _page(self, response: Response) -> Page:
        return Page(response.status_code, response.headers, await response.get_data(as_text=True), response)


@dataclass
class Page:
    """What came back."""

    status: int
    headers: Headers
    text: str
    response: Response

    def hidden(self) -> dict[str, str]:
        """The hidden fields of the page's last form that has any, and those before it."""
        return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', self.text))

    @property
    def leads_to(self) -> str:
        """Where it redirects to; empty when it does not."""
        return self.headers.get("Location", "")


@pytest.fixture
async def people(migrated_url: str) -> AsyncIterator[People]:
    """Accounts over a database of the test's own, at a time that stands still."""
    clock = FakeClock()
    people = People(Database(migrated_url, clock=clock), clock)
    yield people
    await people.services.authentication.settle()
    await people.db.close()
