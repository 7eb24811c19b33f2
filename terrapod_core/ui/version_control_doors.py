"""The door of the page about a workspace's repository, over the services of changes, connections and workspaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.accounts import User
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.configurations.models import ConfigurationVersion
from terrapod_core.db import Database
from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.ingress import conditions
from terrapod_core.ingress.models import Change, ChangeKind, ChangeStatus, Following
from terrapod_core.ingress.service import NOUN, Changes
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.organizations import NAME
from terrapod_core.runs import Run
from terrapod_core.ui import link_form
from terrapod_core.ui.forge_links import leads
from terrapod_core.ui.version_control_views import (
    ChangeLine,
    Choice,
    LinkForm,
    RepositoryAction,
    RepositoryView,
    VersionControlView,
)
from terrapod_core.vcs import access, queries as vcs
from terrapod_core.vcs.access import Reach
from terrapod_core.vcs.browsing import Browsing
from terrapod_core.vcs.models import Connection
from terrapod_core.vcs.service import Connections
from terrapod_core.workspaces import Workspace, Workspaces
from terrapod_core.workspaces.conditions import Conditions
from terrapod_core.workspaces.documents import UpdateWorkspace

MOST_CHOICES: Final = 200
"""Branches and tags that the form offers; others are written."""


@dataclass(frozen=True)
class VersionControlDoor:
    """A workspace's repository. What the actor may not see raises `NotFound`, what they may not do `Forbidden`."""

    workspaces: Workspaces
    changes: Changes
    connections: Connections
    browsing: Browsing
    conditions: Conditions
    db: Database
    authz: Authorizer

    async def show(self, actor: Actor, name: str, page: PageRequest) -> VersionControlView:
        """What the workspace follows, and one page of what it saw."""
        workspace = await self.workspaces.read_by_name(actor, name)
        found = await self.changes.list(actor, workspace.id, page)
        may_approve = self.authz.allows(actor, Permission.RUN_APPLY, workspace)
        may_connect = self.authz.allows(actor, Permission.WORKSPACE_UPDATE, workspace)
        repository, lines = await self.db.read(
            lambda session: (
                _repository(session, actor, workspace),
                _lines(session, found.items, approves=workspace.vcs_repository_id if may_approve else None),
            )
        )
        possible = {
            RepositoryAction.LOOK: workspace.vcs_repository_id is not None and self.authz.allows(actor, Permission.RUN_PLAN, workspace),
            RepositoryAction.DISCONNECT: workspace.vcs_link is not None and may_connect,
            RepositoryAction.APPROVE: may_approve,
        }
        return VersionControlView(
            id=workspace.id,
            organization=NAME,
            name=workspace.name,
            repository=repository,
            conditions=[each for each in self.conditions.of(workspace) if each["code"] in conditions.ALL],
            changes=Page(lines, found.number, found.size, found.total),
            actions=frozenset(action for action, offered in possible.items() if offered),
            may_connect=may_connect,
            acknowledgeable=frozenset(each["code"] for each in workspace.conditions) if may_connect else frozenset(),
        )

    async def form(self, actor: Actor, name: str, connection_id: str | None, identifier: str | None, *, afresh: bool) -> LinkForm:
        """The form, as far as has been chosen; without a choice it begins with what the workspace has, unless it is to be `afresh`."""
        workspace = await self._changeable(actor, name)
        link = workspace.vcs_link
        if link is not None and connection_id is None and not afresh:
            connection_id, identifier = link["connection-id"], link["identifier"]
        form = await self._chosen(actor, workspace, connection_id, identifier)
        return replace(form, typed=link_form.typed_of(workspace))

    async def save(self, actor: Actor, name: str, fields: Mapping[str, str]) -> LinkForm | None:
        """Follow it; the form when something is wrong with it."""
        workspace = await self._changeable(actor, name)
        connection_id = fields.get("connection", "")
        try:
            await self.workspaces.update(actor, workspace.id, link_form.document(connection_id, fields))
        except Invalid as problem:
            form = await self._chosen(actor, workspace, connection_id or None, fields.get("repository", "").strip() or None)
            return replace(form, typed=dict(fields), problems=link_form.problems(problem))
        return None

    async def act(self, actor: Actor, name: str, action: RepositoryAction, fields: Mapping[str, str]) -> None:
        """Do it, by the same service as the API."""
        workspace = await self.workspaces.read_by_name(actor, name)
        match action:
            case RepositoryAction.LOOK:
                await self.changes.look_now(actor, workspace.id)
            case RepositoryAction.DISCONNECT:
                await self.workspaces.update(actor, workspace.id, UpdateWorkspace(vcs_repo=None))
            case RepositoryAction.APPROVE:
                self.authz.require(actor, Permission.RUN_APPLY, workspace)
                change = await self.changes.read(actor, fields.get("change", ""))
                if change.workspace_id != workspace.id:
                    raise missing(NOUN)
                await self.changes.approve(actor, change.id, fields.get("comment", "").strip() or None)

    # -- inside

    async def _changeable(self, actor: Actor, name: str) -> Workspace:
        workspace = await self.workspaces.read_by_name(actor, name)
        self.authz.require(actor, Permission.WORKSPACE_UPDATE, workspace)
        return workspace

    async def _chosen(self, actor: Actor, workspace: Workspace, connection_id: str | None, identifier: str | None) -> LinkForm:
        usable = [
            each
            for each in (await self.connections.list(actor)).items
            if access.reach(actor, each) >= Reach.USE and access.is_for(each, workspace.project_id)
        ]
        if connection_id is None and len(usable) == 1:
            connection_id = usable[0].id
        form = LinkForm(
            organization=NAME,
            workspace=workspace.name,
            is_linked=workspace.vcs_link is not None,
            connections=_choices(usable, workspace),
            connection=connection_id,
            repository=identifier or None,
        )
        if connection_id is None:
            return form
        try:
            if identifier is None:
                found = await self.browsing.repositories(actor, connection_id)
                return replace(form, repositories=[Choice(each.repo.path, each.default_branch) for each in found])
            return await self._branches(actor, form, connection_id, identifier)
        except (Invalid, Conflict) as problem:
            return replace(form, problems={"repository": problem.detail})
        except (NotFound, Forbidden):
            # Of a connection that only others may use by now, what the workspace has already can be changed all the same.
            if not _has(workspace, connection_id, identifier):
                raise
            return form

    async def _branches(self, actor: Actor, form: LinkForm, connection_id: str, identifier: str) -> LinkForm:
        refs = await self.browsing.refs(actor, connection_id, identifier)
        branches = [Choice(each.name, each.sha[:12]) for each in refs if each.kind == "branch"]
        tags = [Choice(each.name, each.sha[:12]) for each in refs if each.kind == "tag"]
        return replace(form, branches=branches[:MOST_CHOICES], tags=tags[-MOST_CHOICES:])


