"""What the commands over archives share: secrets that never stand in a command line, progress, and an end on a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn, TransferSpeedColumn

from terrapod_core.cli.common import UsageProblem

if TYPE_CHECKING:
    from terrapod_core.backup import Archive, Header, Passphrase
    from terrapod_core.backup.locks import Unlocking

VARIABLE: Final = "TERRAPOD_BACKUP_PASSPHRASE"
MIB: Final = 1 << 20
T = TypeVar("T")

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File whose first line is the passphrase.  [default: ${VARIABLE}, else it is asked for]",
)
identity_option = click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the private key, for an archive that was made for a recipient.",
)
quiet_option = click.option("--quiet", is_flag=True, help="Say nothing but what is wrong.")


def passphrase_of(file: Path | None, *, new: bool) -> Passphrase:
    """The passphrase from the file, the environment or the terminal; a `new` one is asked for twice."""
    from terrapod_core.backup import Passphrase

    given = take_variable()
    if file is not None:
        text = _first_line(file)
    elif given is not None:
        text = given
    elif sys.stdin.isatty():
        text = click.prompt("Passphrase of the archive", hide_input=True, confirmation_prompt=new, err=True)
    else:
        raise UsageProblem(f"no passphrase: give it in a file (--passphrase-file) or in ${VARIABLE}, or call this in a terminal")
    return Passphrase(text)


def take_variable() -> str | None:
    """The passphrase out of the environment, where no setting and no child process finds it afterwards."""
    return os.environ.pop(VARIABLE, None)


def secret_of(archive: Archive, passphrase_file: Path | None, identity: Path | None) -> Unlocking:
    """What opens this archive."""
    from terrapod_core.backup import Identity

    if identity is not None:
        take_variable()
        return Identity.read(_first_line(identity))
    if archive.envelope.lock == "x25519":
        raise UsageProblem("the archive was made for a recipient: name the file of the private key with --identity")
    return passphrase_of(passphrase_file, new=False)


def _first_line(file: Path) -> str:
    try:
        return file.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error


@contextmanager
def bytes_shown(quiet: bool, what: str) -> Iterator[tuple[Progress, TaskID]]:
    """A bar where a person looks on, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bars:
        yield bars, bars.add_task(what, total=None)


async def until_stopped(work: Awaitable[T], *, after: str = "nothing was changed") -> T:
    """Do the work; a signal to end the process ends it in order, as the key does. Raises `ClickException` then, saying `after`."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if task.cancelled() and not _is_cancelled():
            raise click.ClickException(f"stopped; {after}") from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _is_cancelled() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def described(header: Header, say: Callable[[str], None]) -> None:
    """What an archive says it holds."""
    rows = sum(table.rows for table in header.tables)
    say(f"made      {header.made_at:%Y-%m-%d %H:%M:%S} UTC by Terrapod {header.version}")
    say(f"of        {header.instance} on {header.database} with the storage {header.storage}")
    revisions = (f"{owner} {revision or 'empty'}" for owner, revision in sorted(header.revisions.items()))
    say(f"schema    {', '.join(revisions)}")
    say(f"holds     {rows} rows of {len(header.tables)} tables, {header.objects} objects")
    within = "in the archive" if header.key_text is not None else "not in the archive"
    say(f"keys      {', '.join(f'{key_id} ({fingerprint[:16]})' for key_id, fingerprint in header.keys.items())}: {within}")
