"""terraform and tofu from the cache: which version is meant, its zip, and where that is fetched from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from terrapod_core.authz import Actor, Authorizer
from terrapod_core.db import Database
from terrapod_core.errors import Invalid, NotFound
from terrapod_core.mirrors import queries
from terrapod_core.mirrors.filling import Packages
from terrapod_core.mirrors.indexes import Indexes
from terrapod_core.mirrors.links import Links
from terrapod_core.mirrors.models import MirrorIndex, MirrorPackage
from terrapod_core.mirrors.releases import Release, Releases
from terrapod_core.mirrors.upstreams import Upstreams, UpstreamTrouble, named
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.plugin import EngineSource, Platform
from terrapod_core.runner.versions import Version, Wanted
from terrapod_core.storage import Archives

TOOLS: Final = ("terraform", "tofu")
LONGEST: Final = 256
"""Characters of what is asked for in the place of a version."""
LINK: Final = timedelta(minutes=15)
"""In which a download from the store must begin."""
LATEST: Final = Wanted.parse("latest")
SHOWN: Final = 5
"""Versions that an error names."""


@dataclass(frozen=True)
class Engine:
    """One version for one platform; it is verified what its zip has to be, whether that is here or not."""

    release: Release
    package: MirrorPackage

    @property
    def tool(self) -> str:
        """`terraform` or `tofu`."""
        return str(self.release.source)

    @property
    def version(self) -> str:
        """Exact, as the publisher writes it."""
        return self.release.row.version

    @property
    def platform(self) -> Platform:
        """What it is made for."""
        return Platform(self.package.os, self.package.arch)


class EngineCache:
    """One per process."""

    def __init__(
        self,
        db: Database,
        authz: Authorizer,
        upstreams: Upstreams,
        indexes: Indexes,
        releases: Releases,
        packages: Packages,
        archives: Archives,
        links: Links,
    ) -> None:
        self._db = db
        self._authz = authz
        self._upstreams = upstreams
        self._indexes = indexes
        self._releases = releases
        self._packages = packages
        self._archives = archives
        self._links = links

    def offers(self, tool: str) -> bool:
        """Whether it makes sense to ask for this tool: a plugin has its releases, or a sealed server may have been brought some."""
        return self._upstreams.sealed or any(mirror.serves(EngineSource(tool)) for mirror in self._upstreams.mirrors.values())

    async def find(self, tool: str, version: str, platform: Platform) -> Engine:
        """The engine that is meant by `version`: exact, `latest`, a line such as `1.11`, or constraints such as `>= 1.9, < 2.0`.

        The newest that fits, of those that the upstream lists now; of those that are here when no upstream may be asked, or none
        answers. A pre-release has to be named. Raises `NotFound` (also `Sealed`), `Invalid` for what is no constraint, `UpstreamTrouble`.
        """
        source, wanted = EngineSource(checked_tool(tool)), _wanted(version)
        exact = _exact(wanted)
        release = await (self._named(source, exact, platform) if exact is not None else self._fitting(source, wanted, platform))
        package = release.package(platform)
        if package is None or package.object_key is None:
            self._upstreams.refuse_if_sealed(named(source, release.row.version, platform))
        assert package is not None, "`Releases.of` refuses a version that is not made for the platform"
        return Engine(release, package)

    async def here(self, tool: str, version: str, platform: Platform) -> Engine | None:
        """The same of what is in the cache alone, without asking anybody; `None` when nothing there fits. Raises `NotFound`, `Invalid`."""
        release = await self._here(EngineSource(checked_tool(tool)), _wanted(version), platform)
        package = release.package(platform) if release is not None else None
        return Engine(release, package) if release is not None and package is not None else None

    async def whole(self, engine: Engine) -> MirrorPackage:
        """Its zip's row once the bytes are here and verified. Raises as `Packages.whole`."""
        return await self._packages.whole(engine.release, engine.platform)

    async def download(self, actor: Actor, tool: str, version: str, platform: Platform) -> str:
        """Where a zip is fetched from, without any credential: a URL of the store, or a path of this server.

        What is not here yet comes while the server fetches it. Raises as `find`, and `Unavailable`.
        """
        self._authz.require_mirrors(actor)
        engine = await self.find(tool, version, platform)
        package = await self._packages.touched(engine.package)
        if package.object_key is not None and (url := await self._archives.link(package.object_key, LINK)) is not None:
            self._packages.given(engine.release.source, package)
            return url
        return self.path(package)

    def path(self, package: MirrorPackage) -> str:
        """The path of a signed link to a zip."""
        return self._links.archive(package.id)

    async def _named(self, source: EngineSource, version: str, platform: Platform) -> Release:
        """An exact version. What the upstream's list does not have, it is not asked for."""
        known = await self._releases.find(source, version)
        if known is None:
            self._upstreams.refuse_if_sealed(named(source, version, platform))
            index = await self._indexes.of(source)
            if all(each["version"] != version for each in index.versions):
                raise NotFound(f"{source} has no version {version}; {_newest_of(index)}", code="version_unknown")
        return await self._releases.of(source, version, platform)

    async def _fitting(self, source: EngineSource, wanted: Wanted, platform: Platform) -> Release:
        try:
            return await self._releases.of(source, await self._newest(source, wanted, platform), platform)
        except UpstreamTrouble as error:
            here = await self._here(source, wanted, platform)
            if here is None or error.code != "upstream_failed":
                raise
            return here

    async def _newest(self, source: EngineSource, wanted: Wanted, platform: Platform) -> str:
        if self._upstreams.sealed:
            here = await self._here(source, wanted, platform)
            if here is None:
                self._upstreams.refuse_if_sealed(f"a version of {source} for `{wanted.text}` and {platform}")
            assert here is not None
            return here.row.version
        index = await self._indexes.of(source)
        fitting = [each for each in index.versions if _fits(wanted, each["version"])]
        if not fitting:
            raise NotFound(f"no version of {source} fits `{wanted.text}`; {_newest_of(index)}", code="version_unknown")
        for each in fitting:
            if each["platforms"] is None or str(platform) in each["platforms"]:
                return str(each["version"])
        made = ", ".join(fitting[0]["platforms"]) or "nothing"
        raise NotFound(f"no version of {source} that fits `{wanted.text}` is made for {platform}; {fitting[0]['version']} is for {made}")

    async def _here(self, source: EngineSource, wanted: Wanted, platform: Platform) -> Release | None:
        """The newest that fits and whose zip is in the cache."""
        versions = await self._db.read(lambda session: queries.cached_versions(session, source, platform))
        fitting = [(number, each) for each in versions if (number := SemanticVersion.parse(each)) is not None and _fits(wanted, each)]
        return await self._releases.find(source, max(fitting)[1]) if fitting else None


