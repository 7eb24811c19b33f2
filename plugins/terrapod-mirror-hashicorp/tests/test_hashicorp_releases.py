from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pysequoia import Cert

from terrapod_core.plugin import EngineSource, Package, Platform, ProviderSource, UpstreamFailed, UpstreamMissing
from terrapod_core.testing.mirrors import fetched, http_clients
from terrapod_mirror_hashicorp.releases import HashiCorpReleases
from terrapod_mirror_hashicorp.settings import FINGERPRINT, HashiCorpSettings
from tests.support.upstream import PLATFORMS, Upstream, publisher, upstream

TERRAFORM = EngineSource("terraform")
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
def mirror(up: Upstream, key: Path) -> HashiCorpReleases:
    return made(up, key)


def made(up: Upstream, key: Path, **settings: Any) -> HashiCorpReleases:
    return HashiCorpReleases(HashiCorpSettings(url=f"{up.url}/", signed_by=key, **settings), http_clients(up.ca_file))


def edited(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    """A document with something in it changed."""

    def edit(body: bytes) -> bytes:
        document = json.loads(body)
        change(document)
        return json.dumps(document).encode()

    return edit


async def test_all_versions_are_offered_with_their_platforms(up: Upstream, mirror: HashiCorpReleases) -> None:
    index = await mirror.index(TERRAFORM, None)
    assert index is not None
    assert {each.version for each in index.versions} == {"1.9.8", "1.11.4", "1.12.0-beta1"}
    assert all(each.platforms == tuple(Platform(*one) for one in PLATFORMS) for each in index.versions)
    up.engines["terraform"].add("1.13.0")
    later = await mirror.index(TERRAFORM, index.validator)
    assert later is not None
    assert "1.13.0" in {each.version for each in later.versions}
    assert await mirror.index(TERRAFORM, later.validator) is None


async def test_versions_and_builds_that_mean_nothing_to_terraform_are_left_out(up: Upstream, mirror: HashiCorpReleases) -> None:
    def change(index: Any) -> None:
        index["versions"]["1.9"] = {**index["versions"]["1.9.8"], "version": "1.9"}
        index["versions"]["1.9.8"]["builds"].append({"os": "linux", "arch": "arm", "filename": "terraform_1.9.8_linux_arm.deb"})

    with up.twisted("/terraform/index.json", body=edited(change)):
        index = await mirror.index(TERRAFORM, None)
    assert index is not None
    assert "1.9" not in {each.version for each in index.versions}
    assert all(len(each.platforms or ()) == 4 for each in index.versions)


def absurd_version(index: Any) -> None:
    index["versions"]["../../etc"] = {"version": "../../etc", "builds": []}


def other_version(index: Any) -> None:
    index["versions"]["1.9.8"]["version"] = "1.9.9"


def absurd_platform(index: Any) -> None:
    index["versions"]["1.9.8"]["builds"][0]["os"] = "../linux"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"html": True}, "is no JSON but a page for people"),
        ({"body": b"\x00\xff"}, "is no JSON"),
        ({"body": b'{"x":' + b"[" * 100_000}, "is no JSON"),
        ({"body": b"{}"}, "missing required field `name`"),
        ({"body": b'{"name": "terraform", "versions": []}'}, "Expected `object`, got `array`"),
        ({"body": b'{"name": "vault", "versions": {}}'}, "releases of something else than terraform"),
        ({"body": edited(absurd_version)}, "names a version '../../etc', which is none"),
        ({"body": edited(other_version)}, "has a version '1.9.9' in the place of 1.9.8"),
        ({"body": edited(absurd_platform)}, "names a platform '../linux_"),
        ({"body": b" " * (17 << 20)}, "answers with more than"),
        ({"status": 500}, "answered with HTTP 500"),
        ({"status": 403}, "refuses us (HTTP 403)"),
        ({"status": 429}, "has been asked too often"),
        ({"status": 304}, "answered with HTTP 304"),
        ({"headers": {"Content-Encoding": "gzip"}}, "answers in a compressed form"),
        ({"cut": 50}, "broke the connection off"),
        ({"declared": 100_000}, "broke"),
        ({"location": "http://localhost/x"}, "must be asked by https"),
        ({"location": "https://elsewhere.test/index.json"}, "(mirror.hashicorp.archive_hosts adds to it)"),
    ],
)
async def test_an_odd_index_has_failed_with_host_and_reason(
    up: Upstream, mirror: HashiCorpReleases, how: dict[str, Any], said: str
) -> None:
    with up.twisted("/terraform/index.json", **how), pytest.raises(UpstreamFailed) as failed:
        await mirror.index(TERRAFORM, None)
    assert said in str(failed.value)
    assert str(failed.value).startswith(("localhost", "elsewhere.test"))
    assert await mirror.index(TERRAFORM, None) is not None


