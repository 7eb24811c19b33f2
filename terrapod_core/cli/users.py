"""`terrapod users`: first aid without the web."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from terrapod_core.authz import SYSTEM, PlatformRole
from terrapod_core.cli.common import UsageProblem, data_dir_option, print_table, with_terrapod
from terrapod_core.jsonapi import PageRequest, Query

if TYPE_CHECKING:
    from terrapod_core.accounts.finding import UserView
    from terrapod_core.app import Terrapod


@click.group()
def users() -> None:
    """Make, list, disable and delete users, set passwords and platform roles. Works while the server runs."""


@users.command("list")
@data_dir_option
def list_command(data_dir: Path | None) -> None:
    """Everybody, with their platform roles."""

    async def act(terrapod: Terrapod) -> list[tuple[str, ...]]:
        rows, number, last = [], 1, 1
        while number <= last:
            page = await terrapod.accounts.page(SYSTEM, Query(page=PageRequest(number, 100)))
            rows += [_row(each) for each in page.items]
            number, last = number + 1, page.pages or 1
        return rows

    print_table(("id", "name", "e-mail", "provider", "roles", "state"), with_terrapod(data_dir, act))


@users.command()
@click.argument("email")
@click.option("--password", help="Given here it is seen by others on this machine; without it, it is asked for.")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice([role.value for role in PlatformRole]), help="A platform role; may be given again."
)
@click.option("--service-account", is_flag=True, help="Make an account for a program, by its name; it has tokens and no password.")
@click.option("--force", is_flag=True, help="Give away a name or address that a deleted service account had.")
@data_dir_option
def create(email: str, password: str | None, roles: tuple[str, ...], service_account: bool, force: bool, data_dir: Path | None) -> None:
    """Make a user who signs in with a password, or a service account."""
    held = [PlatformRole(role) for role in roles]
    if service_account and password is not None:
        raise UsageProblem("--password: a service account has none; make tokens for it with `terrapod tokens create`")
    chosen = None
    if not service_account:
        chosen = password or click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)

    async def act(terrapod: Terrapod) -> str:
        if service_account:
            name, at, _ = email.partition("@")
            made = await terrapod.accounts.create_service_account(SYSTEM, name, email=email if at else None, roles=held, free_names=force)
        else:
            made = await terrapod.accounts.create_user(SYSTEM, email, password=chosen, roles=held, free_names=force)
        return made.id

    click.echo(f"{email} was made ({with_terrapod(data_dir, act)})", err=True)


@users.command("password")
@click.argument("email")
@click.option("--password", help="Given here it is seen by others on this machine; without it, it is asked for.")
@data_dir_option
def set_password(email: str, password: str | None, data_dir: Path | None) -> None:
    """Set a user's password."""
    chosen = password or click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)

    async def act(terrapod: Terrapod) -> None:
        await terrapod.people.passwords.set(SYSTEM, email, chosen)

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


@users.command()
@click.argument("email")
@click.confirmation_option("--yes", prompt="Tokens, sessions and roles go too; what they own belongs to nobody then. Delete?")
@data_dir_option
def delete(email: str, data_dir: Path | None) -> None:
    """Delete a user or a service account. `disable` shuts somebody out and keeps everything."""

    async def act(terrapod: Terrapod) -> None:
        await terrapod.accounts.delete(SYSTEM, email)

    with_terrapod(data_dir, act)
    click.echo(f"{email} is deleted", err=True)


@users.command("roles")
@click.argument("email")
@click.option("--add", multiple=True, type=click.Choice([role.value for role in PlatformRole]), help="Give this one; may be given again.")
@click.option("--remove", multiple=True, type=click.Choice([role.value for role in PlatformRole]), help="Take this one away.")
@data_dir_option
def set_roles(email: str, add: tuple[str, ...], remove: tuple[str, ...], data_dir: Path | None) -> None:
    """Print a user's platform roles, one a line, after giving and taking some."""

    async def act(terrapod: Terrapod) -> list[str]:
        for role in add:
            await terrapod.accounts.grant(SYSTEM, email, PlatformRole(role))
        for role in remove:
            await terrapod.accounts.withdraw(SYSTEM, email, PlatformRole(role))
        return sorted((await terrapod.accounts.view(SYSTEM, email)).platform)

    for role in with_terrapod(data_dir, act):
        click.echo(role)


def _row(view: UserView) -> tuple[str, ...]:
    user = view.user
    state = "disabled" if user.disabled_at is not None else "active"
    return (user.id, user.username, user.email, user.provider, ", ".join(sorted(view.platform)) or "-", state)
