"""The server's side: what is in a module's archive, without running or unpacking anything of it.

The work is done by `terrapod_core.registry.contents` in a process of its own, so that the worst an archive can do is to be refused.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import structlog

from terrapod_core.confined.work import Failed, program, work
from terrapod_core.errors import Invalid
from terrapod_core.tarballs import ArchiveLimits

from .answers import Answer
from .structs import ModuleContents

AT_ONCE: Final = 2
"""Archives that are read side by side; further ones wait."""
PIECE: Final = 1 << 18
ANSWER_BYTES: Final = 16 << 20
"""Of what is known of a module, as JSON."""

log = structlog.get_logger("terrapod.registry")


class ModuleReader:
    """Reads archives of modules. `limits` are the most one may hold."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._program = program("terrapod_core.registry.contents", str(limits.entries), str(limits.unpacked_bytes))
        self._room = asyncio.Semaphore(AT_ONCE)

    async def understand(self, archive: Path | AsyncIterable[bytes]) -> ModuleContents:
        """What is known of the module in a tar.gz, which is a file or comes in pieces.

        Raises `Invalid` (`bad_archive`) with what the publisher can do about it when it is refused: not whole, not safe to unpack, too
        large, or no module that terraform could install. Files in it that cannot be understood are `problems` of the result.
        """
        pieces = _pieces(archive) if isinstance(archive, Path) else archive
        async with self._room:
            with await asyncio.to_thread(tempfile.TemporaryFile) as result:
                try:
                    await work(self._program, lambda stdin: _send(stdin, pieces), result)
                    return await asyncio.to_thread(_answer, result)
                except Failed as failure:
                    log.warning("an archive of a module could not be read", reason=str(failure))
                    raise _refused(_told(failure)) from None


async def _send(stdin: asyncio.StreamWriter, pieces: AsyncIterable[bytes]) -> None:
    """All of them, or as many as the program wants to have; what they come from is closed in any case."""
    try:
        async for piece in pieces:
            stdin.write(piece)
            await stdin.drain()
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


def _answer(result: BinaryIO) -> ModuleContents:
    result.seek(0)
    text = result.read(ANSWER_BYTES + 1)
    if len(text) > ANSWER_BYTES:
        raise _refused(f"what describes the module is larger than {ANSWER_BYTES} bytes; leave descriptions and examples out of it")
    answer = msgspec.json.decode(text, type=Answer)
    if answer.contents is None:
        raise Invalid(answer.refused, code="bad_archive")
    return answer.contents


def _told(failure: Failed) -> str:
    """The program says in one line what a publisher can mend; a traceback is the operator's."""
    lines = str(failure).splitlines()
    return lines[0] if len(lines) == 1 else "the program that reads it failed, and the server's log says how"


def _refused(why: str) -> Invalid:
    return Invalid(f"the module archive is refused: {why}", code="bad_archive")
