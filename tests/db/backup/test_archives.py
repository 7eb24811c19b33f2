"""Archives that are not whole, or are somebody else's: nothing of them gets anywhere. And archives that cannot be written."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, select

from terrapod_core.backup import Archive, BackupError, Identity, Passphrase, Recipient, Restore, make_backup, new_identity
from terrapod_core.backup.records import FORMAT, Footer, Header, ObjectBytes, RecordWriter
from terrapod_core.backup.sealing import Sealing
from terrapod_core.storage.holds import BackupHold
from terrapod_core.testing import FakeClock, MemoryStorage
from tests.db.backup.conftest import PASSPHRASE, Install, backed_up, opened, restored, source_of
from tests.support.planted import Planted, pieces


def offsets_to_spoil(size: int) -> list[int]:
    """Some in the envelope, in the first frame, in the middle, and in the last tag."""
    return [3, 17, 30, 90, size // 3, size // 2, size - 20, size - 1]


async def test_an_archive_that_was_changed_or_cut_anywhere_is_refused(planted: Planted, tmp_path: Path) -> None:
    await backed_up(planted.terrapod, tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    with opened(tmp_path / "a") as restore:
        await restore.verify()
    spoilt = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in offsets_to_spoil(len(whole))]
    spoilt += [whole[: len(whole) // 2], whole[:-1], whole[:40], b"", whole + b"x"]
    for content in spoilt:
        (tmp_path / "b").write_bytes(content)
        with pytest.raises(BackupError), opened(tmp_path / "b") as restore:
            await restore.verify()


async def test_a_restore_of_a_damaged_archive_leaves_nothing_behind(
    planted: Planted, install: Install, other_url: str, empty_url: str, tmp_path: Path
) -> None:
    for number in range(12):
        stored = await planted.terrapod.storage_backend.write(f"logs/plan-{number}/log.0", pieces(os.urandom(1 << 20)))
        assert stored.size == 1 << 20
    async with planted.terrapod.db.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE phases SET log_key = 'logs/plan-3/log.0' WHERE kind = 'apply'")
    await backed_up(planted.terrapod, tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "b").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for url in (other_url, empty_url):
        store = MemoryStorage()
        there = install(url, store)
        with pytest.raises(BackupError, match="damaged"):
            await restored(tmp_path / "b", there)
        async with there.db.engine.connect() as connection:
            assert await connection.run_sync(lambda sync: inspect(sync).get_table_names()) == []
        assert [info.key async for info in store.list("")] == []


async def test_another_passphrase_opens_nothing(planted: Planted, tmp_path: Path) -> None:
    await backed_up(planted.terrapod, tmp_path / "a")
    with Archive(tmp_path / "a") as archive, pytest.raises(BackupError, match="not the passphrase"):
        archive.unlock(Passphrase("twelve hundred geese"))
    with pytest.raises(BackupError, match="at least 12 characters"):
        Passphrase("short")


async def test_an_archive_for_a_recipient_opens_with_the_private_key_alone(planted: Planted, tmp_path: Path) -> None:
    private, public = new_identity()
    await make_backup(source_of(planted.terrapod), tmp_path / "a", Recipient.read(public), lambda *_: None)
    with Archive(tmp_path / "a") as archive:
        archive.unlock(Identity.read(private))
        await Restore(archive, lambda *_: None).verify()
    with Archive(tmp_path / "a") as archive:
        with pytest.raises(BackupError, match="another recipient"):
            archive.unlock(Identity.read(new_identity()[0]))
        with pytest.raises(BackupError, match="made for a recipient"):
            archive.unlock(Passphrase(PASSPHRASE))


async def test_an_archive_holds_no_secret_in_clear(planted: Planted, tmp_path: Path) -> None:
    await backed_up(planted.terrapod, tmp_path / "a")
    content = (tmp_path / "a").read_bytes()
    assert not [of for of, secret in planted.secrets.items() if secret.encode() in content]
    assert b"state_versions" not in content


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "a/../b", ".hidden", "a//b"])
async def test_an_object_that_would_lie_elsewhere_is_refused(clock: FakeClock, tmp_path: Path, key: str) -> None:
    header = Header(FORMAT, clock.now(), "1", "i", "sqlite", "local", {"core": "0016"}, {}, [], 1)
    with (tmp_path / "a").open("wb") as file:
        sealing = Sealing(file, Passphrase(PASSPHRASE))
        writer = RecordWriter(sealing)
        for record in (header, ObjectBytes(key, b"x", more=False), Footer(0, 1, 1, [], 0)):
            writer.write(record)
        sealing.finish()
    with pytest.raises(BackupError, match="no store may keep"), opened(tmp_path / "a") as restore:
        await restore.verify()


async def test_an_object_that_was_lost_before_is_told_and_holds_nothing_up(
    planted: Planted, install: Install, other_url: str, tmp_path: Path
) -> None:
    store = planted.terrapod.storage_backend
    lost = min([info.key async for info in store.list("plans/")])
    await store.delete(lost)
    made = await backed_up(planted.terrapod, tmp_path / "a")
    assert (made.footer.missing, made.footer.missing_count) == ([lost], 1)
    assert (await restored(tmp_path / "a", install(other_url))).footer.missing == [lost]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with next to no room."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let tests mount a file system")
    yield place
    subprocess.run(["umount", place], check=True)


async def test_a_full_disk_leaves_no_file_and_no_hold(planted: Planted, small_disk: Path) -> None:
    await planted.terrapod.storage_backend.write("logs/plan-1/log.0", pieces(os.urandom(1 << 20)))
    async with planted.terrapod.db.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE phases SET log_key = 'logs/plan-1/log.0' WHERE kind = 'apply'")
    with pytest.raises(OSError, match="No space left"):
        await backed_up(planted.terrapod, small_disk / "a")
    assert names_in(small_disk) == []
    assert await holds(planted) == 0


async def test_a_backup_that_is_cancelled_leaves_no_file_and_no_hold(planted: Planted, tmp_path: Path) -> None:
    reached = asyncio.Event()
    place = tmp_path / "archives"
    place.mkdir()
    source = source_of(planted.terrapod)

    def progress(*_: object) -> None:
        reached.set()
        task.cancel()

    task = asyncio.create_task(make_backup(source, place / "a", Passphrase(PASSPHRASE), progress))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reached.is_set()
    assert names_in(place) == []
    assert await holds(planted) == 0


async def test_the_former_archive_stays_until_the_new_one_is_whole(planted: Planted, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"the former one")

    def progress(*_: object) -> None:
        assert (tmp_path / "a").read_bytes() == b"the former one"

    await make_backup(source_of(planted.terrapod), tmp_path / "a", Passphrase(PASSPHRASE), progress)
    with opened(tmp_path / "a") as restore:
        await restore.verify()


async def holds(planted: Planted) -> int:
    async with planted.terrapod.db.uow() as uow:
        return len((await uow.session.execute(select(BackupHold))).all())


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]