def checked_tool(tool: str) -> str:
    """The tool. Raises `NotFound` for what is none."""
    if tool not in TOOLS:
        raise NotFound(f"there is no engine {tool[:32]!r}; there are {' and '.join(TOOLS)}", code="tool_unknown")
    return tool


def _wanted(text: str) -> Wanted:
    """Raises `Invalid` for what is no version and no constraint."""
    try:
        if len(text) > LONGEST or not text.isascii() or not text.isprintable():
            raise ValueError
        return Wanted.parse(text)
    except ValueError:
        raise Invalid(
            f"{text[:64]!r} is no version; write `latest`, `1.11.4`, `1.11` or `>= 1.9, < 2.0` (in a URL `%3E%3D%201.9%2C%20%3C%202.0`)",
            code="no_version",
        ) from None


def _exact(wanted: Wanted) -> str | None:
    """The one version that can be meant, if there is only one."""
    if len(wanted.terms) != 1 or wanted.terms[0][0] != "=":
        return None
    version = str(wanted.terms[0][1])
    return version if SemanticVersion.parse(version) is not None else None


def _fits(wanted: Wanted, version: str) -> bool:
    """What has a build behind `+` is another edition, which has to be named."""
    number = Version.parse(version) if "+" not in version else None
    return number is not None and wanted.accepts(number)


def _newest_of(index: MirrorIndex) -> str:
    newest = [each["version"] for each in index.versions if _fits(LATEST, each["version"])][:SHOWN]
    if not newest:
        return "its upstream lists none"
    return f"the newest are {', '.join(newest)} (as its upstream said at {index.checked_at:%Y-%m-%d %H:%M} UTC)"
