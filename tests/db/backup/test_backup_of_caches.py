"""Cached packages are left out of a backup; what was verified of them is not, and a restored server finds them missing and goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from terrapod_core.mirrors.models import MirrorPackage, MirrorRelease
from terrapod_core.storage import ArchiveKind
from terrapod_core.storage.check import StorageCheck
from tests.db.backup.conftest import Install, backed_up, restored
from tests.support.planted import Planted, pieces

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "0" * 64


async def cached(planted: Planted) -> None:
    """A package that is here."""
    terrapod = planted.terrapod
    stored = await terrapod.archives.put(ArchiveKind.MIRRORED, "mirpkg-1", pieces(b"a zip, say"), limit=None)
    async with terrapod.db.uow() as uow:
        source = "provider:registry.test/acme/fake"
        uow.add(MirrorRelease(id="mirrel-1", source=source, version="1.0.0", protocols=[], created_at=NOW))
        await uow.flush()
        package = MirrorPackage(id="mirpkg-1", release_id="mirrel-1", os="linux", arch="amd64", filename="a.zip", sha256=DIGEST)
        package.object_key, package.size, package.created_at, package.last_used_at = stored.key, stored.size, NOW, NOW
        uow.add(package)
        await uow.commit()


async def test_a_backup_leaves_cached_packages_out_and_a_restored_server_knows_what_they_must_be(
    planted: Planted, install: Install, other_url: str, tmp_path: Path
) -> None:
    without = await backed_up(planted.terrapod, tmp_path / "without")
    await cached(planted)
    made = await backed_up(planted.terrapod, tmp_path / "with")
    assert (made.footer.objects, made.footer.missing) == (without.footer.objects, [])
    there = install(other_url)
    await restored(tmp_path / "with", there)
    row = await there.db.read(lambda session: session.execute(select(MirrorPackage)).scalar_one())
    assert (row.object_key, row.sha256) == (None, DIGEST)
    looking = StorageCheck(there.db, there.storage_backend, there.objects, lambda *_: None)
    assert [each async for each in looking.run()] == []


async def test_a_check_of_the_store_knows_them(planted: Planted) -> None:
    await cached(planted)
    looking = StorageCheck(planted.terrapod.db, planted.terrapod.storage_backend, planted.terrapod.objects, lambda *_: None)
    assert [each async for each in looking.run()] == []
    key = await planted.terrapod.db.read(lambda session: session.execute(select(MirrorPackage.object_key)).scalar_one())
    assert key is not None
    await planted.terrapod.storage_backend.delete(key)
    looking = StorageCheck(planted.terrapod.db, planted.terrapod.storage_backend, planted.terrapod.objects, lambda *_: None)
    assert [getattr(each, "key", None) async for each in looking.run()] == [key]
