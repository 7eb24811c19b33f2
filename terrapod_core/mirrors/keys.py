"""The keys that may sign what mirrors fetch: the first that was seen of each namespace, and those that an operator accepted since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.db import Database
from terrapod_core.errors import Conflict, Invalid, NotFound, TerrapodError
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.mirrors import addresses, queries
from terrapod_core.mirrors.documents import AcceptKey
from terrapod_core.mirrors.engines import TOOLS
from terrapod_core.mirrors.models import MirrorIndex, MirrorKey, source_of
from terrapod_core.mirrors.upstreams import Upstreams
from terrapod_core.packages import openpgp
from terrapod_core.plugin import EngineSource, Platform, Source

MOST_ASKED: Final = 5
"""Sources of a namespace whose newest version is asked for to see which keys sign it."""
PLATFORM: Final = Platform("linux", "amd64")

LOOK: Final = "see which keys sign what is mirrored"
CHANGE: Final = "change which keys sign what is mirrored"


@dataclass(frozen=True)
class OfferedKey:
    """A key that an upstream names now."""

    scope: str
    key: openpgp.PublicKey
    pinned: bool
    """Whether it may sign already."""

    @property
    def id(self) -> str:
        """As of the same key once it is pinned."""
        return id_of(self.scope, self.key.fingerprint)


class MirrorKeys:
    """What platform admins do with them."""

    def __init__(self, db: Database, authz: Authorizer, upstreams: Upstreams) -> None:
        self._db = db
        self._authz = authz
        self._upstreams = upstreams

    async def list(self, actor: Actor, page: PageRequest) -> Page[MirrorKey]:
        """One page of all that are pinned; for platform admins and auditors."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to=LOOK)
        return await self._db.read(lambda session: queries.all_keys(session, page))

    async def offered(self, actor: Actor, scope: str) -> Sequence[OfferedKey]:
        """The keys that the upstream of a namespace names for its newest versions, asked for now.

        Raises `NotFound` (also `Sealed`) when nothing of the namespace was ever wanted, and `UpstreamTrouble`.
        """
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=CHANGE)
        scope = _checked(scope)
        pinned = {each.fingerprint for each in await self._db.read(lambda session: queries.keys(session, scope))}
        found: dict[str, openpgp.PublicKey] = {}
        for index in await self._db.read(lambda session: _indexes(session, scope)):
            for key in await self._named(source_of(index.source), index):
                found.setdefault(key.fingerprint, key)
        return [OfferedKey(scope, key, key.fingerprint in pinned) for key in found.values()]

    async def accept(self, actor: Actor, wanted: AcceptKey) -> MirrorKey:
        """Let a key sign that the upstream names now; one that may already is answered as it is. Raises as `offered`."""
        fingerprint = wanted.checked_fingerprint()
        offered = await self.offered(actor, wanted.scope)
        chosen = next((each for each in offered if each.key.fingerprint == fingerprint), None)
        if chosen is None:
            there = ", ".join(f"{each.key.fingerprint} ({each.key.user})" for each in offered) or "none"
            raise NotFound(f"the upstream of {wanted.scope} names no key {fingerprint} now; it names {there}", code="key_not_offered")
        async with self._db.uow() as uow:
            row = await uow.session.get(MirrorKey, (chosen.scope, fingerprint))
            if row is None:
                row = MirrorKey(scope=chosen.scope, fingerprint=fingerprint, key_id=chosen.key.key_id, ascii_armor=chosen.key.armor)
                row.pinned_at, row.pinned_by = uow.now(), actor.name
                uow.add(row)
                audit.record(uow, actor, "mirror-key.accept", "mirror-keys", id_of(chosen.scope, fingerprint), **_told(row))
            await uow.commit()
            return row

    async def remove(self, actor: Actor, key_id: str) -> None:
        """Let a key sign nothing new. What it signed stays; a namespace without any key pins the next one that is seen of it."""
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=CHANGE)
        async with self._db.uow() as uow:
            every = await uow.run(queries.each_key)
            row = next((each for each in every if id_of(each.scope, each.fingerprint) == key_id), None)
            if row is None:
                raise NotFound(f"there is no key {key_id[:64]!r}; `GET /api/v2/admin/mirror-keys` lists them")
            await uow.session.delete(row)
            audit.record(uow, actor, "mirror-key.remove", "mirror-keys", key_id, **_told(row))
            await uow.commit()

    async def _named(self, source: Source, index: MirrorIndex) -> Sequence[openpgp.PublicKey]:
        """The keys that are named for the newest version of a source."""
        if self._upstreams.of(source).keys(source):
            name = self._upstreams.of(source).name
            raise Conflict(f"the settings of the plugin {name} say which keys sign {source}; change them there", code="keys_in_settings")
        newest = index.versions[0]
        platforms = newest["platforms"]
        platform = PLATFORM if not platforms or str(PLATFORM) in platforms else Platform(*platforms[0].split("_", 1))
        self._upstreams.forget(source, newest["version"], platform)
        package = await self._upstreams.package(source, newest["version"], platform)
        return [key for armor in (package.sums.keys if package.sums is not None else ()) if (key := self._read(armor)) is not None]

    def _read(self, armor: str) -> openpgp.PublicKey | None:
        try:
            return openpgp.read_key(armor, self._db.clock.now())
        except Invalid:
            return None


def id_of(scope: str, fingerprint: str) -> str:
    """The id of a key that is pinned for a namespace."""
    return ids.of_name("mirkey", f"{scope} {fingerprint}")


def _told(row: MirrorKey) -> dict[str, str]:
    return {"scope": row.scope, "fingerprint": row.fingerprint}


def _checked(scope: str) -> str:
    """`<host>/<namespace>` in the form that rows have, or a tool. Raises `Invalid`."""
    host, slash, namespace = scope.partition("/")
    if scope in TOOLS:
        return scope
    try:
        if not slash:
            raise NotFound(f"{scope[:64]!r} has no namespace")
        source = addresses.provider(host, namespace, "any")
    except TerrapodError as error:
        reason = f"{error.detail}; write HOST/NAMESPACE, as registry.terraform.io/hashicorp, or {' or '.join(TOOLS)}"
        raise Invalid(reason, pointer="/data/attributes/scope") from None
    return f"{source.host}/{source.namespace}"


def _indexes(session: Session, scope: str) -> list[MirrorIndex]:
    """What is remembered of its sources. Raises `NotFound`."""
    if scope in TOOLS:
        known = queries.index(session, EngineSource(scope))
        found = [known] if known is not None else []
    else:
        found = list(queries.indexes_of_namespace(session, scope, MOST_ASKED))
    found = [each for each in found if each.versions]
    if not found:
        raise NotFound(f"nothing of {scope} was ever asked for here, so no key of it was refused; the first that is seen is pinned")
    return found
