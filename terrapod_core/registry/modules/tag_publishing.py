"""From tags that were seen to versions: fetch the files of a commit, and publish them as an upload of whoever connected the module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from terrapod_core.authz import SYSTEM, Actor
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound, TerrapodError, TooLarge
from terrapod_core.jobs.holding import CLAIM, held
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.plugin import Repo, VCSClient, VCSMissing
from terrapod_core.registry.modules import queries as modules, tag_queries as queries
from terrapod_core.registry.modules.models import Module, ModuleTag, ModuleVersion, TagStatus
from terrapod_core.registry.modules.versions import ModuleVersions, Origin
from terrapod_core.registry.publishing import ActorOf
from terrapod_core.settings import VCS as VCS_SETTINGS
from terrapod_core.tarballs import ArchiveLimits
from terrapod_core.vcs import pace, queries as vcs
from terrapod_core.vcs.fetching import Fetched, fetched
from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.opening import TROUBLES, Forges, check_rest, trouble_of

GONE_AFTER: Final = 3
"""Looks for a commit that the forge does not have, before it is given up."""
HIDDEN: Final = timedelta(days=1)
"""How long it is looked for at least, unless its tag was moved."""
NOBODY: Final = "nobody answers for this module's repository: the user who connected it is disabled or gone; connect it again"

log = structlog.get_logger("terrapod.registry")


@dataclass(frozen=True)
class Job:
    """A tag that was claimed."""

    connection: Connection
    repository: Repository
    module: Module
    tag: ModuleTag
    until: datetime
    """When the claim ends."""

    @property
    def directory(self) -> str:
        """Where in the repository the module is; empty for its root."""
        return (self.module.vcs_link or {}).get("source-directory") or ""


class TagPublishing:
    """Fetches and publishes."""

    def __init__(
        self,
        db: Database,
        forges: Forges,
        versions: ModuleVersions,
        settings: VCS_SETTINGS,
        limits: ArchiveLimits,
        actor_of: ActorOf,
    ) -> None:
        self._db = db
        self._forges = forges
        self._versions = versions
        self._settings = settings
        self._limits = limits
        self._actor_of = actor_of

    async def claim(self) -> Job | None:
        """A tag that is due, now nobody else's for a while; `None` when none is."""
        now = self._db.clock.now()
        due = await self._db.read(lambda session: queries.oldest_due(session, now))
        if due is None:
            return None
        async with self._db.uow() as uow:
            tag = await uow.run(lambda session: queries.tag(session, due.module_id, due.tag, skip_locked=True))
            if tag is None or tag.next_try_at is None or tag.next_try_at > now:
                return None
            about = await uow.run(lambda session: self._about(session, tag))
            tag.attempts += 1
            tag.next_try_at = now + CLAIM
            if about is None:
                _end(uow, tag, TagStatus.SKIPPED, "the module follows this repository no longer")
            await uow.commit()
        return Job(*about, tag, now + CLAIM) if about is not None else None

    def _about(self, session: Session, tag: ModuleTag) -> tuple[Connection, Repository, Module] | None:
        module = modules.module(session, tag.module_id)
        repository = vcs.repository(session, tag.repository_id)
        connection = vcs.connection(session, repository.connection_id) if repository is not None else None
        if module is None or repository is None or connection is None or module.vcs_repository_id != repository.id:
            return None
        return connection, repository, module

    async def carry_out(self, job: Job) -> None:
        """Publish the tag. What fails for now is tried again later; what cannot be a version is refused once and for all."""
        this = (ModuleTag.module_id == job.tag.module_id) & (ModuleTag.tag == job.tag.tag)
        async with held(self._db, ModuleTag.next_try_at, this, job.until, f"tag {job.tag.tag} of {job.module.address}"):
            await self._carry_out(job)

    async def _carry_out(self, job: Job) -> None:
        try:
            check_rest(job.connection, self._db.clock.now())
            actor = await self._answering(job.module)
            async with self._forges.client(job.connection) as client, asyncio.timeout(self._settings.fetch_seconds):
                await self._publish(job, actor, client)
        except TROUBLES as error:
            trouble = trouble_of(error)
            assert trouble is not None
            if isinstance(error, VCSMissing) and self._is_gone(job.tag):
                await self._over(job, TagStatus.REFUSED, f"the forge has this commit no longer: {trouble.text}")
            else:
                await self._later(job, trouble.text, rest=trouble.retry_after or 0.0)
        except (Invalid, TooLarge) as error:
            await self._over(job, TagStatus.REFUSED, error.detail)
        except Conflict as error:
            status = TagStatus.SKIPPED if error.code == "version_exists" else TagStatus.REFUSED
            await self._over(job, status, error.detail)
        except (Forbidden, NotFound) as error:
            nobody = error.code == "nobody_answers"
            await self._later(job, NOBODY if nobody else "the user who connected this module may not publish versions of it any more")
        except TerrapodError as error:
            await self._later(job, error.detail)
        except Exception:
            log.exception("a tag could not be published, and is tried again", module=job.module.address, tag=job.tag.tag)
            await self._later(job, "the server's log says why")

    def _is_gone(self, tag: ModuleTag) -> bool:
        """Whether to give up a commit that the forge does not show. Rights that were taken away may be given back."""
        old = tag.moved_to is not None or self._db.clock.now() - tag.created_at > HIDDEN
        return old and tag.attempts >= GONE_AFTER

    async def _answering(self, module: Module) -> Actor:
        user_id = module.vcs_linked_by_id
        actor = SYSTEM if user_id is None else await self._db.read(lambda session: self._actor_of(session, user_id))
        if actor is None:
            raise Forbidden(NOBODY, code="nobody_answers")
        return actor

    async def _publish(self, job: Job, actor: Actor, client: VCSClient) -> None:
        directory, sha = job.directory, job.tag.sha
        paths = [directory] if directory else None
        number = SemanticVersion.parse(job.tag.version)
        assert number is not None, "it was read out of the tag"
        # Before the files are fetched: whoever may not publish, or a number that is given, costs nothing then.
        await self._versions.check_new(actor, job.module.id, number)
        async with fetched(client, Repo(job.repository.path), sha, paths, [directory], self._limits, root=directory) as files:
            if directory and directory not in files.notes.there:
                raise Invalid(f"commit {sha[:12]} has no directory {directory}, which is the module's source-directory", code="bad_archive")
            odd = _odd(files)

            async def decide(uow: UnitOfWork, module: Module, version: ModuleVersion) -> bool:
                tag = await uow.run(lambda session: queries.tag(session, module.id, job.tag.tag))
                if tag is None or tag.status != TagStatus.PENDING or module.vcs_repository_id != tag.repository_id:
                    return False
                _end(uow, tag, TagStatus.PUBLISHED, odd)
                tag.version_id = version.id
                return True

            await self._versions.publish(actor, job.module.id, number, Origin(job.tag.tag, sha), _chunks(files), decide)

    async def _over(self, job: Job, status: TagStatus, why: str) -> None:
        async with self._db.uow() as uow:
            tag = await uow.run(lambda session: queries.tag(session, job.module.id, job.tag.tag))
            if tag is not None and tag.status == TagStatus.PENDING:
                _end(uow, tag, status, why)
                await uow.commit()

    async def _later(self, job: Job, why: str, *, rest: float = 0.0) -> None:
        """Not before the forge wants to hear of us again."""
        pause = max(rest, pace.pause_after(job.tag.attempts, self._settings.retry_seconds))
        async with self._db.uow() as uow:
            tag = await uow.run(lambda session: queries.tag(session, job.module.id, job.tag.tag))
            if tag is not None and tag.status == TagStatus.PENDING:
                tag.reason, tag.updated_at = why, uow.now()
                tag.next_try_at = uow.now() + timedelta(seconds=pause)
                await uow.commit()


def _end(uow: UnitOfWork, tag: ModuleTag, status: TagStatus, why: str | None) -> None:
    tag.status, tag.reason, tag.next_try_at, tag.updated_at = status.value, why, None, uow.now()


async def _chunks(files: Fetched) -> AsyncIterator[bytes]:
    async for piece in files.chunks():
        yield piece


def _odd(files: Fetched) -> str | None:
    """What is not as it looks in the repository, for people; `None` for nothing."""
    notes = files.notes
    said = []
    if notes.lfs:
        said.append(f"{notes.lfs[0]} is a pointer of Git LFS, and is published as such")
    if notes.links_out:
        said.append(f"{notes.links_out[0]} leads out of the repository, and was left out")
    if notes.submodules:
        said.append("the repository has submodules, whose directories are empty")
    return "; ".join(said) or None
