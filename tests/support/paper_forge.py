"""A forge that is a Python object: for tests of what the core does between a forge's answers."""

from __future__ import annotations

import asyncio
import io
import itertools
import tarfile
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy.orm import Session

from terrapod_core.app import Terrapod
from terrapod_core.authz import Actor, PlatformRole
from terrapod_core.jsonapi import Ref
from terrapod_core.plugin import Commit, CommitStatus, Field, Plugins, PullRequest, PullRequests, RefKind, Refs, Repo, RepoInfo, hookimpl
from terrapod_core.plugin.vcs import Connection
from terrapod_core.testing import FakeClock, FakeRunnerBackend, MemoryStorage
from terrapod_core.vcs.following import Seen, Wants
from terrapod_core.vcs.opening import Trouble
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.documents import CreateWorkspace
from tests.db.runs.conftest import make_user, settings_for

MAIN_TF = b'resource "terraform_data" "a" {}\n'


def archive() -> bytes:
    """A commit's tree, as forges pack it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("acme-net-1/main.tf")
        info.size = len(MAIN_TF)
        tar.addfile(info, io.BytesIO(MAIN_TF))
    return buffer.getvalue()


def sha(number: int) -> str:
    """A commit."""
    return f"{number:040x}"


@dataclass
class PaperForge:
    """A provider, the forge that it asks, and a client of it; it has one repository of any name."""

    name = "paper"
    display_name = "Paper"
    service_providers = ()
    default_url = "https://paper.example.com"
    fields = (Field("token", "Token", required=True),)

    branches: dict[str, str] = field(default_factory=lambda: {"main": sha(1)})
    pulls: list[PullRequest] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    """What commits were told: context and words."""
    comments: dict[str, str] = field(default_factory=dict)
    looks: int = 0
    """How often it was asked for refs."""
    gate: asyncio.Event | None = None
    """Refs come only after it is set."""
    faults: dict[str, Exception] = field(default_factory=dict)
    """What is raised where `refs` are asked for, or this commit."""
    account_gate: asyncio.Event | None = None
    """Credentials are taken only after it is set."""
    comment_gate: asyncio.Event | None = None
    """A comment is written only after it is set."""

    def check(self, connection: Connection) -> None:
        """Everything is."""

    def repository(self, connection: Connection, text: str) -> Repo:
        return Repo(text)

    def fail(self, what: str) -> None:
        """Raise what is wrong with this."""
        if what in self.faults:
            raise self.faults[what]

    @asynccontextmanager
    async def client(self, connection: Connection) -> AsyncIterator[PaperClient]:
        yield PaperClient(self)


@dataclass
class PaperClient:
    """A client of it."""

    forge: PaperForge

    async def account(self) -> str:
        if self.forge.account_gate is not None:
            await self.forge.account_gate.wait()
        return "somebody"

    async def repository(self, repo: Repo) -> RepoInfo:
        return RepoInfo(repo, "main", f"https://paper.example.com/{repo}", f"https://paper.example.com/{repo}.git")

    async def refs(self, repo: Repo, kinds: frozenset[RefKind], validator: str | None) -> Refs | None:
        self.forge.looks += 1
        if self.forge.gate is not None:
            await self.forge.gate.wait()
        self.forge.fail("refs")
        now = repr(self.forge.branches)
        return None if now == validator else Refs(dict(self.forge.branches), {}, now)

    async def commit(self, repo: Repo, sha: str) -> Commit:
        self.forge.fail(sha)
        return Commit(sha, "Change it")

    async def archive(self, repo: Repo, sha: str, paths: Sequence[str]) -> AsyncIterator[bytes]:
        yield archive()

    async def pull_requests(self, repo: Repo, validator: str | None) -> PullRequests | None:
        now = repr(self.forge.pulls)
        return None if now == validator else PullRequests(tuple(self.forge.pulls), now)

    async def set_status(self, repo: Repo, sha: str, status: CommitStatus) -> None:
        self.forge.told.append((status.context, f"{status.state} {status.description}"))

    async def comment(self, repo: Repo, number: int, body: str, comment_id: str | None) -> str:
        if self.forge.comment_gate is not None:
            await self.forge.comment_gate.wait()
        ident = comment_id or str(len(self.forge.comments) + 1)
        self.forge.comments[ident] = body
        return ident


def pull(number: int, head: int, *, is_fork: bool = False, title: str = "Improve it") -> PullRequest:
    """An open pull request to `main`."""
    return PullRequest(number, title, "", f"https://paper.example.com/{number}", sha(head), "theirs", "main", is_fork)


@dataclass
class Noting:
    """A follower that notes what it is shown."""

    repository_ids: Collection[str]
    seen: list[Seen] = field(default_factory=list)
    told: list[Trouble | None] = field(default_factory=list)
    fault: Exception | None = None
    """Raised by each look while it is here."""

    def wants(self, session: Session, repository_ids: Collection[str]) -> Mapping[str, Wants]:
        return {each: Wants(branches=True, pulls=True) for each in repository_ids if each in self.repository_ids}

    async def look(self, seen: Seen) -> None:
        if self.fault is not None:
            raise self.fault
        self.seen.append(seen)

    async def tell(self, repository_id: str, trouble: Trouble | None) -> None:
        self.told.append(trouble)


@dataclass
class Servers:
    """Servers of one installation that follow repositories of the forge; nothing happens in them but what a test does."""

    forge: PaperForge
    made: list[Terrapod]
    clock: FakeClock
    admin: Actor
    names: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def one(self) -> Terrapod:
        return self.made[0]

    async def connection(self, **attributes: Any) -> str:
        """A connection; its id."""
        sent = {"name": f"forge-{next(self.names)}", "provider": "paper", "token": "a token", **attributes}
        return (await self.one.connections.create(self.admin, sent)).id

    async def workspace(self, connection_id: str, path: str = "acme/net", **sent: Any) -> Workspace:
        """A workspace that follows a repository."""
        new = CreateWorkspace(
            name=f"ws-{next(self.names)}", vcs_repo_url=path, vcs_connection=Ref(type="vcs-connections", id=connection_id), **sent
        )
        return await self.one.workspaces.create(self.admin, new)

    async def look(self, terrapod: Terrapod | None = None) -> None:
        """Look at what is due, to the end."""
        poller = (terrapod or self.one).ingress.poller
        await poller.look()
        await poller._begun.ended()

    async def work(self, terrapod: Terrapod | None = None) -> None:
        """Fetch, start and tell what is due, until nothing is."""
        chosen = terrapod or self.one
        loop = chosen.ingress.loop
        assert chosen.worker is not None
        for _ in range(4):
            await loop.look()
            for begun in (loop._fetches, loop._starts, loop._tellings):
                await begun.ended()
            await chosen.worker.drain()


async def open_servers(url: str, data: Path, clock: FakeClock, number: int = 2) -> Servers:
    """So many servers over one database; whoever opens them closes their databases."""
    forge, store, settings = PaperForge(), MemoryStorage(), settings_for(url, data)
    made = []
    for _ in range(number):
        fakes = SimpleNamespace(
            register_storage_backends=hookimpl(lambda context: [store]),
            register_runner_backends=hookimpl(lambda context: [FakeRunnerBackend(capacity=2)]),
            register_vcs_providers=hookimpl(lambda context: [forge]),
        )
        made.append(Terrapod(settings, plugins=Plugins.discover(settings, modules={"fakes": fakes}), clock=clock))
    await made[0].projects.ensure_default()
    return Servers(forge, made, clock, await make_user(made[0], "root@example.com", PlatformRole.ADMIN))
