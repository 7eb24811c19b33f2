from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from terrapod_core.plugin import EngineSource, ModuleSource, Package, Platform, ProviderSource, UpstreamFailed, UpstreamMissing
from terrapod_core.testing.mirrors import fetched, http_clients
from terrapod_mirror_registry import mirror as mirror_module
from terrapod_mirror_registry.mirror import Registries
from terrapod_mirror_registry.settings import RegistrySettings
from tests.support.upstream import PLATFORMS, Upstream, upstream
from tests.support.upstream_releases import packed

HERE = Platform(*PLATFORMS[0])
DOWNLOAD = f"/v1/providers/acme/fake/1.0.0/download/{HERE.os}/{HERE.arch}"
VERSIONS = "/v1/providers/acme/fake/versions"


@pytest.fixture
def up() -> Iterator[Upstream]:
    with upstream() as up:
        yield up


@pytest.fixture
def mirror(up: Upstream) -> Registries:
    return made(up)


def made(up: Upstream, **settings: Any) -> Registries:
    return Registries(RegistrySettings(**{"hosts": (up.host,), **settings}), http_clients(up.ca_file))


def fake(up: Upstream) -> ProviderSource:
    return ProviderSource(up.host, "acme", "fake")


def pet(up: Upstream) -> ModuleSource:
    return ModuleSource(up.host, "acme", "pet", "null")


def edited(**changes: Any) -> Callable[[bytes], bytes]:
    """A document with some of its members changed; one that is `None` is left out."""

    def edit(body: bytes) -> bytes:
        document = {**json.loads(body), **changes}
        return json.dumps({name: value for name, value in document.items() if value is not None}).encode()

    return edit


# -- what it serves


def test_it_serves_the_hosts_that_are_listed(up: Upstream) -> None:
    mirror = made(up, hosts=("Registry.Terraform.IO", "bücher.example:8443", "[::1]:443"))
    assert set(mirror.hosts()) == {"registry.terraform.io", "xn--bcher-kva.example:8443", "[::1]"}
    assert mirror.serves(ProviderSource("registry.terraform.io", "hashicorp", "aws"))
    assert mirror.serves(ModuleSource("xn--bcher-kva.example:8443", "a", "b", "c"))
    assert not mirror.serves(ProviderSource("xn--bcher-kva.example", "hashicorp", "aws"))
    assert not mirror.serves(EngineSource("terraform"))
    assert set(Registries(RegistrySettings(), http_clients()).hosts()) == {"registry.terraform.io", "registry.opentofu.org"}


# -- discovery


async def test_discovery_is_asked_once_for_many_and_remembered(up: Upstream, mirror: Registries) -> None:
    await asyncio.gather(*(mirror.index(fake(up), None) for _ in range(10)), mirror.index(pet(up), None))
    assert up.count("/.well-known/*") == 1
    forgetful = made(up, discovery_seconds=0)
    await forgetful.index(fake(up), None)
    await forgetful.index(fake(up), None)
    assert up.count("/.well-known/*") == 3


async def test_a_failed_discovery_is_asked_again_and_one_failure_is_enough_for_all(up: Upstream, mirror: Registries) -> None:
    gate = up.gate("/.well-known/*")
    up.twists[-1][1].status = 503
    asking = [asyncio.create_task(mirror.index(fake(up), None)) for _ in range(5)]
    await asyncio.to_thread(gate.wait)
    gate.open()
    assert [type(each) for each in await asyncio.gather(*asking, return_exceptions=True)] == [UpstreamFailed] * 5
    assert up.count("/.well-known/*") == 1
    up.heal()
    assert await mirror.index(fake(up), None) is not None


async def test_whoever_leaves_does_not_end_the_discovery_of_others(up: Upstream, mirror: Registries) -> None:
    gate = up.gate("/.well-known/*")
    first, second = (asyncio.create_task(mirror.index(fake(up), None)) for _ in range(2))
    await asyncio.to_thread(gate.wait)
    first.cancel()
    gate.open()
    assert await second is not None


