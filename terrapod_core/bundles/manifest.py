"""What a bundle says it holds: everything the far side needs to answer alone, but for the packages themselves."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

import msgspec

from terrapod_core.bundles.problems import BundleError
from terrapod_core.errors import NotFound
from terrapod_core.mirrors import addresses
from terrapod_core.mirrors.models import source_of
from terrapod_core.packages.sums import SHA256
from terrapod_core.plugin import EngineSource, ModuleSource, Platform, ProviderSource, Source

FORMAT: Final = 1
MANIFEST_BYTES: Final = 256 << 20
"""The longest manifest that is read; ten thousand releases have some 50 MiB."""
FILE_BYTES: Final = (8 << 30) - 1
"""The largest file that a header of this format can tell."""
ENGINES: Final = ("terraform", "tofu")


class _Part(msgspec.Struct, rename="kebab", frozen=True):
    pass


class FileOf(_Part, frozen=True):
    """One file of the bundle; which one, its place in `files` says."""

    size: int
    sha256: str


class PackageOf(_Part, frozen=True):
    """A package of a release."""

    platform: str
    """`linux_amd64`; empty for modules."""
    filename: str
    sha256: str
    size: int
    root: str = ""
    file: int | None = None
    """Its place in `files`; `None` when its bytes are in the bundle that this one is based on."""

    @property
    def made_for(self) -> Platform | None:
        """`None` for a module."""
        return Platform(*self.platform.split("_", 1)) if self.platform else None


class SignedOf(_Part, frozen=True):
    """The publisher's word on a release."""

    sums: str
    """`SHA256SUMS`, all of it."""
    signature: bytes
    """Binary and detached; base64 in JSON."""
    key: str
    """Fingerprint of one in `keys`."""


class ReleaseOf(_Part, frozen=True):
    """One version of an engine, a provider or a module."""

    source: str
    """Kind and address, as `provider:registry.terraform.io/hashicorp/aws`."""
    version: str
    packages: list[PackageOf]
    protocols: list[str] = []
    signed: SignedOf | None = None
    """`None` for what its publisher does not sign: then the exporting server vouches for the digests of the packages."""

    @property
    def address(self) -> Source:
        """The source."""
        return source_of(self.source)

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.source.partition(':')[2]} {self.version}"


class VersionOf(_Part, frozen=True):
    """A version in an index."""

    version: str
    platforms: list[str] | None
    protocols: list[str]


class IndexOf(_Part, frozen=True):
    """Which versions of a source there are, of those that are in this bundle or in what it is based on."""

    source: str
    versions: list[VersionOf]
    warnings: list[str]
    checked_at: datetime
    """When its upstream said so."""
    restricted: bool = True
    """The upstream may have more."""


class BaseOf(_Part, frozen=True):
    """The bundle that must have been loaded before."""

    id: str
    made_at: datetime


class Manifest(_Part, frozen=True):
    """All of it."""

    format: int
    made_at: datetime
    server: str
    """Name of the installation that made it."""
    terrapod: str
    """Version of the Terrapod that made it."""
    releases: list[ReleaseOf]
    indexes: list[IndexOf]
    files: list[FileOf]
    keys: dict[str, str] = {}
    """Publishers' public keys in ASCII armour, by fingerprint."""
    base: BaseOf | None = None


def encoded(manifest: Manifest) -> bytes:
    """The bytes that are signed. Raises `BundleError` when they are more than any reader takes."""
    document = msgspec.json.encode(manifest)
    if len(document) > MANIFEST_BYTES:
        raise BundleError("this is too much for one bundle: export it in parts")
    return document


