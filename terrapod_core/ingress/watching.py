"""From what a look at a repository found to changes that are written down: the follower of workspaces."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import re2
import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.ingress import conditions, queries
from terrapod_core.ingress.models import Change, ChangeKind, ChangeStatus, Following
from terrapod_core.plugin import PullRequest
from terrapod_core.runs.isolation import Isolation
from terrapod_core.vcs.following import Seen, Wants
from terrapod_core.vcs.links import renewed
from terrapod_core.vcs.opening import Trouble
from terrapod_core.workspaces import Workspace, queries as workspaces
from terrapod_core.workspaces.conditions import Condition, raise_on, settle
from terrapod_core.workspaces.models import ForkPullRequests

UNAPPROVED: Final = "it is a fork's: somebody with write has to approve this commit"
LONGEST_BODY: Final = 4096
"""Characters of a pull request's description that are kept."""

log = structlog.get_logger("terrapod.vcs")


@dataclass
class _Found:
    """What is to be written of one workspace."""

    following: Following | None = None
    changes: list[Change] = field(default_factory=list)
    raised: list[Condition] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)


class Watching:
    """Writes down what workspaces have to deal with, in one transaction a look."""

    def __init__(self, db: Database, isolation: Callable[[], Isolation]) -> None:
        self._db = db
        self._isolation = isolation

    def wants(self, session: Session, repository_ids: Collection[str]) -> Mapping[str, Wants]:
        """What workspaces want to know."""
        return queries.wants(session, repository_ids)

    async def look(self, seen: Seen) -> None:
        """Write down every commit that a workspace has not seen, and which pull requests are closed."""
        async with self._db.uow() as uow:
            followers = await uow.run(lambda session: queries.followers(session, seen.repository.id))
            opened = await uow.run(lambda session: queries.open_pulls(session, seen.repository.id)) if seen.pulls is not None else ()
            candidates: list[Change] = []
            for workspace, following in followers:
                found = _Found(following)
                _look_at(seen, workspace, found, uow, isolated=self._isolation().isolated)
                candidates += found.changes
                if found.raised or found.settled:
                    await self._note(uow, workspace.id, found)
            await self._write(uow, candidates)
            _close(seen, opened, uow)
            await self._take_up(uow, seen.repository.id)
            await uow.commit()

    async def _take_up(self, uow: UnitOfWork, repository_id: str) -> None:
        """What could not be fetched need not wait any longer: the forge answers, and somebody may have mended what was wrong."""
        waiting = (Change.repository_id == repository_id, Change.status == ChangeStatus.PENDING.value, Change.reason.is_not(None))
        taken: Any = await uow.session.execute(update(Change).where(*waiting).values(next_try_at=uow.now()))
        if taken.rowcount:
            uow.wake(CHANGES)

    async def _write(self, uow: UnitOfWork, candidates: Sequence[Change]) -> None:
        """Those that were not seen before: a commit is dealt with once, unless a pull request comes back to it."""
        shas = {each.sha for each in candidates}
        known = await uow.run(lambda session: queries.known(session, shas)) if shas else {}
        now = uow.now()
        for change in candidates:
            before = known.get((change.workspace_id, change.kind, change.ref, change.sha))
            if before is not None:
                if change.kind == ChangeKind.PULL and (not before.open or before.status == ChangeStatus.SUPERSEDED):
                    _reopen(before, change, uow)
                continue
            change.created_at = change.updated_at = now
            change.next_try_at = now if change.status == ChangeStatus.PENDING else None
            change.tell_at = now if change.status == ChangeStatus.WAITING else None
            uow.add(change)
            uow.wake(CHANGES)

    async def tell(self, repository_id: str, trouble: Trouble | None) -> None:
        """Let every workspace that follows it say what is wrong, or that it is well again."""
        followers = await self._db.read(lambda session: queries.followers(session, repository_id))
        for workspace, _ in followers:
            async with self._db.uow() as uow:
                found = _Found()
                if trouble is None:
                    found.settled = list(conditions.OF_REPOSITORY)
                else:
                    found.settled = [code for code in conditions.OF_REPOSITORY if code != trouble.kind.value]
                    found.raised = [conditions.of_repository((workspace.vcs_link or {}).get("identifier", ""), trouble, uow.now())]
                await self._note(uow, workspace.id, found)
                await uow.commit()

    async def _note(self, uow: UnitOfWork, workspace_id: str, found: _Found) -> None:
        held = await uow.run(lambda session: workspaces.for_update(session, workspace_id))
        if held is None:
            return
        for code in found.settled:
            settle(uow, held, code, "the repository is as it should be again")
        for condition in found.raised:
            if not any(each["code"] == condition.code and each["detail"] == condition.detail for each in held.conditions):
                raise_on(uow, held, condition)


def _look_at(seen: Seen, workspace: Workspace, found: _Found, uow: UnitOfWork, *, isolated: bool) -> None:
    workspace.vcs_link = renewed(workspace.vcs_link, seen.repository)
    branch = workspace.vcs_branch or seen.repository.default_branch
    followed = workspace.vcs_tags_regex or branch
    following = found.following
    if following is None:
        following = Following(workspace_id=workspace.id, repository_id="", branch="")
        uow.add(following)
    if (following.repository_id, following.branch) != (seen.repository.id, followed):
        following.repository_id, following.branch = seen.repository.id, followed
        following.sha = following.done_sha = following.tags = None
    if seen.refs is not None:
        if not workspace.vcs_tags_regex:
            _branch(seen, workspace, branch, following, found, uow)
        elif seen.wants.tags:  # else it began to follow tags while others were looked for, and all of them would seem new afterwards
            _tags(seen, workspace, following, found, uow)
    if seen.pulls is not None and workspace.speculative_enabled and not workspace.vcs_tags_regex:
        found.changes += _pulls(seen.pulls.items, workspace, branch, seen.repository.id, isolated=isolated)


