"""The door of the page of a run, over the services of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core import runs as room
from terrapod_core.accounts import User
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.configurations import queries as configurations
from terrapod_core.configurations.models import ConfigurationVersion
from terrapod_core.db import Database
from terrapod_core.jsonapi import PageRequest
from terrapod_core.organizations import NAME
from terrapod_core.runs.comments import MOST, CreateComment
from terrapod_core.runs.models import Comment, Run, RunEvent
from terrapod_core.runs.queries import RunView as Shown
from terrapod_core.runs.status import RunStatus
from terrapod_core.ui.forge_links import leads
from terrapod_core.ui.views import Happening, Origin, PhaseView, RunAction, RunView
from terrapod_core.workspaces import LockKind

ALL_COMMENTS: Final = PageRequest(1, MOST)


class RunDoor:
    """Runs, for the page of one."""

    def __init__(
        self, runs: room.Runs, again: room.Again, comments: room.Comments, logs: room.Logs, db: Database, authz: Authorizer
    ) -> None:
        self._runs = runs
        self._again = again
        self._comments = comments
        self._logs = logs
        self._db = db
        self._authz = authz

    async def show(self, actor: Actor, run_id: str) -> RunView:
        """The run as its page shows it."""
        shown = await self._runs.show(actor, run_id)
        events = await self._runs.events(actor, run_id)
        comments = (await self._comments.list(actor, run_id, ALL_COMMENTS)).items
        return await self._db.read(lambda session: self._view(session, actor, shown, events, comments))

    async def log(self, actor: Actor, phase_id: str, offset: int, limit: int) -> bytes:
        """Part of a log, for those who may read the run."""
        await self._runs.phase(actor, phase_id)
        return await self._logs.read(phase_id, offset, limit)

    async def act(self, actor: Actor, run_id: str, action: RunAction, comment: str | None) -> str:
        """Do it, by the same service as the API; the id of the run to look at then."""
        match action:
            case RunAction.RETRY:
                return (await self._again.retry(actor, run_id, comment)).id
            case RunAction.FORCE_EXECUTE:
                await self._again.force_execute(actor, run_id, comment)
            case RunAction.COMMENT:
                await self._comments.create(actor, run_id, CreateComment(body=comment or ""))
            case RunAction.CONFIRM:
                await self._runs.confirm(actor, run_id, comment)
            case RunAction.DISCARD:
                await self._runs.discard(actor, run_id, comment)
            case RunAction.CANCEL:
                await self._runs.cancel(actor, run_id, comment)
            case RunAction.FORCE_CANCEL:
                await self._runs.force_cancel(actor, run_id, comment)
        return run_id

    def _view(self, session: Session, actor: Actor, shown: Shown, events: Sequence[RunEvent], comments: Sequence[Comment]) -> RunView:
        run, now = shown.run, self._db.clock.now()
        phases = [session.get_one(room.Phase, phase_id) for phase_id in (run.plan_id, run.apply_id)]
        names = _names(session, {run.created_by_id, *(event.actor_id for event in events)})
        configuration = configurations.by_id(session, run.configuration_version_id)
        waiting, displaced = shown.waiting_on, _displaced(session, shown)
        actions = frozenset(self._actions(actor, shown, displaced))
        force_from = run.force_cancel_available_at
        ahead = not run.is_final and force_from is not None and force_from > now
        if not (ahead and self._authz.allows(actor, Permission.RUN_FORCE_CANCEL, shown.workspace)):
            force_from = None
        return RunView(
            id=run.id,
            organization=NAME,
            workspace=shown.workspace.name,
            status=run.status,
            message=run.message,
            created_at=run.created_at,
            created_by=names.get(run.created_by_id),
            is_final=run.is_final,
            phases=tuple(_phase(phase) for phase in phases if phase.status != room.PhaseStatus.UNREACHABLE),
            actions=actions,
            waiting_for=waiting.detail if waiting is not None else None,
            waiting_since=waiting.since if waiting is not None else None,
            failure=run.failure,
            has_changes=run.has_changes,
            is_destroy=run.is_destroy,
            plan_only=run.plan_only,
            engine=f"{run.engine} {run.terraform_version}" if run.engine else None,
            force_from=force_from,
            force_in=max(0, round((force_from - now).total_seconds())) if force_from is not None else 0,
            displaces=displaced if RunAction.FORCE_EXECUTE in actions else None,
            untrusted=_untrusted(configuration, run),
            origin=_origin(configuration),
            of_fork=run.of_fork,
            history=tuple(_history(events, comments, names)),
        )

    def _actions(self, actor: Actor, shown: Shown, displaced: str | None) -> list[RunAction]:
        run, workspace = shown.run, shown.workspace

        def may(permission: Permission) -> bool:
            return self._authz.allows(actor, permission, workspace)

        own = run.plan_only and run.created_by_id == actor.user_id
        may_stop = may(Permission.RUN_PLAN if own else Permission.RUN_CANCEL)
        may_retry = may(Permission.RUN_PLAN if run.plan_only else Permission.RUN_APPLY)
        possible = {
            RunAction.CONFIRM: run.is_confirmable and may(Permission.RUN_APPLY),
            RunAction.DISCARD: run.is_discardable and may_stop,
            RunAction.CANCEL: run.is_cancelable and may_stop,
            RunAction.FORCE_CANCEL: run.is_force_cancelable(self._db.clock.now()) and may(Permission.RUN_FORCE_CANCEL),
            RunAction.FORCE_EXECUTE: displaced is not None and may(Permission.RUN_CANCEL),
            RunAction.RETRY: run.is_final and may_retry and (run.variables is None or may(Permission.VARIABLE_WRITE)),
            RunAction.COMMENT: may(Permission.RUN_COMMENT),
        }
        return [action for action, offered in possible.items() if offered]


def _displaced(session: Session, shown: Shown) -> str | None:
    """The run that has the workspace this one waits for, when it only waits for somebody's decision."""
    workspace = shown.workspace
    if shown.run.status != RunStatus.PENDING or workspace.lock_kind != LockKind.RUN:
        return None
    holder = session.get(Run, workspace.lock_holder_id)
    return holder.id if holder is not None and holder.is_discardable else None


