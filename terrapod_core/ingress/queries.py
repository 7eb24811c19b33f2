"""Reading changes and those who follow. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, aliased

from terrapod_core.configurations import ConfigurationVersion
from terrapod_core.db import UTCDateTime
from terrapod_core.ingress.models import Change, ChangeKind, ChangeStatus, Following, PullComment
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.runs.models import Phase, Run
from terrapod_core.vcs.following import Wants
from terrapod_core.workspaces import Workspace


def wants(session: Session, repository_ids: Collection[str]) -> dict[str, Wants]:
    """What workspaces want to know of each of these repositories."""
    query = select(Workspace.vcs_repository_id, Workspace.vcs_tags_regex, Workspace.speculative_enabled)
    found: dict[str, Wants] = {}
    for repository_id, tags, speculative in session.execute(
        query.where(Workspace.vcs_repository_id.in_(repository_ids), Workspace.deleted_at.is_(None)).distinct()
    ):
        assert repository_id is not None
        one = Wants(branches=True, tags=bool(tags), pulls=bool(speculative))
        found[repository_id] = found.get(repository_id, Wants()) | one
    return found


def followers(session: Session, repository_id: str) -> list[tuple[Workspace, Following | None]]:
    """The workspaces that follow a repository, and how far they have come."""
    query = (
        select(Workspace, Following)
        .outerjoin(Following, Following.workspace_id == Workspace.id)
        .where(Workspace.vcs_repository_id == repository_id, Workspace.deleted_at.is_(None))
        .order_by(Workspace.name)
    )
    return [(row[0], row[1]) for row in session.execute(query)]


def open_pulls(session: Session, repository_id: str) -> Sequence[Change]:
    """The newest heads of a repository's open pull requests, of every workspace."""
    query = select(Change).where(Change.repository_id == repository_id, Change.kind == ChangeKind.PULL.value, Change.open)
    return session.execute(query).scalars().all()


def known(session: Session, shas: Collection[str]) -> dict[tuple[str, str, str, str], Change]:
    """The changes of these commits that there are, by workspace, kind, ref and SHA."""
    rows = session.execute(select(Change).where(Change.sha.in_(shas))).scalars()
    return {(row.workspace_id, row.kind, row.ref, row.sha): row for row in rows}


