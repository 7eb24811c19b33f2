"""The server's door to what is in an archive: a program of its own does the work, and only it can fail."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from terrapod_core.confined.work import program
from terrapod_core.errors import Invalid
from terrapod_core.registry.contents.reader import ModuleReader
from terrapod_core.tarballs import ArchiveLimits
from tests.support.wire import archive

MODULE = archive({"net-1.0/main.tf": 'variable "cidr" {}\n', "net-1.0/README.md": "# Net\n"})


async def test_a_file_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "module.tar.gz"
    path.write_bytes(MODULE)
    contents = await ModuleReader(ArchiveLimits()).understand(path)
    assert contents.wrapper == "net-1.0"
    assert [each.name for each in contents.module.inputs] == ["cidr"]
    assert contents.module.readme is not None
    assert contents.module.readme.html == '<h1 id="readme-net">Net</h1>\n'


async def test_an_archive_that_comes_in_pieces_is_understood() -> None:
    contents = await ModuleReader(ArchiveLimits()).understand(pieces(MODULE))
    assert [each.name for each in contents.module.inputs] == ["cidr"]


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 50):
        yield data[at : at + 50]


async def test_a_refusal_comes_with_its_reason() -> None:
    with pytest.raises(Invalid, match="the module archive is refused: it has more than 1 entries") as refusal:
        await ModuleReader(ArchiveLimits(entries=1)).understand(pieces(MODULE))
    assert refusal.value.code == "bad_archive"


async def test_a_stream_that_nobody_wants_more_of_is_closed() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"no archive" * 10_000
        finally:
            closed.set()

    with pytest.raises(Invalid, match="it is not gzip-compressed"):
        await ModuleReader(ArchiveLimits()).understand(endless())
    assert closed.is_set()


async def test_what_ends_the_stream_ends_the_program_and_is_raised() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield MODULE[:50]
        raise ConnectionAbortedError("the client is gone")

    with pytest.raises(ConnectionAbortedError, match="the client is gone"):
        await ModuleReader(ArchiveLimits()).understand(broken())


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("kill -KILL $$", "more time or memory than there is for it"),
        ("kill -XCPU $$", "more time or memory than there is for it"),
        ("kill -SEGV $$", "the program that reads it ended with -11"),
        ("echo it is too much >&2; exit 1", "it is too much"),
        ("printf 'Traceback:\\n  at /secret\\n' >&2; exit 1", "the program that reads it failed, and the server's log says how$"),
    ],
)
async def test_a_program_that_dies_is_a_refusal_that_says_how(monkeypatch: pytest.MonkeyPatch, script: str, says: str) -> None:
    reader = ModuleReader(ArchiveLimits())
    monkeypatch.setattr(reader, "_program", ("/bin/sh", "-c", script))
    with pytest.raises(Invalid, match=says):
        await reader.understand(pieces(MODULE))


async def test_others_wait_while_some_are_read() -> None:
    reader = ModuleReader(ArchiveLimits())
    begun: list[int] = []
    two, go_on = asyncio.Event(), asyncio.Event()

    async def slow(number: int) -> AsyncIterator[bytes]:
        begun.append(number)
        if len(begun) == 2:
            two.set()
        await go_on.wait()
        yield MODULE

    tasks = [asyncio.create_task(reader.understand(slow(number))) for number in range(3)]
    await two.wait()
    assert sorted(begun) == [0, 1]
    go_on.set()
    await asyncio.gather(*tasks)
    assert sorted(begun) == [0, 1, 2]


def test_the_program_starts_without_the_rest_of_the_server() -> None:
    code = (
        "import sys, terrapod_core.registry.contents.__main__\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'sqlalchemy', 'quart', 'asyncio', 'cryptography', 'fsspec'}))"
    )
    loaded = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == ""


def test_the_program_knows_nothing_of_its_surroundings() -> None:
    assert program("a", "1") == (sys.executable, "-I", "-m", "a", "1")
