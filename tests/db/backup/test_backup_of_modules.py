"""Modules of the registry: a check of the store knows their archives, and a backup brings them to the other kind of database."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.authz import Actor
from terrapod_core.errors import Conflict
from terrapod_core.registry.modules.documents import CreateModule, CreateVersion
from terrapod_core.registry.modules.queries import Address
from terrapod_core.storage.check import Gap, StorageCheck
from terrapod_core.testing import FakeClock
from tests.db.backup.conftest import Install, backed_up, restored
from tests.support.planted import Planted, pieces
from tests.support.wire import archive

VPC = Address("default", "vpc", "aws")
PACKED = archive({"main.tf": 'variable "cidr" {}\n'})


@pytest.fixture
async def actor(planted: Planted) -> Actor:
    """A platform admin, who has published a version of a module, deleted another, and a module."""
    terrapod = planted.terrapod
    found = await terrapod.tokens.authenticate(planted.token)
    assert found is not None
    for name in ("vpc", "gone"):
        await terrapod.modules.create(found, CreateModule(name=name, provider="aws"))
        for number in ("1.0.0", "1.1.0"):
            version = await terrapod.module_versions.create(found, Address("default", name, "aws"), CreateVersion(version=number))
            await terrapod.module_versions.upload(version.id, pieces(PACKED))
    await terrapod.module_versions.delete(found, VPC, "1.0.0")
    await terrapod.modules.delete(found, Address("default", "gone", "aws"))
    await terrapod.people.authentication.settle()
    return found


async def test_a_backup_brings_modules_their_archives_and_what_is_burnt(
    planted: Planted, actor: Actor, install: Install, other_url: str, tmp_path: Path
) -> None:
    made = await backed_up(planted.terrapod, tmp_path / "a")
    assert made.footer.missing == []
    there = install(other_url)
    await restored(tmp_path / "a", there)
    version = await there.module_versions.read(actor, VPC, "1.1.0")
    assert version.contents is not None
    assert b'"cidr"' in version.contents
    found = await there.module_protocol.archived(version.id)
    assert b"".join([piece async for piece in there.archives.read(found.object_key or "")]) == PACKED
    _, document = await there.module_protocol.versions(actor, VPC)
    assert document == b'{"modules":[{"source":"default/vpc/aws","versions":[{"version":"1.1.0"}]}]}'
    with pytest.raises(Conflict, match="its number is not given away again"):
        await there.module_versions.create(actor, VPC, CreateVersion(version="1.0.0"))
    with pytest.raises(Conflict, match="its name is not given away again"):
        await there.modules.create(actor, CreateModule(name="gone", provider="aws"))


async def test_a_check_of_the_store_knows_their_archives(planted: Planted, actor: Actor, clock: FakeClock) -> None:
    server = planted.terrapod
    clock.advance(days=2)
    version = await server.module_versions.read(actor, VPC, "1.1.0")

    async def found() -> list[object]:
        check = StorageCheck(server.db, server.storage_backend, server.objects, lambda *_: None)
        return [each async for each in check.run(deep=True)]

    assert await found() == []
    assert version.object_key is not None
    await server.storage_backend.delete(version.object_key)
    assert await found() == [Gap("registry_module_versions", version.id, "modules", version.object_key, "missing")]