def change(session: Session, change_id: str, *, lock: bool = False) -> Change | None:
    """One change, or `None`."""
    query = select(Change).where(Change.id == change_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def of_run(session: Session, run_id: str) -> Change | None:
    """The change that a run is of; `None` for one that somebody started."""
    return session.execute(select(Change).where(Change.run_id == run_id)).scalars().first()


def oldest_due(session: Session, now: datetime) -> Change | None:
    """The change that has waited longest to have its files fetched."""
    query = select(Change).where(Change.next_try_at <= now, Change.status == ChangeStatus.PENDING.value)
    return session.execute(query.order_by(Change.next_try_at, Change.created_at, Change.id).limit(1)).scalar_one_or_none()


def due_of_commit(session: Session, repository_id: str, sha: str, now: datetime) -> Sequence[Change]:
    """All that are to have the files of one commit fetched now, locked."""
    query = select(Change).where(
        Change.repository_id == repository_id,
        Change.sha == sha,
        Change.status == ChangeStatus.PENDING.value,
        Change.next_try_at <= now,
    )
    return session.execute(query.order_by(Change.created_at, Change.id).with_for_update(skip_locked=True)).scalars().all()


def is_overtaken(session: Session, change: Change) -> bool:
    """Whether a push that came to the same branch later was dealt with already: its files are this commit's and more."""
    newer = aliased(Change)
    query = select(newer.id).join(Following, Following.workspace_id == newer.workspace_id)
    query = query.where(newer.workspace_id == change.workspace_id, newer.kind == change.kind, newer.ref == change.ref)
    query = query.where(Following.branch == change.ref, newer.sha == Following.done_sha, newer.created_at > change.created_at)
    return change.kind == ChangeKind.PUSH and session.execute(query.limit(1)).first() is not None


def any_to_start(session: Session, now: datetime) -> bool:
    """Whether there is anything to lock."""
    return session.execute(select(Change.id).where(*_to_start(now)).limit(1)).first() is not None


def due_to_start(session: Session, now: datetime, most: int) -> Sequence[Change]:
    """Those whose files are here and that want a run, and those whose run is to be ended; locked."""
    query = select(Change).where(*_to_start(now)).order_by(Change.created_at, Change.id).limit(most)
    return session.execute(query.with_for_update(skip_locked=True)).scalars().all()


def _to_start(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (Change.next_try_at <= now, Change.status.in_([ChangeStatus.STORED.value, ChangeStatus.STARTED.value]))


def any_to_tell(session: Session, now: datetime) -> bool:
    """Whether there is anything to lock."""
    return session.execute(select(Change.id).where(*_to_tell(now)).limit(1)).first() is not None


def _to_tell(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (Change.tell_at <= now, or_(Change.telling_until.is_(None), Change.telling_until <= now))


def due_to_tell(session: Session, now: datetime, most: int) -> Sequence[Change]:
    """Those whose commit is to be told, locked."""
    query = select(Change).where(*_to_tell(now)).order_by(Change.tell_at, Change.id).limit(most)
    return session.execute(query.with_for_update(skip_locked=True)).scalars().all()


def next_due(session: Session) -> datetime | None:
    """When something is to be done next; `None` for nothing."""
    first = session.execute(select(func.min(Change.next_try_at)).where(Change.next_try_at.is_not(None))).scalar_one()
    when = func.coalesce(Change.telling_until, Change.tell_at)
    told = session.execute(select(func.min(when, type_=UTCDateTime)).where(Change.tell_at.is_not(None))).scalar_one()
    return min((each for each in (first, told) if each is not None), default=None)


def earlier_heads(session: Session, change: Change) -> Sequence[Change]:
    """Other heads of the same pull request, of the same workspace, locked."""
    query = select(Change).where(
        Change.workspace_id == change.workspace_id,
        Change.kind == ChangeKind.PULL.value,
        Change.ref == change.ref,
        Change.id != change.id,
    )
    return session.execute(query.with_for_update()).scalars().all()


def run_of(session: Session, version: ConfigurationVersion) -> Run | None:
    """The first run of a configuration version. It came later than the version, but for clocks that differ: few runs are looked at."""
    since = version.created_at - timedelta(hours=1)
    query = select(Run).where(Run.workspace_id == version.workspace_id, Run.created_at >= since)
    query = query.where(Run.configuration_version_id == version.id).order_by(Run.created_at, Run.id).limit(1)
    return session.execute(query).scalar_one_or_none()


def has_run(session: Session, workspace_id: str) -> bool:
    """Whether the workspace ever had a run that could apply."""
    query = select(Run.id).where(Run.workspace_id == workspace_id, Run.plan_only.is_(False))
    return session.execute(query.order_by(Run.created_at, Run.id).limit(1)).first() is not None


def newer_has_run(session: Session, change: Change) -> bool:
    """Whether a push that came to the same branch later has its run already."""
    query = select(Change.id).where(Change.workspace_id == change.workspace_id, Change.created_at > change.created_at)
    query = query.where(Change.kind == change.kind, Change.ref == change.ref, Change.run_id.is_not(None)).limit(1)
    return change.kind == ChangeKind.PUSH and session.execute(query).first() is not None


def listing(session: Session, workspace_id: str, page: PageRequest) -> Page[Change]:
    """One page of a workspace's changes, the newest first."""
    found = select(Change).where(Change.workspace_id == workspace_id)
    total = session.execute(select(func.count()).select_from(found.subquery())).scalar_one()
    rows = session.execute(found.order_by(Change.created_at.desc(), Change.id.desc()).offset(page.offset).limit(page.size)).scalars().all()
    return Page(rows, page.number, page.size, total)


def linked(session: Session, workspace_ids: Collection[str]) -> Collection[str]:
    """Those of the workspaces that have changes."""
    return set(session.execute(select(Change.workspace_id).where(Change.workspace_id.in_(workspace_ids)).distinct()).scalars())


def outcome(session: Session, change_id: str) -> tuple[Change, Workspace, Run | None, Phase | None] | None:
    """A change, its workspace, its run and the run's plan, as they are now."""
    query = (
        select(Change, Workspace, Run, Phase)
        .join(Workspace, Workspace.id == Change.workspace_id)
        .outerjoin(Run, Run.id == Change.run_id)
        .outerjoin(Phase, Phase.id == Run.plan_id)
        .where(Change.id == change_id, Workspace.deleted_at.is_(None))
    )
    row = session.execute(query).first()
    return (row[0], row[1], row[2], row[3]) if row is not None else None


def of_pull(session: Session, repository_id: str, number: int) -> list[tuple[Change, Workspace, Run | None, Phase | None]]:
    """The newest heads of a pull request, of every workspace, with their runs and plans."""
    query = (
        select(Change, Workspace, Run, Phase)
        .join(Workspace, Workspace.id == Change.workspace_id)
        .outerjoin(Run, Run.id == Change.run_id)
        .outerjoin(Phase, Phase.id == Run.plan_id)
        .where(Change.repository_id == repository_id, Change.number == number, Change.open, Workspace.deleted_at.is_(None))
        .order_by(Workspace.name)
    )
    return [(row[0], row[1], row[2], row[3]) for row in session.execute(query)]


def comment(session: Session, repository_id: str, number: int, *, lock: bool = False) -> PullComment | None:
    """The comment below a pull request, if there is one."""
    query = select(PullComment).where(PullComment.repository_id == repository_id, PullComment.number == number)
    return session.execute(query.with_for_update() if lock else query).scalar_one_or_none()


def old(session: Session, before: datetime, most: int) -> Sequence[str]:
    """Ids of changes that nobody needs any more: those of long ago that are done with, but for heads of open pull requests."""
    done = or_(Change.kind != ChangeKind.PULL.value, Change.open.is_(False))
    query = select(Change.id).where(Change.updated_at < before, Change.next_try_at.is_(None), Change.tell_at.is_(None), done)
    return session.execute(query.order_by(Change.updated_at).limit(most)).scalars().all()
