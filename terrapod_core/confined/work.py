"""The server's side."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import BinaryIO, Final

SAID_BYTES: Final = 4096


class Failed(Exception):
    """The program ended with another exit status than 0; the text is what it wrote to standard error, or how it ended."""


def program(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module of ours with nothing of this process's surroundings."""
    return (sys.executable, "-I", "-m", module, *arguments)


async def work(command: Sequence[str], feed: Callable[[asyncio.StreamWriter], Awaitable[None]], result: BinaryIO) -> None:
    """Run a program to its end: `feed` writes its standard input, which is closed afterwards, and its output goes to `result`.

    Raises `Failed`, and what `feed` raises. However it ends, the program has ended too.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=result, stderr=asyncio.subprocess.PIPE, env={}, cwd="/"
    )
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        # It may end before it has read everything: then its exit status says more than the broken pipe.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await feed(process.stdin)
            process.stdin.close()
        said = await process.stderr.read(SAID_BYTES)
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        raise Failed(said.decode("utf-8", "replace").strip() or _ended(code))


def _ended(code: int) -> str:
    if code in (-signal.SIGKILL, -signal.SIGXCPU):
        return "it takes more time or memory than there is for it"
    return f"the program that reads it ended with {code}"
