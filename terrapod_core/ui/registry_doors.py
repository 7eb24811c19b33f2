"""What the doors of the registry's pages share: versions, names of users, and who is offered what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from sqlalchemy import or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from terrapod_core.accounts import User
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.db import Database
from terrapod_core.jsonapi import Page, PageRequest, Query
from terrapod_core.registry.lifecycle import Deprecation, Revocation, UpdateVersion
from terrapod_core.registry.models import Item, Version, VersionStatus
from terrapod_core.registry.uses.consumers import Consumers
from terrapod_core.registry.uses.kinds import Kind
from terrapod_core.ui.registry_views import LISTS, ItemRow, ItemView, Mark, RegistryAction, Search, UsedBy, UseLine, VersionLine
from terrapod_core.workspaces import queries as workspaces_queries

T = TypeVar("T")
ItemT = TypeVar("ItemT", bound=Item)
VersionT = TypeVar("VersionT", bound=Version)
USES: Final = 20
"""Workspaces that a page names; the API tells all."""


@dataclass(frozen=True)
class UsesDoor:
    """Who uses what."""

    consumers: Consumers
    db: Database

    async def of(self, actor: Actor, kind: Kind, address: Any) -> UsedBy:
        """The workspaces that use the item of this address, which the actor may read."""
        found = await self.consumers.list(actor, kind, address, Query.parse({"page[size]": str(USES)}))
        ids = [each.workspace_id for each in found.page.items]
        names = await self.db.read(lambda session: {each.id: each.name for each in workspaces_queries.by_ids(session, ids)})
        lines = [
            UseLine(names[each.workspace_id], each.version, each.run_id, each.last_used_at, each.plan_only)
            for each in found.page.items
            if each.workspace_id in names
        ]
        return UsedBy(lines, found.total, found.hidden)


class Items(Protocol[ItemT]):
    """What a door asks of the service of its items; `wanted` is an address of their kind."""

    async def list(self, actor: Actor, query: Query, /) -> Page[ItemT]: ...

    async def read(self, actor: Actor, wanted: Any, /) -> ItemT: ...

    async def delete(self, actor: Actor, wanted: Any, /) -> None: ...


class Versions(Protocol[VersionT]):
    """What it asks of the service of their versions."""

    async def list(self, actor: Actor, wanted: Any, page: PageRequest, /) -> Page[VersionT]: ...

    async def read(self, actor: Actor, wanted: Any, number: str, /) -> VersionT: ...

    async def update(self, actor: Actor, wanted: Any, number: str, changes: UpdateVersion, /) -> VersionT: ...

    async def release(self, actor: Actor, wanted: Any, number: str, /) -> VersionT: ...

    async def delete(self, actor: Actor, wanted: Any, number: str, /) -> None: ...


@dataclass(frozen=True)
class ItemDoor(Generic[ItemT, VersionT]):
    """What the doors of modules and of providers do alike; addresses are the parts of a page's path."""

    kind: ClassVar[Kind]
    lists: ClassVar[str]
    """What the path of their list ends in: `modules` or `providers`."""

    items: Items[ItemT]
    versions: Versions[VersionT]
    uses: UsesDoor
    db: Database
    authz: Authorizer

    async def list(self, actor: Actor, page: PageRequest, search: Search) -> Page[ItemRow]:
        """Those the actor may see, in the order of the API."""
        found = await self.items.list(actor, asked(page, search))
        known = await self.db.read(lambda session: self._numbers(session, actor, found.items))
        return paged(found, [row(each, self.lists, known.get(each.id, ())) for each in found.items])

    async def act(self, actor: Actor, address: Sequence[str], number: str, action: RegistryAction, fields: Mapping[str, str]) -> None:
        """Do it, by the same service as the API."""
        wanted = self.kind.address(*address)
        match action:
            case RegistryAction.RELEASE:
                await self.versions.release(actor, wanted, number)
            case RegistryAction.DELETE:
                await self.versions.delete(actor, wanted, number)
            case _:
                await self.versions.update(actor, wanted, number, changes(action, fields))

    async def delete(self, actor: Actor, address: Sequence[str]) -> None:
        """Delete an item with all of its versions."""
        await self.items.delete(actor, self.kind.address(*address))

    async def look(
        self, actor: Actor, address: Sequence[str], number: str | None, versions: PageRequest
    ) -> tuple[ItemView, ItemT, VersionT | None]:
        """What every page of an item shows, the item, and the version that the page is about: that of this number, or one it chooses."""
        wanted = self.kind.address(*address)
        item = await self.items.read(actor, wanted)
        page = await self.versions.list(actor, wanted, versions)
        if number is None:
            found = await self.db.read(lambda session: self._numbers(session, actor, [item]))
            number = chosen_number(found.get(item.id, ()))
        version = await self.versions.read(actor, wanted, number) if number is not None else None
        known = await self.db.read(lambda session: names(session, [item.owner_id, *item.publishers]))
        publishes = self.authz.allows(actor, Permission.REGISTRY_PUBLISH, item)
        updates = self.authz.allows(actor, Permission.REGISTRY_UPDATE, item)
        view = ItemView(
            address=item.address,
            kind=self.lists,
            owner=known.get(item.owner_id or ""),
            publishers=named(known, item.publishers),
            labels=item.labels,
            versions=paged(page, [line(each) for each in page.items]),
            shown=line(version) if version is not None else None,
            used_by=await self.uses.of(actor, self.kind, wanted),
            offered=offered(actor, item, version, publishes=publishes, updates=updates),
            may_publish=publishes,
            may_delete=updates,
        )
        return view, item, version

    def _numbers(self, session: Session, actor: Actor, items: Sequence[ItemT]) -> Mapping[str, Sequence[VersionLine]]:
        publishes = {each.id for each in items if self.authz.allows(actor, Permission.REGISTRY_PUBLISH, each)}
        return numbers(session, self.kind.item_id, items, publishes)