async def test_a_host_without_a_registry_is_told_so(up: Upstream, mirror: Registries) -> None:
    up.services = {"login.v1": {"client": "x"}}
    with pytest.raises(UpstreamMissing, match=rf"{up.host} has no registry of providers\."):
        await mirror.index(fake(up), None)
    with pytest.raises(UpstreamMissing, match=rf"{up.host} has no registry of modules\."):
        await mirror.index(pet(up), None)
    with up.twisted("/.well-known/*", status=404), pytest.raises(UpstreamMissing, match=r"has no registry: nothing is at https://"):
        await made(up).index(fake(up), None)


@pytest.mark.parametrize("base", ["/other/", "other", "https://localhost:{port}/other"])
async def test_services_may_be_anywhere_on_the_host(up: Upstream, mirror: Registries, base: str) -> None:
    up.services = {"providers.v1": base.format(port=up.port)}
    up.twist("*/other/acme/fake/versions", body=b'{"versions": [{"version": "7.0.0"}]}')
    index = await mirror.index(fake(up), None)
    assert index is not None
    assert [each.version for each in index.versions] == ["7.0.0"]


async def test_discovery_leads_to_no_other_host_that_is_not_listed(up: Upstream, mirror: Registries) -> None:
    with upstream() as other:
        up.services = {"providers.v1": f"{other.url}/v1/providers/"}
        with pytest.raises(UpstreamFailed, match=rf"{other.host}: is not on the list .*mirror\.registry\.archive_hosts"):
            await mirror.index(fake(up), None)
        assert other.connections == 0
        listing = made(up, archive_hosts=(other.host,))
        assert await listing.index(fake(up), None) is not None
        package = await listing.package(fake(up), "1.0.0", HERE)
        assert package.location == f"{other.url}{DOWNLOAD}#{up.host}"
        assert await fetched(listing, package) == other.providers["acme/fake"].versions["1.0.0"].files[PLATFORMS[0]]
        assert await fetched(made(up, archive_hosts=(other.host,)), package), "by a process that has not asked before"


@pytest.mark.parametrize(
    "base", ["http://localhost:{port}/v1/providers/", "//u:p@localhost/", "https://169.254.169.254/", "ftp://x/", "https://[x"]
)
async def test_discovery_leads_nowhere_else(up: Upstream, mirror: Registries, base: str) -> None:
    up.services = {"providers.v1": base.format(port=up.port)}
    with pytest.raises(UpstreamFailed):
        await mirror.index(fake(up), None)
    assert up.count("/v1/*") == 0


@pytest.mark.parametrize("body", [b'{"providers.v1": {"a": 1}}', b"[]", b"<html>"])
async def test_an_odd_discovery_has_failed(up: Upstream, mirror: Registries, body: bytes) -> None:
    with up.twisted("/.well-known/*", body=body), pytest.raises(UpstreamFailed, match=up.host):
        await mirror.index(fake(up), None)


# -- other addresses, and who we are


async def test_a_host_is_asked_at_its_other_address(up: Upstream) -> None:
    """With a path before its own, as a proxy of repositories has it; addresses stay those of the host."""
    up.services = {"providers.v1": "https://registry.terraform.io/v1/providers/"}
    up.twist("/proxy/.well-known/terraform.json", body=json.dumps(up.services).encode())
    up.twist(f"/proxy{VERSIONS}", body=b'{"versions": [{"version": "7.0.0"}]}')
    mirror = Registries(RegistrySettings(addresses=(f"registry.terraform.io={up.url}/proxy/",)), http_clients(up.ca_file))
    index = await mirror.index(ProviderSource("registry.terraform.io", "acme", "fake"), None)
    assert index is not None
    assert [each.path for each in up.asked] == ["/proxy/.well-known/terraform.json", f"/proxy{VERSIONS}"]


