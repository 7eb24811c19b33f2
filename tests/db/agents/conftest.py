"""The whole application over a real database, asked by HTTP without a socket, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from terrapod_core.accounts.platform_roles import grant
from terrapod_core.accounts.users import add_local_user
from terrapod_core.app import Terrapod
from terrapod_core.audit import AuditEntry
from terrapod_core.authz import SYSTEM, PlatformRole
from terrapod_core.plugin import Plugins, hookimpl
from terrapod_core.secrets import new_key
from terrapod_core.settings import Database, Runner, Secrets, Settings, Storage
from terrapod_core.signatures import PrivateKey, Signer, new_key as new_listener_key
from terrapod_core.testing import FakeClock, FakeRunnerBackend, MemoryStorage
from tests.support.listeners import joining
from tests.support.wire import JSON_API, document

URL = "https://tfe.example.com"


@dataclass
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Any = field(repr=False)

    @property
    def code(self) -> str | None:
        """The code of a refusal."""
        found: str | None = self.body["errors"][0].get("code") if self.status >= 400 else None
        return found

    @property
    def attributes(self) -> dict[str, Any]:
        """Of the one thing."""
        found: dict[str, Any] = self.body["data"]["attributes"]
        return found

    @property
    def id(self) -> str:
        """Of the one thing."""
        found: str = self.body["data"]["id"]
        return found


@dataclass
class Joined:
    """A listener of the test's."""

    id: str
    name: str
    signer: Signer
    attributes: dict[str, Any]


@dataclass
class Site:
    """The server, and those who ask it."""

    terrapod: Terrapod
    clock: FakeClock
    tokens: dict[str, str] = field(default_factory=dict)

    async def person(self, name: str, *roles: PlatformRole) -> None:
        """Somebody who can be named in `ask`."""
        async with self.terrapod.db.uow() as uow:
            user = await add_local_user(uow, f"{name}@example.com", None, "a hash: they can sign in")
            for role in roles:
                await grant(uow, SYSTEM, user, role)
            await uow.commit()
        self.tokens[name] = (await self.terrapod.tokens.create(SYSTEM, description=name, user_id=user.id)).text

    async def ask(self, who: str, method: str, path: str, sent: Any = None) -> Answer:
        """One request by somebody with a token."""
        headers = {"Authorization": f"Bearer {self.tokens.get(who, who)}", "Content-Type": JSON_API}
        return await self.call(method, path, headers, b"" if sent is None else msgspec.json.encode(sent))

    async def call(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        """One request."""
        send = getattr(self.terrapod.app.test_client(), method.lower())
        response = await send(f"/api/v2/{path}", headers=headers, data=body or None)
        raw = await response.get_data(as_text=False)
        return Answer(response.status_code, msgspec.json.decode(raw) if raw else None, response.headers)

    async def pool(self, **sent: Any) -> str:
        """A new pool's id."""
        sent = {"name": "build"} | sent
        made = await self.ask("root", "POST", "organizations/default/agent-pools", document("agent-pools", **sent))
        assert made.status == 201, made
        return made.id

    async def token(self, pool: str, **sent: Any) -> str:
        """A new join token's text."""
        sent = {"description": "for a test"} | sent
        made = await self.ask("root", "POST", f"agent-pools/{pool}/authentication-tokens", document("authentication-tokens", **sent))
        assert made.status == 201, made
        text: str = made.attributes["token"]
        return text

    async def join(self, pool: str, token: str, key: PrivateKey, **sent: Any) -> Answer:
        """Ask to join."""
        return await self.ask(token, "POST", f"agent-pools/{pool}/listeners/join", joining(key, **sent))

    async def listener(self, pool: str, key: PrivateKey | None = None, **sent: Any) -> Joined:
        """A listener that has joined; its clock is the server's until the test changes that."""
        key = key or new_listener_key()
        made = await self.join(pool, await self.token(pool), key, **sent)
        assert made.status == 201, made
        signer = Signer(key, made.attributes["key-id"], clock=lambda: self.clock.now().timestamp())
        return Joined(made.id, made.attributes["name"], signer, made.attributes)

    async def say(self, joined: Joined, what: str = "heartbeat", sent: Any = None, listener_id: str | None = None, **more: str) -> Answer:
        """A signed request of a listener; `more` is what a client adds to its headers, or a proxy changes in them."""
        body = b"" if sent is None else msgspec.json.encode(sent)
        path = f"listeners/{listener_id or joined.id}/{what}"
        signed = joined.signer.headers("POST", f"{URL}/api/v2/{path}", body)
        return await self.call("POST", path, {**signed, **{name.replace("_", "-"): value for name, value in more.items()}}, body)

    async def audited(self, action: str) -> list[AuditEntry]:
        """The entries about an action that was allowed."""
        query = select(AuditEntry).where(AuditEntry.action == action, AuditEntry.outcome == "allowed").order_by(AuditEntry.at)
        return list(await self.terrapod.db.read(lambda session: session.execute(query).scalars().all()))


@pytest.fixture
async def site(migrated_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Site]:
    """The server, with a platform admin called root and a user called bob."""
    settings = Settings(
        data_dir=tmp_path,
        external_url=URL,
        database=Database(url=migrated_url),
        secrets=Secrets(keys=new_key()),
        storage=Storage(backend="memory"),
        runner=Runner(backend="fake"),
    )
    fakes = SimpleNamespace(
        register_storage_backends=hookimpl(lambda context: [MemoryStorage()]),
        register_runner_backends=hookimpl(lambda context: [FakeRunnerBackend()]),
    )
    terrapod = Terrapod(settings, plugins=Plugins.discover(settings, modules={"fakes": fakes}), clock=clock)
    await terrapod.projects.ensure_default()
    site = Site(terrapod, clock)
    await site.person("root", PlatformRole.ADMIN)
    await site.person("bob")
    yield site
    await terrapod.people.authentication.settle()
    await terrapod.db.close()
