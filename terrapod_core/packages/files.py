"""What the files of a provider's release are called, and which protocols it says it speaks.

Source: HashiCorp's "Publishing Providers", section "Manually preparing a release".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from terrapod_core.errors import Invalid

DEFAULT_PROTOCOLS: Final = ("5.0",)
"""What a release speaks that says nothing about it."""

MANIFEST: Final = "terraform-registry-manifest.json"
"""The name of the manifest in a provider's sources, and in its zips where it is packed along."""

MANIFEST_BYTES: Final = 64 * 1024

_PLATFORM: Final = re.compile(r"[a-z0-9]{1,32}")
_PROTOCOL: Final = re.compile(r"[56]\.(0|[1-9][0-9]{0,2})")


class _Metadata(msgspec.Struct):
    protocol_versions: list[str] = []


class _Manifest(msgspec.Struct):
    version: int
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


def is_platform_word(text: str) -> bool:
    """Whether this can be an operating system or an architecture as Go calls them (`linux`, `amd64`)."""
    return _PLATFORM.fullmatch(text) is not None


def zip_name(provider: str, version: str, os: str, arch: str) -> str:
    """The one name that the zip of this platform may have."""
    return f"terraform-provider-{provider}_{version}_{os}_{arch}.zip"


def manifest_name(provider: str, version: str) -> str:
    """The one other file that `SHA256SUMS` may name."""
    return f"terraform-provider-{provider}_{version}_manifest.json"


def platform_of(name: str, provider: str, version: str) -> tuple[str, str] | None:
    """Operating system and architecture of the zip of this name; `None` when it is none of this version."""
    head = f"terraform-provider-{provider}_{version}_"
    if not (name.startswith(head) and name.endswith(".zip")):
        return None
    os, _, arch = name[len(head) : -len(".zip")].partition("_")
    return (os, arch) if is_platform_word(os) and is_platform_word(arch) else None


def checked_protocols(protocols: Sequence[str], *, pointer: str | None = None) -> tuple[str, ...]:
    """The protocols without repetitions; `Invalid` for what no terraform that is still used speaks."""
    for each in protocols:
        if _PROTOCOL.fullmatch(each) is None:
            raise Invalid(f"{each!r} is no protocol of providers; those are 5.x and 6.x, as 5.0", pointer=pointer)
    return tuple(dict.fromkeys(protocols))


def read_manifest(document: bytes) -> tuple[str, ...]:
    """The protocols that a `terraform-registry-manifest.json` names. Raises `Invalid`."""
    try:
        manifest = msgspec.json.decode(document, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid(f'{MANIFEST} cannot be read: it looks like {{"version": 1, "metadata": {{"protocol_versions": ["6.0"]}}}}') from None
    if manifest.version != 1:
        raise Invalid(f"{MANIFEST} is of version {manifest.version}, and only version 1 is known")
    return checked_protocols(manifest.metadata.protocol_versions)
