"""The files of a commit, fetched once to a file of this machine's disk and made a configuration of; nothing of them is held in memory."""

from __future__ import annotations

import asyncio
import struct
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import msgspec

from terrapod_core.confined.work import Failed, program, work
from terrapod_core.errors import Invalid
from terrapod_core.plugin import Repo, VCSClient
from terrapod_core.tarballs import ArchiveLimits
from terrapod_core.vcs.packing.order import Notes, Order

PIECE: Final = 1 << 18
LONGEST_NOTES: Final = 1 << 20


@dataclass(frozen=True)
class Fetched:
    """What was fetched; good while its block lasts."""

    notes: Notes
    size: int
    """Bytes of the archive."""
    file: BinaryIO

    async def chunks(self) -> AsyncIterator[bytes]:
        """The archive, a gzip tar of the configuration; as often as it is wanted, one after the other."""
        await asyncio.to_thread(self.file.seek, 0)
        left = self.size
        while left > 0:
            piece = await asyncio.to_thread(self.file.read, min(PIECE, left))
            left -= len(piece)
            yield piece


@asynccontextmanager
async def fetched(
    client: VCSClient,
    repo: Repo,
    sha: str,
    paths: Sequence[str] | None,
    directories: Iterable[str],
    limits: ArchiveLimits,
    *,
    root: str = "",
) -> AsyncIterator[Fetched]:
    """The files of a commit below `paths` and at the root (`None`: all), as a configuration.

    The notes say of each of these working directories whether it is there. With a `root`, the archive has what is below that directory,
    and nothing else. Raises what the client raises, and `Invalid` (`bad_archive`).
    The temporary file is on the disk that the system has for such; it is gone with the block.
    """
    order = Order(
        paths=list(paths) if paths is not None else None,
        directories=sorted(set(directories)),
        root=root,
        entries=limits.entries,
        unpacked_bytes=limits.unpacked_bytes,
    )
    with await asyncio.to_thread(tempfile.TemporaryFile) as result:
        command = program("terrapod_core.vcs.packing", msgspec.json.encode(order).decode())
        try:
            await work(command, lambda stdin: _send(stdin, client.archive(repo, sha, paths or ())), result)
        except Failed as failure:
            raise Invalid(f"the archive of {repo} {_told(failure)}", code="bad_archive") from None
        notes, size = await asyncio.to_thread(_read, result)
        yield Fetched(notes, size, result)


async def _send(stdin: asyncio.StreamWriter, pieces: AsyncIterator[bytes]) -> None:
    held: Any = pieces
    async with aclosing(held) as coming:
        async for piece in coming:
            stdin.write(piece)
            await stdin.drain()


def _read(result: BinaryIO) -> tuple[Notes, int]:
    end = result.seek(0, 2)
    result.seek(end - 4)
    (length,) = struct.unpack(">I", result.read(4))
    if length > min(LONGEST_NOTES, end - 4):
        raise Invalid("the archive could not be read", code="bad_archive")
    result.seek(end - 4 - length)
    return msgspec.json.decode(result.read(length), type=Notes), end - 4 - length


def _told(failure: Failed) -> str:
    lines = str(failure).splitlines()
    return lines[0] if len(lines) == 1 else "could not be read, and the server's log says how"
