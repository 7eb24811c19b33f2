"""What an operator may choose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Final

from terrapod_core.plugin import UpstreamSettings, check_address, read_keys, setting

FINGERPRINT: Final = "C874011F0AB405110D02105534365D9472D7468F"
"""Of the key in `hashicorp.asc`, as hashicorp.com/trust/security shows it. That copy is of February 2026, and ends on 2030-03-01."""


@dataclass(frozen=True, kw_only=True)
class HashiCorpSettings(UpstreamSettings):
    """`[mirror.hashicorp]`."""

    url: str = setting("https://releases.hashicorp.com", "Where HashiCorp's releases are, or a mirror of them with the same paths.")
    signed_by: Path | None = setting(
        None,
        "A file with the public keys, in ASCII armour, one of which must have signed a release.",
        shown_default="HashiCorp's key 34365D9472D7468F",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_address("url", self.url)
        assert self.keys

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Public keys in ASCII armour."""
        if self.signed_by is not None:
            return read_keys(self.signed_by)
        return (files(__package__).joinpath("hashicorp.asc").read_text("ascii"),)
