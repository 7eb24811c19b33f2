from __future__ import annotations

import asyncio
import errno
import os
import stat
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import terrapod_storage_local
from terrapod_core.plugin import ObjectMissing, PluginContexts
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords
from terrapod_storage_local.files import BLOCK, StoreFull
from terrapod_storage_local.settings import LocalStorageSettings
from terrapod_storage_local.storage import INCOMING, LEFTOVER_AGE, LocalStorage


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(storage: LocalStorage, key: str, start: int = 0, end: int | None = None) -> list[bytes]:
    return [chunk async for chunk in storage.read(key, start, end)]


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def folders(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir())


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "objects")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


async def test_an_object_is_one_private_file_in_private_folders(storage: LocalStorage, root: Path) -> None:
    await storage.write("plans/plan-1/plan-file.x", chunks(b"bytes"))
    assert (root / "plans/plan-1/plan-file.x").read_bytes() == b"bytes"
    assert files(root) == ["plans/plan-1/plan-file.x"]
    assert stat.S_IMODE((root / "plans/plan-1/plan-file.x").stat().st_mode) == 0o600
    assert folders(root) == [INCOMING, "plans", "plans/plan-1"]
    assert {stat.S_IMODE((root / name).stat().st_mode) for name in ["", *folders(root)]} == {0o700}


@pytest.mark.parametrize(
    "key", ["../outside", "a/../../outside", "/etc/passwd", ".incoming/x", "a//b", "a/./b", "", "a\x00b", "a\n", "a\\..\\b"]
)
async def test_no_key_leads_outside_the_store(storage: LocalStorage, root: Path, key: str) -> None:
    with pytest.raises(ValueError, match="no object key"):
        await storage.write(key, chunks(b"x"))
    with pytest.raises(ValueError, match="no object key"):
        await read(storage, key)
    with pytest.raises(ValueError, match="no object key"):
        await storage.info(key)
    with pytest.raises(ValueError, match="no object key"):
        await storage.delete(key)
    assert files(root.parent) == []


@pytest.mark.parametrize("prefix", ["../", "../../etc/", "/", ".incoming/", "missing/", "a/../"])
async def test_listing_a_prefix_that_no_key_has_finds_nothing(storage: LocalStorage, root: Path, prefix: str) -> None:
    await storage.write("a/b", chunks(b"x"))
    (root.parent / "outside").write_bytes(b"x")
    assert [info async for info in storage.list(prefix)] == []


async def test_a_large_object_is_read_in_blocks_and_by_range(storage: LocalStorage) -> None:
    data = os.urandom(2 * BLOCK + 100)
    await storage.write("a", chunks(data[: BLOCK + 3], data[BLOCK + 3 :]))
    blocks = await read(storage, "a")
    assert [len(block) for block in blocks] == [BLOCK, BLOCK, 100]
    assert b"".join(blocks) == data
    assert b"".join(await read(storage, "a", 5, BLOCK + 10)) == data[5 : BLOCK + 10]


async def test_a_folder_is_no_object(storage: LocalStorage) -> None:
    await storage.write("a/b", chunks(b"x"))
    for key in ("a", "a/b/c"):
        with pytest.raises(ObjectMissing):
            await read(storage, key)
        with pytest.raises(ObjectMissing):
            await storage.info(key)
        await storage.delete(key)
    assert (await storage.info("a/b")).size == 1


async def test_a_write_that_fails_late_leaves_the_former_object_and_no_file(storage: LocalStorage, root: Path) -> None:
    async def torn() -> AsyncIterator[bytes]:
        yield bytes(2 * BLOCK)
        raise ConnectionResetError("the client went away")

    await storage.write("a", chunks(b"before"))
    with pytest.raises(ConnectionResetError):
        await storage.write("a", torn())
    assert files(root) == ["a"]
    assert await read(storage, "a") == [b"before"]


