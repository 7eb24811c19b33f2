"""What the commands that publish share: progress, uploads, and waiting until something is seen by others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from terrapod_core.cli.archives import bytes_shown

if TYPE_CHECKING:
    from terrapod_core.cli.api import API

PATIENCE_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.25


def say(quiet: bool, words: str) -> None:
    """Tell a person how far it is; what other programs read goes to standard output instead."""
    if not quiet:
        click.echo(words, err=True)


async def upload(api: API, link: str, file: Path, what: str, *, quiet: bool) -> None:
    """Send a file to its link."""
    with bytes_shown(quiet, f"uploading {what}") as (bars, bar):
        bars.update(bar, total=(await asyncio.to_thread(file.stat)).st_size)
        await api.put_file(link, file, lambda size: bars.advance(bar, size))


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask until it is so. Raises `ClickException` when that takes too long."""
    end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not await condition():
        if asyncio.get_running_loop().time() > end:
            raise click.ClickException(
                f"everything is uploaded, but after {PATIENCE_SECONDS:g} s the server still is not there: waited for {what}"
            )
        await asyncio.sleep(PAUSE_SECONDS)
