"""`terrapod users`: first aid without the web."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from terrapod_core.authz import SYSTEM, PlatformRole
from terrapod_core.cli.common import data_dir_option, with_terrapod

if TYPE_CHECKING:
    from terrapod_core.app import Terrapod


@click.group()
def users() -> None:
    """Make, disable and enable users, and set passwords. Works while the server runs."""


@users.command()
@click.argument("email")
@click.option("--password", help="Given here it is seen by others on this machine; without it, it is asked for.")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice([role.value for role in PlatformRole]), help="A platform role; may be given again."
)
@data_dir_option
def create(email: str, password: str | None, roles: tuple[str, ...], data_dir: Path | None) -> None:
    """Make a user who signs in with a password."""
    chosen = password or click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)

    def report(user_id: str) -> None:
        click.echo(f"{email} was made ({user_id})", err=True)

    async def act(terrapod: Terrapod) -> None:
        user = await terrapod.accounts.create_user(SYSTEM, email, password=chosen)
        for role in roles:
            await terrapod.accounts.grant(SYSTEM, user.id, PlatformRole(role))
        report(user.id)

    with_terrapod(data_dir, act)


@users.command("password")
@click.argument("email")
@click.option("--password", help="Given here it is seen by others on this machine; without it, it is asked for.")
@data_dir_option
def set_password(email: str, password: str | None, data_dir: Path | None) -> None:
    """Set a user's password."""
    chosen = password or click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)

    async def act(terrapod: Terrapod) -> None:
        await terrapod.accounts.set_password(SYSTEM, email, chosen)

    with_terrapod(data_dir, act)
    click.echo(f"the password of {email} was set", err=True)


@users.command()
@click.argument("email")
@data_dir_option
def disable(email: str, data_dir: Path | None) -> None:
    """Refuse a user: sign-in, tokens and sessions, within seconds."""

    async def act(terrapod: Terrapod) -> None:
        await terrapod.accounts.disable(SYSTEM, email)

    with_terrapod(data_dir, act)
    click.echo(f"{email} is disabled", err=True)


@users.command()
@click.argument("email")
@data_dir_option
def enable(email: str, data_dir: Path | None) -> None:
    """Let a disabled user in again."""

    async def act(terrapod: Terrapod) -> None:
        await terrapod.accounts.enable(SYSTEM, email)

    with_terrapod(data_dir, act)
    click.echo(f"{email} is enabled", err=True)
