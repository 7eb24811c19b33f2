"""Versions that their publishers sign: seen when they are whole, verified as they come, and what is refused on the way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from terrapod_core.packages import openpgp
from tests.db.registry.providers.conftest import FAKE, PROVIDERS, Registry
from tests.support.releases import LINUX, Publisher, Release, package
from tests.support.wire import document

WINDOWS = ("windows", "amd64")
RELEASE = Release.made("fake", "1.0.0", LINUX, WINDOWS)


async def test_a_version_is_seen_when_its_last_file_is_there_and_not_before(registry: Registry) -> None:
    await registry.provider(labels={"access": "everyone"})
    await registry.key("fake")
    made = await registry.version("1.0.0", key_id=registry.publisher.key_id.lower(), protocols=["6.0"])
    assert (made.status, made.attributes["status"], made.attributes["source"]) == (201, "pending", "publisher")
    assert made.attributes["waits-for"] == ["SHA256SUMS", "SHA256SUMS.sig"]
    assert set(made.body["data"]["links"]) == {"self", "shasums-upload", "shasums-sig-upload"}
    early = await registry.put(made, "shasums-sig-upload", registry.publisher.sign(RELEASE.sums))
    assert (early.status, "upload SHA256SUMS first" in early.body["errors"][0]["detail"]) == (409, True)
    assert (await registry.put(made, "shasums-upload", RELEASE.sums)).status == 200
    with_sums = await registry.shown("1.0.0")
    assert with_sums.attributes["waits-for"] == ["SHA256SUMS.sig", RELEASE.name(LINUX), RELEASE.name(WINDOWS)]
    assert set(with_sums.body["data"]["links"]) == {"self", "shasums-sig-upload", "shasums-download"}
    assert (await registry.put(with_sums, "shasums-sig-upload", registry.publisher.sign(RELEASE.sums, armor=True))).status == 200
    for platform, content in RELEASE.zips.items():
        assert await registry.listed("bob") == []
        assert (await registry.shown("1.0.0", "bob")).status == 404
        assert (await registry.found("1.0.0")).status == 404
        announced = await registry.platform(RELEASE, platform)
        assert (announced.status, announced.attributes["provider-binary-uploaded"]) == (201, False)
        assert (await registry.put(announced, "provider-binary-upload", content)).status == 200
    assert await registry.listed("bob") == ["1.0.0"]
    shown = await registry.shown("1.0.0", "bob")
    assert (shown.attributes["status"], shown.attributes["waits-for"], shown.attributes["protocols"]) == ("published", [], ["6.0"])
    assert (shown.attributes["shasums-uploaded"], shown.attributes["shasums-sig-uploaded"]) == (True, True)
    published = (await registry.audited("registry-provider-version.publish"))[0]
    assert (published["provider"], published["version"], published["source"]) == ("default/fake", "1.0.0", "publisher")
    assert published["platforms"] == {"linux_amd64": RELEASE.digest(LINUX), "windows_amd64": RELEASE.digest(WINDOWS)}


async def test_what_terraform_is_told_leads_to_the_bytes_the_sums_and_a_signature_of_the_key(registry: Registry) -> None:
    await registry.provider()
    await registry.key("fake")
    assert (await registry.signed(RELEASE)).attributes["status"] == "published"
    versions = (await registry.ask("root", "GET", "registry/providers/default/fake/versions")).body
    platforms = [{"os": "linux", "arch": "amd64"}, {"os": "windows", "arch": "amd64"}]
    assert versions == {
        "id": "default/fake",
        "versions": [{"version": "1.0.0", "protocols": ["5.0"], "platforms": platforms}],
        "warnings": None,
    }
    found = (await registry.found("1.0.0")).body
    assert (found["os"], found["arch"], found["filename"]) == ("linux", "amd64", RELEASE.name(LINUX))
    assert found["shasum"] == RELEASE.digest(LINUX)
    (key,) = found["signing_keys"]["gpg_public_keys"]
    assert (key["key_id"], key["ascii_armor"], key["source"]) == (registry.publisher.key_id, registry.publisher.armor, "")
    assert await registry.get(found["download_url"]) == (200, RELEASE.zips[LINUX])
    assert await registry.get(found["shasums_url"]) == (200, RELEASE.sums)
    status, signature = await registry.get(found["shasums_signature_url"])
    assert status == 200
    assert openpgp.verify(RELEASE.sums, signature, key["ascii_armor"], datetime.now(UTC)) == signature


async def test_a_platform_that_is_not_there_is_not_found_and_named_are_those_that_are(registry: Registry) -> None:
    await registry.provider()
    await registry.key("fake")
    await registry.signed(RELEASE)
    missing = await registry.found("1.0.0", "linux/arm64")
    assert missing.status == 404
    assert "not made for linux_arm64, but for linux_amd64, windows_amd64" in missing.body["errors"][0]["detail"]
    assert (await registry.found("1.0.1")).status == 404
    assert (await registry.found("one")).status == 404


async def test_other_bytes_and_other_signatures_are_refused_and_leave_nothing_behind(registry: Registry) -> None:
    await registry.provider()
    await registry.key("fake")
    made = await registry.version("1.0.0", key_id=registry.publisher.key_id)
    assert (await registry.put(made, "shasums-upload", RELEASE.sums)).status == 200
    with_sums = await registry.shown("1.0.0")
    for signature, why in {
        Publisher("Mallory").sign(RELEASE.sums): "it was made with the key",
        registry.publisher.sign(RELEASE.sums + b"\n"): "did not sign these bytes",
        b"junk": "cannot be read",
    }.items():
        refused = await registry.put(with_sums, "shasums-sig-upload", signature)
        assert (refused.status, refused.code) == (422, "bad_signature")
        assert why in refused.body["errors"][0]["detail"]
    linux = await registry.platform(RELEASE, LINUX)
    tampered = package("fake", "1.0.0", LINUX, b"#!/bin/sh\nexit 2\n")
    for content, why in {tampered: "was announced", RELEASE.zips[LINUX][:-1]: "was announced", b"": "it is empty"}.items():
        refused = await registry.put(linux, "provider-binary-upload", content)
        assert (refused.status, refused.code) == (422, "bad_package")
        assert why in refused.body["errors"][0]["detail"]
    assert await registry.stored() == 0
    assert await registry.listed() == []


async def test_sums_must_name_what_was_announced(registry: Registry) -> None:
    await registry.provider()
    await registry.key("fake")
    made = await registry.version("1.0.0", key_id=registry.publisher.key_id)
    assert (await registry.platform(RELEASE, WINDOWS)).status == 201
    only_linux = Release("fake", "1.0.0", {LINUX: RELEASE.zips[LINUX]}).sums
    refused = await registry.put(made, "shasums-upload", only_linux)
    assert (refused.status, refused.code) == (422, "bad_sums")
    assert f"it misses {RELEASE.name(WINDOWS)}" in refused.body["errors"][0]["detail"]
    other = RELEASE.sums.replace(RELEASE.digest(WINDOWS).encode(), b"0" * 64)
    assert "was announced" in (await registry.put(made, "shasums-upload", other)).body["errors"][0]["detail"]
    assert (await registry.put(made, "shasums-upload", RELEASE.sums)).status == 200
    arm = await registry.ask("root", "POST", f"{FAKE}/versions/1.0.0/platforms", document("", os="linux", arch="arm64"))
    assert (arm.status, "names no zip for linux_arm64" in arm.body["errors"][0]["detail"]) == (422, True)
    wrong = await registry.platform(RELEASE, LINUX, shasum="1" * 64)
    assert wrong.body["errors"][0]["source"] == {"pointer": "/data/attributes/shasum"}
    assert (await registry.platform(RELEASE, LINUX, shasum=None, filename=None)).attributes["shasum"] == RELEASE.digest(LINUX)


async def test_sums_come_before_their_signature_and_new_ones_need_a_new_one(registry: Registry) -> None:
    await registry.provider()
    await registry.key("fake")
    made = await registry.version("1.0.0", key_id=registry.publisher.key_id)
    assert (await registry.put(made, "shasums-upload", RELEASE.sums)).status == 200
    assert (await registry.put(made, "shasums-upload", RELEASE.sums)).status == 200
    with_sums = await registry.shown("1.0.0")
    assert (await registry.put(with_sums, "shasums-sig-upload", registry.publisher.sign(RELEASE.sums))).status == 200
    only_linux = Release("fake", "1.0.0", {LINUX: RELEASE.zips[LINUX]})
    assert (await registry.put(made, "shasums-upload", only_linux.sums)).status == 200
    assert (await registry.shown("1.0.0")).attributes["shasums-sig-uploaded"] is False
    assert (await registry.put(with_sums, "shasums-sig-upload", registry.publisher.sign(only_linux.sums))).status == 200
    await registry.zips(only_linux)
    assert await registry.listed() == ["1.0.0"]


async def test_a_published_version_takes_nothing_more(registry: Registry) -> None:
    await registry.provider()
    await registry.key("fake")
    made = await registry.version("1.0.0", key_id=registry.publisher.key_id)
    await registry.put(made, "shasums-upload", RELEASE.sums)
    with_sums = await registry.shown("1.0.0")
    signature = registry.publisher.sign(RELEASE.sums)
    await registry.put(with_sums, "shasums-sig-upload", signature)
    linux, windows = [await registry.platform(RELEASE, each) for each in RELEASE.zips]
    assert (await registry.put(linux, "provider-binary-upload", RELEASE.zips[LINUX])).status == 200
    assert (await registry.put(windows, "provider-binary-upload", RELEASE.zips[WINDOWS])).status == 200
    assert (await registry.put(windows, "provider-binary-upload", RELEASE.zips[WINDOWS])).status == 200, "the same again is no change"
    for content in (RELEASE.zips[LINUX], RELEASE.zips[WINDOWS] + b"x"):
        assert (await registry.put(windows, "provider-binary-upload", content)).status == 409
    assert (await registry.put(made, "shasums-upload", RELEASE.sums + b"\n")).status == 409
    assert (await registry.put(with_sums, "shasums-sig-upload", signature)).status == 200
    assert (await registry.put(with_sums, "shasums-sig-upload", registry.publisher.sign(RELEASE.sums))).status == 409
    arm = document("", os="linux", arch="arm64")
    assert (await registry.ask("root", "POST", f"{FAKE}/versions/1.0.0/platforms", arm)).code == "version_whole"
    assert (await registry.ask("root", "DELETE", f"{FAKE}/versions/1.0.0/platforms/linux/amd64")).code == "version_whole"
    again = await registry.version("1.0.0+other")
    assert (again.status, again.code) == (409, "version_exists")
    assert await registry.stored() == 2


async def test_of_two_uploads_at_once_one_is_the_platforms(registry: Registry) -> None:
    await registry.provider()
    await registry.version("1.0.0")
    announced = await registry.platform(RELEASE, LINUX, shasum=None)
    contents = [package("fake", "1.0.0", LINUX, f"#!/bin/sh\nexit {number}\n".encode()) for number in range(3)]
    answers = await asyncio.gather(*(registry.put(announced, "provider-binary-upload", each) for each in contents))
    assert sorted(each.status for each in answers) == [200, 409, 409]
    assert await registry.stored() == 1


async def test_a_key_verifies_the_providers_that_it_is_bound_to_and_no_others(registry: Registry) -> None:
    for name in ("fake", "other"):
        await registry.provider(name)
    assert (await registry.key("other")).status == 201
    refused = await registry.version("1.0.0", key_id=registry.publisher.key_id)
    assert (refused.status, refused.body["errors"][0]["source"]) == (422, {"pointer": "/data/attributes/key-id"})
    assert (await registry.version("1.0.0", path=f"{PROVIDERS}/default/other", key_id=registry.publisher.key_id)).status == 201
    assert (await registry.key("fake", "other")).status == 201, "a key can be bound to more"
    assert (await registry.version("1.0.0", key_id=registry.publisher.key_id)).status == 201
    assert (await registry.key("fake")).code == "key_exists"


async def test_a_key_that_ends_verifies_nothing_more(registry: Registry) -> None:
    await registry.provider()
    soon = datetime.now(UTC) + timedelta(days=30)
    assert (await registry.key("fake", armor=registry.publisher.expired(soon))).status == 201
    made = await registry.version("1.0.0", key_id=registry.publisher.key_id)
    await registry.put(made, "shasums-upload", RELEASE.sums)
    with_sums = await registry.shown("1.0.0")
    signature = registry.publisher.sign(RELEASE.sums)
    registry.site.clock.advance(seconds=(soon - registry.site.clock.now()).total_seconds() + 1)
    fresh = await registry.shown("1.0.0")
    refused = await registry.put(fresh, "shasums-sig-upload", signature)
    assert (refused.status, "expired on" in refused.body["errors"][0]["detail"]) == (422, True)
    assert (await registry.version("1.0.1", key_id=registry.publisher.key_id)).status == 422
    assert (await registry.put(with_sums, "shasums-sig-upload", signature)).status == 404, "that link is over"
