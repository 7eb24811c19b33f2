"""What terraform asks about modules at `init`: which versions there are, and where the archive of one is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy.orm import Session

from terrapod_core.accounts import User
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.packages.protocol import archive_address, module_versions
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.registry import lifecycle
from terrapod_core.registry.door import Door
from terrapod_core.registry.modules import detail, queries
from terrapod_core.registry.modules.models import Module, ModuleVersion
from terrapod_core.registry.modules.queries import Address
from terrapod_core.registry.modules.service import NOUN
from terrapod_core.registry.modules.versions import VERSION_NOUN
from terrapod_core.registry.subjects import subject_of
from terrapod_core.storage import Capabilities, Purpose
from terrapod_core.web.listings import Listings

DOWNLOAD_LIFE: Final = timedelta(minutes=15)


class ModuleProtocol:
    """The module registry protocol. Who reads a module reads these: people, and the engines of runs for those who answer for them."""

    def __init__(self, db: Database, authz: Authorizer, capabilities: Capabilities) -> None:
        self._door = Door(db, authz)
        self._capabilities = capabilities
        self._listings = Listings()

    async def versions(self, actor: Actor, address: Address) -> tuple[bytes, Module]:
        """The document of a module's published versions, the newest number first, and the module: id and revision name the document.

        Revoked ones are among them: who asks for one is told why at its download, and not that there never was one.
        """
        look_up, values = queries.parameters(address)
        module = self._door.allowed(actor, Permission.REGISTRY_READ, await self._door.db.look_up(look_up, **values), noun=NOUN)
        document = self._listings.get(module.id, module.revision)
        if document is None:
            document = await self._door.db.read(
                lambda session: self._listings.made(module.id, module.revision, lambda: _document(session, module))
            )
        return document, module

    async def detail(self, actor: Actor, address: Address, version: str | None) -> bytes:
        """What is known of a published version, as the public registry tells it; of the newest that may be used, for no version."""

        def read(session: Session) -> bytes:
            module = self._door.allowed(actor, Permission.REGISTRY_READ, queries.module(session, address), noun=NOUN)
            wanted = version if version is not None else queries.newest_usable(session, module.id)
            found = _published(session, module, wanted or "")
            found.contents = queries.contents(session, found.id)
            owner = session.get(User, module.owner_id) if module.owner_id is not None else None
            numbers = [each.version for each in queries.published(session, module.id)]
            return detail.document(module, found, owner.username if owner is not None else None, numbers)

        return await self._door.db.read(read)

    async def download_link(self, actor: Actor, address: Address, version: str) -> str:
        """A link that gives the archive of a published version to whoever holds it, for a quarter of an hour, in go-getter's words.

        Raises `Gone` for one that is revoked.
        """

        def read(session: Session) -> ModuleVersion:
            module = self._door.allowed(actor, Permission.REGISTRY_READ, queries.module(session, address), noun=NOUN)
            found = _published(session, module, version)
            if found.revocation is not None:
                lifecycle.refuse_revoked(module, found, queries.newest_usable(session, module.id))
            return found

        found = await self._door.db.read(read)
        expires = self._door.db.clock.now() + DOWNLOAD_LIFE
        path = self._capabilities.url_path(Purpose.MODULE_DOWNLOAD, "GET", found.id, expires=expires, subject=subject_of(actor))
        return archive_address(path, "tar.gz", found.wrapper or "")

    async def archived(self, version_id: str) -> ModuleVersion:
        """A version whose archive may be sent to whoever has shown the link that `download_link` gave.

        Raises `NotFound` when it was deleted or revoked since.
        """
        version = await self._door.db.read(lambda session: queries.version_by_id(session, version_id))
        if version is None or version.object_key is None or not version.is_published or version.revocation is not None:
            raise NotFound("the module version is gone: it was deleted or revoked")
        return version


def _published(session: Session, module: Module, text: str) -> ModuleVersion:
    """The version of this number, when it is published."""
    number = SemanticVersion.parse(text)
    found = queries.version(session, module.id, number) if number is not None else None
    if found is None or not found.is_published:
        raise missing(VERSION_NOUN)
    return found


def _document(session: Session, module: Module) -> bytes:
    """In the words of the protocol. `deprecation` is HCP Terraform's; terraform 1.15 and before print nothing of it."""
    shown: list[dict[str, Any]] = []
    for version in queries.published(session, module.id):
        said = version.deprecation
        mark = {"deprecation": {"reason": said["reason"], "link": said["link"] or ""}} if said is not None else {}
        shown.append({"version": version.version, **mark})
    return module_versions(module.address, shown)
