from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from terrapod_core.plugin import EngineSource, Platform, RegistryMirror
from terrapod_core.testing.mirrors import Offer, RegistryMirrorKit, Trouble, http_clients
from terrapod_mirror_opentofu.releases import OpenTofuReleases
from terrapod_mirror_opentofu.settings import OpenTofuSettings
from tests.support.upstream import PLATFORMS, Upstream, publisher, upstream


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with upstream() as up:
        yield up


class TestOpenTofuReleases(RegistryMirrorKit):
    @pytest.fixture
    def mirror(self, up: Upstream, tmp_path: Path) -> RegistryMirror:
        key = tmp_path / "key.asc"
        key.write_text(publisher().armor)
        settings = OpenTofuSettings(
            index_url=f"{up.url}/tofu/api.json", download_url=f"{up.url}/opentofu/opentofu/releases/download", signed_by=key
        )
        return OpenTofuReleases(settings, http_clients(up.ca_file))

    @pytest.fixture
    def offer(self, up: Upstream) -> Offer:
        content = up.engines["tofu"].versions["1.9.1"].files[PLATFORMS[1]]
        assert isinstance(content, bytes)
        return Offer(EngineSource("tofu"), "1.9.1", Platform(*PLATFORMS[1]), content)

    @pytest.fixture
    def stopped(self, up: Upstream) -> Trouble:
        return up.stopped

    @pytest.fixture
    def cut(self, up: Upstream) -> Trouble:
        return partial(up.twisted, "*.zip", cut=100)
