"""`terrapod tokens`: API tokens, without the web."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from sqlalchemy.orm import Session

from terrapod_core.accounts import APIToken, Narrowing, TokenOrigin
from terrapod_core.accounts.scopes import LEVELS
from terrapod_core.authz import SYSTEM
from terrapod_core.cli.common import UsageProblem, data_dir_option, print_table, with_terrapod
from terrapod_core.errors import NotFound
from terrapod_core.workspaces import queries

if TYPE_CHECKING:
    from terrapod_core.app import Terrapod

UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}


@click.group()
def tokens() -> None:
    """Make, list and revoke API tokens. Works while the server runs."""


@tokens.command()
@click.argument("email")
@click.option("--description", default="made with terrapod tokens create", show_default=True)
@click.option("--expires", help="How long it is good: 12h, 30d, 8w.  [default: setting tokens.default_days]")
@click.option("--permission", type=click.Choice(list(LEVELS)), help="The highest level it gives.  [default: whatever its user has]")
@click.option("--workspace", "workspaces", multiple=True, help="Name or id of a workspace it is for; may be given again.  [default: all]")
@data_dir_option
def create(
    email: str,
    description: str,
    expires: str | None,
    permission: str | None,
    workspaces: tuple[str, ...],
    data_dir: Path | None,
) -> None:
    """Print a new token of this user or service account, and nothing else, on standard output."""
    lifetime = _lifetime(expires)

    async def act(terrapod: Terrapod) -> str:
        expires_at: datetime | None = terrapod.db.clock.now() + lifetime if lifetime is not None else None
        user = await terrapod.accounts.find(SYSTEM, email)
        narrowing = Narrowing(permission, await _ids(terrapod, workspaces) if workspaces else None)
        issued = await terrapod.tokens.create(SYSTEM, description=description, expires_at=expires_at, user_id=user.id, narrowing=narrowing)
        return issued.text

    click.echo(with_terrapod(data_dir, act))


@tokens.command("list")
@click.argument("email", required=False)
@data_dir_option
def list_command(email: str | None, data_dir: Path | None) -> None:
    """All live tokens, or those of one user; never their text."""

    async def act(terrapod: Terrapod) -> list[tuple[str, ...]]:
        user = await terrapod.accounts.find(SYSTEM, email) if email else None
        page = await terrapod.tokens.list(SYSTEM, user.id if user else None)
        return [
            (token.id, token.user_id, token.description or "", _scope(token), _day(token.expires_at), _day(token.last_used_at))
            for token in page.items
        ]

    print_table(("id", "user", "description", "scope", "expires", "last used"), with_terrapod(data_dir, act))


@tokens.command()
@click.argument("token_id")
@data_dir_option
def revoke(token_id: str, data_dir: Path | None) -> None:
    """Refuse a token from now on, and every token made with it."""

    async def act(terrapod: Terrapod) -> None:
        await terrapod.tokens.revoke(SYSTEM, token_id)

    with_terrapod(data_dir, act)
    click.echo(f"{token_id} is revoked", err=True)


def _lifetime(text: str | None) -> timedelta | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if match is None:
        raise UsageProblem(f"--expires {text}: write a number and h, d or w, as 30d")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def _scope(token: APIToken) -> str:
    parts = [token.ceiling] if token.ceiling is not None else []
    parts += [" ".join(token.workspace_ids)] if token.workspace_ids is not None else []
    if token.origin == TokenOrigin.BOOTSTRAP:
        parts.append("from the settings")
    return ", ".join(parts) or "-"


async def _ids(terrapod: Terrapod, workspaces: Sequence[str]) -> list[str]:
    """Names and ids of workspaces as ids."""

    def look(session: Session) -> list[str]:
        found = {each: queries.by_id(session, each) or queries.by_name(session, each) for each in workspaces}
        missing = [each for each, workspace in found.items() if workspace is None]
        if missing:
            raise NotFound(f"there is no workspace {missing[0]}")
        return [workspace.id for workspace in found.values() if workspace is not None]

    return await terrapod.db.read(look)


def _day(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M") if moment is not None else "-"
