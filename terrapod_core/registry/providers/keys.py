"""The public keys of publishers: create, read, list, delete. A key says whose signatures count, so it needs the level admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Permission, PlatformRole
from terrapod_core.authz.gate import missing
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Conflict, Invalid
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.packages import openpgp
from terrapod_core.registry.door import Door
from terrapod_core.registry.providers import queries
from terrapod_core.registry.providers.documents import CreateGPGKey, UpdateGPGKey
from terrapod_core.registry.providers.models import GPGKey, GPGKeyProvider, RegistryProvider

NOUN: Final = "GPG key"
TYPE: Final = "gpg-keys"
WHOLE: Final = "change GPG keys of a whole namespace"


class GPGKeys:
    """go-tfe's `GPGKeys`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def create(self, actor: Actor, new: CreateGPGKey) -> GPGKey:
        """Add a key for some providers, whose admin the actor needs, or for a whole namespace, which platform admins do.

        One that is there already becomes good for these providers too. Raises `Invalid` for what is no key that can verify now,
        `Conflict` when there is nothing to add.
        """
        namespace, names = new.checked_namespace(), new.bound_to
        if not names:
            self._door.authz.require_platform(actor, PlatformRole.ADMIN, to=f"{WHOLE}; name the providers it is for (providers)")
        async with self._door.db.uow() as uow:
            bound = await uow.run(lambda session: self._bound(session, actor, namespace, names))
            read = openpgp.read_key(new.ascii_armor, uow.now())
            key = await uow.run(lambda session: queries.gpg_key(session, namespace, read.key_id))
            if key is None:
                key = GPGKey(
                    id=ids.new("gpgkey"),
                    namespace=namespace,
                    key_id=read.key_id,
                    fingerprint=read.fingerprint,
                    user=read.user,
                    ascii_armor=new.ascii_armor,
                    whole_namespace=not names,
                    expires_at=read.expires_at,
                    created_by_id=actor.user_id,
                    created_at=uow.now(),
                )
                uow.add(key)
            elif key.fingerprint != read.fingerprint or key.whole_namespace:
                raise _exists(key)
            key.whole_namespace = not names
            await self._bind(uow, key, bound)
            _record(uow, actor, "gpg-key.create", key, bound)
            await uow.commit()
        return await self.read(actor, namespace, read.key_id)

    async def read(self, actor: Actor, namespace: str, key_id: str) -> GPGKey:
        """The key; `NotFound` when it is not there, or bound to providers only that the actor may not read."""
        return await self._door.db.read(lambda session: self._found(session, actor, namespace, key_id)[0])

    async def list(self, actor: Actor, namespaces: Sequence[str], page: PageRequest) -> Page[GPGKey]:
        """One page of the keys of these namespaces that the actor may see."""

        def read(session: Session) -> Page[GPGKey]:
            found = queries.gpg_keys(session, self._door.authz, actor, namespaces, page)
            bound = queries.bound_providers(session, [each.id for each in found.items])
            for key in found.items:
                key.providers = self._readable(actor, bound.get(key.id, ()))
            return found

        return await self._door.db.read(read)

    async def update(self, actor: Actor, namespace: str, key_id: str, changes: UpdateGPGKey) -> GPGKey:
        """The key, unchanged: all that could be sent is another namespace, and a key stays where it is (`Conflict`)."""
        key, bound = await self._door.db.read(lambda session: self._found(session, actor, namespace, key_id))
        self._check_admin(actor, key, bound)
        if changes.namespace is not UNSET and changes.namespace != namespace:
            raise Conflict("a key stays in its namespace: add it to the other one, and delete it here", code="key_stays")
        return key

    async def delete(self, actor: Actor, namespace: str, key_id: str) -> None:
        """Remove a key: for who may add it. `Conflict` while a version that can be downloaded needs it to be verified."""
        async with self._door.db.uow() as uow:
            key, bound = await uow.run(lambda session: self._found(session, actor, namespace, key_id))
            self._check_admin(actor, key, bound)
            for each in bound:
                await uow.run(lambda session, each=each: queries.for_update(session, each.id))  # type: ignore[misc]
            needed = await uow.run(lambda session: queries.signed_with(session, key))
            if needed:
                provider, version = needed[0]
                raise Conflict(
                    f"the key {key.key_id} signs version {version.version} of {provider.address}; revoke or delete what it signs first",
                    code="key_used",
                )
            await uow.session.execute(delete(GPGKey).where(GPGKey.id == key.id))
            _record(uow, actor, "gpg-key.delete", key, bound)
            await uow.commit()

    # -- inside

    def _bound(self, session: Session, actor: Actor, namespace: str, names: Sequence[str]) -> Sequence[RegistryProvider]:
        """The providers of these names, whose admin the actor has."""
        found = {each.name: each for each in queries.named(session, namespace, names)}
        for name in names:
            provider = found.get(name)
            if provider is None or not self._door.authz.allows(actor, Permission.REGISTRY_READ, provider):
                raise Invalid(f"there is no provider {namespace}/{name}, or you may not see it", pointer="/data/attributes/providers")
            self._door.allowed(actor, Permission.REGISTRY_UPDATE, provider, noun="provider")
        return [found[name] for name in names]

    def _found(self, session: Session, actor: Actor, namespace: str, key_id: str) -> tuple[GPGKey, Sequence[RegistryProvider]]:
        """The key with what it shows this actor, and all that it is bound to."""
        key = queries.gpg_key(session, namespace, key_id)
        if key is None:
            raise missing(NOUN)
        bound = queries.bound_providers(session, [key.id]).get(key.id, ())
        key.providers = self._readable(actor, bound)
        if not key.whole_namespace and not key.providers and not actor.reads_everything:
            raise missing(NOUN)
        return key, bound

    def _readable(self, actor: Actor, bound: Sequence[RegistryProvider]) -> Sequence[RegistryProvider]:
        return [each for each in bound if self._door.authz.allows(actor, Permission.REGISTRY_READ, each)]

    def _check_admin(self, actor: Actor, key: GPGKey, bound: Sequence[RegistryProvider]) -> None:
        if not bound:  # also when what it was bound to is gone
            self._door.authz.require_platform(actor, PlatformRole.ADMIN, to=WHOLE)
        for each in bound:
            self._door.allowed(actor, Permission.REGISTRY_UPDATE, each, noun=NOUN)

    async def _bind(self, uow: UnitOfWork, key: GPGKey, bound: Sequence[RegistryProvider]) -> None:
        """Bind the key to more providers; to none when it is good for all."""
        try:
            await uow.flush()
            there = {each.id for each in (await uow.run(lambda session: queries.bound_providers(session, [key.id]))).get(key.id, ())}
            added = [each for each in bound if each.id not in there]
            if bound and not added:
                raise _exists(key)
            uow.add(*(GPGKeyProvider(gpg_key_id=key.id, provider_id=each.id) for each in added))
            await uow.flush()
        except IntegrityError as error:
            raise _exists(key) from error
        if key.whole_namespace:
            await uow.session.execute(delete(GPGKeyProvider).where(GPGKeyProvider.gpg_key_id == key.id))


def _exists(key: GPGKey) -> Conflict:
    what = "for every provider in it" if key.whole_namespace else "for these providers"
    return Conflict(f"the namespace {key.namespace} has the key {key.key_id} already, {what}", code="key_exists")


def _record(uow: UnitOfWork, actor: Actor, action: str, key: GPGKey, bound: Sequence[RegistryProvider]) -> None:
    names = sorted(each.name for each in bound)
    audit.record(
        uow,
        actor,
        action,
        TYPE,
        key.id,
        key=key.key_id,
        fingerprint=key.fingerprint,
        namespace=key.namespace,
        providers=names,
        whole_namespace=key.whole_namespace,
    )
