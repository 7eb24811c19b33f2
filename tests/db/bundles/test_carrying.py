"""From a server with an upstream to one without: what arrives, what is refused, and what an interruption leaves."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from terrapod_core.bundles.exporting import Asked
from terrapod_core.bundles.layout import END, Layout, front, header, padding
from terrapod_core.bundles.loading import Loading
from terrapod_core.bundles.manifest import Manifest, encoded
from terrapod_core.bundles.problems import BundleError
from terrapod_core.bundles.reading import Bundle
from terrapod_core.bundles.writing import Export
from terrapod_core.errors import NotFound
from terrapod_core.mirrors.bringing import Brought
from terrapod_core.mirrors.upstreams import Sealed
from terrapod_core.packages.zips import PackageLimits, dirhash
from terrapod_core.settings import Mirrors
from terrapod_core.testing import MemoryStorage
from tests.db.bundles.conftest import NET, SUBNET, Side, side_over
from tests.db.mirrors.conftest import FAKE, PLATFORM, HandMirror
from tests.support.databases import Databases
from tests.support.releases import package


async def given(side: Side, version: str = "1.0.0") -> bytes:
    """What a client gets."""
    release = await side.cache.releases.of(FAKE, version, PLATFORM)
    return b"".join([piece async for piece in await side.cache.packages.read(release, PLATFORM)])


async def carried(here: Side, there: Side, path: Path, *versions: str) -> None:
    """Export there, import here."""
    await here.export(path, *versions)
    await there.load(path, trust=await here.fingerprint())


async def test_a_sealed_server_answers_alone_with_what_was_carried_to_it(here: Side, there: Side, tmp_path: Path) -> None:
    exported = await here.export(tmp_path / "b", "1.0.0", modules=("registry.test/acme/net/aws@1.2.0",))
    loaded = await there.load(tmp_path / "b", trust=exported.fingerprint)
    assert (loaded.loaded, loaded.skipped, loaded.unsigned, loaded.refused) == (3, 0, 2, [])
    assert await given(there) == here.cache.mirror.zip("1.0.0")
    index = await there.cache.indexes.of(FAKE)
    assert index.versions == [{"version": "1.0.0", "platforms": ["linux_amd64"], "protocols": ["6.0"]}]
    before, after = [await side.cache.releases.of(FAKE, "1.0.0", PLATFORM) for side in (here, there)]
    assert (before.row.sums, before.row.signature, before.row.ascii_armor) == (after.row.sums, after.row.signature, after.row.ascii_armor)
    assert after.packages[0].h1 == before.packages[0].h1 is not None
    with pytest.raises(Sealed, match=r"version 1\.1\.0"):
        await given(there, "1.1.0")


async def test_what_a_module_calls_comes_along_in_the_newest_version_that_it_takes(here: Side, there: Side, tmp_path: Path) -> None:
    exported = await here.export(tmp_path / "b", modules=("registry.test/acme/net/aws@2.0.0",))
    assert {(each.source.rpartition(":")[2], each.version) for each in exported.manifest.releases} == {
        (str(NET), "2.0.0"),
        (str(SUBNET), "1.2.0"),
    }
    await there.load(tmp_path / "b", trust=exported.fingerprint)
    index = await there.cache.indexes.of(SUBNET)
    assert [each["version"] for each in index.versions] == ["1.2.0"]
    release = await there.cache.releases.of(SUBNET, "1.2.0", None)
    assert release.packages[0].root == "acme"


async def test_a_bundle_of_a_server_that_is_not_trusted_is_refused_until_it_is(here: Side, there: Side, tmp_path: Path) -> None:
    await here.export(tmp_path / "b", "1.0.0")
    key = await here.fingerprint()
    with pytest.raises(BundleError, match=f"--trust {key}"):
        await there.load(tmp_path / "b")
    with pytest.raises(BundleError, match="--trust names another"):
        await there.load(tmp_path / "b", trust="0" * 64)
    assert not await there.stored()
    await there.load(tmp_path / "b", trust=key)
    assert (await there.load(tmp_path / "b")).skipped == 1


async def test_a_publishers_key_that_is_new_is_shown_and_pinned_only_when_it_is_accepted(here: Side, there: Side, tmp_path: Path) -> None:
    await here.export(tmp_path / "b", "1.0.0")
    key = await here.fingerprint()
    publisher = here.cache.mirror.publisher
    with pytest.raises(BundleError, match=f"--accept-keys:\n  registry.test/acme: {publisher.public.fingerprint.upper()}"):
        await there.load(tmp_path / "b", trust=key, accept=False)
    assert not await there.stored()
    assert (await there.load(tmp_path / "b", accept=True)).loaded == 1
    await here.export(tmp_path / "c", "1.1.0")
    assert (await there.load(tmp_path / "c", accept=False)).loaded == 1


async def test_a_release_that_no_publisher_signed_is_refused_where_its_namespace_is_signed(here: Side, there: Side, tmp_path: Path) -> None:
    await carried(here, there, tmp_path / "b", "1.0.0")
    exported = await here.export(tmp_path / "c", "1.1.0")
    stripped = msgspec.structs.replace(
        exported.manifest, releases=[msgspec.structs.replace(each, signed=None) for each in exported.manifest.releases]
    )
    await forged(here, tmp_path / "d", stripped, here.cache.mirror.zip("1.1.0"))
    loaded = await there.load(tmp_path / "d")
    assert (loaded.loaded, len(loaded.refused)) == (0, 1)
    assert "it is not signed, and what is of registry.test/acme is" in loaded.refused[0]


async def test_a_package_that_its_publisher_did_not_sign_is_refused_whoever_signed_the_bundle(
    here: Side, there: Side, tmp_path: Path
) -> None:
    exported = await here.export(tmp_path / "b", "1.0.0")
    other = package("fake", "1.0.0", content=b"something else entirely")
    digest = hashlib.sha256(other).hexdigest()
    release = exported.manifest.releases[0]
    swapped = msgspec.structs.replace(release.packages[0], sha256=digest, size=len(other))
    manifest = msgspec.structs.replace(
        exported.manifest,
        releases=[msgspec.structs.replace(release, packages=[swapped])],
        files=[msgspec.structs.replace(exported.manifest.files[0], sha256=digest, size=len(other))],
    )
    await forged(here, tmp_path / "c", manifest, other)
    loaded = await there.load(tmp_path / "c", trust=await here.fingerprint())
    assert loaded.loaded == 0
    assert "its publisher did not sign terraform-provider-fake_1.0.0_linux_amd64.zip" in loaded.refused[0]
    assert not await there.stored()


async def test_another_digest_than_the_one_that_is_pinned_is_a_conflict_and_the_rest_is_loaded(
    here: Side, there: Side, databases: Databases, tmp_path: Path
) -> None:
    await carried(here, there, tmp_path / "b", "1.0.0")
    url = databases.copy_of("migrated", lambda _url: None)
    mirror = HandMirror(publisher=here.cache.mirror.publisher)
    mirror.zips["1.0.0"] = package("fake", "1.0.0", content=b"made again")
    elsewhere = side_over(url, mirror, MemoryStorage(), Mirrors())
    await elsewhere.export(tmp_path / "c", "1.0.0", "1.1.0")
    before = await there.stored()
    loaded = await there.load(tmp_path / "c", trust=await elsewhere.fingerprint())
    assert (loaded.loaded, len(loaded.refused)) == (1, 1)
    assert "version 1.0.0 of registry.test/acme/fake for linux_amd64 is known here with the SHA-256" in loaded.refused[0]
    assert await given(there) == here.cache.mirror.zip("1.0.0")
    assert len(await there.stored()) == len(before) + 1
    await elsewhere.cache.close()
    await elsewhere.cache.db.close()
    databases.drop(url)


async def test_a_difference_holds_what_is_new_and_needs_what_it_is_based_on(here: Side, there: Side, tmp_path: Path) -> None:
    first = await here.export(tmp_path / "first", "1.0.0")
    beginning = (tmp_path / "first").read_bytes()[: Layout(len(encoded(first.manifest)), []).front]
    (tmp_path / "beginning").write_bytes(beginning)
    second = await here.export(tmp_path / "second", "1.0.0", "1.1.0", since=tmp_path / "beginning")
    assert len(second.manifest.files) == 1
    key = await here.fingerprint()
    with pytest.raises(
        BundleError, match=r"is the difference to the bundle .*version 1\.0\.0 of registry\.test/acme/fake.*Import that one first"
    ):
        await there.load(tmp_path / "second", trust=key)
    assert not await there.stored()
    await there.load(tmp_path / "first")
    loaded = await there.load(tmp_path / "second")
    assert (loaded.loaded, loaded.skipped) == (1, 1)
    assert [each["version"] for each in (await there.cache.indexes.of(FAKE)).versions] == ["1.1.0", "1.0.0"]


async def test_everything_that_cannot_be_had_is_named_and_no_file_is_left(here: Side, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as refused:
        await here.export(tmp_path / "b", "1.0.0", "7.0.0", "8.0.0")
    assert "7.0.0" in refused.value.detail
    assert "8.0.0" in refused.value.detail
    assert not names(tmp_path)


async def test_a_sealed_server_exports_what_it_has_and_says_what_it_lacks(here: Side, there: Side, tmp_path: Path) -> None:
    await carried(here, there, tmp_path / "b", "1.0.0")
    await there.export(tmp_path / "c", "1.0.0")
    with pytest.raises(BundleError, match=r"version 1\.1\.0 of registry\.test/acme/fake for linux_amd64 is not in the cache"):
        await there.export(tmp_path / "d", "1.0.0", "1.1.0")


class Stopped(Exception):
    """Somebody pulled the plug."""


async def test_an_export_that_was_interrupted_goes_on_where_it_was(here: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrapod_core.bundles.writing.MARK_BYTES", 1)
    await here.export(tmp_path / "whole", "1.0.0", "1.1.0")
    exported = here.exporting()
    seen: list[int] = []

    def pulled(done: int, _of: int) -> None:
        seen.append(done)
        if done > 450_000:
            raise Stopped

    asked = Asked(providers=["registry.test/acme/fake@1.0.0", "registry.test/acme/fake@1.1.0"])
    with pytest.raises(Stopped):
        await exported.run(tmp_path / "b", asked, lambda *_: None, pulled)
    assert not (tmp_path / "b").exists()
    with (tmp_path / "b.partial").open("ab") as torn:
        torn.write(b"after a crash it may be anything")
    went_on: list[int] = []
    await here.exporting().run(tmp_path / "b", asked, lambda *_: None, lambda done, _of: went_on.append(done))
    assert min(went_on) > 300_000
    with Bundle(tmp_path / "b") as bundle:
        bundle.verify(lambda *_: None)
    assert names(tmp_path) == ["b", "whole"]


async def test_another_request_does_not_go_on_with_an_export_that_was_interrupted(here: Side, tmp_path: Path) -> None:
    exported = await here.export(tmp_path / "whole", "1.0.0")
    begun = Export(tmp_path / "b", "another request")
    document = encoded(exported.manifest)
    begun.begin(document, await here.keys.sign(document))
    assert begun.begun() == exported.manifest
    await here.export(tmp_path / "b", "1.1.0")
    with Bundle(tmp_path / "b") as bundle:
        assert [each.version for each in bundle.manifest.releases] == ["1.1.0"]


async def test_a_release_whose_second_package_does_not_come_is_not_there_at_all(here: Side, there: Side, tmp_path: Path) -> None:
    await here.export(tmp_path / "b", "1.0.0")
    with Bundle(tmp_path / "b") as bundle:
        loading = Loading(there.cache.db, there.keys, there.bringing, bundle)
        brought: Brought = loading.brought(bundle.manifest.releases[0])

        async def files() -> AsyncIterator[object]:
            yield brought.packages[0], _one(here.cache.mirror.zip("1.0.0"))
            raise Stopped

        with pytest.raises(Stopped):
            await there.bringing.load(brought, files(), accept=True)  # type: ignore[arg-type]
    assert await there.cache.releases.find(FAKE, "1.0.0") is None
    assert not await there.stored()
    with pytest.raises(NotFound):
        await there.cache.indexes.of(FAKE)


async def test_a_tampered_bundle_loads_nothing(here: Side, there: Side, tmp_path: Path) -> None:
    await here.export(tmp_path / "b", "1.0.0", "1.1.0")
    content = bytearray((tmp_path / "b").read_bytes())
    content[-3000] ^= 1
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(BundleError, match="files/000001 is not what its manifest says"):
        await there.load(tmp_path / "b", trust=await here.fingerprint())
    assert not await there.stored()
    assert await there.cache.releases.find(FAKE, "1.0.0") is None


async def test_two_imports_at_once_load_everything_once(here: Side, there: Side, tmp_path: Path) -> None:
    await here.export(tmp_path / "b", "1.0.0", "1.1.0")
    await there.keys.trust(await here.fingerprint(), "here")
    await asyncio.gather(there.load(tmp_path / "b"), there.load(tmp_path / "b"), return_exceptions=True)
    loaded = await there.load(tmp_path / "b")
    assert loaded.refused == []
    assert await given(there, "1.1.0") == here.cache.mirror.zip("1.1.0")
    assert len(await there.stored()) == 2


async def test_hashes_of_what_arrived_are_computed_anew(here: Side, there: Side, tmp_path: Path) -> None:
    await carried(here, there, tmp_path / "b", "1.0.0")
    (tmp_path / "zip").write_bytes(here.cache.mirror.zip("1.0.0"))
    release = await there.cache.releases.of(FAKE, "1.0.0", PLATFORM)
    with (tmp_path / "zip").open("rb") as file:
        assert release.packages[0].h1 == dirhash(file, PackageLimits())


async def forged(side: Side, path: Path, manifest: Manifest, *contents: bytes) -> None:
    """A bundle that a trusted server signed without being honest."""
    document = encoded(manifest)
    entries = [header(f"files/{number:06}", len(each)) + each + padding(len(each)) for number, each in enumerate(contents)]
    signature = await side.keys.sign(document)
    await asyncio.to_thread(path.write_bytes, front(document, signature) + b"".join(entries) + END)


def names(directory: Path) -> list[str]:
    """Of the files there."""
    return sorted(each.name for each in directory.iterdir())


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_a_key_that_is_distrusted_is_asked_about_again(here: Side, there: Side, tmp_path: Path) -> None:
    await carried(here, there, tmp_path / "b", "1.0.0")
    key = await here.fingerprint()
    assert [each.fingerprint for each in await there.keys.trusted()] == [key]
    await there.keys.distrust(key)
    with pytest.raises(BundleError, match="not trusted here"):
        await there.load(tmp_path / "b")
    with pytest.raises(NotFound):
        await there.keys.distrust(key)
