"""The plain documents in which terraform reads about providers and modules, whoever answers for them.

Sources: HashiCorp's registry protocols (`providers.v1`, `modules.v1`) and its provider network mirror protocol; what real clients need of
them was observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec


class OfferedPlatform(msgspec.Struct):
    """What a version is made for."""

    os: str
    arch: str


class OfferedVersion(msgspec.Struct):
    """A version of a provider."""

    version: str
    protocols: list[str]
    platforms: list[OfferedPlatform]


class OfferedVersions(msgspec.Struct):
    """All of them. terraform shows the warnings to everybody who installs any."""

    id: str
    versions: list[OfferedVersion]
    warnings: list[str] | None


class SigningKey(msgspec.Struct):
    """A public key."""

    key_id: str
    ascii_armor: str
    trust_signature: str = ""
    source: str = ""
    source_url: str | None = None


class SigningKeys(msgspec.Struct):
    """Those of which one signed a version's sums."""

    gpg_public_keys: list[SigningKey]


class ProviderPackage(msgspec.Struct):
    """Where the zip of one platform is, and what proves that it is the publisher's. The URLs may be relative to the document's."""

    protocols: list[str]
    os: str
    arch: str
    filename: str
    download_url: str
    shasums_url: str
    shasums_signature_url: str
    shasum: str
    signing_keys: SigningKeys


class MirroredArchive(msgspec.Struct):
    """A zip in a network mirror. `hashes` are of this zip alone: terraform takes what has any of them."""

    url: str
    hashes: list[str]


def module_versions(source: str, versions: Iterable[Mapping[str, Any]]) -> bytes:
    """`modules.v1`: each version is an object with at least its `version`."""
    return msgspec.json.encode({"modules": [{"source": source, "versions": list(versions)}]})


def mirror_index(versions: Iterable[str]) -> bytes:
    """`index.json` of a network mirror."""
    return msgspec.json.encode({"versions": {each: {} for each in versions}})


def mirror_version(archives: Mapping[str, MirroredArchive]) -> bytes:
    """`<version>.json` of a network mirror, by platform."""
    return msgspec.json.encode({"archives": archives})


def archive_address(path: str, kind: str, root: str) -> str:
    """A module archive's address in go-getter's words: the query says what comes from `path`, `kind` as `tar.gz` or `zip`; behind two
    slashes stands where in it the module is; nothing when the archive is the module.
    """
    return f"{path}//{root}?archive={kind}" if root else f"{path}?archive={kind}"


def platforms_of(named: Sequence[str]) -> list[OfferedPlatform]:
    """Of names as `linux_amd64`."""
    return [OfferedPlatform(*each.split("_", 1)) for each in named]
