"""The `terrapod` command. Modules are imported when their command is called, so that `terrapod --help` comes at once."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import click

from terrapod_core import __version__

COMMANDS: Final = {
    "audit": ("terrapod_core.cli.audit", "audit", "Whether the audit record is what was sealed; print it."),
    "backup": ("terrapod_core.cli.backup", "backup", "One archive of database and objects, made while the server runs."),
    "bundle": ("terrapod_core.cli.bundle", "bundle", "Engines, providers and modules, carried to a server without the internet."),
    "db": ("terrapod_core.cli.db", "db", "Migrations: upgrade, current, check."),
    "keys": ("terrapod_core.cli.keys", "keys", "Keys that stored secrets are encrypted under."),
    "listener": ("terrapod_core.cli.listener", "listener", "Carry out the runs of an agent pool on this machine."),
    "mirror": ("terrapod_core.cli.mirror", "mirror", "What a server caches of others, and the keys that sign it."),
    "plugins": ("terrapod_core.cli.plugins", "plugins", "What plugins there are and how they are."),
    "registry": ("terrapod_core.cli.registry", "registry", "Publish modules and providers to a server."),
    "restore": ("terrapod_core.cli.restore", "restore", "Restore an archive into an empty database and storage."),
    "roles": ("terrapod_core.cli.roles", "roles", "Roles, without the web."),
    "serve": ("terrapod_core.cli.serve", "serve", "The server."),
    "settings": ("terrapod_core.cli.settings", "settings", "The settings in force."),
    "storage": ("terrapod_core.cli.storage", "storage", "Whether the store holds what the database names."),
    "tokens": ("terrapod_core.cli.tokens", "tokens", "API tokens, without the web."),
    "try": ("terrapod_core.cli.try_", "try_command", "See it work."),
    "users": ("terrapod_core.cli.users", "users", "Users, without the web."),
    "worker": ("terrapod_core.cli.serve", "worker", "Background work only."),
}
"""Name, and where it is found."""


class Terrapod(click.Group):
    """The group of all commands: our own, and those of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *_of_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module, name, _ = COMMANDS[cmd_name]
            found = getattr(import_module(module), name)
        elif cmd_name in (offered := _of_plugins()):
            from terrapod_core.cli.for_plugins import Opener

            found, ctx.obj = _loaded(offered[cmd_name]), Opener()
        else:
            return None
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        about = {name: about for name, (_, _, about) in COMMANDS.items()}
        about |= {name: _about(each) for name, each in _of_plugins().items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(about.items()))


def _of_plugins() -> dict[str, EntryPoint]:
    """By name; none of them may take the name of one of ours."""
    return {each.name: each for each in entry_points(group="terrapod.commands") if each.name not in COMMANDS}


def _about(found: EntryPoint) -> str:
    """A command that is broken hides no other."""
    try:
        return _loaded(found).get_short_help_str(100)
    except click.ClickException as error:
        return f"Not to be had: {error.message}"


def _loaded(found: EntryPoint) -> click.Command:
    try:
        command = found.load()
    except Exception as error:  # whatever a plugin raises, it is told in one line
        raise click.ClickException(f"the command {found.name} of {found.value} cannot be loaded: {error}") from error
    if not isinstance(command, click.Command):
        raise click.ClickException(f"the command {found.name} of {found.value} is no click command")
    return command


@click.command(cls=Terrapod)
@click.version_option(__version__, prog_name="terrapod")
def main() -> None:
    """Terrapod: a self-hosted home for Terraform and OpenTofu."""
