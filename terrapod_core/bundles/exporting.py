"""One export: from what was asked for to a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.audit import record
from terrapod_core.authz import SYSTEM
from terrapod_core.bundles import wishes
from terrapod_core.bundles.configuration import FILE_BYTES, ConfigurationReader
from terrapod_core.bundles.gathering import Caches, Gathering, Progress as GatheringProgress, content, described, request_of
from terrapod_core.bundles.keys import BundleKeys, fingerprint
from terrapod_core.bundles.manifest import Manifest, encoded, id_of
from terrapod_core.bundles.problems import BundleError
from terrapod_core.bundles.reading import Bundle, Progress
from terrapod_core.bundles.wishes import Wish
from terrapod_core.bundles.writing import Export
from terrapod_core.configurations import ConfigurationVersion, queries as configurations_queries
from terrapod_core.errors import Invalid, NotFound
from terrapod_core.plugin import Platform
from terrapod_core.settings import Limits
from terrapod_core.storage import ObjectKind, Objects
from terrapod_core.tarballs import ArchiveLimits
from terrapod_core.workspaces import Workspace, queries as workspaces_queries

PAGE: Final = 200


@dataclass(frozen=True)
class Asked:
    """In the words of the command line."""

    engines: Sequence[str] = ()
    providers: Sequence[str] = ()
    modules: Sequence[str] = ()
    lock_files: Sequence[Path] = ()
    workspaces: Sequence[str] = ()
    all_workspaces: bool = False
    platforms: Sequence[str] = ("linux_amd64",)
    since: Path | None = None

    @property
    def anything(self) -> bool:
        """Whether there is anything to put in."""
        return bool(self.engines or self.providers or self.modules or self.lock_files or self.workspaces or self.all_workspaces)


@dataclass(frozen=True)
class Exported:
    """A bundle that was written."""

    manifest: Manifest
    size: int
    """In bytes."""
    fingerprint: str
    """Of the key that signed it."""
    left_out: Sequence[str]
    """What could not be in it, each with the reason."""


class Exporting:
    """Writes bundles."""

    def __init__(self, caches: Caches, objects: Objects, keys: BundleKeys, limits: Limits) -> None:
        self._caches = caches
        self._objects = objects
        self._keys = keys
        self._reader = ConfigurationReader(ArchiveLimits(limits.archive_entries, limits.unpacked_bytes))
        self._left_out: list[str] = []

    async def run(self, path: Path, asked: Asked, gathering: GatheringProgress, writing: Progress) -> Exported:
        """Raises `BundleError` naming what cannot be had, and `OSError` when the file cannot be written."""
        with ExitStack() as stack:
            base = await self._base(stack, asked.since)
            wanted = await self._wishes(asked)
            platforms = sorted({wishes.platform(each) for each in asked.platforms})
            export = Export(path, request_of(wanted, platforms, base))
            manifest = await asyncio.to_thread(export.begun)
            if manifest is None:
                manifest = await self._begin(export, wanted, platforms, base, gathering)
            await export.write(lambda release, package: content(self._caches, release, package), writing)
        size = (await asyncio.to_thread(path.stat)).st_size
        await self._note(manifest)
        return Exported(manifest, size, fingerprint((await self._keys.own()).public), self._left_out)

    async def _base(self, stack: ExitStack, since: Path | None) -> Bundle | None:
        if since is None:
            return None
        base = stack.enter_context(await asyncio.to_thread(Bundle, since, whole=False))
        await self._keys.check(base.public, base.manifest.server, None)
        return base

    async def _begin(
        self, export: Export, wanted: Sequence[Wish], platforms: Sequence[Platform], base: Bundle | None, progress: GatheringProgress
    ) -> Manifest:
        gathered = await Gathering(self._caches, self._reader, platforms, progress).gather(wanted)
        self._left_out += gathered.left_out
        if not gathered.releases:
            raise BundleError("there is nothing to put into the bundle" + "".join(f"; {each}" for each in self._left_out))
        manifest = await described(self._caches, gathered, base)
        document = encoded(manifest)
        signature = await self._keys.sign(document)
        await asyncio.to_thread(export.begin, document, signature)
        return manifest

    async def _wishes(self, asked: Asked) -> list[Wish]:
        found = [*map(wishes.engine, asked.engines), *map(wishes.provider, asked.providers), *map(wishes.module, asked.modules)]
        for path in asked.lock_files:
            found += wishes.locked(await asyncio.to_thread(_text, path), f"the lock file {path.name}")
        async for workspace in self._workspaces(asked):
            found += await self._of_workspace(workspace)
        return list(dict.fromkeys(found))

    async def _workspaces(self, asked: Asked) -> AsyncIterator[Workspace]:
        for name in asked.workspaces:
            workspace = await self._caches.db.read(lambda session, name=name: workspaces_queries.by_name(session, name))  # type: ignore[misc]
            if workspace is None:
                raise BundleError(f"there is no workspace {name!r}")
            yield workspace
        after = ""
        while asked.all_workspaces:
            page = await self._caches.db.read(lambda session, after=after: _page(session, after))  # type: ignore[misc]
            for workspace in page:
                yield workspace
            if len(page) < PAGE:
                return
            after = page[-1].id

    async def _of_workspace(self, workspace: Workspace) -> list[Wish]:
        because = f"workspace {workspace.name}"
        version = await self._caches.db.read(lambda session: configurations_queries.latest_usable(session, workspace.id))
        if version is None or version.object_key is None:
            self._left_out.append(f"{because} has no configuration here")
            return []
        try:
            used = await self._reader.configuration(self._archive(version, version.object_key), workspace.working_directory or "", because)
        except (Invalid, NotFound) as error:
            self._left_out.append(f"{because} has a configuration that cannot be read: {error.detail}")
            return []
        self._left_out += used.left_out
        if not used.locked:
            self._left_out.append(f"the providers of {because}: its configuration has no .terraform.lock.hcl")
        return used.wishes

    def _archive(self, version: ConfigurationVersion, key: str) -> AsyncIterator[bytes]:
        return self._objects.get(ObjectKind.CONFIGURATION, version.id, key)

    async def _note(self, manifest: Manifest) -> None:
        async with self._caches.db.uow() as uow:
            counts = {"releases": len(manifest.releases), "files": len(manifest.files)}
            record(uow, SYSTEM, "bundle.export", "bundles", id_of(encoded(manifest)), **counts)
            await uow.commit()


def _page(session: Session, after: str) -> Sequence[Workspace]:
    query = select(Workspace).where(Workspace.id > after, Workspace.deleted_at.is_(None)).order_by(Workspace.id).limit(PAGE)
    return session.execute(query).scalars().all()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from error
