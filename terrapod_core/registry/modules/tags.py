"""From what a look at a repository found to tags that are written down: the follower of modules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.authz import SYSTEM
from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.registry.modules import tag_queries as queries
from terrapod_core.registry.modules.models import Module, ModuleTag, TagStatus
from terrapod_core.registry.modules.tag_names import version_of
from terrapod_core.vcs.following import Seen, Wants
from terrapod_core.vcs.links import renewed
from terrapod_core.vcs.opening import Trouble

FIRST: Final = 100
"""How many of the tags that are there when a module begins to follow are published, the highest numbers first."""
TYPE: Final = "registry-modules"


class TagsFollower:
    """Writes down which tags modules have to deal with, in one transaction a look."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def wants(self, session: Session, repository_ids: Collection[str]) -> Mapping[str, Wants]:
        """What modules want to know."""
        return queries.wants(session, repository_ids)

    async def look(self, seen: Seen) -> None:
        """Write down every tag that a module has not seen, and which have been moved."""
        # A look for branches that was under way when a module began to follow knows of no tags.
        if seen.refs is None or not seen.wants.tags or not await self._followed(seen.repository.id):
            return
        async with self._db.uow() as uow:
            modules = await uow.run(lambda session: queries.followers(session, seen.repository.id))
            ids = [each.id for each in modules]
            known = await uow.run(lambda session: queries.known(session, ids)) if ids else {}
            numbers = await uow.run(lambda session: queries.numbers(session, ids)) if ids else set()
            for module in modules:
                module.vcs_link = renewed(module.vcs_link, seen.repository)
                _moved(uow, module, known[module.id], seen.refs.tags)
                new = _new(module, known[module.id], seen.refs.tags)
                for place, (version, tag, sha) in enumerate(new):
                    row = _row(uow, module, version, tag, sha)
                    if (module.id, row.version_order) in numbers:
                        _skip(row, f"there is a version {row.version} already")
                    elif not known[module.id] and place >= FIRST:
                        _skip(row, f"it was there before, and is none of the {FIRST} newest; publish it by an upload")
                    numbers.add((module.id, row.version_order))
                module.vcs_looked_at = module.vcs_looked_at or uow.now()
            await uow.commit()

    async def tell(self, repository_id: str, trouble: Trouble | None) -> None:
        """Let every module that follows it say what is wrong, or that it is well again."""
        if not await self._followed(repository_id):
            return
        async with self._db.uow() as uow:
            for module in await uow.run(lambda session: queries.followers(session, repository_id)):
                note(uow, module, trouble.kind.value if trouble else None, trouble.text if trouble else "")
            await uow.commit()

    async def _followed(self, repository_id: str) -> bool:
        """Whether there is anything to lock."""
        return bool(await self._db.read(lambda session: queries.wants(session, [repository_id])))


def note(uow: UnitOfWork, module: Module, code: str | None, detail: str) -> None:
    """Let a module say why its repository cannot be looked at; no code: it can."""
    there = module.vcs_trouble or {}
    if code is None:
        module.vcs_trouble = None
    elif (there.get("code"), there.get("detail")) != (code, detail):
        since = there["since"] if there.get("code") == code else uow.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        module.vcs_trouble = {"code": code, "detail": detail, "since": since}


def _new(module: Module, known: Mapping[str, ModuleTag], tags: Mapping[str, str]) -> list[tuple[SemanticVersion, str, str]]:
    """The tags that name a version and were not seen before, the highest number first; the name decides between two of one number."""
    prefix = (module.vcs_link or {}).get("tag-prefix") or ""
    named = [(version_of(tag, prefix), tag, sha) for tag, sha in sorted(tags.items()) if tag not in known]
    found = [(version, tag, sha) for version, tag, sha in named if version is not None]
    return sorted(found, key=lambda each: each[0].order, reverse=True)


def _moved(uow: UnitOfWork, module: Module, known: Mapping[str, ModuleTag], tags: Mapping[str, str]) -> None:
    """A version that was published never changes: whoever moves its tag is told, and everybody who looks at the module."""
    for name, row in known.items():
        sha = tags.get(name, row.sha)
        moved_to = sha if sha != row.sha else None
        if moved_to == row.moved_to:
            continue
        row.moved_to, row.updated_at = moved_to, uow.now()
        about = {"name": module.address, "tag": name, "commit": row.sha, "moved_to": moved_to}
        audit.record(uow, SYSTEM, f"registry-module-tag.{'moved' if moved_to else 'moved-back'}", TYPE, module.id, **about)


def _row(uow: UnitOfWork, module: Module, version: SemanticVersion, tag: str, sha: str) -> ModuleTag:
    now = uow.now()
    row = ModuleTag(
        module_id=module.id,
        tag=tag,
        repository_id=module.vcs_repository_id,
        sha=sha,
        version=str(version),
        version_order=version.order,
        status=TagStatus.PENDING.value,
        attempts=0,
        next_try_at=now,
        created_at=now,
        updated_at=now,
    )
    uow.add(row)
    uow.wake(CHANGES)
    return row


def _skip(row: ModuleTag, why: str) -> None:
    row.status, row.reason, row.next_try_at = TagStatus.SKIPPED.value, why, None
