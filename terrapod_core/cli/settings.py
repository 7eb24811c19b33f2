"""`terrapod settings`: what is in force, and where it came from."""

from __future__ import annotations

from pathlib import Path

import click

from terrapod_core.cli.common import UsageProblem, data_dir_option, load_settings, print_table
from terrapod_core.plugin import Plugins, PluginState
from terrapod_core.settings import SettingsError


@click.group()
def settings() -> None:
    """Settings, from the file, the environment and the defaults."""


@settings.command()
@data_dir_option
def show(data_dir: Path | None) -> None:
    """Every setting, its value (secrets masked) and where it came from."""
    print_table(("setting", "value", "from"), load_settings(data_dir, {}).show())


@settings.command()
@data_dir_option
def check(data_dir: Path | None) -> None:
    """Exit with 2 and one clear line when something is wrong; the plugins' settings are looked at too."""
    loaded = load_settings(data_dir, {})
    try:
        found = Plugins.discover(loaded)
    except SettingsError as error:
        raise UsageProblem(str(error)) from error
    for record in found.records:
        if record.state is PluginState.FAILED:
            raise UsageProblem(f"the plugin {record.name} failed: {record.reason}")
    click.echo("the settings are fine")
