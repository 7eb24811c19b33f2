"""Reading providers and what belongs to them. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Select, bindparam, false, or_, select
from sqlalchemy.orm import Session, defer

from terrapod_core.authz import Actor, Authorizer
from terrapod_core.db import LookUp
from terrapod_core.jsonapi import Page, PageRequest, Query
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.registry.models import VersionStatus
from terrapod_core.registry.paging import page_of
from terrapod_core.registry.providers.models import (
    GUARD,
    GPGKey,
    GPGKeyProvider,
    ProviderLabel,
    ProviderPlatform,
    ProviderVersion,
    RegistryProvider,
)


@dataclass(frozen=True)
class Address:
    """How paths name a provider."""

    namespace: str
    name: str


BY_ID: Final = LookUp(RegistryProvider, select(RegistryProvider).where(RegistryProvider.id == bindparam("provider_id")))
BY_ADDRESS: Final = LookUp(
    RegistryProvider,
    select(RegistryProvider).where(RegistryProvider.namespace == bindparam("namespace"), RegistryProvider.name == bindparam("name")),
)

NEWEST: Final = (ProviderVersion.version_order.desc(),)


def parameters(wanted: str | Address) -> tuple[LookUp[RegistryProvider], dict[str, str]]:
    """The look-up of a provider by its id or its address, and what it is given."""
    if isinstance(wanted, str):
        return BY_ID, {"provider_id": wanted}
    return BY_ADDRESS, {"namespace": wanted.namespace, "name": wanted.name}


def provider(session: Session, wanted: str | Address) -> RegistryProvider | None:
    """The provider, or `None`; says nothing about who may see it."""
    look_up, values = parameters(wanted)
    return look_up.over(session, values)


def for_update(session: Session, wanted: str | Address) -> RegistryProvider | None:
    """The same with its row locked until the transaction ends: whoever changes it or one of its versions starts here."""
    look_up, values = parameters(wanted)
    query = look_up.query.with_for_update().execution_options(populate_existing=True)
    return session.execute(query, values).scalar_one_or_none()


def providers(session: Session, authz: Authorizer, actor: Actor, query: Query) -> Page[RegistryProvider]:
    """One page of the providers that the actor may read, by address."""
    found = authz.visible(select(RegistryProvider), actor, GUARD)
    if query.q:
        found = found.where(
            or_(RegistryProvider.name.icontains(query.q, autoescape=True), RegistryProvider.namespace.icontains(query.q, autoescape=True))
        )
    if query.filter("registry_name") not in (None, "", "private"):
        found = found.where(false())  # what others publish in public is not listed here
    namespace = query.filter("namespace")
    if namespace:
        found = found.where(RegistryProvider.namespace == namespace)
    for tag in query.tagged:
        labelled = select(ProviderLabel.item_id).where(ProviderLabel.key == tag.key)
        if tag.value:
            labelled = labelled.where(ProviderLabel.value == tag.value)
        found = found.where(RegistryProvider.id.in_(labelled))
    return page_of(session, found.order_by(RegistryProvider.namespace, RegistryProvider.name), query.page)


def named(session: Session, namespace: str, names: Sequence[str]) -> Sequence[RegistryProvider]:
    """Those of the names that there are in a namespace."""
    query = select(RegistryProvider).where(RegistryProvider.namespace == namespace, RegistryProvider.name.in_(names))
    return session.execute(query.order_by(RegistryProvider.name)).scalars().all()


# -- versions


def version(session: Session, provider_id: str, number: str) -> ProviderVersion | None:
    """The version of this number, or `None`; a build in the number does not count, as to terraform."""
    parsed = SemanticVersion.parse(number)
    if parsed is None:
        return None
    query = select(ProviderVersion).where(ProviderVersion.provider_id == provider_id, ProviderVersion.version_order == parsed.order)
    return session.execute(query).scalar_one_or_none()


def version_by_id(session: Session, version_id: str) -> ProviderVersion | None:
    """The version, or `None`."""
    return session.execute(select(ProviderVersion).where(ProviderVersion.id == version_id)).scalar_one_or_none()


def version_for_update(session: Session, version_id: str) -> tuple[RegistryProvider, ProviderVersion] | None:
    """The version and its provider, both rows locked, the provider's first."""
    found = version_by_id(session, version_id)
    provider = for_update(session, found.provider_id) if found is not None else None
    if provider is None:
        return None
    query = select(ProviderVersion).where(ProviderVersion.id == version_id).with_for_update().execution_options(populate_existing=True)
    locked = session.execute(query).scalar_one_or_none()
    return (provider, locked) if locked is not None else None


def versions(session: Session, provider_id: str, page: PageRequest, *, all_of_them: bool) -> Page[ProviderVersion]:
    """One page of a provider's versions, the highest first; the published ones alone unless `all_of_them`."""
    found = select(ProviderVersion).where(ProviderVersion.provider_id == provider_id)
    if not all_of_them:
        found = found.where(ProviderVersion.status == VersionStatus.PUBLISHED.value)
    return page_of(session, found.order_by(*NEWEST), page)


def published(session: Session, provider_ids: Sequence[str]) -> Sequence[ProviderVersion]:
    """The published versions of these providers, the highest of each first."""
    return session.execute(_published(provider_ids)).scalars().all()