async def test_an_object_gets_its_name_once_it_is_on_disk_and_the_name_is_synced_too(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await storage.write("a/first", chunks(b"x"))
    seen: list[tuple[str, bool]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        name = os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), root)
        seen.append((name.partition("/")[0], (root / "a/second").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    await storage.write("a/second", chunks(b"y"))
    assert seen == [(INCOMING, False), ("a", True)]


async def test_a_cancelled_write_leaves_no_file(storage: LocalStorage, root: Path) -> None:
    written = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield bytes(BLOCK)
        written.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(storage.write("a", endless()))
    await written.wait()
    assert len(files(root)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(root) == []


async def test_deleting_the_last_object_of_a_folder_removes_the_folder(storage: LocalStorage, root: Path) -> None:
    await storage.write("plans/one/file", chunks(b"1"))
    await storage.write("plans/two/file", chunks(b"2"))
    await storage.delete("plans/one/file")
    assert folders(root) == [INCOMING, "plans", "plans/two"]
    await storage.delete("plans/two/file")
    assert folders(root) == [INCOMING]


async def test_writing_beside_somebody_who_empties_the_folder_never_fails(storage: LocalStorage, root: Path) -> None:
    async def churn(name: str) -> None:
        for _ in range(40):
            await storage.write(f"shared/folder/{name}", chunks(b"x"))
            await storage.delete(f"shared/folder/{name}")

    await asyncio.gather(*(churn(f"object-{number}") for number in range(6)))
    assert files(root) == []


async def test_the_last_of_two_whole_writes_wins_and_they_never_mix(storage: LocalStorage) -> None:
    async def write(letter: bytes) -> None:
        await storage.write("a", chunks(*[letter * BLOCK] * 3))

    await asyncio.gather(*(write(letter) for letter in (b"a", b"b", b"c")))
    assert len(set(b"".join(await read(storage, "a")))) == 1


async def test_a_reader_who_began_reads_on_when_the_object_is_replaced_or_deleted(storage: LocalStorage) -> None:
    await storage.write("a", chunks(b"1" * BLOCK, b"1" * BLOCK))
    reading = storage.read("a")
    first = await anext(reading)
    await storage.write("a", chunks(b"2" * BLOCK * 2))
    await storage.delete("a")
    assert first + b"".join([block async for block in reading]) == b"1" * (2 * BLOCK)


async def test_a_reader_who_leaves_early_leaves_no_open_file(storage: LocalStorage) -> None:
    await storage.write("a", chunks(bytes(3 * BLOCK)))
    before = open_files()
    reading = storage.read("a")
    await anext(reading)
    assert open_files() == before + 1
    await reading.aclose()
    assert open_files() == before


def test_a_start_removes_half_written_files_of_yesterday_and_leaves_those_of_today(tmp_path: Path) -> None:
    incoming = tmp_path / INCOMING
    incoming.mkdir()
    for name in ("old", "new"):
        (incoming / name).write_bytes(b"half")
    yesterday = time.time() - LEFTOVER_AGE - 60
    os.utime(incoming / "old", (yesterday, yesterday))
    assert LocalStorage(tmp_path).remove_leftovers() == 1
    assert files(tmp_path) == [f"{INCOMING}/new"]


def test_a_first_start_makes_no_folder(tmp_path: Path) -> None:
    assert LocalStorage(tmp_path / "objects").remove_leftovers() == 0
    assert not (tmp_path / "objects").exists()


async def test_half_written_files_are_not_listed(storage: LocalStorage, root: Path) -> None:
    await storage.write("a/b", chunks(b"x"))
    (root / INCOMING / "half").write_bytes(b"half")
    assert [info.key async for info in storage.list("")] == ["a/b"]


def test_objects_lie_in_the_data_directory_unless_a_path_is_set(tmp_path: Path) -> None:
    assert LocalStorageSettings().folder(tmp_path) == tmp_path / "objects"
    assert LocalStorageSettings(path=tmp_path / "elsewhere").folder(tmp_path) == tmp_path / "elsewhere"


def test_the_hook_gives_the_backend_and_says_what_a_crash_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    incoming = tmp_path / "objects" / INCOMING
    incoming.mkdir(parents=True)
    (incoming / "old").write_bytes(b"half")
    os.utime(incoming / "old", (0, 0))
    contexts = PluginContexts(clock=FakeClock(), data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce())
    with caplog.at_level("INFO"):
        [storage] = terrapod_storage_local.register_storage_backends(contexts("storage-local", LocalStorageSettings()))
    assert storage.name == "local"
    assert "removed 1 half-written file" in caplog.text
    asyncio.run(storage.write("a", chunks(b"x")))
    assert files(tmp_path) == ["objects/a"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting a small file system is not allowed here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


async def test_a_full_disk_is_a_clear_error_and_leaves_no_file(tiny_disk: Path) -> None:
    storage = LocalStorage(tiny_disk)
    await storage.write("small", chunks(b"before"))
    with pytest.raises(StoreFull, match="disk of the object store is full") as refused:
        await storage.write("large", chunks(*[bytes(BLOCK)] * 8))
    assert refused.value.errno == errno.ENOSPC
    assert files(tiny_disk) == ["small"]
    await storage.write("again", chunks(bytes(BLOCK)))
    assert await read(storage, "small") == [b"before"]
