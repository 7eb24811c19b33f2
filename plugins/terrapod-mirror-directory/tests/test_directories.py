from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terrapod_core.plugin import EngineSource, ModuleSource, Package, Platform, ProviderSource, UpstreamFailed, UpstreamMissing
from terrapod_core.testing.mirrors import fetched, http_clients
from terrapod_mirror_directory.mirror import Directory
from terrapod_mirror_directory.settings import DirectorySettings
from tests.support.upstream import PLATFORMS, Upstream, publisher, upstream
from tests.support.upstream_releases import h1_of

HOST = "registry.terraform.io"
TERRAFORM, TOFU = EngineSource("terraform"), EngineSource("tofu")
FAKE = ProviderSource(HOST, "acme", "fake")
HERE = Platform(*PLATFORMS[0])


@pytest.fixture(scope="module")
def shared() -> Iterator[Upstream]:
    with upstream() as up:
        yield up


@pytest.fixture
def up(shared: Upstream) -> Upstream:
    shared.heal()
    shared.forget()
    return shared


@pytest.fixture
def key(tmp_path: Path) -> Path:
    key = tmp_path / "key.asc"
    key.write_text(publisher().armor)
    return key


@pytest.fixture
def folder(up: Upstream, tmp_path: Path) -> Path:
    folder = tmp_path / "engines"
    folder.mkdir()
    up.write_directory(folder)
    return folder


@pytest.fixture
def tree(up: Upstream, tmp_path: Path) -> Path:
    up.write_tree(tmp_path / "tree", HOST)
    return tmp_path / "tree"


def mirror_of_tree(tree: Path) -> Directory:
    return Directory(DirectorySettings(providers_at=str(tree), provider_hosts=("Registry.Terraform.io",)), http_clients())


# -- what it serves


def test_it_serves_what_the_settings_name(folder: Path, tree: Path, key: Path) -> None:
    nothing = Directory(DirectorySettings(), http_clients())
    assert not any(nothing.serves(each) for each in (TERRAFORM, TOFU, FAKE))
    assert not nothing.hosts()
    engines = Directory(DirectorySettings(engines_at=str(folder), signed_by=key, engines=("tofu",)), http_clients())
    assert [engines.serves(each) for each in (TERRAFORM, TOFU, FAKE)] == [False, True, False]
    assert [len(engines.keys(each)) for each in (TERRAFORM, TOFU, FAKE)] == [0, 1, 0]
    providers = mirror_of_tree(tree)
    assert [providers.serves(each) for each in (TERRAFORM, FAKE)] == [False, True]
    assert not providers.serves(ProviderSource("registry.opentofu.org", "acme", "fake"))
    assert not providers.serves(ModuleSource(HOST, "acme", "pet", "null"))
    assert providers.hosts() == (HOST,)


# -- engines


async def test_engines_are_told_apart_and_a_new_one_is_seen(up: Upstream, folder: Path, key: Path) -> None:
    mirror = Directory(DirectorySettings(engines_at=str(folder), signed_by=key), http_clients())
    index = await mirror.index(TERRAFORM, None)
    assert index is not None
    assert {each.version for each in index.versions} == {"1.9.8", "1.11.4", "1.12.0-beta1"}
    tofu = await mirror.index(TOFU, None)
    assert tofu is not None
    assert {each.version for each in tofu.versions} == {"1.9.1", "1.10.0"}
    assert await mirror.index(TERRAFORM, index.validator) is None
    sums = folder / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes() + b"%s  terraform_1.13.0_linux_amd64.zip\n" % (b"0" * 64))
    later = await mirror.index(TERRAFORM, index.validator)
    assert later is not None
    assert len(later.versions) == 4


async def test_signed_engines_come_with_what_was_signed(up: Upstream, key: Path) -> None:
    mirror = Directory(DirectorySettings(engines_at=f"{up.url}/directory", signed_by=key), http_clients(up.ca_file))
    package = await mirror.package(TERRAFORM, "1.9.8", HERE)
    assert package.sums is not None
    assert package.sums.document.count(b"\n") == 20, "one list for all"
    assert package.sha256 == up.engines["terraform"].versions["1.9.8"].digest(PLATFORMS[0])