async def test_a_token_is_shown_to_its_registry_and_never_to_another_origin(up: Upstream) -> None:
    up.token = "hunter2"
    with pytest.raises(UpstreamFailed, match=r"refuses us \(HTTP 401\); it may want a token") as refused:
        await made(up).index(fake(up), None)
    assert "hunter2" not in str(refused.value)
    up.forget()
    with upstream() as other:
        up.archives_url = other.url
        mirror = made(up, tokens=(f"{up.host}=hunter2",), archive_hosts=(other.host,))
        await mirror.index(fake(up), None)
        await fetched(mirror, await mirror.package(fake(up), "1.0.0", HERE))
        await fetched(mirror, await mirror.package(pet(up), "1.0.0", None))
        assert all(each.headers.get("authorization") == "Bearer hunter2" for each in up.asked)
        assert other.asked
        assert not any("authorization" in each.headers for each in other.asked)
        other.forget()
        up.twist(VERSIONS, location=f"{other.url}{VERSIONS}")
        await mirror.index(fake(up), None)
        assert not any("authorization" in each.headers for each in other.asked)


async def test_a_token_is_not_shown_to_services_elsewhere(up: Upstream) -> None:
    with upstream() as other:
        up.services = {"providers.v1": f"{other.url}/v1/providers/"}
        mirror = made(up, tokens=(f"{up.host}=hunter2",), archive_hosts=(other.host,))
        await mirror.index(fake(up), None)
        assert other.asked
        assert not any("authorization" in each.headers for each in other.asked)


# -- providers


async def test_an_index_of_a_provider(up: Upstream, mirror: Registries) -> None:
    up.protocol_warnings = ["This provider has moved.", "x" * 5000, "\x1b[2J"]
    index = await mirror.index(fake(up), None)
    assert index is not None
    assert [each.version for each in index.versions] == ["1.0.0", "1.1.0"]
    assert all(each.protocols == ("6.0",) and each.platforms == tuple(Platform(*one) for one in PLATFORMS) for each in index.versions)
    assert [len(each) for each in index.warnings] == [24, 1000]
    assert await mirror.index(fake(up), index.validator) is None


async def test_a_registry_that_says_little_is_understood(up: Upstream, mirror: Registries) -> None:
    versions = [{"version": "1.0.0", "protocols": None, "platforms": []}, {"version": "1.0"}]
    with up.twisted(VERSIONS, body=json.dumps({"versions": versions}).encode()):
        index = await mirror.index(fake(up), None)
    assert index is not None
    assert [(each.version, each.platforms, each.protocols) for each in index.versions] == [("1.0.0", None, ())]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"html": True}, "a page for people"),
        ({"body": b'{"errors": ["x"]}'}, "missing required field `versions`"),
        ({"body": b'{"versions": [{"version": "1.0.0/../../x"}]}'}, "names a version '1.0.0/../../x', which is none"),
        ({"body": b'{"versions": [{"version": ""}]}'}, "names a version '', which is none"),
        ({"body": b'{"versions": [{"version": "1.0.0"}, {"version": "1.0.0"}]}'}, "names a version twice"),
        ({"body": b'{"versions": [{"version": "1.0.0", "platforms": [{"os": "Linux", "arch": "amd64"}]}]}'}, "names a platform"),
        ({"body": b'{"versions": [{"version": "1.0.0", "protocols": ["six"]}]}'}, "names a protocol of plugins that is none"),
        ({"status": 500}, "HTTP 500"),
    ],
)
async def test_an_odd_index_has_failed(up: Upstream, mirror: Registries, how: dict[str, Any], said: str) -> None:
    with up.twisted(VERSIONS, **how), pytest.raises(UpstreamFailed) as failed:
        await mirror.index(fake(up), None)
    assert str(failed.value).startswith(f"{up.host}: ")
    assert said in str(failed.value)


