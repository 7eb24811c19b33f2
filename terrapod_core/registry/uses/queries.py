"""Reading who uses what. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from terrapod_core.accounts import APIToken
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.jsonapi import Page, Query
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.registry.models import VersionStatus
from terrapod_core.registry.uses.documents import Use
from terrapod_core.registry.uses.kinds import Kind
from terrapod_core.registry.uses.models import By


@dataclass(frozen=True)
class Consumption:
    """A workspace that uses a version."""

    id: str
    address: str
    """The item's, without the host."""
    version: str
    plan_only: bool
    last_used_at: datetime
    workspace_id: str
    run_id: str


@dataclass(frozen=True)
class Downloaded:
    """How often a version was downloaded by one party."""

    id: str
    version: str
    by: str
    count: int
    last_downloaded_at: datetime
    token_description: str | None
    user_id: str | None
    workspace_id: str | None


@dataclass(frozen=True)
class Listed:
    """A page of what the one who asks may see, and how much there is in all."""

    page: Page[Any]
    total: int
    hidden: int
    """Of the total, what is in workspaces that they may not read."""


def used_versions(
    session: Session, *, authz: Authorizer, kind: Kind, sent: Sequence[Use], hosts: Collection[str], answering: Sequence[Actor]
) -> set[str]:
    """The ids of the published versions that these uses name by one of the hosts, and that all who answer for the run may read."""
    named = set(filter(None, (_named(kind, each, hosts) for each in sent)))
    if not named or not answering:
        return set()
    addresses = [[parts[at] for parts, _ in named] for at in range(len(kind.parts))]
    query = (
        select(kind.item, kind.version.id, kind.version.version_order)
        .join(kind.version, kind.item_id == kind.item.id)
        .where(*(column.in_(set(values)) for column, values in zip(kind.parts, addresses, strict=True)))
        .where(kind.version.version_order.in_({order for _, order in named}), kind.version.status == VersionStatus.PUBLISHED.value)
    )
    return {
        row[1]
        for row in session.execute(query)
        if (tuple(row[0].address.split("/")), row[2]) in named
        and all(authz.allows(each, Permission.REGISTRY_READ, row[0]) for each in answering)
    }


def consumers(session: Session, kind: Kind, item: Any, query: Query, readable: Select[str]) -> Listed:
    """One page of an item's consumers in the `readable` workspaces, the highest version first and the last use before others."""
    table = kind.consumer
    of_item = [kind.item_id == item.id, *_of_versions(kind, query)]
    found = select(table, kind.version.version).join(kind.version, kind.version.id == table.version_id).where(*of_item)
    seen = found.where(table.workspace_id.in_(readable))
    ordered = seen.order_by(kind.version.version_order.desc(), table.used_at.desc(), table.workspace_id)
    rows = session.execute(ordered.offset(query.page.offset).limit(query.page.size)).all()
    items = [
        Consumption(f"{row.version_id}.{row.workspace_id}", item.address, version, row.plan_only, row.used_at, row.workspace_id, row.run_id)
        for row, version in rows
    ]
    workspaces = func.count(table.workspace_id.distinct())
    total, visible = (session.execute(each.with_only_columns(workspaces)).scalar_one() for each in (found, seen))
    size = session.execute(seen.with_only_columns(func.count())).scalar_one()
    return Listed(Page(items, query.page.number, query.page.size, size), total, total - visible)


def downloads(session: Session, kind: Kind, item: Any, query: Query, readable: Select[str]) -> Listed:
    """One page of the downloads of an item's versions, the most first, but for those by runs in workspaces that are not `readable`."""
    table = kind.download
    of_item = [kind.item_id == item.id, *_of_versions(kind, query)]
    found = select(table, kind.version.version, APIToken).join(kind.version, kind.version.id == table.version_id).where(*of_item)
    found = found.outerjoin(APIToken, and_(table.by == By.TOKEN, APIToken.id == table.by_id))
    seen = found.where(or_(table.by != By.RUN, table.by_id.in_(readable)))
    ordered = seen.order_by(table.count.desc(), kind.version.version_order.desc(), table.by, table.by_id)
    rows = session.execute(ordered.offset(query.page.offset).limit(query.page.size)).all()
    sum_of = func.coalesce(func.sum(table.count), 0)
    total, visible = (int(session.execute(each.with_only_columns(sum_of)).scalar_one()) for each in (found, seen))
    size = session.execute(seen.with_only_columns(func.count())).scalar_one()
    return Listed(Page([_downloaded(*row) for row in rows], query.page.number, query.page.size, size), total, total - visible)


def _downloaded(row: Any, version: str, token: APIToken | None) -> Downloaded:
    return Downloaded(
        id=".".join(filter(None, (row.version_id, row.by, row.by_id))),
        version=version,
        by=row.by,
        count=row.count,
        last_downloaded_at=row.last_at,
        token_description=token.description if token is not None else None,
        user_id=token.user_id if token is not None else None,
        workspace_id=row.by_id if row.by == By.RUN else None,
    )


def _named(kind: Kind, use: Use, hosts: Collection[str]) -> tuple[tuple[str, ...], str] | None:
    """The parts of the address, and the order of the number; `None` for what is not of this registry."""
    host, _, address = use.source.partition("/")
    parts, number = tuple(address.partition("//")[0].split("/")), SemanticVersion.parse(use.version)
    if host.lower().removesuffix(":443") not in hosts or number is None or len(parts) != len(kind.parts):
        return None
    return parts, number.order


def _of_versions(kind: Kind, query: Query) -> list[ColumnElement[bool]]:
    """What `filter[version]` narrows to; a number that is none finds nothing."""
    wanted = query.filter_list("version")
    if not wanted:
        return []
    numbers = filter(None, map(SemanticVersion.parse, wanted))
    return [kind.version.version_order.in_([each.order for each in numbers])]
