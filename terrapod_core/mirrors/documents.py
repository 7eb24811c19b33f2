"""What clients send about caches, and what is wrong with it."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from terrapod_core.errors import Invalid, NotFound
from terrapod_core.mirrors import addresses
from terrapod_core.plugin import Platform

MOST_PLATFORMS: Final = 20
_FINGERPRINT: Final = re.compile(r"[0-9A-F]{40}")


class WarmEngines(msgspec.Struct, kw_only=True):
    """An engine to be cached: for `os` and `arch`, or for several `platforms` (`linux_amd64`)."""

    tool: str
    version: str
    os: str | None = None
    arch: str | None = None
    platforms: list[str] | None = None

    def checked_platforms(self) -> list[Platform]:
        """At least one, each once. Raises `Invalid`."""
        asked = [*(self.platforms or ()), *([f"{self.os}_{self.arch}"] if self.os or self.arch else ())]
        if not 0 < len(asked) <= MOST_PLATFORMS:
            raise Invalid(
                f"name one platform (os and arch) or up to {MOST_PLATFORMS} (platforms), as linux_amd64",
                pointer="/data/attributes/platforms",
            )
        try:
            split = (each.partition("_") for each in asked)
            return list(dict.fromkeys(addresses.platform(os, arch) for os, _, arch in split))
        except NotFound as error:
            raise Invalid(error.detail, pointer="/data/attributes/platforms") from None


class AcceptKey(msgspec.Struct, kw_only=True):
    """A key that may sign from now on."""

    scope: str
    fingerprint: str

    def checked_fingerprint(self) -> str:
        """Forty hexadecimal digits in upper case, however they were grouped. Raises `Invalid`."""
        fingerprint = "".join(self.fingerprint.split()).upper().removeprefix("0X")
        if _FINGERPRINT.fullmatch(fingerprint) is None:
            raise Invalid("fingerprint must be the key's forty hexadecimal digits", pointer="/data/attributes/fingerprint")
        return fingerprint
