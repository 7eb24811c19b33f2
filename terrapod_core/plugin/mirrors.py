"""Where the caches of engines, providers and modules are filled from.

A plugin says what an upstream offers and brings its bytes. It verifies nothing and keeps nothing: the core checks sums, signatures and
digests, remembers, stores and serves, and asks an upstream once for many.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable


class UpstreamMissing(Exception):
    """The upstream answered, and has no such thing. The text is a sentence for the person who asked."""


class UpstreamFailed(Exception):
    """The upstream is down, too slow, refuses us or answers nonsense. The text names the host and the reason, and holds no secret."""


class Platform(NamedTuple):
    """What a package is made for, as Go calls it."""

    os: str
    arch: str

    def __str__(self) -> str:
        return f"{self.os}_{self.arch}"


@dataclass(frozen=True)
class EngineSource:
    """The releases of `terraform` or `tofu`."""

    tool: str

    def __str__(self) -> str:
        return self.tool


@dataclass(frozen=True)
class ProviderSource:
    """A provider's address. `host` is in lower case, in its ASCII form, with `:port` when that is not 443."""

    host: str
    namespace: str
    type: str

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.type}"


@dataclass(frozen=True)
class ModuleSource:
    """A module's address in a registry; `host` as for a provider."""

    host: str
    namespace: str
    name: str
    system: str

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.name}/{self.system}"


Source: TypeAlias = EngineSource | ProviderSource | ModuleSource


@dataclass(frozen=True)
class Offered:
    """A version that the upstream has."""

    version: str
    platforms: tuple[Platform, ...] | None = None
    """`None` when the upstream does not say before it is asked for a package."""
    protocols: tuple[str, ...] = ()
    """Of terraform's plugins, as `5.0`; empty when not said, and for what is no provider."""


@dataclass(frozen=True)
class Index:
    """What an upstream has of a source."""

    versions: tuple[Offered, ...]
    validator: str | None = None
    """What a later `index` is given, so that "nothing changed" costs little: an `ETag`, perhaps. `None` when there is none."""
    warnings: tuple[str, ...] = ()
    """What the upstream wants people to be told."""


@dataclass(frozen=True)
class Sums:
    """The publisher's `SHA256SUMS` of one version, with the signature over exactly these bytes."""

    document: bytes
    """One of an engine may name other files too: packages for Debian, or the versions beside it in a plain directory."""
    signature: bytes
    keys: tuple[str, ...]
    """Public keys in ASCII armour that the upstream says sign it. The core decides whether they may."""


@dataclass(frozen=True)
class Package:
    """One file that can be fetched."""

    filename: str
    """As `Sums` names it; also what clients see. The core unpacks `.zip`, and for modules `.tar.gz`, `.tgz` too."""
    location: str
    """What `fetch` is asked with: an absolute URL, or a path. It is logged, so no secret is in it."""
    sums: Sums | None = None
    """`None` when the upstream signs nothing: always so for modules, and for providers and engines only if the operator vouches for
    the upstream, which the plugin's settings must ask for."""
    sha256: str | None = None
    """What the upstream says without signing it; lower-case hexadecimal."""
    h1: str | None = None
    """Likewise: the `h1:` hash of a provider."""
    protocols: tuple[str, ...] = ()
    """As in `Offered`, where it is told only here."""
    root: str = ""
    """For modules: the folder in the archive that is the module, `*` for the only one at the top; empty when the archive is the module."""


@runtime_checkable
class RegistryMirror(Protocol):
    """An upstream, or several that are asked alike. Made without being asked to connect; all that it asks goes through `context.http`.

    Every method may be called many times at once. `UpstreamMissing` is for a clear "no" alone (a 404): it is remembered for a while.
    Anything else that goes wrong, also an answer that is no answer, is `UpstreamFailed`; so is an `OutgoingError` that is let through.
    """

    @property
    def name(self) -> str:
        """What the settings call it."""
        ...

    def serves(self, source: Source) -> bool:
        """Whether it answers for this address; decided by the settings alone, without asking anybody. The first that does is asked."""
        ...

    def hosts(self) -> Sequence[str]:
        """The registry hosts whose providers or modules it answers for, as they are in addresses; none when it has engines only."""
        ...

    def keys(self, source: Source) -> Sequence[str]:
        """Public keys in ASCII armour of which one must have signed. None: those that the upstream names first are pinned for ever."""
        ...

    async def index(self, source: Source, validator: str | None) -> Index | None:
        """All versions; `None` when nothing has changed since the answer that had this validator."""
        ...

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        """Where one file is, and what is said of it. `platform` is `None` for modules."""
        ...

    def fetch(self, package: Package) -> AsyncIterator[bytes]:
        """The bytes, as they come, from a package of this mirror. It must end with `UpstreamFailed` when they stop before their end."""
        ...
