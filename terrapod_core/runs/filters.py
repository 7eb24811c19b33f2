"""How lists of runs are narrowed: go-tfe's `filter[…]` and `search[…]`. A value that names nothing finds nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, false, or_, select

from terrapod_core.accounts import User
from terrapod_core.jsonapi import Query
from terrapod_core.runs.models import Run
from terrapod_core.runs.status import DISCARDABLE, FINAL, RunStatus
from terrapod_core.workspaces import Workspace

YEAR: Final = timedelta(days=365)

OPERATIONS: Final[Mapping[str, ColumnElement[bool]]] = {
    "plan_only": Run.plan_only.is_(True),
    "plan_and_apply": and_(Run.plan_only.is_(False), Run.save_plan.is_(False), Run.is_destroy.is_(False), Run.refresh_only.is_(False)),
    "save_plan": Run.save_plan.is_(True),
    "refresh_only": Run.refresh_only.is_(True),
    "destroy": Run.is_destroy.is_(True),
    "empty_apply": Run.allow_empty_apply.is_(True),
}

GROUPS: Final[Mapping[str, ColumnElement[bool]]] = {
    "final": Run.status.in_(FINAL),
    # By the names of the others: only so does an index find them.
    "non_final": Run.status.in_([status.value for status in RunStatus if status not in FINAL]),
    "discardable": Run.status.in_(DISCARDABLE),
}


@dataclass(frozen=True)
class RunFilters:
    """How a list of runs is narrowed; empty sequences and `None` narrow nothing."""

    statuses: Sequence[str] = ()
    groups: Sequence[str] = ()
    operations: Sequence[str] = ()
    sources: Sequence[str] = ()
    workspace_names: Sequence[str] = ()
    pools: Sequence[str] = ()
    timeframe: str | None = None
    text: str | None = None
    user: str | None = None
    commit: str | None = None

    @classmethod
    def of(cls, query: Query) -> RunFilters:
        """From a request's query string."""
        return cls(
            statuses=query.filter_list("status"),
            groups=query.filter_list("status_group"),
            operations=query.filter_list("operation"),
            sources=query.filter_list("source"),
            workspace_names=query.filter_list("workspace_names"),
            pools=query.filter_list("agent_pool_names"),
            timeframe=query.filter("timeframe") or None,
            text=query.search("basic") or None,
            user=query.search("user") or None,
            commit=query.search("commit") or None,
        )

    def conditions(self, now: datetime) -> list[ColumnElement[bool]]:
        """As SQL over runs and their workspaces."""
        found: list[ColumnElement[bool]] = []
        if self.statuses:
            found.append(Run.status.in_(self.statuses))
        if self.groups:
            found.append(_any(GROUPS, self.groups))
        if self.sources:
            found.append(Run.source.in_(self.sources))
        if self.workspace_names:
            found.append(Workspace.name.in_(self.workspace_names))
        if self.timeframe:
            found.append(_within(self.timeframe, now))
        if self.text:
            found.append(or_(Run.id == self.text, Run.message.contains(self.text, autoescape=True), _by(self.text)))
        if self.user:
            found.append(_by(self.user))
        if self.commit or self.pools:
            # No run comes from version control, and none runs in a pool.
            found.append(false())
        # go-tfe: plan-only runs are left out unless the operation filter names them.
        found.append(_any(OPERATIONS, self.operations) if self.operations else Run.plan_only.is_(False))
        return found


def _any(known: Mapping[str, ColumnElement[bool]], wanted: Sequence[str]) -> ColumnElement[bool]:
    return or_(false(), *(known[each] for each in wanted if each in known))


def _by(name: str) -> ColumnElement[bool]:
    """Made by a user of whose name this is a part, whatever its case."""
    return Run.created_by_id.in_(select(User.id).where(User.username.icontains(name, autoescape=True)))


def _within(timeframe: str, now: datetime) -> ColumnElement[bool]:
    """`year` is the last 365 days, four digits are a calendar year."""
    if timeframe == "year":
        return Run.created_at >= now - YEAR
    if len(timeframe) == 4 and timeframe.isascii() and timeframe.isdigit() and 1 <= int(timeframe) < 9999:
        year = int(timeframe)
        return and_(Run.created_at >= datetime(year, 1, 1, tzinfo=UTC), Run.created_at < datetime(year + 1, 1, 1, tzinfo=UTC))
    return false()