def asked(page: PageRequest, search: Search) -> Query:
    """What a page asks of the list of a service."""
    return Query.parse({"page[number]": str(page.number), "page[size]": str(page.size), **search.query})


def paged(found: Page[Any], items: Sequence[T]) -> Page[T]:
    """The same page with other items."""
    return Page(items, found.number, found.size, found.total, found.more)


def row(item: Item, kind: str, versions: Sequence[VersionLine]) -> ItemRow:
    """An item with the versions of it that the one who looks may see, the newest number first."""
    held = sum(each.status == VersionStatus.HELD for each in versions)
    return ItemRow(item.address, f"{LISTS}/{kind}/{item.address}", item.labels, chosen(versions), held, item.updated_at)


def line(version: Version) -> VersionLine:
    """A version."""
    return VersionLine(
        number=version.version,
        status=VersionStatus(version.status),
        published_at=version.published_at,
        created_by=version.created_by_name,
        deprecation=mark(version.deprecation),
        revocation=mark(version.revocation),
        downloads=version.download_count,
    )


def mark(found: Mapping[str, Any] | None) -> Mark | None:
    """What is said of a version that is deprecated or revoked."""
    return Mark(found["reason"], found["link"], found["at"][:10]) if found is not None else None


def chosen(versions: Sequence[VersionLine]) -> VersionLine | None:
    """The one that is shown when none is named: what terraform takes without a constraint, or the nearest to that there is."""
    usable = [each for each in versions if each.is_usable]
    releases = [each for each in usable if not each.is_prerelease]
    published = [each for each in versions if each.status == VersionStatus.PUBLISHED]
    return next(iter([*releases, *usable, *published, *versions]), None)


def chosen_number(versions: Sequence[VersionLine]) -> str | None:
    """The number of that one."""
    found = chosen(versions)
    return found.number if found is not None else None


def numbers(
    session: Session, item_id: InstrumentedAttribute[str], items: Sequence[Item], publishes: Collection[str]
) -> Mapping[str, Sequence[VersionLine]]:
    """The versions of each of these items, the highest number first, without what is long; `item_id` is the column that names the item.

    Those that are not published only of the items whose ids are in `publishes`.
    """
    table = item_id.class_
    query = select(item_id, table.version, table.status, table.deprecation, table.revocation)
    shown = or_(table.status == VersionStatus.PUBLISHED, item_id.in_(publishes))
    found: dict[str, list[VersionLine]] = {}
    for row_id, number, status, deprecation, revocation in session.execute(
        query.where(item_id.in_([each.id for each in items]), shown).order_by(table.version_order.desc())
    ):
        version = VersionLine(number, VersionStatus(status), deprecation=mark(deprecation), revocation=mark(revocation))
        found.setdefault(row_id, []).append(version)
    return found


def names(session: Session, user_ids: Iterable[str | None]) -> Mapping[str, str]:
    """What these users are called, by their ids; those who are gone are left out."""
    wanted = {each for each in user_ids if each is not None}
    return {found.id: found.username for found in session.execute(select(User).where(User.id.in_(wanted))).scalars()}


def named(known: Mapping[str, str], user_ids: Sequence[str]) -> Sequence[str]:
    """Those of the users who are there, by name."""
    return sorted(known[each] for each in user_ids if each in known)


def offered(actor: Actor, item: Item, version: Version | None, *, publishes: bool, updates: bool) -> frozenset[RegistryAction]:
    """What the actor, who has these rights on the item, can do with a version of it as it stands."""
    if version is None:
        return frozenset()
    published = version.is_published
    possible = {
        RegistryAction.DEPRECATE: publishes and published and version.deprecation is None,
        RegistryAction.UNDEPRECATE: publishes and version.deprecation is not None,
        RegistryAction.REVOKE: updates and published and version.revocation is None,
        RegistryAction.UNREVOKE: updates and version.revocation is not None,
        RegistryAction.RELEASE: publishes and version.status == VersionStatus.HELD and actor.user_id in item.publishers,
        RegistryAction.DELETE: updates if published else publishes,
    }
    return frozenset(action for action, is_possible in possible.items() if is_possible)


def changes(action: RegistryAction, fields: Mapping[str, str]) -> UpdateVersion:
    """What the service is sent for an action that marks a version."""
    reason, link = fields.get("reason", "").strip(), fields.get("link", "").strip() or None
    match action:
        case RegistryAction.DEPRECATE:
            return UpdateVersion(deprecation=Deprecation(reason=reason, link=link))
        case RegistryAction.UNDEPRECATE:
            return UpdateVersion(deprecation=None)
        case RegistryAction.REVOKE:
            return UpdateVersion(revocation=Revocation(reason=reason, link=link))
        case _:
            return UpdateVersion(revocation=None)