async def test_a_package_of_a_provider(up: Upstream, mirror: Registries) -> None:
    release = up.providers["acme/fake"].versions["1.0.0"]
    package = await mirror.package(fake(up), "1.0.0", HERE)
    assert package.filename == release.name(PLATFORMS[0])
    assert package.location == f"{up.url}{DOWNLOAD}"
    assert package.sums is not None
    assert (package.sums.document, package.sums.signature, package.sums.keys) == (release.sums, release.signature, release.keys)
    assert (package.sha256, package.protocols) == (release.digest(PLATFORMS[0]), ("6.0",))
    assert up.count("*.zip") == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"os": "plan9"}, "answered with a package for plan9_"),
        ({"arch": "mips"}, "_mips, and was asked for"),
        ({"filename": "terraform-provider-fake_1.1.0_linux_amd64.zip"}, "which should be terraform-provider-fake_1.0.0_"),
        ({"filename": "../x.zip"}, "names a file '../x.zip'"),
        ({"shasum": "abc"}, "a checksum that is no SHA-256"),
        ({"shasums_url": None}, "names no checksums that are signed"),
        ({"shasums_signature_url": ""}, "names no checksums that are signed"),
        ({"signing_keys": None}, "names no signing keys"),
        ({"signing_keys": {"gpg_public_keys": []}}, "names no signing keys"),
        ({"signing_keys": {"gpg_public_keys": None}}, "names no signing keys"),
        ({"signing_keys": {"gpg_public_keys": [{"ascii_armor": "x"}] * 21}}, "names signing keys that cannot be read"),
        ({"signing_keys": {"gpg_public_keys": [{"key_id": "x"}]}}, "missing required field `ascii_armor`"),
        ({"download_url": None}, "missing required field `download_url`"),
        ({"shasums_url": "https://elsewhere.test/SUMS"}, "elsewhere.test: is not on the list"),
        ({"shasums_signature_url": "http://localhost/sig"}, "must be asked by https"),
    ],
)
async def test_an_odd_package_has_failed(up: Upstream, mirror: Registries, changes: dict[str, Any], said: str) -> None:
    with up.twisted(DOWNLOAD, body=edited(**changes)), pytest.raises(UpstreamFailed) as failed:
        await mirror.package(fake(up), "1.0.0", HERE)
    assert said in str(failed.value)
    assert (await mirror.package(fake(up), "1.0.0", HERE)).sums is not None


async def test_checksums_that_are_not_there_are_missing(up: Upstream, mirror: Registries) -> None:
    with up.twisted("*.sig", status=404), pytest.raises(UpstreamMissing, match="names checksums for .* that are not there"):
        await mirror.package(fake(up), "1.0.0", HERE)


async def test_urls_may_be_relative(up: Upstream, mirror: Registries) -> None:
    folder = "/archives/providers/acme/fake/1.0.0"
    release = up.providers["acme/fake"].versions["1.0.0"]
    changes = {"download_url": f"{folder}/{release.name(PLATFORMS[0])}", "shasums_url": f"../../../../../../..{folder}/{release.sums_name}"}
    with up.twisted(DOWNLOAD, body=edited(**changes)):
        assert await fetched(mirror, await mirror.package(fake(up), "1.0.0", HERE)) == release.files[PLATFORMS[0]]


async def test_archives_come_from_listed_hosts_alone(up: Upstream, mirror: Registries) -> None:
    with upstream() as other:
        with up.twisted(DOWNLOAD, body=edited(download_url=f"{other.url}/x.zip")):
            package = await mirror.package(fake(up), "1.0.0", HERE)
        with pytest.raises(UpstreamFailed, match=rf"{other.host}: is not on the list"):
            await fetched(mirror, package)
        up.twist("*.zip", location=f"{other.url}/x.zip")
        with pytest.raises(UpstreamFailed, match=rf"{other.host}: is not on the list"):
            await fetched(mirror, await mirror.package(fake(up), "1.0.0", HERE))
        assert other.connections == 0


