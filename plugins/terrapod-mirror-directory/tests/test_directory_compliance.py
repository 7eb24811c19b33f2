from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from terrapod_core.plugin import EngineSource, Platform, ProviderSource, RegistryMirror
from terrapod_core.testing.mirrors import Offer, RegistryMirrorKit, Trouble, http_clients
from terrapod_mirror_directory.mirror import Directory
from terrapod_mirror_directory.settings import DirectorySettings
from tests.support.upstream import PLATFORMS, Upstream, publisher, upstream

HOST = "registry.terraform.io"


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with upstream() as up:
        yield up


class Kit(RegistryMirrorKit):
    @pytest.fixture
    def key(self, tmp_path: Path) -> Path:
        key = tmp_path / "key.asc"
        key.write_text(publisher().armor)
        return key

    @pytest.fixture
    def stopped(self, up: Upstream) -> Trouble:
        return up.stopped


class Engines(Kit):
    @pytest.fixture
    def offer(self, up: Upstream) -> Offer:
        content = up.engines["terraform"].versions["1.9.8"].files[PLATFORMS[1]]
        assert isinstance(content, bytes)
        return Offer(EngineSource("terraform"), "1.9.8", Platform(*PLATFORMS[1]), content)


class Providers(Kit):
    @pytest.fixture
    def offer(self, up: Upstream) -> Offer:
        content = up.providers["acme/fake"].versions["1.0.0"].files[PLATFORMS[0]]
        assert isinstance(content, bytes)
        source, absent = ProviderSource(HOST, "acme", "fake"), ProviderSource(HOST, "acme", "none")
        return Offer(source, "1.0.0", Platform(*PLATFORMS[0]), content, absent)


class TestEnginesBehindAnAddress(Engines):
    @pytest.fixture
    def mirror(self, up: Upstream, key: Path) -> RegistryMirror:
        return Directory(DirectorySettings(engines_at=f"{up.url}/directory", signed_by=key), http_clients(up.ca_file))

    @pytest.fixture
    def cut(self, up: Upstream) -> Trouble:
        return partial(up.twisted, "*.zip", cut=100)


class TestTreeBehindAnAddress(Providers):
    @pytest.fixture
    def mirror(self, up: Upstream) -> RegistryMirror:
        settings = DirectorySettings(providers_at=f"{up.url}/mirror/", provider_hosts=(HOST,))
        return Directory(settings, http_clients(up.ca_file))

    @pytest.fixture
    def cut(self, up: Upstream) -> Trouble:
        return partial(up.twisted, "*.zip", cut=100)


class OnThisMachine(Kit):
    @pytest.fixture
    def folder(self, up: Upstream, tmp_path: Path) -> Path:
        folder = tmp_path / "a mirror"
        folder.mkdir()
        return folder

    @pytest.fixture
    def stopped(self, folder: Path) -> Trouble:
        """It is not mounted."""

        @contextmanager
        def away() -> Iterator[None]:
            folder.rename(folder.with_name("away"))
            try:
                yield
            finally:
                folder.with_name("away").rename(folder)

        return away


class TestEnginesOnThisMachine(OnThisMachine, Engines):
    @pytest.fixture
    def mirror(self, up: Upstream, folder: Path, key: Path) -> RegistryMirror:
        up.write_directory(folder)
        return Directory(DirectorySettings(engines_at=str(folder), signed_by=key), http_clients())


class TestUnsignedEnginesOnThisMachine(OnThisMachine, Engines):
    """Zips alone, as somebody has copied them there."""

    @pytest.fixture
    def mirror(self, up: Upstream, folder: Path) -> RegistryMirror:
        up.write_directory(folder)
        (folder / "SHA256SUMS").unlink()
        (folder / "SHA256SUMS.sig").unlink()
        return Directory(DirectorySettings(engines_at=str(folder), unsigned=True), http_clients())


class TestTreeOnThisMachine(OnThisMachine, Providers):
    @pytest.fixture
    def mirror(self, up: Upstream, folder: Path) -> RegistryMirror:
        up.write_tree(folder, HOST)
        return Directory(DirectorySettings(providers_at=str(folder), provider_hosts=(HOST,)), http_clients())
