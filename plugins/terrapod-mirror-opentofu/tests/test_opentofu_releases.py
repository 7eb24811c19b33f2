from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pysequoia import Cert

from terrapod_core.plugin import EngineSource, Platform, UpstreamFailed, UpstreamMissing
from terrapod_core.testing.mirrors import fetched, http_clients
from terrapod_mirror_opentofu.releases import OpenTofuReleases
from terrapod_mirror_opentofu.settings import FINGERPRINT, OpenTofuSettings
from tests.support.upstream import PLATFORMS, Upstream, publisher, upstream

TOFU = EngineSource("tofu")
HERE = Platform(*PLATFORMS[0])


@pytest.fixture
def up() -> Iterator[Upstream]:
    with upstream() as up:
        yield up


@pytest.fixture
def key(tmp_path: Path) -> Path:
    key = tmp_path / "key.asc"
    key.write_text(publisher().armor)
    return key


@pytest.fixture
def mirror(up: Upstream, key: Path) -> OpenTofuReleases:
    return made(up, key)


def made(up: Upstream, key: Path, **settings: Any) -> OpenTofuReleases:
    download = f"{up.url}/opentofu/opentofu/releases/download/"
    chosen = OpenTofuSettings(index_url=f"{up.url}/tofu/api.json", download_url=download, signed_by=key, **settings)
    return OpenTofuReleases(chosen, http_clients(up.ca_file))


def listing(*releases: tuple[str, list[str]]) -> bytes:
    return json.dumps({"versions": [{"id": version, "files": files} for version, files in releases]}).encode()


async def test_all_versions_are_offered_with_their_platforms(up: Upstream, mirror: OpenTofuReleases) -> None:
    index = await mirror.index(TOFU, None)
    assert index is not None
    assert [each.version for each in index.versions] == ["1.9.1", "1.10.0"]
    assert all(each.platforms == tuple(Platform(*one) for one in PLATFORMS) for each in index.versions)
    assert await mirror.index(TOFU, index.validator) is None
    up.engines["tofu"].add("1.10.1")
    assert await mirror.index(TOFU, index.validator) is not None


async def test_releases_without_a_signature_by_openpgp_are_left_out(up: Upstream, mirror: OpenTofuReleases) -> None:
    signed = ["tofu_1.8.0_SHA256SUMS", "tofu_1.8.0_SHA256SUMS.gpgsig", "tofu_1.8.0_linux_amd64.zip", "tofu_1.8.0_linux_amd64.tar.gz"]
    cosigned = ["tofu_1.6.0-alpha1_SHA256SUMS", "tofu_1.6.0-alpha1_SHA256SUMS.sig", "tofu_1.6.0-alpha1_linux_amd64.zip"]
    up.twist("/tofu/api.json", body=listing(("1.8.0", signed), ("1.6.0-alpha1", cosigned), ("nightly", ["x"])))
    index = await mirror.index(TOFU, None)
    assert index is not None
    assert [(each.version, each.platforms) for each in index.versions] == [("1.8.0", (Platform("linux", "amd64"),))]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"html": True}, "a page for people"),
        ({"body": b'{"versions": [{"id": "1.8.0"}]}'}, "missing required field `files`"),
        ({"body": listing(("../1.8.0", []))}, "names a version '../1.8.0', which is none"),
        ({"body": listing(*[("1.8.0", ["tofu_1.8.0_SHA256SUMS.gpgsig"])] * 2)}, "names a version twice"),
        ({"status": 502}, "answered with HTTP 502"),
        ({"location": "https://elsewhere.test/"}, "elsewhere.test: is not on the list"),
    ],
)
async def test_an_odd_list_has_failed_with_host_and_reason(up: Upstream, mirror: OpenTofuReleases, how: dict[str, Any], said: str) -> None:
    with up.twisted("/tofu/api.json", **how), pytest.raises(UpstreamFailed) as failed:
        await mirror.index(TOFU, None)
    assert said in str(failed.value)
    assert await mirror.index(TOFU, None) is not None


async def test_a_package_has_the_signature_by_openpgp(up: Upstream, mirror: OpenTofuReleases) -> None:
    package = await mirror.package(TOFU, "1.10.0", HERE)
    release = up.engines["tofu"].versions["1.10.0"]
    assert package.sums is not None
    assert (package.sums.document, package.sums.signature, package.sums.keys) == (release.sums, release.signature, ())
    assert up.count("*.sig") == 0, "that is cosign's"
    assert up.count("*.zip") == 0


async def test_what_is_not_there_is_missing(up: Upstream, mirror: OpenTofuReleases) -> None:
    with pytest.raises(UpstreamMissing, match=r"OpenTofu 1\.10\.0 is not made for plan9_arm\."):
        await mirror.package(TOFU, "1.10.0", Platform("plan9", "arm"))
    with pytest.raises(UpstreamMissing, match=r"OpenTofu has no version 1\.2\.3"):
        await mirror.package(TOFU, "1.2.3", HERE)
    with up.twisted("*.gpgsig", status=404), pytest.raises(UpstreamMissing, match="with signed checksums"):
        await mirror.package(TOFU, "1.10.0", HERE)


async def test_downloads_may_lead_to_the_hosts_of_archives_and_to_no_others(up: Upstream, mirror: OpenTofuReleases, key: Path) -> None:
    package = await mirror.package(TOFU, "1.10.0", HERE)
    with upstream() as assets:
        up.assets_url = assets.url
        with pytest.raises(UpstreamFailed, match=rf"{assets.host}: is not on the list .*mirror\.opentofu\.archive_hosts"):
            await fetched(mirror, package)
        assert assets.connections == 0
        right = assets.engines["tofu"].versions["1.10.0"].files[PLATFORMS[0]]
        assert await fetched(made(up, key, archive_hosts=(assets.host,)), package) == right


def test_the_key_that_comes_along_is_opentofus() -> None:
    [key] = OpenTofuSettings().keys
    assert Cert.from_bytes(key.encode()).fingerprint.upper() == FINGERPRINT
    mirror = OpenTofuReleases(OpenTofuSettings(), http_clients())
    assert mirror.keys(TOFU) == (key,)
    assert not mirror.keys(EngineSource("terraform"))


@pytest.mark.parametrize("settings", [{"index_url": "http://x/"}, {"download_url": "ftp://x/"}, {"archive_hosts": ("*",)}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be an https:// address|is no host"):
        OpenTofuSettings(**settings)
