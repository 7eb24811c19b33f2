"""What an operator may choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from msgspec import Meta

from terrapod_core.plugin import UpstreamSettings, check_address, plain_host, setting


@dataclass(frozen=True, kw_only=True)
class RegistrySettings(UpstreamSettings):
    """`[mirror.registry]`."""

    hosts: tuple[str, ...] = setting(
        ("registry.terraform.io", "registry.opentofu.org"),
        "The registries that providers and modules are cached from; no others are asked.",
    )
    addresses: tuple[str, ...] = setting(
        (), "Where a host is asked instead, as `registry.terraform.io=https://proxy.example.com/terraform`; also one of `archive_hosts`."
    )
    tokens: tuple[str, ...] = setting(
        (), "What a registry is shown that wants to know who asks, as `registry.example.com=TOKEN`. It is sent there only.", secret=True
    )
    archive_hosts: tuple[str, ...] = setting(
        (
            "releases.hashicorp.com",
            "github.com",
            "codeload.github.com",
            "objects.githubusercontent.com",
            "release-assets.githubusercontent.com",
            "gitlab.com",
        ),
        "Hosts besides the registry's own that its documents and redirects may lead to: `example.com`, `example.com:8443`, `*.x.org`.",
    )
    discovery_seconds: Annotated[float, Meta(ge=0)] = setting(3600.0, "How long it is remembered where a host has its registry.")

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.host_names is not None
        assert self.tokens_by_host is not None
        for host, address in self.addresses_by_host.items():
            check_address(f"the address of {host} in addresses", address)
        strangers = set(self.tokens_by_host) - self.host_names
        if strangers:
            raise ValueError(f"tokens has one for {', '.join(sorted(strangers))}, which is not in hosts")

    @cached_property
    def host_names(self) -> frozenset[str]:
        """The hosts as they are in addresses."""
        return frozenset(map(plain_host, self.hosts))

    @cached_property
    def addresses_by_host(self) -> Mapping[str, str]:
        """Where to ask instead, by host."""
        return _pairs("addresses", self.addresses)

    @cached_property
    def tokens_by_host(self) -> Mapping[str, str]:
        """By host."""
        return _pairs("tokens", self.tokens)


def _pairs(name: str, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for number, text in enumerate(given, start=1):
        host, equals, value = text.partition("=")
        if not equals or not value:
            raise ValueError(f"entry {number} of {name} is not HOST=VALUE")  # without what it is: it may be a secret
        found[plain_host(host)] = value
    return found
