"""What an operator may choose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Final

from terrapod_core.plugin import UpstreamSettings, check_address, read_keys, setting

FINGERPRINT: Final = "E3E6E43D84CB852EADB0051D0C0AF313E5FD9F80"
"""Of the key in `opentofu.asc`, as opentofu.org/docs/intro/install/standalone shows it; without an end."""


@dataclass(frozen=True, kw_only=True)
class OpenTofuSettings(UpstreamSettings):
    """`[mirror.opentofu]`."""

    index_url: str = setting("https://get.opentofu.org/tofu/api.json", "Where the list of OpenTofu's versions is.")
    download_url: str = setting(
        "https://github.com/opentofu/opentofu/releases/download", "Where the files of a release are: below it in `vVERSION/`."
    )
    archive_hosts: tuple[str, ...] = setting(
        ("github.com", "objects.githubusercontent.com", "release-assets.githubusercontent.com"),
        "Hosts besides its own that it may lead to by a redirect: `example.com`, `example.com:8443`, `*.x.org`.",
    )
    signed_by: Path | None = setting(
        None,
        "A file with the public keys, in ASCII armour, one of which must have signed a release.",
        shown_default="OpenTofu's key 0C0AF313E5FD9F80",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_address("index_url", self.index_url)
        check_address("download_url", self.download_url)
        assert self.keys

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Public keys in ASCII armour."""
        if self.signed_by is not None:
            return read_keys(self.signed_by)
        return (files(__package__).joinpath("opentofu.asc").read_text("ascii"),)