def installable(session: Session, provider_id: str) -> Sequence[ProviderVersion]:
    """The same of one provider, without sums and signatures: there may be hundreds."""
    unread = (defer(ProviderVersion.sums, raiseload=True), defer(ProviderVersion.signature, raiseload=True))
    return session.execute(_published([provider_id]).options(*unread)).scalars().all()


def _published(provider_ids: Sequence[str]) -> Select[ProviderVersion]:
    query = select(ProviderVersion).where(
        ProviderVersion.provider_id.in_(provider_ids), ProviderVersion.status == VersionStatus.PUBLISHED.value
    )
    return query.order_by(ProviderVersion.provider_id, *NEWEST)


# -- platforms


def platforms(session: Session, version_ids: Sequence[str]) -> Mapping[str, Sequence[ProviderPlatform]]:
    """The platforms of each version, in the order of their names; versions without any are left out."""
    found: dict[str, list[ProviderPlatform]] = {}
    query = select(ProviderPlatform).where(ProviderPlatform.version_id.in_(version_ids))
    for each in session.execute(query.order_by(ProviderPlatform.os, ProviderPlatform.arch)).scalars():
        found.setdefault(each.version_id, []).append(each)
    return found


def platform(session: Session, version_id: str, os: str, arch: str) -> ProviderPlatform | None:
    """One platform of a version, or `None`."""
    query = select(ProviderPlatform).where(
        ProviderPlatform.version_id == version_id, ProviderPlatform.os == os, ProviderPlatform.arch == arch
    )
    return session.execute(query).scalar_one_or_none()


def platform_by_id(session: Session, platform_id: str) -> ProviderPlatform | None:
    """The platform, or `None`."""
    query = select(ProviderPlatform).where(ProviderPlatform.id == platform_id).execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def platform_page(session: Session, version_id: str, page: PageRequest) -> Page[ProviderPlatform]:
    """One page of a version's platforms."""
    found = select(ProviderPlatform).where(ProviderPlatform.version_id == version_id)
    return page_of(session, found.order_by(ProviderPlatform.os, ProviderPlatform.arch), page)


def keys_of_provider(session: Session, provider_id: str) -> Sequence[str]:
    """The keys under which everything of a provider lies in the store."""
    query = (
        select(ProviderPlatform.object_key)
        .join(ProviderVersion, ProviderVersion.id == ProviderPlatform.version_id)
        .where(ProviderVersion.provider_id == provider_id, ProviderPlatform.object_key.is_not(None))
    )
    return [key for key in session.execute(query).scalars() if key is not None]


# -- keys


def gpg_key(session: Session, namespace: str, key_id: str) -> GPGKey | None:
    """The key, or `None`."""
    query = select(GPGKey).where(GPGKey.namespace == namespace, GPGKey.key_id == key_id.upper())
    return session.execute(query).scalar_one_or_none()


def gpg_key_for(session: Session, provider: RegistryProvider, key_id: str) -> GPGKey | None:
    """The key when it is good for versions of this provider."""
    bound = select(GPGKeyProvider.gpg_key_id).where(GPGKeyProvider.provider_id == provider.id)
    query = select(GPGKey).where(GPGKey.namespace == provider.namespace, GPGKey.key_id == key_id.upper())
    return session.execute(query.where(or_(GPGKey.whole_namespace, GPGKey.id.in_(bound)))).scalar_one_or_none()


def gpg_keys(session: Session, authz: Authorizer, actor: Actor, namespaces: Sequence[str], page: PageRequest) -> Page[GPGKey]:
    """One page of the keys of these namespaces (of all, when none is named) that the actor may see.

    Those of a whole namespace everybody sees, others who may read a provider that they are bound to.
    """
    readable = authz.visible(select(RegistryProvider.id), actor, GUARD)
    bound = select(GPGKeyProvider.gpg_key_id).where(GPGKeyProvider.provider_id.in_(readable))
    found = select(GPGKey).where(or_(GPGKey.whole_namespace, GPGKey.id.in_(bound)))
    if namespaces:
        found = found.where(GPGKey.namespace.in_(namespaces))
    return page_of(session, found.order_by(GPGKey.namespace, GPGKey.created_at, GPGKey.id), page)


def bound_providers(session: Session, key_ids: Sequence[str]) -> Mapping[str, Sequence[RegistryProvider]]:
    """The providers that each of these keys (by their rows' ids) is bound to, by name; keys bound to none are left out."""
    found: dict[str, list[RegistryProvider]] = {}
    query = select(GPGKeyProvider.gpg_key_id, RegistryProvider).join(RegistryProvider, RegistryProvider.id == GPGKeyProvider.provider_id)
    for row in session.execute(query.where(GPGKeyProvider.gpg_key_id.in_(key_ids)).order_by(RegistryProvider.name)):
        found.setdefault(row[0], []).append(row[1])
    return found


def signed_with(session: Session, key: GPGKey) -> Sequence[tuple[RegistryProvider, ProviderVersion]]:
    """The versions that can be downloaded, or are about to, and that need this key to be verified."""
    query = (
        select(RegistryProvider, ProviderVersion)
        .join(ProviderVersion, ProviderVersion.provider_id == RegistryProvider.id)
        .where(RegistryProvider.namespace == key.namespace, ProviderVersion.key_id == key.key_id)
        .where(ProviderVersion.status != VersionStatus.PENDING.value)
        .order_by(RegistryProvider.name, *NEWEST)
    )
    return [(row[0], row[1]) for row in session.execute(query) if row[1].revocation is None]