async def test_a_signature_that_is_missing_is_not_overlooked(folder: Path, key: Path) -> None:
    (folder / "SHA256SUMS.sig").unlink()
    mirror = Directory(DirectorySettings(engines_at=str(folder), signed_by=key), http_clients())
    with pytest.raises(UpstreamMissing, match=r"no SHA256SUMS\.sig .* must be signed \(mirror\.directory\.unsigned lifts this\)\."):
        await mirror.package(TERRAFORM, "1.9.8", HERE)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(UpstreamMissing, match="There is no SHA256SUMS"):
        await mirror.index(TERRAFORM, None)


async def test_unsigned_engines_have_the_checksums_that_there_are(folder: Path) -> None:
    mirror = Directory(DirectorySettings(engines_at=str(folder), unsigned=True), http_clients())
    package = await mirror.package(TERRAFORM, "1.9.8", HERE)
    assert package.sums is None
    assert package.sha256 is not None
    (folder / "SHA256SUMS").write_bytes(b"")
    with pytest.raises(UpstreamMissing, match=r"There is no terraform_1\.9\.8"):
        await mirror.package(TERRAFORM, "1.9.8", HERE)


@pytest.mark.parametrize(
    ("sums", "said"),
    [
        (b"<html>\n", "whose line 1 is not a SHA-256"),
        (b"%s\n" % (b"0" * 64), "whose line 1 is not"),
        (b"\xff\xfe" * 100, "whose line 1 is not"),
        (b"x" * (2 << 20), "has more than"),
    ],
)
async def test_odd_checksums_have_failed(folder: Path, key: Path, sums: bytes, said: str) -> None:
    (folder / "SHA256SUMS").write_bytes(sums)
    mirror = Directory(DirectorySettings(engines_at=str(folder), signed_by=key), http_clients())
    with pytest.raises(UpstreamFailed, match=said) as failed:
        await mirror.index(TERRAFORM, None)
    assert str(folder) in str(failed.value)


async def test_a_directory_that_is_not_there_is_no_empty_one(tmp_path: Path, key: Path) -> None:
    mirror = Directory(DirectorySettings(engines_at=str(tmp_path / "unmounted"), signed_by=key), http_clients())
    with pytest.raises(UpstreamFailed, match="unmounted: is no directory that is there"):
        await mirror.index(TERRAFORM, None)


# -- trees


async def test_a_tree_tells_hashes_and_has_no_platforms_in_its_index(up: Upstream, tree: Path) -> None:
    mirror = mirror_of_tree(tree)
    index = await mirror.index(FAKE, None)
    assert index is not None
    assert [(each.version, each.platforms) for each in index.versions] == [("1.0.0", None), ("1.1.0", None)]
    package = await mirror.package(FAKE, "1.0.0", HERE)
    assert (package.sums, package.h1) == (None, h1_of(up.providers["acme/fake"].versions["1.0.0"].files[PLATFORMS[0]]))


async def test_zips_by_their_checksum_are_understood_too(tree: Path) -> None:
    document = tree / HOST / "acme/fake/1.0.0.json"
    archives = json.loads(document.read_text())["archives"]
    archives[str(HERE)]["hashes"] = ["zh:" + "a" * 64, "h9:strange"]
    document.write_text(json.dumps({"archives": archives}))
    package = await mirror_of_tree(tree).package(FAKE, "1.0.0", HERE)
    assert (package.sha256, package.h1) == ("a" * 64, None)


async def test_a_missing_platform_is_told_with_those_that_there_are(tree: Path) -> None:
    with pytest.raises(UpstreamMissing, match=rf"is in file://.* for {HERE}, .*, and not for plan9_arm\."):
        await mirror_of_tree(tree).package(FAKE, "1.0.0", Platform("plan9", "arm"))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"<html>", "is no JSON but a page"),
        (b'{"archives": []}', "Expected `object`"),
        (b'{"archives": {"x/y": {"url": "x"}}}', "names a platform"),
    ],
)
async def test_an_odd_document_has_failed(tree: Path, document: bytes, said: str) -> None:
    (tree / HOST / "acme/fake/1.0.0.json").write_bytes(document)
    with pytest.raises(UpstreamFailed, match=said):
        await mirror_of_tree(tree).package(FAKE, "1.0.0", HERE)