def decoded(document: bytes) -> Manifest:
    """What somebody trusted has signed. Raises `BundleError` for what cannot be meant."""
    try:
        known = msgspec.json.decode(document, type=_Numbered)
        if known.format != FORMAT:
            raise BundleError(f"the bundle is of format {known.format}, and this Terrapod reads {FORMAT}: use a newer one")
        manifest = msgspec.json.decode(document, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleError(f"the manifest of the bundle cannot be read: {error}") from None
    _check(manifest)
    return manifest


def id_of(document: bytes) -> str:
    """What a bundle is named by: the SHA-256 of its manifest."""
    return hashlib.sha256(document).hexdigest()


class _Numbered(msgspec.Struct):
    format: int


def _check(manifest: Manifest) -> None:
    """A trusted exporter may be wrong, or not be what it was: nothing in a manifest reaches a row or a path unseen."""
    for file in manifest.files:
        if not (SHA256.fullmatch(file.sha256) and 0 < file.size <= FILE_BYTES):
            raise BundleError("a file of the manifest has no possible size or SHA-256")
    seen: set[tuple[str, str]] = set()
    for release in manifest.releases:
        if (release.source, release.version) in seen:
            raise BundleError(f"the manifest names {release.name} twice")
        seen.add((release.source, release.version))
        _check_release(manifest, release)
    _check_files(manifest)
    for index in manifest.indexes:
        checked_source(index.source)


def _check_files(manifest: Manifest) -> None:
    """Each file belongs to one package, and they stand in one order."""
    coming = [package for release in manifest.releases for package in release.packages if package.file is not None]
    if [package.file for package in coming] != list(range(len(manifest.files))):
        raise BundleError("the files of the manifest are not those of its releases, in their order")
    for package, file in zip(coming, manifest.files, strict=True):
        if file != FileOf(package.size, package.sha256):
            raise BundleError(f"the manifest says two things about {package.filename}")


def _check_release(manifest: Manifest, release: ReleaseOf) -> None:
    source = checked_source(release.source)
    try:
        addresses.version(release.version)
        platforms = [package.platform for package in release.packages]
        if len(set(platforms)) != len(platforms) or not platforms:
            raise BundleError(f"{release.name} has no packages, or two for one platform")
        for package in release.packages:
            _check_package(source, package)
    except NotFound as error:
        raise BundleError(f"the manifest names what cannot be: {error.detail}") from None
    if release.signed is not None and release.signed.key not in manifest.keys:
        raise BundleError(f"the key that signs {release.name} is not in the bundle")


def _check_package(source: Source, package: PackageOf) -> None:
    if isinstance(source, ModuleSource) != (package.platform == ""):
        raise BundleError(f"{package.filename[:80]!r} is for no platform that {source} has")
    if package.platform:
        addresses.platform(*(package.platform.split("_", 1) if "_" in package.platform else ("", "")))
    name = package.filename
    if not name or len(name) > 255 or "/" in name or "\\" in name or not name.isprintable() or name in (".", ".."):
        raise BundleError(f"{name[:80]!r} is no name of a package")
    if not (SHA256.fullmatch(package.sha256) and 0 < package.size <= FILE_BYTES):
        raise BundleError(f"{name} has no possible size or SHA-256")
    if len(package.root) > 1024 or ".." in package.root.split("/") or package.root.startswith("/") or "\\" in package.root:
        raise BundleError(f"{name} names a folder that leaves it")


def checked_source(key: str) -> Source:
    """The source of this key, if it is written as this server writes it. Raises `BundleError`."""
    kind, _, address = key.partition(":")
    parts = address.split("/")
    try:
        found: Source
        if kind == "engine" and address in ENGINES:
            found = EngineSource(address)
        elif kind == "provider" and len(parts) == 3:
            found = addresses.provider(parts[0], parts[1], parts[2])
        elif kind == "module" and len(parts) == 4:
            found = addresses.module(parts[0], parts[1], parts[2], parts[3])
        else:
            raise NotFound(f"{key[:200]!r} is no source")
    except NotFound as error:
        raise BundleError(f"the manifest names what cannot be: {error.detail}") from None
    if str(found) != address or (isinstance(found, ProviderSource) and kind != "provider"):
        raise BundleError(f"the manifest writes {key[:200]!r} otherwise than this server does")
    return found
