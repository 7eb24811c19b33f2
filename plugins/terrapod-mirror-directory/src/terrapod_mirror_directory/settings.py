"""What an operator may choose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from terrapod_core.plugin import UpstreamSettings, check_address, plain_host, read_keys, setting


@dataclass(frozen=True, kw_only=True)
class DirectorySettings(UpstreamSettings):
    """`[mirror.directory]`."""

    engines_at: str = setting(
        "", "An https:// address or an absolute path of a directory with zips of engines, `SHA256SUMS` and its `.sig`."
    )
    engines: tuple[Literal["terraform", "tofu"], ...] = setting(("terraform", "tofu"), "Which engines are taken from there.")
    signed_by: Path | None = setting(None, "A file with the public keys, in ASCII armour, one of which must have signed `SHA256SUMS`.")
    unsigned: bool = setting(False, "Take engines from there although nobody signed them: whoever can write there can run code.")
    providers_at: str = setting("", "An https:// address or an absolute path of a tree that `terraform providers mirror` made.")
    provider_hosts: tuple[str, ...] = setting(
        (), "The registries whose providers are taken from the tree. Nothing in it is signed: whoever can write there can run code."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("engines_at", "providers_at"):
            _check_place(name, getattr(self, name))
        if self.engines_at and (self.signed_by is None) != self.unsigned:
            raise ValueError("engines_at needs either signed_by, with the key that signs them, or unsigned = true")
        if bool(self.providers_at) != bool(self.host_names):
            raise ValueError("providers_at and provider_hosts go together: the tree, and the registries whose providers are taken from it")
        assert self.keys is not None

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Public keys in ASCII armour; none for engines that are not signed."""
        return read_keys(self.signed_by) if self.signed_by is not None else ()

    @cached_property
    def host_names(self) -> tuple[str, ...]:
        """The registries' hosts as they are in addresses."""
        return tuple(map(plain_host, self.provider_hosts))


def _check_place(name: str, at: str) -> None:
    if at and "://" in at:
        check_address(name, at)
    elif at and not Path(at).is_absolute():
        raise ValueError(f"{name} must be an https:// address or an absolute path")
