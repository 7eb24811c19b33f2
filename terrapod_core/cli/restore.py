"""`terrapod restore`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace as with_changes
from pathlib import Path
from typing import TYPE_CHECKING

import click

from terrapod_core.cli.archives import bytes_shown, described, identity_option, passphrase_option, quiet_option, until_stopped
from terrapod_core.cli.backup import archive_argument, opened
from terrapod_core.cli.common import UsageProblem, configure_logging, data_dir_option, explained, load_settings, run
from terrapod_core.settings import Settings

if TYPE_CHECKING:
    from terrapod_core.backup import Header, Options, Restore
    from terrapod_core.backup.restoring import Restored


@click.command()
@archive_argument
@passphrase_option
@identity_option
@click.option("--replace", is_flag=True, help="Remove what database and storage hold, and put the archive in its place.")
@click.option("--keep-tokens", is_flag=True, help="API tokens go on, those too that were revoked after the backup was made.")
@click.option("--keep-listeners", is_flag=True, help="Listeners of agent pools go on, those too that were revoked after it.")
@click.option("--dry-run", is_flag=True, help="Read and authenticate everything, and look whether it could be restored; write nothing.")
@quiet_option
@data_dir_option
def restore(
    file: Path,
    passphrase_file: Path | None,
    identity: Path | None,
    replace: bool,
    keep_tokens: bool,
    keep_listeners: bool,
    dry_run: bool,
    quiet: bool,
    data_dir: Path | None,
) -> None:
    """Restore an archive into the empty database and storage of the settings, of whatever kind they are. Stop every server first."""
    from terrapod_core.backup import Options, Restore
    from terrapod_core.backup.epoch import Kept

    with explained(), opened(file, passphrase_file, identity) as archive:
        settings = load_settings(data_dir, {})
        configure_logging(with_changes(settings, log=with_changes(settings.log, level="warning")))
        options = Options(Kept(keep_tokens, keep_listeners), replace)
        with _no_server(settings), bytes_shown(quiet, "restoring") as (bars, bar):

            def progress(position: int, size: int, rows: int, objects: int) -> None:
                bars.update(bar, description=f"{rows} rows, {objects} objects", completed=position, total=size)

            restoring = Restore(archive, progress)
            with _keys_of(settings, restoring.header, keep=not dry_run):
                restored = run(lambda: until_stopped(_restore(settings, restoring, options, dry_run=dry_run)))
    if not quiet:
        if restored is None:
            described(restoring.header, click.echo)
            click.echo("whole, and it could be restored here; nothing was written")
        else:
            _tell(restored, options)


async def _restore(settings: Settings, restoring: Restore, options: Options, *, dry_run: bool) -> Restored | None:
    """What was restored; `None` when it was only tried."""
    from sqlalchemy.exc import DBAPIError

    from terrapod_core.app import Terrapod
    from terrapod_core.backup.restoring import Target

    terrapod = Terrapod(settings, jobs=False)
    try:
        target = Target(
            terrapod.db,
            terrapod.storage_backend,
            terrapod.keyring,
            terrapod.plugins.migrations(),
            terrapod.workspaces,
            terrapod.logs,
        )
        if not dry_run:
            return await restoring.run(target, options)
        await restoring.check(target, replace=options.replace)
        await restoring.verify()
        return None
    except (OSError, DBAPIError) as error:
        raise click.ClickException(f"nothing was restored: {getattr(error, 'orig', None) or error}") from error
    finally:
        await terrapod.db.close()


@contextmanager
def _no_server(settings: Settings) -> Iterator[None]:
    """No server has the data directory, and none gets it meanwhile. On PostgreSQL the connections tell (`Restore.check`)."""
    if not settings.embedded:
        yield
        return
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(settings.data_dir / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UsageProblem(f"a server has {settings.data_dir}: stop it first") from error
    finally:
        os.close(descriptor)


@contextmanager
def _keys_of(settings: Settings, header: Header, *, keep: bool) -> Iterator[None]:
    """The archive's own keys as the key file of an installation that has none yet; taken away again when nothing was restored."""
    from terrapod_core.secrets.keyfile import write_first
    from terrapod_core.secrets.providers import SettingsKeys

    file = SettingsKeys.of(settings).key_file if settings.secrets.provider == "settings" else None
    if header.key_text is None or file is None or file.exists():
        yield
        return
    write_first(file, header.key_text.rstrip("\n"))
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    if not keep:
        file.unlink(missing_ok=True)


def _tell(restored: Restored, options: Options) -> None:
    footer, ended = restored.footer, restored.ended
    click.echo(f"restored {footer.rows} rows and {footer.objects} objects")
    click.echo(f"{ended.runs} runs that had not ended are errored; sessions, links, runner credentials and join tokens are ended")
    click.echo("API tokens were kept" if options.kept.tokens else "API tokens are ended; --keep-tokens would have kept them")
    if ended.listeners:
        click.echo(f"{ended.listeners} listeners are revoked and have to join again")
    if footer.missing_count:
        click.echo(f"{footer.missing_count} objects were missing in the store when the backup was made: `terrapod storage check`", err=True)