@pytest.mark.parametrize(
    "url", ["../../../../secret.zip", "/etc/hostname", "file:///etc/hostname", "https://elsewhere.test/x.zip", "link.zip"]
)
async def test_a_tree_leads_to_nothing_outside_of_it(tree: Path, tmp_path: Path, url: str) -> None:
    (tmp_path / "secret.zip").write_bytes(b"secret")
    (tree / HOST / "acme/fake/link.zip").symlink_to(tmp_path / "secret.zip")
    document = tree / HOST / "acme/fake/1.0.0.json"
    document.write_text(json.dumps({"archives": {str(HERE): {"url": url}}}))
    mirror = mirror_of_tree(tree)
    with pytest.raises(UpstreamFailed, match="names a file outside of it"):
        await fetched(mirror, await mirror.package(FAKE, "1.0.0", HERE))


async def test_a_tree_behind_an_address_leads_to_listed_hosts_alone(up: Upstream) -> None:
    settings = DirectorySettings(providers_at=f"{up.url}/mirror", provider_hosts=(HOST,))
    mirror = Directory(settings, http_clients(up.ca_file))
    archives = {str(HERE): {"url": "https://elsewhere.test/x.zip", "hashes": []}}
    up.twist(f"/mirror/{HOST}/acme/fake/1.0.0.json", body=json.dumps({"archives": archives}).encode())
    package = await mirror.package(FAKE, "1.0.0", HERE)
    with pytest.raises(UpstreamFailed, match=r"elsewhere\.test: is not on the list .*mirror\.directory\.archive_hosts"):
        await fetched(mirror, package)


@pytest.mark.parametrize(
    "source", [ProviderSource(HOST, "..", "fake"), ProviderSource(HOST, "acme", "../fake"), ProviderSource(HOST, "", "x")]
)
async def test_names_that_are_none_lead_nowhere(tree: Path, source: ProviderSource) -> None:
    with pytest.raises(UpstreamMissing, match="There can be nothing called"):
        await mirror_of_tree(tree).index(source, None)


# -- bytes


async def test_a_file_that_is_changed_while_it_is_read_has_failed(folder: Path) -> None:
    mirror = Directory(DirectorySettings(engines_at=str(folder), unsigned=True), http_clients())
    package = await mirror.package(TERRAFORM, "1.9.8", HERE)
    path = folder / package.filename
    path.write_bytes(bytes(600_000))
    pieces = mirror.fetch(package)
    await anext(pieces)
    path.write_bytes(b"")
    with pytest.raises(UpstreamFailed, match="was changed while it was read"):
        [piece async for piece in pieces]


async def test_a_file_that_is_too_large_is_not_read(folder: Path) -> None:
    mirror = Directory(DirectorySettings(engines_at=str(folder), unsigned=True, max_archive_bytes=100), http_clients())
    with pytest.raises(UpstreamFailed, match="has more than 100 bytes"):
        await fetched(mirror, await mirror.package(TERRAFORM, "1.9.8", HERE))


async def test_a_location_of_elsewhere_is_not_read(folder: Path) -> None:
    mirror = Directory(DirectorySettings(engines_at=str(folder), unsigned=True), http_clients())
    for location in ("file:///etc/hostname", "https://elsewhere.test/x.zip", f"{folder.as_uri()}/../x"):
        with pytest.raises(UpstreamFailed):
            await fetched(mirror, Package("x.zip", location))


# -- settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"engines_at": "relative/path", "unsigned": True}, "engines_at must be an https:// address or an absolute path"),
        ({"engines_at": "http://x/", "unsigned": True}, "engines_at must be an https:// address"),
        ({"engines_at": "/srv/engines"}, "needs either signed_by"),
        ({"engines_at": "/srv/engines", "unsigned": True, "signed_by": Path("/x")}, "needs either signed_by"),
        ({"providers_at": "/srv/tree"}, "go together"),
        ({"provider_hosts": ("registry.terraform.io",)}, "go together"),
        ({"providers_at": "/srv/tree", "provider_hosts": ("*.terraform.io",)}, "is many hosts"),
        ({"providers_at": "/srv/tree", "provider_hosts": ("a/b",)}, "is no host"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DirectorySettings(**settings)
