"""Reading modules that follow repositories, and their tags. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from terrapod_core.registry.modules.models import Module, ModuleTag, ModuleVersion, TagStatus
from terrapod_core.vcs.following import Wants


def wants(session: Session, repository_ids: Collection[str]) -> dict[str, Wants]:
    """What modules want to know of each of these repositories: tags, whichever follow it."""
    query = select(Module.vcs_repository_id).where(Module.vcs_repository_id.in_(repository_ids)).distinct()
    return {each: Wants(tags=True) for each in session.execute(query).scalars() if each is not None}


def followers(session: Session, repository_id: str) -> Sequence[Module]:
    """The modules that follow a repository, locked, always in the same order."""
    query = select(Module).where(Module.vcs_repository_id == repository_id).order_by(Module.id)
    return session.execute(query.with_for_update().execution_options(populate_existing=True)).scalars().all()


def known(session: Session, module_ids: Collection[str]) -> dict[str, dict[str, ModuleTag]]:
    """The tags of each of these modules, by name."""
    found: dict[str, dict[str, ModuleTag]] = {each: {} for each in module_ids}
    for tag in session.execute(select(ModuleTag).where(ModuleTag.module_id.in_(module_ids))).scalars():
        found[tag.module_id][tag.tag] = tag
    return found


def numbers(session: Session, module_ids: Collection[str]) -> set[tuple[str, str]]:
    """Which versions there are: module and order."""
    query = select(ModuleVersion.module_id, ModuleVersion.version_order).where(ModuleVersion.module_id.in_(module_ids))
    return {(row[0], row[1]) for row in session.execute(query)}


def untold(session: Session, module_ids: Collection[str]) -> dict[str, list[ModuleTag]]:
    """The tags of these modules that wait, were refused or moved, the newest number first; one query for all of them."""
    of_note = or_(ModuleTag.status.in_([TagStatus.PENDING.value, TagStatus.REFUSED.value]), ModuleTag.moved_to.is_not(None))
    query = select(ModuleTag).where(ModuleTag.module_id.in_(module_ids), of_note)
    found: dict[str, list[ModuleTag]] = {}
    for tag in session.execute(query.order_by(ModuleTag.version_order.desc(), ModuleTag.tag)).scalars():
        found.setdefault(tag.module_id, []).append(tag)
    return found


def oldest_due(session: Session, now: datetime) -> ModuleTag | None:
    """The tag that is to be published next: of those that are due together, the highest number."""
    query = select(ModuleTag).where(ModuleTag.next_try_at <= now)
    return session.execute(
        query.order_by(ModuleTag.next_try_at, ModuleTag.version_order.desc(), ModuleTag.tag).limit(1)
    ).scalar_one_or_none()


def tag(session: Session, module_id: str, name: str, *, skip_locked: bool = False) -> ModuleTag | None:
    """One tag, locked; `None` when it is not there, or, with `skip_locked`, somebody else has it."""
    query = select(ModuleTag).where(ModuleTag.module_id == module_id, ModuleTag.tag == name)
    locked = query.with_for_update(skip_locked=skip_locked).execution_options(populate_existing=True)
    return session.execute(locked).scalar_one_or_none()


def next_due(session: Session) -> datetime | None:
    """When something is to be done next; `None` for nothing."""
    return session.execute(select(func.min(ModuleTag.next_try_at)).where(ModuleTag.next_try_at.is_not(None))).scalar_one()


def orphans(session: Session) -> Sequence[str]:
    """The ids of modules whose connection was deleted while they followed a repository."""
    query = select(Module.id).where(Module.vcs_link.is_not(None), Module.vcs_repository_id.is_(None))
    return session.execute(query).scalars().all()
