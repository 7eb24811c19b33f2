"""Providers of the registry: a backup brings them to the other kind of database, with the key that the server signs with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from terrapod_core.app import Terrapod
from terrapod_core.authz import Actor
from terrapod_core.errors import Conflict
from terrapod_core.packages import openpgp
from terrapod_core.registry.providers.documents import CreateGPGKey, CreatePlatform, CreateProvider, CreateProviderVersion
from terrapod_core.registry.providers.queries import Address
from tests.db.backup.conftest import Install, backed_up, restored
from tests.support.planted import Planted, pieces
from tests.support.releases import LINUX, Publisher, Release, quick_key

FAKE = Address("default", "fake")


async def published(actor: Actor, terrapod: Terrapod, number: str) -> Release:
    """A version that the server signs."""
    release = Release.made("fake", number)
    await terrapod.provider_releases.create(actor, FAKE, CreateProviderVersion(version=number))
    platform = await terrapod.provider_platforms.create(actor, FAKE, number, CreatePlatform(os="linux", arch="amd64"))
    await terrapod.provider_uploads.zip(platform.id, pieces(release.zips[LINUX]))
    await terrapod.provider_releases.publish(actor, FAKE, number)
    return release


async def test_a_backup_brings_providers_their_zips_and_keys(
    planted: Planted, install: Install, other_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openpgp, "new_key", quick_key)
    here = planted.terrapod
    actor = await here.tokens.authenticate(planted.token)
    assert actor is not None
    publisher = Publisher()
    await here.providers.create(actor, CreateProvider(name="fake"))
    await here.gpg_keys.create(actor, CreateGPGKey(ascii_armor=publisher.armor, providers=["fake"]))
    await published(actor, here, "1.0.0")
    await here.provider_releases.delete(actor, FAKE, "1.0.0")
    release = await published(actor, here, "1.1.0")
    await here.people.authentication.settle()

    assert (await backed_up(here, tmp_path / "a")).footer.missing == []
    there = install(other_url)
    await restored(tmp_path / "a", there)
    found = await there.provider_installs.find(actor, FAKE, "1.1.0", *LINUX)
    assert found.version.sums == release.sums
    assert openpgp.verify(release.sums, found.version.signature or b"", found.armor, datetime.now(UTC))
    content = there.archives.read(found.platform.object_key or "")
    assert b"".join([piece async for piece in content]) == release.zips[LINUX]
    assert [each.name for each in (await there.gpg_keys.read(actor, "default", publisher.key_id)).providers] == ["fake"]
    with pytest.raises(Conflict, match="its number is not given away again"):
        await there.provider_releases.create(actor, FAKE, CreateProviderVersion(version="1.0.0"))
    again = await published(actor, there, "1.2.0")
    signed = await there.provider_installs.find(actor, FAKE, "1.2.0", *LINUX)
    assert (signed.key_id, signed.version.sums) == (found.key_id, again.sums)
