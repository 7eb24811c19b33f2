"""`terrapod plugins`: what was found, and whether it works."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from terrapod_core.cli.common import UsageProblem, data_dir_option, load_settings, print_table
from terrapod_core.plugin import Plugins, PluginState
from terrapod_core.settings import SettingsError


@click.group()
def plugins() -> None:
    """Plugins: every one that was found, loaded or not."""


@plugins.command("list")
@data_dir_option
def list_command(data_dir: Path | None) -> None:
    """Name, version, state, what each provides; a failed one with its reason."""
    rows = []
    for record in _discover(data_dir).records:
        said = ", ".join(record.provides) if record.state is PluginState.LOADED else record.reason or ""
        rows.append((record.name, record.version or "-", record.state.value, said))
    print_table(("name", "version", "state", "provides"), rows)


@plugins.command()
@data_dir_option
def check(data_dir: Path | None) -> None:
    """Exit with 1 when a plugin failed, or a required one is not loaded."""
    found = _discover(data_dir)
    failed = [record for record in found.records if record.state is PluginState.FAILED]
    missing = [record for record in found.failed_required if record not in failed]
    for record in (*failed, *missing):
        click.echo(f"{record.name}: {record.reason or 'required, but not loaded'}")
    if failed or missing:
        sys.exit(1)
    click.echo(f"{len(found.records)} plugins, all well")


def _discover(data_dir: Path | None) -> Plugins:
    try:
        return Plugins.discover(load_settings(data_dir, {}))
    except SettingsError as error:
        raise UsageProblem(str(error)) from error
