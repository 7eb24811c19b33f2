"""What the pages of the registry show and do, as doors that `app` fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar
from urllib.parse import quote

from terrapod_core.authz import Actor
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.organizations import NAME
from terrapod_core.registry.contents.structs import Configuration, ModuleContents
from terrapod_core.registry.models import VersionStatus

LISTS = f"/app/{NAME}/registry"


class RegistryAction(StrEnum):
    """What somebody may do with a version."""

    DEPRECATE = "deprecate"
    UNDEPRECATE = "undeprecate"
    REVOKE = "revoke"
    UNREVOKE = "unrevoke"
    DELETE = "delete"
    RELEASE = "release"


@dataclass(frozen=True)
class Search:
    """What a list is narrowed to."""

    text: str = ""
    """Part of a name."""
    label: str = ""
    """`key` or `key=value`."""

    @property
    def query(self) -> Mapping[str, str]:
        """The same as the API's parameters."""
        key, equals, value = self.label.partition("=")
        tagged = {"filter[tagged][0][key]": key} if key else {}
        return {**({"q": self.text} if self.text else {}), **tagged, **({"filter[tagged][0][value]": value} if key and equals else {})}


@dataclass(frozen=True)
class ItemRow:
    """One line of the list of modules, or of providers."""

    address: str
    path: str
    labels: Mapping[str, str | None]
    newest: VersionLine | None
    """The version that its page shows."""
    held: int
    """How many versions wait for a publisher, for who may see those."""
    updated_at: datetime


@dataclass(frozen=True)
class Mark:
    """Why a version is deprecated or revoked."""

    reason: str
    link: str | None
    at: str
    """The day."""


@dataclass(frozen=True)
class VersionLine:
    """One version."""

    number: str
    status: VersionStatus
    published_at: datetime | None = None
    created_by: str = ""
    deprecation: Mark | None = None
    revocation: Mark | None = None
    downloads: int = 0

    @property
    def is_usable(self) -> bool:
        """Whether terraform gets it."""
        return self.status == VersionStatus.PUBLISHED and self.revocation is None

    @property
    def is_prerelease(self) -> bool:
        """Whether terraform takes it by its exact number alone."""
        return "-" in self.number.partition("+")[0]


@dataclass(frozen=True)
class UseLine:
    """A workspace that uses a version."""

    workspace: str
    version: str
    run_id: str
    """The last run that used it."""
    used_at: datetime
    plan_only: bool
    """Whether it was only ever planned with."""


@dataclass(frozen=True)
class UsedBy:
    """Which workspaces use an item."""

    lines: Sequence[UseLine]
    """Some of those that the one who looks may read, the newest versions first."""
    workspaces: int
    """How many there are in all."""
    hidden: int
    """How many of them the one who looks may not read."""


@dataclass(frozen=True)
class ItemView:
    """What the pages of a module and of a provider have in common."""

    address: str
    kind: str
    """`modules` or `providers`."""
    owner: str | None
    publishers: Sequence[str]
    labels: Mapping[str, str | None]
    versions: Page[VersionLine]
    shown: VersionLine | None
    """The version that the page is about; `None` while there is none."""
    used_by: UsedBy
    offered: frozenset[RegistryAction]
    """What the one who looks can do with it."""
    may_publish: bool
    may_delete: bool
    """Whether the one who looks can delete all of it."""

    @property
    def is_managed(self) -> bool:
        """Whether there is anything to do beside releasing the version, which is offered apart."""
        return self.may_delete or bool(self.offered - {RegistryAction.RELEASE})

    @property
    def path(self) -> str:
        """Of its page."""
        return f"{LISTS}/{self.kind}/{self.address}"

    def path_of(self, number: str) -> str:
        """Of the page of one of its versions."""
        return f"{self.path}/{quote(number)}"


@dataclass(frozen=True)
class ModuleView(ItemView):
    """A module as its page shows it."""

    size: int | None = None
    """Of the archive, in bytes."""
    contents: ModuleContents | None = None
    """What is in the archive; `None` while there is none."""
    repository: Mapping[str, str] | None = None
    """The repository whose tags are its versions: `identifier`, `http-url`, `tag-prefix`, `source-directory`; `None` for none."""
    problems: Sequence[Mapping[str, str | None]] = ()
    """What somebody has to look at of that, for those who publish: `tag` and `detail`."""
    part: Configuration | None = None
    """The module itself, or the submodule or example that the page is about."""

    @property
    def is_callable(self) -> bool:
        """Whether the part is one that a `module` block can name, and that is not an example."""
        return self.part is not None and not self.part.path.startswith("examples/")


@dataclass(frozen=True)
class PlatformLine:
    """The zip of one platform."""

    os: str
    arch: str
    filename: str
    size: int | None
    """In bytes; `None` while the zip is not here."""
    sha256: str | None
    h1: str | None


@dataclass(frozen=True)
class KeyLine:
    """A public key."""

    key_id: str
    user: str
    armor: str
    fingerprint: str | None = None
    """`None` for the server's own."""
    namespace: str = ""
    providers: Sequence[str] = ()
    """The addresses of those it is for, as far as the one who looks may read them; none when it is for the whole namespace."""
    whole_namespace: bool = False
    created_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class ProviderView(ItemView):
    """A provider as its page shows it."""

    platforms: Sequence[PlatformLine] = ()
    protocols: Sequence[str] = ()
    signed_by_server: bool = False
    key_id: str | None = None
    key: KeyLine | None = None
    """The key that the version is signed with; `None` while it is not signed."""
    waits_for: Sequence[str] = field(default_factory=tuple)
    """What keeps the version from being published, for who may see that."""


View_co = TypeVar("View_co", bound=ItemView, covariant=True)


class ItemPages(Protocol[View_co]):
    """Modules, or providers. Every method raises `NotFound` for what the actor may not see."""

    async def list(self, actor: Actor, page: PageRequest, search: Search) -> Page[ItemRow]:
        """Those the actor may see."""
        ...

    async def show(self, actor: Actor, address: Sequence[str], number: str | None, versions: PageRequest, part: str) -> View_co:
        """One, at this version, or at the newest that can be used. `part` is a path in a module's archive, empty for the module."""
        ...

    async def act(self, actor: Actor, address: Sequence[str], number: str, action: RegistryAction, fields: Mapping[str, str]) -> None:
        """Do it to a version, by the same service as the API."""
        ...

    async def delete(self, actor: Actor, address: Sequence[str]) -> None:
        """Delete all of it."""
        ...


class KeyPages(Protocol):
    """The keys that verify providers."""

    async def list(self, actor: Actor, page: PageRequest) -> Page[KeyLine]:
        """Those of publishers that the actor may see."""
        ...

    async def own(self) -> KeyLine | None:
        """The server's own; `None` before it signed anything."""
        ...


@dataclass(frozen=True)
class RegistryPages:
    """The doors of all these pages."""

    modules: ItemPages[ModuleView]
    providers: ItemPages[ProviderView]
    keys: KeyPages
