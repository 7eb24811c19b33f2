"""`terrapod roles`: what roles there are, without the web."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from terrapod_core.authz import SYSTEM
from terrapod_core.cli.common import data_dir_option, print_table, with_terrapod
from terrapod_core.jsonapi import MAX_PAGE_SIZE, PageRequest, Query
from terrapod_core.roles import RoleView

if TYPE_CHECKING:
    from terrapod_core.app import Terrapod

NOTHING = "-"


@click.group()
def roles() -> None:
    """List and show roles. Works while the server runs."""


@roles.command("list")
@data_dir_option
def list_roles(data_dir: Path | None) -> None:
    """Print all roles: the built-in ones, then the custom ones by name."""

    async def act(terrapod: Terrapod) -> list[RoleView]:
        found: list[RoleView] = []
        page = await terrapod.roles.list(SYSTEM, Query(PageRequest(1, MAX_PAGE_SIZE)))
        found.extend(page.items)
        while page.next is not None:
            page = await terrapod.roles.list(SYSTEM, Query(PageRequest(page.next, MAX_PAGE_SIZE)))
            found.extend(page.items)
        return found

    found = with_terrapod(data_dir, act)
    print_table(
        ("NAME", "BUILT-IN", "WORKSPACES", "REGISTRY", "POOLS", "DESCRIPTION"),
        [
            (
                role.name,
                "yes" if role.built_in else "no",
                role.workspace_permission,
                role.registry_permission or NOTHING,
                role.pool_permission,
                role.description or "",
            )
            for role in found
        ],
    )


@roles.command()
@click.argument("name")
@data_dir_option
def show(name: str, data_dir: Path | None) -> None:
    """Print one role and what it allows and denies."""

    async def act(terrapod: Terrapod) -> RoleView:
        return await terrapod.roles.read(SYSTEM, name)

    role = with_terrapod(data_dir, act)
    lines = {
        "name": role.name,
        "description": role.description or NOTHING,
        "workspaces": role.workspace_permission,
        "registry": role.registry_permission or f"{NOTHING} (as on workspaces)",
        "pools": role.pool_permission,
        "allows names": _names(role.allow_names),
        "allows labels": _labels(role.allow_labels),
        "denies names": _names(role.deny_names),
        "denies labels": _labels(role.deny_labels),
    }
    for title, text in lines.items():
        click.echo(f"{title + ':':<15}{text}")


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or NOTHING


def _labels(labels: Mapping[str, Any]) -> str:
    pairs = [(key, value) for key, values in labels.items() for value in (values if isinstance(values, list) else [values])]
    return ", ".join(f"{key}={value}" if value else key for key, value in pairs) or NOTHING