async def test_too_many_versions_are_too_many(up: Upstream, mirror: HashiCorpReleases) -> None:
    body = json.dumps({"name": "terraform", "versions": {f"1.{n}.0": {"version": f"1.{n}.0", "builds": []} for n in range(10_001)}})
    with up.twisted("/terraform/index.json", body=body.encode()), pytest.raises(UpstreamFailed, match="more than 10000 versions"):
        await mirror.index(TERRAFORM, None)


async def test_an_upstream_that_stands_still_has_failed(up: Upstream, key: Path) -> None:
    mirror = made(up, key, document_seconds=0.3, idle_seconds=0.3)
    package = await mirror.package(TERRAFORM, "1.9.8", HERE)
    gate = up.gate("*", after=10)
    with pytest.raises(UpstreamFailed, match=r"did not answer within 0\.3 s"):
        await mirror.index(TERRAFORM, None)
    with pytest.raises(UpstreamFailed, match=r"sent nothing for 0\.3 s"):
        await fetched(mirror, package)
    gate.open()


async def test_a_slow_download_arrives(up: Upstream, key: Path) -> None:
    release = up.engines["terraform"].add("1.8.0", size=100_000)
    mirror = made(up, key, document_seconds=0.5, idle_seconds=5)
    package = await mirror.package(TERRAFORM, "1.8.0", HERE)
    up.twist("*.zip", bytes_per_second=100_000)
    assert await fetched(mirror, package) == release.files[PLATFORMS[0]]


async def test_a_file_that_is_too_large_is_not_fetched(up: Upstream, key: Path) -> None:
    mirror = made(up, key, max_archive_bytes=100)
    with pytest.raises(UpstreamFailed, match="answers with more than 100 bytes"):
        await fetched(mirror, await mirror.package(TERRAFORM, "1.9.8", HERE))


async def test_a_page_for_people_is_no_file(up: Upstream, mirror: HashiCorpReleases) -> None:
    package = await mirror.package(TERRAFORM, "1.9.8", HERE)
    with up.twisted("*.zip", html=True), pytest.raises(UpstreamFailed, match="a page for people in the place of a file"):
        await fetched(mirror, package)
    with up.twisted("*.zip", status=404), pytest.raises(UpstreamMissing, match="is not there any more"):
        await fetched(mirror, package)


# -- packages


async def test_a_missing_platform_is_told_with_those_that_there_are(up: Upstream, mirror: HashiCorpReleases) -> None:
    release = up.engines["terraform"].versions["1.9.8"]
    for platform in PLATFORMS[1:]:
        del release.files[platform]
    with pytest.raises(UpstreamMissing, match=rf"HashiCorp has terraform 1\.9\.8 for {HERE}, and not for plan9_arm\."):
        await mirror.package(TERRAFORM, "1.9.8", Platform("plan9", "arm"))


async def test_a_withdrawn_version_is_missing(up: Upstream, mirror: HashiCorpReleases) -> None:
    up.engines["terraform"].withdraw("1.9.8")
    with pytest.raises(UpstreamMissing, match=r"HashiCorp has no terraform 1\.9\.8\."):
        await mirror.package(TERRAFORM, "1.9.8", HERE)


