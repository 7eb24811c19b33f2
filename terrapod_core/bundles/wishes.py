"""What is asked for, in the words of a command line and of lock files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from terrapod_core.bundles.manifest import ENGINES
from terrapod_core.bundles.problems import BundleError
from terrapod_core.errors import NotFound
from terrapod_core.mirrors import addresses
from terrapod_core.plugin import EngineSource, ModuleSource, Platform, ProviderSource, Source
from terrapod_core.runner.uses import locked as named_in

PUBLIC_REGISTRY: Final = "registry.terraform.io"
"""The host of an address that names none."""

_NOT_REGISTRIES: Final = ("github.com", "bitbucket.org")
"""terraform takes addresses there for repositories (package `terraform-registry-address`)."""


@dataclass(frozen=True)
class Wish:
    """One thing that is asked for."""

    source: Source
    version: str | None
    """Exactly; `None` when the newest is wanted that `constraint` takes."""
    constraint: str | None = None
    because: str = ""
    """Who asks: `workspace network`."""


def engine(text: str) -> Wish:
    """`terraform@1.11.4`. Raises `BundleError`."""
    tool, version = _split(text, "terraform@1.11.4")
    if tool not in ENGINES:
        raise BundleError(f"{tool[:80]!r} is no engine; those are {' and '.join(ENGINES)}")
    return Wish(EngineSource(tool), version)


def provider(text: str) -> Wish:
    """`registry.terraform.io/hashicorp/random@3.6.0`; without a host it is that one. Raises `BundleError`."""
    address, version = _split(text, "registry.terraform.io/hashicorp/random@3.6.0")
    return Wish(_provider(address), version)


def module(text: str) -> Wish:
    """`registry.terraform.io/terraform-aws-modules/vpc/aws@5.0.0`. Raises `BundleError`."""
    address, version = _split(text, "registry.terraform.io/terraform-aws-modules/vpc/aws@5.0.0")
    found = called_module(address)
    if found is None:
        raise BundleError(f"{address[:200]!r} is no module of a registry")
    return Wish(found, version)


def platform(text: str) -> Platform:
    """`linux_amd64`. Raises `BundleError`."""
    os, _, arch = text.partition("_")
    try:
        return addresses.platform(os, arch)
    except NotFound as error:
        raise BundleError(error.detail) from None


def locked(text: str, because: str) -> list[Wish]:
    """What a `.terraform.lock.hcl` names; it is read line by line, as engines write it. Raises `BundleError`."""
    return [Wish(_provider(address), _version(version), because=because) for address, version in named_in(text)]


def called_module(source: str) -> ModuleSource | None:
    """The module of a registry that a call names; `None` for directories, repositories and URLs."""
    parts = source.partition("//")[0].split("/")
    if len(parts) == 3:
        parts = [PUBLIC_REGISTRY, *parts]
    if len(parts) != 4 or source.startswith((".", "/")) or parts[0].lower() in _NOT_REGISTRIES:
        return None
    try:
        return addresses.module(parts[0], parts[1], parts[2], parts[3])
    except NotFound:
        return None


def _provider(address: str) -> ProviderSource:
    parts = address.split("/")
    if len(parts) == 2:
        parts = [PUBLIC_REGISTRY, *parts]
    try:
        if len(parts) != 3:
            raise NotFound(f"{address[:200]!r} is no provider")
        return addresses.provider(parts[0], parts[1], parts[2])
    except NotFound as error:
        raise BundleError(error.detail) from None


def _split(text: str, example: str) -> tuple[str, str]:
    name, at, version = text.rpartition("@")
    if not at:
        raise BundleError(f"{text[:200]!r} names no version; write it as {example}")
    return name, _version(version)


def _version(text: str) -> str:
    try:
        return addresses.version(text)
    except NotFound as error:
        raise BundleError(error.detail) from None
