"""`terrapod storage`: whether the store holds what the database names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from terrapod_core.cli.common import data_dir_option, with_terrapod

if TYPE_CHECKING:
    from terrapod_core.app import Terrapod
    from terrapod_core.storage.check import Orphan

REMOVED_AT_ONCE: Final = 500


@click.group()
def storage() -> None:
    """The store of states, plans, logs and configurations. Works while the server runs."""


@storage.command()
@click.option("--deep", is_flag=True, help="Read and decrypt every object whole; else only its presence is looked at.")
@click.option("--remove-orphans", is_flag=True, help="Remove objects that no row names and that are older than a day.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, a summary at the end.")
@data_dir_option
def check(deep: bool, remove_orphans: bool, as_json: bool, data_dir: Path | None) -> None:
    """Find objects that no row names, and rows whose object is missing. Exit code 1 when there are such rows."""
    gaps = with_terrapod(data_dir, lambda terrapod: _check(terrapod, deep=deep, remove_orphans=remove_orphans, as_json=as_json))
    sys.exit(1 if gaps else 0)


async def _check(terrapod: Terrapod, *, deep: bool, remove_orphans: bool, as_json: bool) -> int:
    """How many gaps there are."""
    from terrapod_core.audit import record
    from terrapod_core.authz import SYSTEM
    from terrapod_core.storage.check import Gap, StorageCheck

    gaps = orphans = orphaned_bytes = removed = 0
    held: list[Orphan] = []
    with _shown() as progress:
        looking = StorageCheck(terrapod.db, terrapod.storage_backend, terrapod.objects, progress)
        async with aclosing(looking.run(deep=deep)) as findings:
            async for each in findings:
                if isinstance(each, Gap):
                    gaps += 1
                    _say(f"gap     {each.table} {each.row_id}: {each.kind} {each.key}: {each.problem}", each, "gap", as_json=as_json)
                    continue
                orphans, orphaned_bytes = orphans + 1, orphaned_bytes + each.size
                _say(f"orphan  {each.key} ({each.size} bytes)", each, "orphan", as_json=as_json)
                if remove_orphans:
                    held.append(each)
                if len(held) == REMOVED_AT_ONCE:
                    removed += await looking.remove(held)
                    held = []
        removed += await looking.remove(held)
    if removed:
        async with terrapod.db.uow() as uow:
            record(uow, SYSTEM, "storage.remove-orphans", "storage", terrapod.storage_backend.name, objects=removed)
            await uow.commit()
    found = {"objects": looking.objects, "named": looking.named, "gaps": gaps, "orphans": orphans, "orphaned-bytes": orphaned_bytes}
    text = f"{looking.objects} objects, {looking.named} named by rows; {gaps} gaps, {orphans} orphans ({orphaned_bytes} bytes)"
    _say(f"{text}, {removed} removed" if remove_orphans else text, {**found, "removed": removed}, "summary", as_json=as_json)
    return gaps


def _say(text: str, finding: object, what: str, *, as_json: bool) -> None:
    click.echo(msgspec.json.encode({"found": what, **msgspec.to_builtins(finding)}) if as_json else text)


@contextmanager
def _shown() -> Iterator[Callable[[str, int], None]]:
    """Counts where a person looks on, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {what: bars.add_task(what, total=None) for what in ("objects", "rows")}
        yield lambda what, more: bars.advance(tasks[what], more)
