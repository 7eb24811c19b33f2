"""Reading modules. Everything here runs over a session of `Database.read` or `UnitOfWork.run`, but for what `LookUp` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from terrapod_core import organizations
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.db import LookUp
from terrapod_core.jsonapi import Page, PageRequest, Query, Tagged
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.registry.models import VersionStatus
from terrapod_core.registry.modules import tag_queries
from terrapod_core.registry.modules.models import GUARD, Module, ModuleContents, ModuleLabel, ModuleVersion, Numbered
from terrapod_core.registry.paging import page_of


@dataclass(frozen=True)
class Address:
    """How paths name a module."""

    namespace: str
    name: str
    provider: str


BY_ID: Final = LookUp(Module, select(Module).where(Module.id == bindparam("module_id")))
BY_ADDRESS: Final = LookUp(
    Module,
    select(Module).where(
        Module.namespace == bindparam("module_namespace"),
        Module.name == bindparam("module_name"),
        Module.provider == bindparam("module_provider"),
    ),
)

_SORTS: Final[dict[str, InstrumentedAttribute[Any]]] = {
    "name": Module.name,
    "created_at": Module.created_at,
    "updated_at": Module.updated_at,
}


def parameters(wanted: str | Address) -> tuple[LookUp[Module], dict[str, str]]:
    """The look-up of a module by its id or its address, and what it is given."""
    if isinstance(wanted, str):
        return BY_ID, {"module_id": wanted}
    return BY_ADDRESS, {"module_namespace": wanted.namespace, "module_name": wanted.name, "module_provider": wanted.provider}


def module(session: Session, wanted: str | Address) -> Module | None:
    """The module, or `None`; says nothing about who may see it."""
    look_up, values = parameters(wanted)
    return look_up.over(session, values)


def for_update(session: Session, wanted: str | Address) -> Module | None:
    """The same, its row locked until the transaction ends: every change of a module or of its versions starts here."""
    look_up, values = parameters(wanted)
    query = look_up.query.with_for_update().execution_options(populate_existing=True)
    return session.execute(query, values).scalar_one_or_none()


def of_name_for_update(session: Session, namespace: str, name: str) -> Sequence[Module]:
    """The modules of this name, one for each provider, likewise."""
    query = select(Module).where(Module.namespace == namespace, Module.name == name).order_by(Module.provider)
    return session.execute(query.with_for_update().execution_options(populate_existing=True)).scalars().all()


def readable(session: Session, authz: Authorizer, actor: Actor, module_ids: Sequence[str]) -> Sequence[Module]:
    """Those of the modules that the actor may read, with their versions; the loader of `include=registry-module`."""
    found = session.execute(select(Module).where(Module.id.in_(module_ids))).scalars()
    kept = [each for each in found if authz.allows(actor, Permission.REGISTRY_READ, each)]
    with_versions(session, authz, actor, kept)
    return kept


def listing(session: Session, authz: Authorizer, actor: Actor, query: Query) -> Page[Module]:
    """One page of the modules that the actor may read, with their versions."""
    found = authz.visible(select(Module), actor, GUARD).where(*_conditions(query))
    page: Page[Module] = page_of(session, found.order_by(*_order(query)), query.page)
    with_versions(session, authz, actor, page.items)
    return page


def with_versions(session: Session, authz: Authorizer, actor: Actor, found: Sequence[Module]) -> None:
    """Let each module know its versions that the actor may see, and its tags that are none; one query each for all of them."""
    if not found:
        return
    publishes = {each.id for each in found if authz.allows(actor, Permission.REGISTRY_PUBLISH, each)}
    shown = or_(ModuleVersion.status == VersionStatus.PUBLISHED, ModuleVersion.module_id.in_(publishes))
    columns = select(ModuleVersion.module_id, ModuleVersion.version, ModuleVersion.status)
    query = columns.where(ModuleVersion.module_id.in_([each.id for each in found]), shown)
    by_module: dict[str, list[Numbered]] = {}
    for module_id, number, status in session.execute(query.order_by(ModuleVersion.version_order.desc())):
        by_module.setdefault(module_id, []).append(Numbered(number, VersionStatus(status)))
    of_tags = (
        tag_queries.untold(session, following)
        if (following := [each.id for each in found if each.id in publishes and each.vcs_link])
        else {}
    )
    for each in found:
        each.versions = by_module.get(each.id, ())
        each.unpublished = of_tags.get(each.id, ()) if each.id in publishes else None


def versions(session: Session, module_id: str, page: PageRequest, *, unpublished: bool) -> Page[ModuleVersion]:
    """One page of a module's versions, the newest number first."""
    found = select(ModuleVersion).where(ModuleVersion.module_id == module_id)
    if not unpublished:
        found = found.where(ModuleVersion.status == VersionStatus.PUBLISHED)
    return page_of(session, found.order_by(ModuleVersion.version_order.desc()), page)


def published(session: Session, module_id: str) -> Sequence[ModuleVersion]:
    """All of a module's versions that are published, the newest number first."""
    found = select(ModuleVersion).where(ModuleVersion.module_id == module_id, ModuleVersion.status == VersionStatus.PUBLISHED)
    return session.execute(found.order_by(ModuleVersion.version_order.desc())).scalars().all()


def version(session: Session, module_id: str, number: SemanticVersion) -> ModuleVersion | None:
    """The version of this number; one with another build is the same."""
    query = select(ModuleVersion).where(ModuleVersion.module_id == module_id, ModuleVersion.version_order == number.order)
    return session.execute(query).scalar_one_or_none()


def version_by_id(session: Session, version_id: str) -> ModuleVersion | None:
    """The version, or `None`."""
    return session.execute(select(ModuleVersion).where(ModuleVersion.id == version_id)).scalar_one_or_none()


def contents(session: Session, version_id: str) -> bytes | None:
    """What is known of the archive of a version, as JSON; `None` while it has none."""
    found = session.execute(select(ModuleContents.contents).where(ModuleContents.version_id == version_id)).scalar_one_or_none()
    return found.encode() if found is not None else None


def _conditions(query: Query) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if text := query.q or query.search("name"):
        either = (Module.name, Module.provider, Module.namespace) if query.q else (Module.name,)
        conditions.append(or_(*(column.icontains(text, autoescape=True) for column in either)))
    for name, column in (("provider", Module.provider), ("name", Module.name), ("namespace", Module.namespace)):
        if wanted := query.filter_list(name):
            conditions.append(column.in_(wanted))
    # go-tfe narrows lists so; all that is here is private, and the one organization's.
    for name, own in (("registry_name", "private"), ("organization_name", organizations.NAME)):
        if (named := query.filter_list(name)) and own not in named:
            conditions.append(Module.id.in_(()))
    return [*conditions, *map(_labelled, query.tagged)]


def _labelled(tagged: Tagged) -> ColumnElement[bool]:
    """Has a label of this key, and of this value when one is given."""
    label = exists().where(ModuleLabel.item_id == Module.id, ModuleLabel.key == tagged.key)
    return label.where(ModuleLabel.value == tagged.value) if tagged.value else label


def _order(query: Query) -> list[ColumnElement[Any]]:
    chosen = [(_SORTS[sort.name], sort.descending) for sort in query.sort if sort.name in _SORTS]
    ordered = [column.desc() if descending else column.asc() for column, descending in chosen]
    return [*ordered, Module.name.asc(), Module.provider.asc(), Module.namespace.asc(), Module.id.asc()]
