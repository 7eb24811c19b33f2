"""Runs programs with an environment that is made for them, and ends them with all that they started."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from terrapod_core.plugin import VCSFailed

PIECE: Final = 64 * 1024
MOST_SAID: Final = 64 * 1024
"""Of standard error, from its end."""

LOOK_SECONDS: Final = 0.2
"""Between two looks at how large a fetch has grown."""


@dataclass(frozen=True)
class Child:
    """How a program is run, and which bounds it has."""

    host: str
    """Named in errors."""
    environment: Mapping[str, str] = field(repr=False)
    directory: Path
    seconds: float
    """For all of it; of a stream, between two pieces."""
    most: int
    """Bytes of its output."""
    too_large: Callable[[], bool] = lambda: False
    """Asked in a thread, now and then, while it runs."""

    async def run(self, *command: str, data: bytes | None = None) -> tuple[int, bytes, str]:
        """Exit code, output and what it said. Raises `VCSFailed` for one that takes too long or writes too much."""
        async with self._started(command, data is not None) as (process, said):
            watching = asyncio.ensure_future(self._watch(process))
            try:
                async with asyncio.timeout(self.seconds):
                    output, _ = await asyncio.gather(self._read(process), self._feed(process, data))
                    code = await process.wait()
            except TimeoutError:
                raise VCSFailed(f"{self.host}: did not answer within {self.seconds:g} s") from None
            finally:
                watching.cancel()
            if await asyncio.to_thread(self.too_large):
                raise self._large()
            return code, output, await said

    async def stream(self, *command: str) -> AsyncIterator[bytes]:
        """Its output, piece by piece. Raises `VCSFailed` when it does not end well."""
        async with self._started(command, False) as (process, said):
            assert process.stdout is not None
            seen = 0
            try:
                while piece := await asyncio.wait_for(process.stdout.read(PIECE), self.seconds):
                    seen += len(piece)
                    if seen > self.most:
                        raise self._large()
                    yield piece
                code = await asyncio.wait_for(process.wait(), self.seconds)
            except TimeoutError:
                raise VCSFailed(f"{self.host}: the archive did not come within {self.seconds:g} s") from None
            if code != 0:
                raise VCSFailed(f"{self.host}: the commit could not be packed: {(await said).strip()[-200:]}")

    @asynccontextmanager
    async def _started(self, command: Sequence[str], fed: bool) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.Future[str]]]:
        process = await asyncio.create_subprocess_exec(
            program(command[0]),
            *command[1:],
            stdin=asyncio.subprocess.PIPE if fed else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(self.environment),
            cwd=self.directory,
            start_new_session=True,
        )
        said = asyncio.ensure_future(_said(process))
        try:
            yield process, said
        finally:
            kill(process)
            said.cancel()
            await process.wait()

    async def _read(self, process: asyncio.subprocess.Process) -> bytes:
        assert process.stdout is not None
        output = bytearray()
        while piece := await process.stdout.read(PIECE):
            output += piece
            if len(output) > self.most:
                raise self._large()
        return bytes(output)

    async def _feed(self, process: asyncio.subprocess.Process, data: bytes | None) -> None:
        if data is None or process.stdin is None:
            return
        with suppress(ConnectionError):
            process.stdin.write(data)
            await process.stdin.drain()
        process.stdin.close()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None:
            await asyncio.sleep(LOOK_SECONDS)
            if await asyncio.to_thread(self.too_large):
                kill(process)

    def _large(self) -> VCSFailed:
        return VCSFailed(f"{self.host}: sends more than is taken (vcs.git.max_bytes)")


def program(name: str) -> str:
    """Where a program is. Raises `VCSFailed` when it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise VCSFailed(f"{name}: this program is not installed where the server runs, or not on its PATH")
    return found


def kill(process: asyncio.subprocess.Process) -> None:
    """The program and whatever it started, unless it has ended by itself."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _said(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = bytearray()
    while piece := await process.stderr.read(PIECE):
        said += piece
        del said[:-MOST_SAID]
    return said.decode("utf-8", "replace")
