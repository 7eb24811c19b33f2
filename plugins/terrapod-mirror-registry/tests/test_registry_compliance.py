from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from terrapod_core.plugin import ModuleSource, Platform, ProviderSource, RegistryMirror
from terrapod_core.testing.mirrors import Offer, RegistryMirrorKit, Trouble, http_clients
from terrapod_mirror_registry.mirror import Registries
from terrapod_mirror_registry.settings import RegistrySettings
from tests.support.upstream import PLATFORMS, Upstream, upstream
from tests.support.upstream_releases import packed


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with upstream() as up:
        yield up


class Kit(RegistryMirrorKit):
    @pytest.fixture
    def mirror(self, up: Upstream) -> RegistryMirror:
        return Registries(RegistrySettings(hosts=(up.host,)), http_clients(up.ca_file))

    @pytest.fixture
    def stopped(self, up: Upstream) -> Trouble:
        return up.stopped

    @pytest.fixture
    def cut(self, up: Upstream) -> Trouble:
        return partial(up.twisted, "/archives/*", cut=100)


class TestProviders(Kit):
    @pytest.fixture
    def offer(self, up: Upstream) -> Offer:
        content = up.providers["acme/fake"].versions["1.0.0"].files[PLATFORMS[0]]
        assert isinstance(content, bytes)
        source = ProviderSource(up.host, "acme", "fake")
        return Offer(source, "1.0.0", Platform(*PLATFORMS[0]), content, ProviderSource(up.host, "acme", "none"))


class TestModules(Kit):
    @pytest.fixture
    def offer(self, up: Upstream) -> Offer:
        content = up.modules["acme/pet/null"].archive("1.1.0")
        source = ModuleSource(up.host, "acme", "pet", "null")
        return Offer(source, "1.1.0", None, content, ModuleSource(up.host, "acme", "none", "null"))


class TestModulesOfAForgeBehindAnotherAddress(Kit):
    """As registry.terraform.io and github.com are, where a proxy of the operator's stands for both."""

    @pytest.fixture
    def mirror(self, up: Upstream) -> RegistryMirror:
        addresses = (f"registry.terraform.io={up.url}", f"github.com={up.url}")
        return Registries(RegistrySettings(addresses=addresses), http_clients(up.ca_file))

    @pytest.fixture
    def offer(self, up: Upstream) -> Offer:
        get = "git::https://github.com/acme/terraform-null-pet//modules/small?ref=v1.0.0"
        up.modules["acme/pet/null"].add("2.0.0", get=get)
        content = packed(up.repositories["acme/terraform-null-pet"]["v1.0.0"], "tar.gz", "terraform-null-pet-1.0.0")
        host = "registry.terraform.io"
        absent = ModuleSource(host, "acme", "none", "null")
        return Offer(ModuleSource(host, "acme", "pet", "null"), "2.0.0", None, content, absent, root="*/modules/small")

    @pytest.fixture
    def cut(self, up: Upstream) -> Trouble:
        return partial(up.twisted, "/acme/*/tar.gz/*", cut=100)