async def test_the_signature_of_the_pinned_key_is_taken_where_there_are_several(up: Upstream, mirror: HashiCorpReleases) -> None:
    by_key = f"*_SHA256SUMS.{publisher().key_id[-8:]}.sig"
    package = await mirror.package(TERRAFORM, "1.9.8", HERE)
    assert package.sums is not None
    assert package.sums.signature == up.engines["terraform"].versions["1.9.8"].signature
    assert (up.count(by_key), up.count("*_SHA256SUMS.sig")) == (1, 0)

    def only_one(release: Any) -> None:
        del release["shasums_signatures"]

    up.twist("/terraform/1.9.8/index.json", body=edited(only_one))
    await mirror.package(TERRAFORM, "1.9.8", HERE)
    assert (up.count(by_key), up.count("*_SHA256SUMS.sig")) == (1, 1)


@pytest.mark.parametrize("name", ["*_SHA256SUMS", "*.sig"])
async def test_a_release_without_signed_checksums_is_missing(up: Upstream, mirror: HashiCorpReleases, name: str) -> None:
    with up.twisted(name, status=404), pytest.raises(UpstreamMissing, match="has no signed checksums at https://localhost"):
        await mirror.package(TERRAFORM, "1.9.8", HERE)


async def test_what_the_documents_say_of_addresses_is_not_followed(up: Upstream, mirror: HashiCorpReleases) -> None:
    def elsewhere(release: Any) -> None:
        for build in release["builds"]:
            build["url"] = "https://elsewhere.test/terraform.zip"

    with up.twisted("/terraform/1.9.8/index.json", body=edited(elsewhere)):
        package = await mirror.package(TERRAFORM, "1.9.8", HERE)
    assert package.location.startswith(f"{up.url}/terraform/1.9.8/")


async def test_a_redirect_elsewhere_is_refused_unless_it_is_listed(up: Upstream, mirror: HashiCorpReleases, key: Path) -> None:
    package = await mirror.package(TERRAFORM, "1.9.8", HERE)
    with upstream() as other:
        up.twist("*.zip", location=f"{other.url}/terraform/1.9.8/{package.filename}")
        with pytest.raises(UpstreamFailed, match=rf"{other.host}: is not on the list .*mirror\.hashicorp\.archive_hosts"):
            await fetched(mirror, package)
        assert other.connections == 0
        listing = made(up, key, archive_hosts=(other.host,))
        assert await fetched(listing, package) == other.engines["terraform"].versions["1.9.8"].files[PLATFORMS[0]]


async def test_a_location_of_elsewhere_is_not_asked(up: Upstream, mirror: HashiCorpReleases) -> None:
    with pytest.raises(UpstreamFailed, match=r"169\.254\.169\.254: is not on the list"):
        await fetched(mirror, Package("terraform.zip", "https://169.254.169.254/latest"))
    assert up.connections == 0


# -- settings


def test_the_key_that_comes_along_is_hashicorps() -> None:
    [key] = HashiCorpSettings().keys
    assert Cert.from_bytes(key.encode()).fingerprint.upper() == FINGERPRINT
    mirror = HashiCorpReleases(HashiCorpSettings(), http_clients())
    assert mirror.keys(TERRAFORM) == (key,)
    assert not mirror.keys(ProviderSource("registry.terraform.io", "hashicorp", "aws"))


def test_another_key_takes_its_place(key: Path) -> None:
    key.write_text(publisher().armor + "\nand\n" + HashiCorpSettings().keys[0])
    assert len(HashiCorpSettings(signed_by=key).keys) == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "http://releases.hashicorp.com"}, "url must be an https:// address"),
        ({"url": "https://user:hunter2@releases.hashicorp.com"}, "url must be an https:// address"),
        ({"url": "releases.hashicorp.com"}, "url must be an https:// address"),
        ({"archive_hosts": ("https://x",)}, "is no host"),
        ({"signed_by": Path("/nowhere/key.asc")}, "cannot be read: No such file"),
        ({"signed_by": Path(__file__)}, "holds no public key"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        HashiCorpSettings(**settings)
    assert "hunter2" not in str(refused.value)