def _branch(seen: Seen, workspace: Workspace, branch: str, following: Following, found: _Found, uow: UnitOfWork) -> None:
    assert seen.refs is not None
    sha = seen.refs.branches.get(branch)
    if sha is None:
        found.raised.append(conditions.branch_missing(seen.repository.path, branch, uow.now()))
        return
    found.settled += [conditions.BRANCH] if _has(workspace, conditions.BRANCH) else []
    if sha != following.sha:
        found.changes.append(_change(workspace, seen, ChangeKind.PUSH, branch, sha, before=following.sha, first=following.sha is None))
        following.sha = sha


def _tags(seen: Seen, workspace: Workspace, following: Following, found: _Found, uow: UnitOfWork) -> None:
    """Tags that were there before the workspace began to follow are no news; one that is moved is told, and is none either."""
    assert seen.refs is not None
    wanted = re2.compile(workspace.vcs_tags_regex)
    matching = {name: sha for name, sha in seen.refs.tags.items() if wanted.search(name)}
    before = following.tags
    if before is None:
        following.tags = matching
        return
    for name, sha in sorted(matching.items()):
        if name not in before:
            found.changes.append(_change(workspace, seen, ChangeKind.TAG, name, sha, before=None))
        elif before[name] != sha:
            found.raised.append(conditions.tag_moved(name, before[name], sha, uow.now()))
    if matching != before:
        # One that is deleted and comes again is no new one.
        following.tags = {**before, **{name: before.get(name, sha) for name, sha in matching.items()}}


def _pulls(pulls: Collection[PullRequest], workspace: Workspace, branch: str, repository_id: str, *, isolated: bool) -> Iterator[Change]:
    for pull in pulls:
        if pull.base_branch != branch:
            continue
        change = Change(
            id=ids.new("vcschg"),
            workspace_id=workspace.id,
            repository_id=repository_id,
            kind=ChangeKind.PULL.value,
            ref=str(pull.number),
            sha=pull.head_sha,
            before=pull.base_branch,
            number=pull.number,
            about=_about(pull),
            is_fork=pull.is_fork,
            status=ChangeStatus.PENDING.value,
        )
        if pull.is_fork:
            _of_fork(change, workspace, isolated=isolated)
        yield change


def _of_fork(change: Change, workspace: Workspace, *, isolated: bool) -> None:
    if workspace.fork_pull_requests == ForkPullRequests.IGNORE:
        change.status, change.reason = ChangeStatus.SKIPPED.value, "pull requests of forks are ignored here (fork-pull-requests)"
    elif workspace.fork_pull_requests == ForkPullRequests.APPROVAL or could_look_around(workspace, isolated=isolated):
        change.status, change.reason = ChangeStatus.WAITING.value, UNAPPROVED


def could_look_around(workspace: Workspace, *, isolated: bool) -> bool:
    """Whether what the workspace executes has more within reach than its run is given: an agent's machine, or this server itself."""
    return workspace.execution_mode == "agent" or not isolated


def _reopen(known: Change, now: Change, uow: UnitOfWork) -> None:
    """A pull request is open again, or back at a commit that it had left: what had not come to an end begins anew."""
    known.open, known.about, known.before, known.updated_at = True, now.about, now.before, uow.now()
    known.next_try_at, known.tell_at = None, uow.now()
    if known.status == ChangeStatus.SUPERSEDED:
        approved = known.approved_by_id is not None
        known.status, known.reason = (ChangeStatus.PENDING.value, None) if approved else (now.status, now.reason)
        known.configuration_version_id = known.run_id = known.told = None
        known.attempts, known.next_try_at = 0, uow.now() if known.status == ChangeStatus.PENDING else None
    uow.wake(CHANGES)


def _about(pull: PullRequest) -> dict[str, Any]:
    return {
        "title": pull.title[:512],
        "body": pull.body[:LONGEST_BODY],
        "url": pull.url,
        "branch": pull.head_branch,
        "base": pull.base_branch,
        "login": pull.author_login,
        "login_url": pull.author_url,
        "avatar_url": pull.author_avatar_url,
    }


def _change(workspace: Workspace, seen: Seen, kind: ChangeKind, ref: str, sha: str, *, before: str | None, first: bool = False) -> Change:
    return Change(
        id=ids.new("vcschg"),
        workspace_id=workspace.id,
        repository_id=seen.repository.id,
        kind=kind.value,
        ref=ref,
        sha=sha,
        before=before,
        about={},
        first=first,
        status=ChangeStatus.PENDING.value,
    )


def _close(seen: Seen, opened: Collection[Change], uow: UnitOfWork) -> None:
    """Let go of pull requests that are not open any more, and of heads that are not the newest."""
    if seen.pulls is None:
        return
    heads = {pull.number: pull.head_sha for pull in seen.pulls.items}
    for change in opened:
        if change.number is None or heads.get(change.number) == change.sha:
            continue
        closed = change.number not in heads
        change.open = False
        change.updated_at = uow.now()
        if change.status in (ChangeStatus.PENDING, ChangeStatus.WAITING, ChangeStatus.STORED):
            change.status = ChangeStatus.SUPERSEDED.value
            change.reason = "the pull request was closed" if closed else f"a newer commit came: {heads[change.number][:12]}"
            change.next_try_at = None
        elif change.status == ChangeStatus.STARTED:
            # Its run is cancelled by whoever starts the next one, or, when none comes, now.
            change.next_try_at = uow.now()
            uow.wake(CHANGES)


def _has(workspace: Workspace, code: str) -> bool:
    return any(each["code"] == code for each in workspace.conditions)