def _origin(configuration: ConfigurationVersion | None) -> Origin | None:
    ingress = configuration.ingress if configuration is not None else None
    if not ingress:
        return None
    is_pull = bool(ingress.get("is_pull_request"))
    return Origin(
        repository=ingress.get("identifier") or "",
        sha=ingress.get("commit_sha") or "",
        commit_url=leads(ingress.get("commit_url")),
        branch=ingress.get("branch") or None,
        tag=ingress.get("tag"),
        pull_number=ingress.get("pull_request_number") if is_pull else None,
        pull_title=ingress.get("pull_request_title") if is_pull else None,
        pull_url=leads(ingress.get("pull_request_url")) if is_pull else None,
        author=ingress.get("author_name") or ingress.get("sender_username"),
        author_url=leads(ingress.get("sender_html_url")),
    )


def _untrusted(configuration: ConfigurationVersion | None, run: Run) -> str | None:
    if run.trusted:
        return None
    if configuration is not None and not configuration.trusted and configuration.ingress:
        why = "it is of a pull request's commit"
    elif configuration is not None and not configuration.trusted:
        why = "its configuration was uploaded by somebody without the level write"
    elif run.variables is not None:
        why = "its variables were given by somebody without the level write"
    else:
        why = "it repeats a run that nobody with the level write vouched for"
    return f"This run is untrusted and can only be planned: {why}."


def _history(events: Sequence[RunEvent], comments: Sequence[Comment], names: dict[str | None, str]) -> list[Happening]:
    said = {comment.id: comment.body for comment in comments}
    told = []
    for event in events:
        body = said.get(event.comment_id or "")
        what = event.description if body is None else event.description.removesuffix(f": {body}")
        told.append(Happening(event.created_at, what, names.get(event.actor_id), body))
    return told


def _names(session: Session, ids: set[str | None]) -> dict[str | None, str]:
    """What the users are called, by id."""
    query = select(User.id, User.username).where(User.id.in_([each for each in ids if each is not None]))
    return {row[0]: row[1] for row in session.execute(query)}


def _phase(phase: room.Phase) -> PhaseView:
    return PhaseView(
        id=phase.id,
        kind=phase.kind,
        status=phase.status,
        log_size=phase.log_size,
        is_final=phase.is_final,
        started_at=phase.started_at,
        finished_at=phase.finished_at,
        additions=phase.additions,
        changes=phase.changes,
        destructions=phase.destructions,
        imports=phase.imports,
    )
