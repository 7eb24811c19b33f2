"""What clients send about providers, versions, platforms and keys, and what is wrong with it."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.errors import Invalid, Problems
from terrapod_core.packages.files import checked_protocols, is_platform_word, zip_name
from terrapod_core.packages.sums import SHA256
from terrapod_core.packages.versions import SemanticVersion, checked
from terrapod_core.registry.documents import UpdateItem
from terrapod_core.registry.names import LONGEST, NAMESPACE, namespace_of, registry_name

KEY_ID: Final = re.compile(r"[0-9A-F]{16}")
MOST_PROTOCOLS: Final = 20
MOST_PROVIDERS_OF_A_KEY: Final = 100


class CreateProvider(UpdateItem, kw_only=True):
    """A new provider, which needs a name."""

    name: str
    namespace: str | None = None
    registry_name: str | None = None

    def checked_namespace(self) -> str:
        """The namespace it is to have. Raises `Invalid` for what cannot be."""
        problems = Problems()
        namespace = namespace_of(self.namespace, problems)
        registry_name(self.registry_name, problems)
        if len(self.name) > LONGEST or NAMESPACE.fullmatch(self.name) is None:
            problems.add(
                f"Name must have at most {LONGEST} lower-case letters, digits and single dashes between them, as terraform reads them in "
                "a source address",
                attribute="name",
            )
        elif self.name.startswith("terraform-"):
            alone = self.name.removeprefix("terraform-").removeprefix("provider-")
            problems.add(f"Name must be {alone} alone: terraform refuses the prefix in a source address", attribute="name")
        problems.refuse()
        return namespace


class CreateProviderVersion(msgspec.Struct, kw_only=True):
    """A new version. Without `key_id` the server signs it itself."""

    version: str
    key_id: str | None = None
    protocols: list[str] | None = None

    def number(self) -> SemanticVersion:
        """The number that it is to have. Raises `Invalid` for what cannot be."""
        number = checked(self.version)
        if self.key_id and KEY_ID.fullmatch(self.key_id.upper()) is None:
            raise Invalid("key-id must be sixteen hexadecimal digits, as the key's own page shows them", pointer="/data/attributes/key-id")
        return number

    def checked_protocols(self) -> list[str] | None:
        """The protocols; `None` when nothing is said of them. Raises `Invalid` for what cannot be."""
        if not self.protocols:
            return None
        if len(self.protocols) > MOST_PROTOCOLS:
            raise Invalid(f"there are at most {MOST_PROTOCOLS} protocols", pointer="/data/attributes/protocols")
        return list(checked_protocols(self.protocols, pointer="/data/attributes/protocols"))


class CreatePlatform(msgspec.Struct, kw_only=True):
    """The zip of one more platform; go-tfe sends its sum and its name, which may be left out."""

    os: str
    arch: str
    shasum: str | None = None
    filename: str | None = None

    def check(self, provider: str, version: str) -> None:
        """Raise `Invalid` for what cannot be the zip of this platform."""
        problems = Problems()
        for name, word in (("os", self.os), ("arch", self.arch)):
            if not is_platform_word(word):
                problems.add(f"{name} must be a word of Go's, as linux or amd64: lower-case letters and digits", attribute=name)
        if self.shasum and SHA256.fullmatch(self.shasum.lower()) is None:
            problems.add("shasum must be the SHA-256 of the zip, 64 hexadecimal digits", attribute="shasum")
        expected = zip_name(provider, version, self.os, self.arch)
        if self.filename and self.filename != expected:
            problems.add(f"filename must be {expected}, as terraform's tools call it", attribute="filename")
        problems.refuse()


class CreateGPGKey(msgspec.Struct, kw_only=True):
    """A new key. Without `providers` it is good for the whole namespace, which platform admins alone may say."""

    ascii_armor: str
    namespace: str | None = None
    providers: list[str] | None = None
    """Names of providers of the namespace."""

    def checked_namespace(self) -> str:
        """The namespace it is to be in. Raises `Invalid` for what cannot be."""
        problems = Problems()
        namespace = namespace_of(self.namespace, problems)
        if self.providers is not None and not 0 < len(self.providers) <= MOST_PROVIDERS_OF_A_KEY:
            problems.add(f"providers must name 1 to {MOST_PROVIDERS_OF_A_KEY} providers, or be left out", attribute="providers")
        problems.refuse()
        return namespace

    @property
    def bound_to(self) -> list[str]:
        """The names of the providers it is bound to, each once; empty for all of the namespace."""
        return sorted(set(self.providers or ()))


class UpdateGPGKey(msgspec.Struct, kw_only=True):
    """go-tfe moves a key to another namespace; here it stays where it is."""

    namespace: str | UnsetType = UNSET