def _has(workspace: Workspace, connection_id: str, identifier: str | None) -> bool:
    link = workspace.vcs_link or {}
    return (link.get("connection-id"), link.get("identifier")) == (connection_id, identifier)


def _choices(usable: Sequence[Connection], workspace: Workspace) -> list[Choice]:
    link = workspace.vcs_link
    choices = [Choice(each.id, f"{each.name} ({each.base_url})") for each in usable]
    if link is not None and link["connection-id"] not in {each.id for each in usable}:
        choices.append(Choice(link["connection-id"], "the one in use"))
    return choices


def _repository(session: Session, actor: Actor, workspace: Workspace) -> RepositoryView | None:
    link = workspace.vcs_link
    if link is None:
        return None
    repository = vcs.repository(session, workspace.vcs_repository_id or "")
    connection = vcs.connection(session, link["connection-id"])
    following = session.get(Following, workspace.id)
    default = repository.default_branch if repository is not None else ""
    followed = workspace.vcs_tags_regex or workspace.vcs_branch or default
    # What was seen of another branch, before the next look, says nothing of this one.
    mark = following if following is not None and following.branch == followed else None
    linked_by = session.get(User, workspace.vcs_linked_by_id) if workspace.vcs_linked_by_id else None
    return RepositoryView(
        path=link["identifier"],
        url=leads(link["http-url"]),
        connection_id=link["connection-id"],
        connection_name=connection.name if connection is not None and access.reach(actor, connection) >= Reach.READ else None,
        followed=followed,
        by_tags=bool(workspace.vcs_tags_regex),
        is_default_branch=not workspace.vcs_branch,
        sha=mark.sha if mark is not None else None,
        done_sha=mark.done_sha if mark is not None else None,
        polled_at=repository.polled_at if repository is not None else None,
        next_poll_at=repository.next_poll_at if repository is not None else None,
        trouble=repository.trouble if repository is not None else None,
        linked_by=linked_by.username if linked_by is not None else None,
        settings=link_form.in_words(workspace),
    )


def _lines(session: Session, changes: Sequence[Change], *, approves: str | None) -> list[ChangeLine]:
    """The changes with what they became, in three queries for all of them; `approves`: the repository whose commits may be approved."""
    versions = {each.configuration_version_id for each in changes if each.configuration_version_id}
    ingress = {
        row[0]: row[1] or {}
        for row in session.execute(
            select(ConfigurationVersion.id, ConfigurationVersion.ingress).where(ConfigurationVersion.id.in_(versions))
        )
    }
    runs = {each.run_id for each in changes if each.run_id}
    statuses = {row[0]: row[1] for row in session.execute(select(Run.id, Run.status).where(Run.id.in_(runs)))}
    people = {each.approved_by_id for each in changes if each.approved_by_id}
    names = {row[0]: row[1] for row in session.execute(select(User.id, User.username).where(User.id.in_(people)))}
    return [
        _line(
            each,
            ingress.get(each.configuration_version_id or "", {}),
            statuses,
            names.get(each.approved_by_id or ""),
            may_approve=each.repository_id == approves,
        )
        for each in changes
    ]


def _line(
    change: Change, ingress: Mapping[str, Any], statuses: Mapping[str, str], approved_by: str | None, *, may_approve: bool
) -> ChangeLine:
    waits = change.status == ChangeStatus.WAITING or (change.status == ChangeStatus.REFUSED and change.configuration_version_id is not None)
    about = change.about
    return ChangeLine(
        id=change.id,
        kind=change.kind,
        ref=change.ref,
        sha=change.sha,
        commit_url=leads(ingress.get("commit_url")),
        status=change.status,
        reason=change.reason,
        created_at=change.created_at,
        title=about.get("title"),
        pull_url=leads(about.get("url")),
        author=about.get("login") or ingress.get("author_name") or ingress.get("sender_username"),
        is_fork=change.is_fork,
        approved_by=approved_by,
        run_id=change.run_id,
        run_status=statuses.get(change.run_id or ""),
        can_be_approved=may_approve and change.open and change.kind == ChangeKind.PULL and waits,
    )
