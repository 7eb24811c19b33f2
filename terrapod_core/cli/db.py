"""`terrapod db`: migrations."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from terrapod_core.cli.common import data_dir_option, load_settings, run
from terrapod_core.db import Database
from terrapod_core.db.migrate import SchemaNewer, SchemaState, states, upgrade
from terrapod_core.plugin import Plugins


@click.group()
def db() -> None:
    """Migrations of the core and of plugins."""


@db.command("upgrade")
@data_dir_option
def upgrade_command(data_dir: Path | None) -> None:
    """Bring the schema up to date."""
    behind = _with_database(data_dir, upgrade)
    for state in behind:
        click.echo(f"{state.owner}: {state.current or 'empty'} -> {state.head}")
    if not behind:
        click.echo("nothing to do: the schema is current")


@db.command()
@data_dir_option
def current(data_dir: Path | None) -> None:
    """Print the revision of each part."""
    for state in _with_database(data_dir, states):
        click.echo(f"{state.owner}: {state.current or 'empty'}{'' if state.is_current else f' (newest: {state.head})'}")


@db.command()
@data_dir_option
def check(data_dir: Path | None) -> None:
    """Exit with 1 when the schema is not current."""
    behind = [state for state in _with_database(data_dir, states) if not state.is_current]
    for state in behind:
        click.echo(f"{state.owner} is at {state.current or 'empty'}, the newest is {state.head}: run `terrapod db upgrade`")
    sys.exit(1 if behind else 0)


def _with_database(data_dir: Path | None, act: Callable[..., Awaitable[list[SchemaState]]]) -> list[SchemaState]:
    settings = load_settings(data_dir, {})
    migrations = Plugins.discover(settings).migrations()

    async def task() -> list[SchemaState]:
        database = Database(settings.database.url)
        try:
            return await act(database, migrations)
        except SchemaNewer as error:
            raise click.ClickException(str(error)) from error
        finally:
            await database.close()

    return run(task)
