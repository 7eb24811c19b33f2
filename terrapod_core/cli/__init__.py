"""The `terrapod` command. Modules are imported when their command is called, so that `terrapod --help` comes at once."""

from __future__ import annotations

from importlib import import_module
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
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        found = getattr(import_module(module), name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.command(cls=Terrapod)
@click.version_option(__version__, prog_name="terrapod")
def main() -> None:
    """Terrapod: a self-hosted home for Terraform and OpenTofu."""
