"""Versions of which only zips are sent: the server signs them with a key of its own, once, and says so."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from terrapod_core.packages import openpgp
from terrapod_core.registry.providers.models import ProviderSigningKey
from tests.db.registry.providers.conftest import FAKE, PROVIDERS, Registry
from tests.support.releases import LINUX, Release, zipped

DARWIN = ("darwin", "arm64")
RELEASE = Release.made("fake", "1.0.0", LINUX, DARWIN)


async def test_a_version_is_seen_when_it_is_published_and_says_who_signed_it(registry: Registry) -> None:
    await registry.provider()
    made = await registry.version("1.0.0")
    assert (made.attributes["source"], made.attributes["waits-for"]) == ("terrapod", ["a zip"])
    assert set(made.body["data"]["links"]) == {"self"}
    await registry.zips(RELEASE)
    assert (await registry.shown("1.0.0")).attributes["waits-for"] == ["to be published"]
    assert await registry.listed() == []
    published = await registry.ask("root", "POST", f"{FAKE}/versions/1.0.0/actions/publish")
    assert (published.status, published.attributes["status"], published.attributes["source"]) == (200, "published", "terrapod")
    assert await registry.listed() == ["1.0.0"]
    found = (await registry.found("1.0.0", "darwin/arm64")).body
    (key,) = found["signing_keys"]["gpg_public_keys"]
    assert (key["source"], key["key_id"]) == ("terrapod", published.attributes["key-id"])
    _, sums = await registry.get(found["shasums_url"])
    assert sorted(sums.splitlines()) == sorted(RELEASE.sums.splitlines())
    _, signature = await registry.get(found["shasums_signature_url"])
    assert openpgp.verify(sums, signature, key["ascii_armor"], datetime.now(UTC)) == signature


async def test_the_key_is_made_once_and_kept_sealed(registry: Registry) -> None:
    for name in ("fake", "other"):
        await registry.provider(name)
    releases = {name: Release.made(name, "1.0.0") for name in ("fake", "other")}
    for name, release in releases.items():
        await registry.version("1.0.0", path=f"{PROVIDERS}/default/{name}")
        await registry.zips(release, path=f"{PROVIDERS}/default/{name}")
    answers = await asyncio.gather(
        *(registry.ask("root", "POST", f"{PROVIDERS}/default/{name}/versions/1.0.0/actions/publish") for name in releases)
    )
    assert [each.status for each in answers] == [200, 200]
    assert len({each.attributes["key-id"] for each in answers}) == 1
    (key,) = await registry.site.terrapod.db.read(lambda session: session.execute(select(ProviderSigningKey)).scalars().all())
    assert key.key_id == answers[0].attributes["key-id"]
    assert b"PGP" not in key.secret
    assert "PRIVATE" not in key.ascii_armor


async def test_what_is_not_whole_or_not_the_servers_to_sign_is_not_published(registry: Registry) -> None:
    await registry.provider()
    await registry.version("1.0.0")
    publish = f"{FAKE}/versions/1.0.0/actions/publish"
    refused = await registry.ask("root", "POST", publish)
    assert (refused.status, "waits for a zip" in refused.body["errors"][0]["detail"]) == (409, True)
    linux = await registry.platform(RELEASE, LINUX)
    assert f"waits for {RELEASE.name(LINUX)}" in (await registry.ask("root", "POST", publish)).body["errors"][0]["detail"]
    assert (await registry.put(linux, "provider-binary-upload", RELEASE.zips[LINUX])).status == 200
    assert (await registry.ask("root", "POST", publish)).status == 200
    assert "is published already" in (await registry.ask("root", "POST", publish)).body["errors"][0]["detail"]
    await registry.key("fake")
    await registry.version("2.0.0", key_id=registry.publisher.key_id)
    refused = await registry.ask("root", "POST", f"{FAKE}/versions/2.0.0/actions/publish")
    assert "waits for SHA256SUMS, SHA256SUMS.sig" in refused.body["errors"][0]["detail"]


async def test_a_platform_can_be_taken_back_until_then(registry: Registry) -> None:
    await registry.provider()
    await registry.version("1.0.0")
    await registry.zips(RELEASE)
    assert (await registry.ask("root", "DELETE", f"{FAKE}/versions/1.0.0/platforms/darwin/arm64")).status == 204
    assert (await registry.ask("root", "GET", f"{FAKE}/versions/1.0.0/platforms/darwin/arm64")).status == 404
    assert (await registry.ask("root", "POST", f"{FAKE}/versions/1.0.0/actions/publish")).status == 200
    assert (await registry.found("1.0.0", "darwin/arm64")).status == 404
    assert (await registry.rows())[4] == 1


async def test_protocols_are_what_was_sent_else_those_of_the_manifest_in_the_zip_else_five(registry: Registry) -> None:
    await registry.provider()
    manifest = b'{"version": 1, "metadata": {"protocol_versions": ["6.0"]}}'

    async def published(number: str, **sent: Any) -> list[str]:
        files = {f"terraform-provider-fake_v{number}": b"#!/bin/sh\n", "terraform-registry-manifest.json": manifest}
        release = Release("fake", number, {LINUX: zipped(files if number != "1.0.0" else dict(list(files.items())[:1]))})
        assert (await registry.version(number, **sent)).status == 201
        await registry.zips(release)
        shown = await registry.ask("root", "POST", f"{FAKE}/versions/{number}/actions/publish")
        protocols: list[str] = shown.attributes["protocols"]
        return protocols

    assert await published("1.0.0") == ["5.0"]
    assert await published("2.0.0") == ["6.0"]
    assert await published("3.0.0", protocols=["5.1"]) == ["5.1"]
