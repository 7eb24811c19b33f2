"""`terrapod backup`: make an archive, look whether one is whole, make a key for archives."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from terrapod_core.cli.archives import (
    MIB,
    bytes_shown,
    described,
    identity_option,
    passphrase_of,
    passphrase_option,
    quiet_option,
    secret_of,
    take_variable,
    until_stopped,
)
from terrapod_core.cli.common import UsageProblem, data_dir_option, explained, with_terrapod

if TYPE_CHECKING:
    from terrapod_core.app import Terrapod
    from terrapod_core.backup import Archive, Made
    from terrapod_core.backup.locks import Locking

archive_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


class OrCreate(click.Group):
    """`terrapod backup FILE` is `terrapod backup create FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["create", *args]
        return super().parse_args(ctx, args)


@click.group(cls=OrCreate)
def backup() -> None:
    """One archive of database and objects, encrypted. `terrapod backup FILE` makes it, while the server runs."""


@backup.command()
@archive_argument
@passphrase_option
@click.option("--recipient", help="Public key of whoever may open it (`terrapod backup new-key`), in place of a passphrase.")
@click.option("--with-keys", is_flag=True, help="Put the keys in that stored secrets are encrypted under: the passphrase opens everything.")
@quiet_option
@data_dir_option
def create(file: Path, passphrase_file: Path | None, recipient: str | None, with_keys: bool, quiet: bool, data_dir: Path | None) -> None:
    """Make an archive. FILE appears, or is replaced, when it is whole. Exit code 1 when objects were missing in the store."""
    from terrapod_core.backup import make_backup
    from terrapod_core.backup.making import Source

    lock = _lock(passphrase_file, recipient, with_keys=with_keys)

    async def act(terrapod: Terrapod) -> Made:
        source = Source(terrapod.db, terrapod.storage_backend, terrapod.keyring, terrapod.key_watch, terrapod.plugins.migrations())
        with bytes_shown(quiet, "rows") as (bars, bar):

            def progress(what: str, done: int, of: int, size: int) -> None:
                bars.update(bar, description=f"{done} of {of} {what}", completed=size)

            try:
                return await until_stopped(make_backup(source, file, lock, progress, with_keys=with_keys))
            except OSError as error:
                raise click.ClickException(f"{file} cannot be written: {error.strerror or error}") from error

    made = with_terrapod(data_dir, act)
    if not quiet:
        footer = made.footer
        click.echo(f"{file}: {footer.rows} rows, {footer.objects} objects, {made.size / MIB:.1f} MiB")
    if made.footer.missing_count:
        click.echo(
            f"{made.footer.missing_count} objects that rows name are not in the store, {made.footer.missing[0]} among them: "
            "`terrapod storage check` names them all. Everything else is in the archive",
            err=True,
        )
        sys.exit(1)


@backup.command()
@archive_argument
@passphrase_option
@identity_option
@quiet_option
def verify(file: Path, passphrase_file: Path | None, identity: Path | None, quiet: bool) -> None:
    """Read an archive to its end, authenticate all of it, and print what is inside. Exit code 1 when it is not whole."""
    with explained():
        with opened(file, passphrase_file, identity) as archive:
            _verify(archive, quiet=quiet)
        if not quiet:
            click.echo("whole: every byte is what was written")


@backup.command("new-key")
@archive_argument
def new_key(file: Path) -> None:
    """Write a private key to FILE, mode 0600, and print the public key for `--recipient`."""
    from terrapod_core.backup import new_identity
    from terrapod_core.secrets.keyfile import write_first

    private, public = new_identity()
    _refuse_existing(file)
    with explained():
        write_first(file, private)
    click.echo(public)


@backup.command()
@archive_argument
@click.argument("key_file", type=click.Path(dir_okay=False, path_type=Path))
@passphrase_option
def keys(file: Path, key_file: Path, passphrase_file: Path | None) -> None:
    """Write the keys of an archive that was made with --with-keys to KEY_FILE, mode 0600, as the setting secrets.keys takes them."""
    from terrapod_core.backup import Restore
    from terrapod_core.secrets.keyfile import write_first

    _refuse_existing(key_file)
    with explained():
        with opened(file, passphrase_file, None) as archive:
            header = Restore(archive, lambda *_: None).header
        if header.key_text is None:
            raise click.ClickException("the archive holds no keys: it was made without --with-keys")
        write_first(key_file, header.key_text.rstrip("\n"))
    click.echo(f"{key_file}: {', '.join(header.keys)}")


def opened(file: Path, passphrase_file: Path | None, identity: Path | None) -> Archive:
    """The archive, unlocked. Raises `BackupError`."""
    from terrapod_core.backup import Archive

    archive = Archive(file)
    with ExitStack() as stack:
        stack.push(archive)
        archive.unlock(secret_of(archive, passphrase_file, identity))
        stack.pop_all()
    return archive


def _verify(archive: Archive, *, quiet: bool) -> None:
    """Read it to its end, and say what is inside. Raises `BackupError`."""
    from terrapod_core.backup import Restore

    with bytes_shown(quiet, "reading") as (bars, bar):

        def progress(position: int, size: int, rows: int, objects: int) -> None:
            bars.update(bar, description=f"{rows} rows, {objects} objects", completed=position, total=size)

        restore = Restore(archive, progress)
        footer = asyncio.run(restore.verify())
    if not quiet:
        described(restore.header, click.echo)
    if footer.missing_count:
        click.echo(f"{footer.missing_count} objects were missing in the store when it was made, {footer.missing[0]} among them", err=True)


def _lock(passphrase_file: Path | None, recipient: str | None, *, with_keys: bool) -> Locking:
    from terrapod_core.backup import Recipient

    with explained():
        if recipient is None:
            return passphrase_of(passphrase_file, new=True)
        take_variable()
        if with_keys:
            raise UsageProblem("--with-keys needs a passphrase, and no --recipient: whoever opens the archive then has everything")
        if passphrase_file is not None:
            raise UsageProblem("an archive is made for a passphrase or for a recipient, not for both")
        return Recipient.read(recipient)


def _refuse_existing(file: Path) -> None:
    if file.exists():
        raise UsageProblem(f"{file} is there already, and a key is never written over")
