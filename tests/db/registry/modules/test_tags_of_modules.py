"""Which tags of a repository a module deals with, and what is left of that when a server goes away in the midst of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from terrapod_core import ids
from terrapod_core.audit import AuditEntry
from terrapod_core.jobs.holding import CLAIM
from terrapod_core.plugin import Refs, Repo, VCSClient, VCSMissing
from terrapod_core.registry.modules.models import Module, ModuleTag
from terrapod_core.registry.modules.tag_publishing import TagPublishing
from terrapod_core.registry.modules.tags import FIRST, TagsFollower
from terrapod_core.tarballs import ArchiveLimits
from terrapod_core.vcs.following import Seen, Wants
from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.opening import Trouble, TroubleKind
from tests.db.registry.modules.conftest import Registry

HIDDEN = VCSMissing("forge.example.com has no such commit, or does not show it.")
LINK = {"identifier": "acme/repo", "provider": "none", "service-provider": None, "http-url": "", "app": False}


@dataclass
class Following:
    """A module that follows a repository of a forge that nobody asks."""

    registry: Registry
    connection: Connection
    repository: Repository
    module_id: str

    async def look(self, tags: Mapping[str, str]) -> None:
        """Show it these tags."""
        seen = Seen(self.connection, self.repository, cast(VCSClient, None), Wants(tags=True), Refs(tags=tags), None)
        await TagsFollower(self.registry.site.terrapod.db).look(seen)

    async def rows(self) -> dict[str, ModuleTag]:
        """What was written down, by tag."""
        query = select(ModuleTag).where(ModuleTag.module_id == self.module_id)
        found = await self.registry.site.terrapod.db.read(lambda session: session.execute(query).scalars().all())
        return {each.tag: each for each in found}

    async def statuses(self) -> dict[str, str]:
        """Their statuses."""
        return {name: row.status for name, row in (await self.rows()).items()}

    def publishing(self) -> TagPublishing:
        """What carries tags on, as one server has it."""
        parts = self.registry.site.terrapod
        return TagPublishing(parts.db, parts.forges, parts.module_versions, parts.settings.vcs, ArchiveLimits(), parts.actor_of)


@asynccontextmanager
async def following(registry: Registry, prefix: str = "") -> AsyncIterator[Following]:
    """A module of root's that follows a repository."""
    site = registry.site
    made = await registry.module()
    now, connection_id = site.clock.now(), ids.new("vcs")
    forges = site.terrapod.forges
    connection = Connection(
        id=connection_id,
        name="forge",
        provider="none",
        base_url="https://forge.example.com",
        values={},
        secrets=forges.sealed(connection_id, {}),
        webhook_secret=forges.sealed_webhook_secret(connection_id, "a secret of the tests"),
        repositories=["*"],
        roles=[],
        project_ids=[],
        created_at=now,
        updated_at=now,
    )
    repository = Repository(
        id=ids.new("vcsrepo"), connection_id=connection_id, path="acme/repo", default_branch="main", http_url="", clone_url="", wanted="",
        created_at=now,
    )  # fmt: skip
    async with site.terrapod.db.uow() as uow:
        uow.add(connection)
        await uow.flush()
        uow.add(repository)
        await uow.flush()
        module = await uow.session.get(Module, made.id)
        assert module is not None
        module.vcs_repository_id, module.vcs_linked_by_id = repository.id, await registry.user("root")
        module.vcs_link = {**LINK, "connection-id": connection_id, "tag-prefix": prefix, "source-directory": ""}
        await uow.commit()
    yield Following(registry, connection, repository, made.id)


def sha(number: int) -> str:
    """A commit."""
    return f"{number:040x}"


async def test_of_the_tags_that_are_there_the_newest_are_published(registry: Registry) -> None:
    async with following(registry) as one:
        await one.look({f"v0.{number}.0": sha(number) for number in range(FIRST + 5)})
        statuses = await one.statuses()
        assert {name for name, status in statuses.items() if status == "skipped"} == {f"v0.{number}.0" for number in range(5)}
        assert "100 newest" in ((await one.rows())["v0.4.0"].reason or "")
        await one.look({**{f"v0.{number}.0": sha(number) for number in range(FIRST + 5)}, "v0.0.1": sha(999)})
        assert (await one.statuses())["v0.0.1"] == "pending", "whatever comes later is published, however low its number"


async def test_a_tag_is_dealt_with_once_and_of_one_number_one(registry: Registry) -> None:
    async with following(registry, "net/") as one:
        tags = {"net/v1.0.0": sha(1), "net/1.0.0": sha(2), "v3.0.0": sha(3), "net/next": sha(4)}
        for _ in range(2):
            await one.look(tags)
        assert await one.statuses() == {"net/1.0.0": "pending", "net/v1.0.0": "skipped"}


async def test_a_number_that_was_uploaded_is_left_alone(registry: Registry) -> None:
    async with following(registry) as one:
        await registry.publish("1.0.0")
        await one.look({"v1.0.0": sha(1), "v1.1.0": sha(2)})
        assert await one.statuses() == {"v1.0.0": "skipped", "v1.1.0": "pending"}


async def test_a_tag_that_moves_and_moves_back_is_told_each_time(registry: Registry) -> None:
    async with following(registry) as one:
        for commit in (1, 2, 2, 1):
            await one.look({"v1.0.0": sha(commit)})
        row = (await one.rows())["v1.0.0"]
        assert (row.sha, row.moved_to) == (sha(1), None)
        query = select(AuditEntry.action).where(AuditEntry.action.startswith("registry-module-tag.")).order_by(AuditEntry.id)
        found = await registry.site.terrapod.db.read(lambda session: session.execute(query).scalars().all())
        assert sorted(found) == ["registry-module-tag.moved", "registry-module-tag.moved-back"]


