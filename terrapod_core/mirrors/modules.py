"""Modules of others, as terraform asks for them: by the registry's protocol, as if this were their registry."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from terrapod_core.authz import Actor, Authorizer
from terrapod_core.mirrors import addresses
from terrapod_core.mirrors.filling import Packages
from terrapod_core.mirrors.indexes import Indexes
from terrapod_core.mirrors.links import Links
from terrapod_core.mirrors.listed import Document, listed
from terrapod_core.mirrors.models import MirrorIndex
from terrapod_core.mirrors.releases import Releases
from terrapod_core.packages.protocol import archive_address, module_versions
from terrapod_core.plugin import ModuleSource
from terrapod_core.web.listings import Listings

PATIENCE_SECONDS: Final = 4.0
"""How long the answer waits for the archive: what is refused until then a person is told why, which terraform does not show later.
terraform itself waits ten seconds for this answer."""


@dataclass(frozen=True)
class ModuleMirror:
    """`modules.v1`. Whoever is known may ask; every method raises `NotFound` (also `Sealed`) and `UpstreamTrouble`."""

    authz: Authorizer
    indexes: Indexes
    releases: Releases
    packages: Packages
    links: Links
    listings: Listings

    async def versions(self, actor: Actor, source: ModuleSource) -> Document:
        """The versions, the newest first."""
        self.authz.require_mirrors(actor)
        told = f"{source.namespace}/{source.name}/{source.system}"

        def made(row: MirrorIndex) -> bytes:
            return module_versions(told, ({"version": each["version"]} for each in row.versions))

        return await listed(self.indexes, self.listings, source, "modules", made)

    async def download_link(self, actor: Actor, source: ModuleSource, version: str) -> str:
        """Where the archive of a version is, relative and in go-getter's words. By then it is here or on its way."""
        self.authz.require_mirrors(actor)
        release = await self.releases.of(source, addresses.version(version), None)
        package = release.package(None)
        assert package is not None
        if package.object_key is None:
            # Where the module is in a folder whose name is not known, all of the archive has to be here first.
            patience = None if package.root.startswith("*") else PATIENCE_SECONDS
            fetching = asyncio.ensure_future(self.packages.whole(release, None))
            done, _ = await asyncio.wait([fetching], timeout=patience)
            if done:
                package = fetching.result()
            else:
                fetching.cancel()  # who waits for it; it goes on
        path = self.links.archive(package.id, actor.id if actor.engine is not None else "")
        return archive_address(path, "zip" if package.filename.endswith(".zip") else "tar.gz", package.root)