async def test_where_an_archive_is_is_asked_anew_after_a_while(up: Upstream, mirror: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Private registries sign such addresses, and they end; so none is kept for long, and none stands in a package."""
    signed = iter(range(10))

    def sign(body: bytes) -> bytes:
        return edited(download_url=f"/archives/signed-{next(signed)}/x.zip")(body)

    up.twist(DOWNLOAD, body=sign)
    up.twist("/archives/signed-*", body=b"zip")
    package = await mirror.package(fake(up), "1.0.0", HERE)
    assert "signed" not in package.location
    assert await fetched(mirror, package) == b"zip"
    assert up.count(DOWNLOAD) == 1, "just asked"
    assert await fetched(mirror, package) == b"zip"
    assert up.count("/archives/signed-0/x.zip") == up.count("/archives/signed-1/x.zip") == 1
    monkeypatch.setattr(mirror_module, "REMEMBERED_SECONDS", 0.0)
    await fetched(mirror, await mirror.package(fake(up), "1.0.0", HERE))
    assert up.count("/archives/signed-3/x.zip") == 1


async def test_what_is_remembered_is_bounded(up: Upstream, mirror: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "MOST_REMEMBERED", 2)
    for platform in PLATFORMS:
        await mirror.package(fake(up), "1.0.0", Platform(*platform))
    assert len(mirror._said) == 2


@pytest.mark.parametrize("location", ["https://169.254.169.254/x", "https://elsewhere.test/x#other.test", "x", "https://[x"])
async def test_a_location_of_elsewhere_is_not_asked(up: Upstream, mirror: Registries, location: str) -> None:
    with pytest.raises(UpstreamFailed, match=r"is no registry that may be asked \(mirror\.registry\.hosts\)|cannot be read"):
        await fetched(mirror, Package("x.zip", location))
    assert up.connections == 0


async def test_one_host_that_is_away_does_not_touch_another(up: Upstream) -> None:
    with upstream() as other:
        mirror = made(up, hosts=(up.host, other.host))
        up.stop()
        with pytest.raises(UpstreamFailed, match=r"localhost: refuses the connection"):
            await mirror.index(fake(up), None)
        assert await mirror.index(fake(other), None) is not None


# -- modules


async def test_an_index_of_a_module(up: Upstream, mirror: Registries) -> None:
    index = await mirror.index(pet(up), None)
    assert index is not None
    assert [(each.version, each.platforms, each.protocols) for each in index.versions] == [("1.0.0", None, ()), ("1.1.0", None, ())]
    assert await mirror.index(pet(up), index.validator) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"modules": []}', "answered with no module in the place of"),
        (b'{"modules": [{}]}', "missing required field `versions`"),
        (b'{"modules": [{"versions": [{"version": "../x"}]}]}', "names a version"),
    ],
)
async def test_an_odd_index_of_a_module_has_failed(up: Upstream, mirror: Registries, body: bytes, said: str) -> None:
    with up.twisted("/v1/modules/*", body=body), pytest.raises(UpstreamFailed, match=said):
        await mirror.index(pet(up), None)


@pytest.mark.parametrize(("version", "kind"), [("1.0.0", "tar.gz"), ("1.1.0", "zip")])
async def test_archives_of_a_module(up: Upstream, mirror: Registries, version: str, kind: str) -> None:
    package = await mirror.package(pet(up), version, None)
    assert package.filename == f"acme-pet-null_{version}.{kind}"
    assert (package.sums, package.sha256, package.root) == (None, None, "")
    assert await fetched(mirror, package) == up.modules["acme/pet/null"].archive(version)


async def test_a_repository_of_a_forge_is_fetched_as_an_archive(up: Upstream) -> None:
    with upstream() as forge:
        up.modules["acme/pet/null"].add("2.0.0", get="git::https://github.com/acme/terraform-null-pet?ref=v1.0.0")
        up.modules["acme/pet/null"].add("2.1.0", get="git::https://gitlab.com/acme/terraform-null-pet//modules/small?ref=v1.0.0")
        mirror = made(up, addresses=(f"github.com={forge.url}", f"gitlab.com={forge.url}"))
        right = packed(forge.repositories["acme/terraform-null-pet"]["v1.0.0"], "tar.gz", "terraform-null-pet-1.0.0")
        for version, root in (("2.0.0", "*"), ("2.1.0", "*/modules/small")):
            package = await mirror.package(pet(up), version, None)
            assert package.root == root
            assert await fetched(mirror, package) == right
        assert forge.count("/acme/terraform-null-pet/tar.gz/v1.0.0") == 1
        assert forge.count("/acme/terraform-null-pet/-/archive/*") == 1


async def test_another_address_of_a_host_that_is_not_listed_is_no_way_there(up: Upstream) -> None:
    """Whoever is asked by another mirror's registry stays out of reach of this one's documents."""
    with upstream() as inside:
        up.modules["acme/pet/null"].add("2.0.0", get="https://inside.example/pet.zip")
        mirror = made(up, hosts=(up.host, "inside.example"), addresses=(f"inside.example={inside.url}",))
        with pytest.raises(UpstreamFailed, match=rf"{inside.host}: is not on the list"):
            await fetched(mirror, await mirror.package(pet(up), "2.0.0", None))
        assert inside.connections == 0


async def test_a_source_that_is_not_fetched_is_told_with_the_module(up: Upstream, mirror: Registries) -> None:
    up.modules["acme/pet/null"].add("2.0.0", get="git::ssh://git@github.com/acme/pet.git?ref=v1")
    with pytest.raises(UpstreamFailed) as failed:
        await mirror.package(pet(up), "2.0.0", None)
    told = f"{up.host}: {pet(up)} 2.0.0 is fetched by git over ssh, and only archives by https are cached"
    assert str(failed.value) == told


async def test_a_download_that_says_nothing_has_failed(up: Upstream, mirror: Registries) -> None:
    said_elsewhere = {"body": b'{"location": "/x.zip"}', "without": ("X-Terraform-Get",)}
    with up.twisted("*/download", **said_elsewhere), pytest.raises(UpstreamFailed, match="there is no X-Terraform-Get"):
        await mirror.package(pet(up), "1.0.0", None)
    with up.twisted("*/download", status=200, body=b"", headers={"X-Terraform-Get": "/archives/modules/acme/pet/null/1.1.0.zip"}):
        assert (await mirror.package(pet(up), "1.0.0", None)).filename.endswith(".zip"), "as good as 204"


@pytest.mark.parametrize("names", [("..", "pet", "null"), ("acme", "pet/..", "null"), ("acme", "pet", "null?x=1"), ("acme", "", "null")])
async def test_names_that_are_none_lead_nowhere(up: Upstream, mirror: Registries, names: tuple[str, str, str]) -> None:
    with pytest.raises(UpstreamMissing, match="There can be nothing called"):
        await mirror.index(ModuleSource(up.host, *names), None)
    assert up.count("/v1/*") == 0


# -- settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hosts": ("*.terraform.io",)}, "is many hosts"),
        ({"hosts": ("https://registry.terraform.io",)}, "is no host"),
        ({"addresses": ("registry.terraform.io",)}, "entry 1 of addresses is not HOST=VALUE"),
        ({"addresses": ("registry.terraform.io=http://x/",)}, "the address of registry.terraform.io in addresses must be an https://"),
        ({"tokens": ("hunter2",)}, "entry 1 of tokens is not HOST=VALUE"),
        ({"tokens": ("elsewhere.test=hunter2",)}, "tokens has one for elsewhere.test, which is not in hosts"),
        ({"archive_hosts": ("*",)}, "is no host"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        RegistrySettings(**settings)
    assert "hunter2" not in str(refused.value)


def test_tokens_are_not_shown() -> None:
    assert "hunter2" not in repr(RegistrySettings(hosts=("x.test",), tokens=("x.test=hunter2",)))
