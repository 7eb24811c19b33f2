"""`terrapod sync`: how workspaces stand, a sync now, the configuration, conflicts; as a client of the Sync API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import click

from terrapod_core.plugin.commands import ServerClient, with_server

BASE: Final = "/v1/terraform/sync"
RESOLUTIONS: Final = ("accept", "prefer_remote", "ignore", "discard")


@click.group()
def sync() -> None:
    """Scheduled syncs of workspaces: how they stand, conflicts, the configuration."""


@sync.command()
@click.argument("workspace", required=False)
@click.option("--json", "as_json", is_flag=True, help="The server's answer as it is.")
@with_server
async def status(server: ServerClient, workspace: str | None, as_json: bool) -> None:
    """How all workspaces that you may read stand, or one in detail."""
    if workspace is not None:
        found = await server.ask("GET", f"{BASE}/workspaces/{_path(workspace)}")
        _tell(found, as_json)
        return
    answer = await server.ask("GET", f"{BASE}/workspaces")
    if as_json:
        _tell(answer, as_json)
        return
    rows = [(each["name"], each["status"], each["last_sync"] or "-", each["next_sync"] or "-") for each in answer["workspaces"]]
    _table(("WORKSPACE", "STATUS", "LAST SYNC", "NEXT SYNC"), rows, "no workspaces that you may read")


@sync.command()
@click.argument("workspace")
@with_server
async def now(server: ServerClient, workspace: str) -> None:
    """Sync a workspace at once, and print the run's id."""
    started = await server.ask("POST", f"{BASE}/workspaces/{_path(workspace)}/sync")
    click.echo(started["run_id"])


@sync.command()
@click.argument("workspace")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many, the newest first.")
@with_server
async def history(server: ServerClient, workspace: str, limit: int) -> None:
    """What the syncs of a workspace came to."""
    found = await server.ask("GET", f"{BASE}/workspaces/{_path(workspace)}/history?{urlencode({'limit': limit})}")
    rows = [(each["created_at"], each["cause"], each["status"], each.get("run_id", "-"), each.get("reason", "")) for each in found["syncs"]]
    _table(("BEGUN", "CAUSE", "STATUS", "RUN", "REASON"), rows, f"{workspace} was never synced")


@sync.group()
def config() -> None:
    """The configuration: which workspaces, how often, and what a sync may do."""


@config.command("show")
@with_server
async def show_config(server: ServerClient) -> None:
    """Print the configuration, as far as you may read it."""
    _tell(await server.ask("GET", f"{BASE}/config"), True)


@config.command("put")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@with_server
async def put_config(server: ServerClient, file: Path) -> None:
    """Replace the configuration by the JSON document in FILE, - for standard input. Workspaces it does not name are synced no longer."""
    try:
        with click.open_file(str(file), encoding="utf-8") as opened:
            document = json.load(opened)
    except ValueError as error:
        raise click.ClickException(f"{file} holds no JSON: {error}") from None
    if not isinstance(document, dict):
        raise click.ClickException(f"{file} must hold an object, as `terrapod sync config show` prints it")
    _tell(await server.ask("PUT", f"{BASE}/config", document), True)


@sync.command()
@click.option("--all", "everything", is_flag=True, help="Those too that are over.")
@with_server
async def conflicts(server: ServerClient, everything: bool) -> None:
    """What keeps syncs from going on, and waits for somebody."""
    found: list[Mapping[str, Any]] = []
    before: str | None = None
    while True:
        asked = {"status": "all" if everything else "open", "limit": "100", **({"before": before} if before is not None else {})}
        answer = await server.ask("GET", f"{BASE}/conflicts?{urlencode(asked)}")
        found += answer["conflicts"]
        before = answer.get("next")
        if before is None:
            break
    rows = [(each["id"], each["workspace"], each["kind"], each["status"], each["message"]) for each in found]
    _table(("CONFLICT", "WORKSPACE", "KIND", "STATUS", "WHAT"), rows, "no conflicts")


@sync.command()
@click.argument("conflict")
@click.argument("resolution", type=click.Choice(RESOLUTIONS))
@click.option("--until", metavar="TIME", help="With ignore: until when, as 2030-01-31T08:00:00Z.")
@click.option("--plan", metavar="DIGEST", help="The plan you were shown; if it is another by now, nothing is done.")
@with_server
async def resolve(server: ServerClient, conflict: str, resolution: str, until: str | None, plan: str | None) -> None:
    """Decide about a conflict: accept what was planned, take what is there (prefer_remote), ignore it for a while, or discard it."""
    decision = {"resolution": resolution, "until": until, "plan": plan}
    answer = await server.ask(
        "POST", f"{BASE}/conflicts/{_path(conflict)}/resolve", {name: value for name, value in decision.items() if value is not None}
    )
    _tell(answer, False)


def _path(name: str) -> str:
    """A workspace's name, with its organization or without, as a part of a path."""
    return "/".join(quote(part, safe="") for part in name.split("/", 1))


def _tell(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        text = json.dumps(value) if isinstance(value, (dict, list, bool)) else "-" if value is None else str(value)
        click.echo(f"{name}: {text}")


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], none: str) -> None:
    """Columns as wide as they must be; one sentence where there is nothing."""
    lines = [heads, *(tuple(" ".join(cell.split()) for cell in row) for row in rows)]
    if len(lines) == 1:
        click.echo(none)
        return
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