async def test_a_deleted_tag_that_comes_again_is_no_new_one(registry: Registry) -> None:
    async with following(registry) as one:
        await one.look({"v1.0.0": sha(1), "v1.1.0": sha(2)})
        await one.look({"v1.1.0": sha(2)})
        await one.look({"v1.0.0": sha(3), "v1.1.0": sha(2)})
        row = (await one.rows())["v1.0.0"]
        assert (row.sha, row.moved_to) == (sha(1), sha(3))


async def test_what_a_server_had_begun_is_taken_up_by_another_when_its_claim_ends(registry: Registry) -> None:
    async with following(registry) as one:
        await one.look({"v1.0.0": sha(1), "v2.0.0": sha(2)})
        first, second = await one.publishing().claim(), await one.publishing().claim()
        assert first is not None
        assert second is not None
        assert [first.tag.tag, second.tag.tag] == ["v2.0.0", "v1.0.0"]
        assert await one.publishing().claim() is None
        registry.site.clock.advance(CLAIM + timedelta(seconds=1))
        again = await one.publishing().claim()
        assert again is not None
        assert (again.tag.tag, again.tag.attempts) == ("v2.0.0", 2)


async def test_a_forge_that_cannot_be_asked_leaves_the_tag_waiting(registry: Registry) -> None:
    async with following(registry) as one:
        await one.look({"v1.0.0": sha(1)})
        job = await one.publishing().claim()
        assert job is not None
        await one.publishing().carry_out(job)
        row = (await one.rows())["v1.0.0"]
        assert (row.status, row.attempts) == ("pending", 1)
        assert row.next_try_at is not None
        assert "install terrapod-vcs-none" in (row.reason or "")
        shown: Any = (await registry.ask("root", "GET", f"registry-modules/{one.module_id}")).attributes
        assert [each["code"] for each in shown["problems"]] == ["tag-waiting"]


@pytest.mark.parametrize(("who", "sees"), [("root", True), ("bob", False)])
async def test_problems_are_for_those_who_publish(registry: Registry, who: str, sees: bool) -> None:
    async with following(registry) as one:
        label = {"data": {"type": "registry-modules", "attributes": {"labels": {"access": "everyone"}}}}
        assert (await registry.ask("root", "PATCH", f"registry-modules/{one.module_id}", label)).status == 200
        follower = TagsFollower(registry.site.terrapod.db)
        for _ in range(2):
            await follower.tell(one.repository.id, Trouble(TroubleKind.DENIED, "the token was revoked"))
        shown: Any = (await registry.ask(who, "GET", f"registry-modules/{one.module_id}")).attributes
        assert [each["detail"] for each in shown["problems"]] == (["the token was revoked"] if sees else [])
        assert shown["status"] == "pending"
        await follower.tell(one.repository.id, None)
        assert (await registry.ask(who, "GET", f"registry-modules/{one.module_id}")).attributes["problems"] == []


@dataclass
class Hiding:
    """A provider whose forge shows no commit."""

    asked: int = 0

    @asynccontextmanager
    async def client(self, connection: object) -> AsyncIterator[Hiding]:
        yield self

    async def archive(self, repo: Repo, sha: str, paths: Sequence[str]) -> AsyncIterator[bytes]:
        self.asked += 1
        if self.asked:
            raise HIDDEN
        yield b""


@pytest.mark.parametrize(("days", "moved", "status"), [(0, False, "pending"), (0, True, "refused"), (2, False, "refused")])
async def test_a_commit_that_the_forge_does_not_show_is_looked_for_for_a_day(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, days: int, moved: bool, status: str
) -> None:
    async with following(registry) as one:
        monkeypatch.setattr(registry.site.terrapod.forges, "providers", {"none": Hiding()})
        await one.look({"v1.0.0": sha(1)})
        await one.look({"v1.0.0": sha(2 if moved else 1)})
        registry.site.clock.advance(timedelta(days=days))
        for _ in range(4):
            registry.site.clock.advance(timedelta(minutes=11))
            job = await one.publishing().claim()
            if job is not None:
                await one.publishing().carry_out(job)
        assert await one.statuses() == {"v1.0.0": status}


async def test_a_forge_that_wants_to_be_left_alone_is(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    async with following(registry) as one:
        hiding = Hiding()
        monkeypatch.setattr(registry.site.terrapod.forges, "providers", {"none": hiding})
        await one.look({"v1.0.0": sha(1)})
        rest = registry.site.clock.now() + timedelta(minutes=30)
        async with registry.site.terrapod.db.uow() as uow:
            await uow.session.execute(update(Connection).values(rests_until=rest))
            await uow.commit()
        job = await one.publishing().claim()
        assert job is not None
        await one.publishing().carry_out(job)
        assert hiding.asked == 0
        assert (await one.rows())["v1.0.0"].next_try_at == rest


async def test_a_repository_that_was_renamed_is_shown_by_its_new_name(registry: Registry) -> None:
    async with following(registry) as one:
        one.repository.path = "acme/renamed"
        await one.look({})
        shown: Any = (await registry.ask("root", "GET", f"registry-modules/{one.module_id}")).attributes
        assert shown["vcs-repo"]["identifier"] == "acme/renamed"
