"""`terrapod keys`: which keys there are, what needs them, and moving on to a new one while the servers run."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from terrapod_core.audit import record
from terrapod_core.authz import SYSTEM
from terrapod_core.cli.common import UsageProblem, data_dir_option, print_table, with_terrapod
from terrapod_core.plugin import Keys
from terrapod_core.secrets import new_key
from terrapod_core.secrets.keyfile import change
from terrapod_core.secrets.providers import SettingsKeys
from terrapod_core.settings import Settings
from terrapod_core.storage.key_uses import KeyStanding, Standing

IN_FLIGHT: Final = timedelta(seconds=30)
"""For so long after a key has sealed for the last time, what it sealed may still be on its way: a writer waits no longer for SQLite."""

GOES_ON: Final = timedelta(days=1)
"""For so long a rotation that was interrupted is taken up again; after that another call makes another key."""

if TYPE_CHECKING:
    from terrapod_core.app import Terrapod
    from terrapod_core.storage.rotation import Rotated


@click.group()
def keys() -> None:
    """Keys that stored secrets are encrypted under. Works while the server runs; no key is ever shown."""


@keys.command("list")
@data_dir_option
def list_command(data_dir: Path | None) -> None:
    """Ids of the keys, which one seals, and what needs each."""

    async def act(terrapod: Terrapod) -> tuple[Standing, str]:
        return await terrapod.key_uses.standing(), terrapod.keyring.provider.where

    standing, where = with_terrapod(data_dir, act)
    rows = [(key.key_id, _role(key), _day(key.registered_at), ", ".join(_reasons(key)) or "nothing") for key in standing.keys]
    print_table(("id", "state", "since", "needed by"), rows)
    click.echo(f"\nThe keys are given in {where}.", err=True)
    _tell_unknown(standing)


@keys.command()
@click.option("--data", is_flag=True, help="Encrypt every object anew too, under a fresh key of its own.")
@data_dir_option
def rotate(data: bool, data_dir: Path | None) -> None:
    """Make a new key where the server keeps its own, and move every stored secret on to the newest key.

    Where the keys are given by a setting or a provider, add the new one there first, before the old one. Interrupted, it goes
    on where it was when it is called again.
    """
    with_terrapod(data_dir, lambda terrapod: _rotate(terrapod, data=data))


@keys.command()
@click.option("--now", is_flag=True, help="Do not wait for links and runner credentials that were signed with them: those end.")
@data_dir_option
def prune(now: bool, data_dir: Path | None) -> None:
    """Remove from the key file the old keys that nothing needs any more; exit with 1 when something needs one."""

    async def act(terrapod: Terrapod) -> tuple[list[str], list[str]]:
        await _until_written(terrapod)
        standing = await terrapod.key_uses.standing()
        free, told = _sorted_out(standing, even_links=now)
        if free:
            await _remove(terrapod, free)
        return free, told

    removed, told = with_terrapod(data_dir, act)
    for line in told:
        click.echo(line, err=True)
    for key_id in removed:
        click.echo(f"{key_id} is removed")
    if not removed and not told:
        click.echo("nothing to do: there is no old key")
    sys.exit(1 if told else 0)


async def _rotate(terrapod: Terrapod, *, data: bool) -> None:
    console = Console(stderr=True)
    newest = await _newest(terrapod, console)
    rotated = await _move(terrapod, console, data=data)
    async with terrapod.db.uow() as uow:
        detail = {"values": rotated.values, "objects": rotated.objects, "data": data, "unreadable": rotated.unreadable}
        record(uow, SYSTEM, "keys.rotate", "keys", newest, **detail)
        await uow.commit()
    click.echo(f"{newest} seals now; {rotated.values} values and {rotated.objects} objects were moved on to it")
    for what, number in rotated.unreadable.items():
        click.echo(f"{number} of {what} cannot be read and were left as they are: they are damaged, or their key is gone", err=True)
    standing = await terrapod.key_uses.standing()
    for key in standing.keys:
        if not key.newest:
            click.echo(f"{key.key_id} is still needed: {', '.join(_reasons(key))}" if _reasons(key) else f"{key.key_id} is needed no more")
    _tell_unknown(standing)
    if len(standing.keys) == 1:
        click.echo(f"This is the only key. To change it, add a new one before it in {terrapod.keyring.provider.where}, then rotate again.")
    elif isinstance(terrapod.keyring.provider, SettingsKeys) and terrapod.keyring.provider.key_file is not None:
        click.echo("`terrapod keys prune` removes keys that are needed no more.")


async def _newest(terrapod: Terrapod, console: Console) -> str:
    """Id of the key to move on to: a new one of the key file, else the first that is given. It seals when this returns."""
    provider, watch = terrapod.keyring.provider, terrapod.key_watch
    if isinstance(provider, SettingsKeys) and provider.key_file is not None and not await _goes_on(terrapod):
        (fresh,) = Keys.read(new_key(), "a new key")
        # First in the file, and yet second for every process until it settles (see `KeyWatch`): whoever reads the file from now
        # on can open what will be sealed under it, and nobody seals under it before all have had the time to read. A process
        # that has missed it nevertheless reads the file again when it meets such a value (see `Keyring`).
        await asyncio.to_thread(change, provider.key_file, lambda known: (fresh, *known))
        await watch.look()
    await _until_known(terrapod, terrapod.keyring.given[0], console)
    return terrapod.keyring.newest


async def _goes_on(terrapod: Terrapod) -> bool:
    """Whether the newest key was made by a rotation of the last day that was not finished."""
    first, *others = terrapod.keyring.given
    known, now = await terrapod.key_watch.registered(first), terrapod.db.clock.now()
    if not others or known.registered_at < now - GOES_ON:
        return False
    return known.settles_at > now or bool(await terrapod.key_uses.needed([first]))


async def _until_known(terrapod: Terrapod, key_id: str, console: Console) -> None:
    """Wait until every running server has had the time to learn of the key; nobody has to when none runs."""
    watch = terrapod.key_watch
    if terrapod.settings.embedded and not _server_runs(terrapod.settings):
        await watch.settle_now(key_id)
    left = ((await watch.registered(key_id)).settles_at - terrapod.db.clock.now()).total_seconds()
    if left > 0:
        with console.status(f"{key_id} is announced; running servers learn of it within {left:.0f} s"):
            await asyncio.sleep(left)
    await watch.look()


async def _until_written(terrapod: Terrapod) -> None:
    """Wait until whatever a running server has sealed under the key before is written: the look for what needs it must find that."""
    if len(terrapod.keyring.given) == 1 or (terrapod.settings.embedded and not _server_runs(terrapod.settings)):
        return
    settled = (await terrapod.key_watch.registered(terrapod.keyring.newest)).settles_at
    left = (settled + IN_FLIGHT - terrapod.db.clock.now()).total_seconds()
    if left > 0:
        with Console(stderr=True).status(f"what is being written now may need an old key; looking in {left:.0f} s"):
            await asyncio.sleep(left)


def _server_runs(settings: Settings) -> bool:
    """Whether a server has this data directory."""
    try:
        descriptor = os.open(settings.data_dir / "server.lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


async def _move(terrapod: Terrapod, console: Console, *, data: bool) -> Rotated:
    totals = await terrapod.rotation.total()
    with _shown(console, totals) as progress:
        return await terrapod.rotation.run(progress, data=data)


@contextmanager
def _shown(console: Console, totals: dict[str, int]) -> Iterator[Callable[[str, int], None]]:
    """Progress as bars where a person looks on, as nothing elsewhere."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {what: bars.add_task(what, total=total) for what, total in totals.items() if total}

        def progress(what: str, more: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=None)
            bars.advance(tasks[what], more)

        yield progress


def _sorted_out(standing: Standing, *, even_links: bool) -> tuple[list[str], list[str]]:
    """Keys that can go, and why the others cannot."""
    free: list[str] = []
    told = [
        f"no key can be removed while it is not known which one {number} {what} need: {_ADVICE}"
        for what, number in standing.unknown.items()
    ]
    for key in standing.keys:
        if key.newest or not key.given:
            continue
        reasons = [*key.needed_by, *([] if even_links else _links(key))]
        if key.settles_at is not None:
            told.append(f"{key.key_id} is new and does not seal yet")
        elif reasons:
            told.append(f"{key.key_id} is still needed: {', '.join(reasons)}")
        elif not standing.unknown:
            free.append(key.key_id)
    return free, told


async def _remove(terrapod: Terrapod, free: list[str]) -> None:
    provider = terrapod.keyring.provider
    if not isinstance(provider, SettingsKeys) or provider.key_file is None:
        raise UsageProblem(f"nothing needs {', '.join(free)} any more; the keys are given in {provider.where}: remove them there")
    await asyncio.to_thread(change, provider.key_file, lambda known: tuple(key for key in known if key.id not in free))
    await terrapod.key_watch.forget(free)
    async with terrapod.db.uow() as uow:
        for key_id in free:
            record(uow, SYSTEM, "keys.prune", "keys", key_id)
        await uow.commit()


_ADVICE = "they say it when they are used again, and end when they expire or are revoked"


def _role(key: KeyStanding) -> str:
    if key.newest:
        return "newest: seals"
    if not key.given:
        return "not given"
    return "new: seals soon" if key.settles_at is not None else "old: opens"


def _links(key: KeyStanding) -> list[str]:
    return [f"links and runner credentials until {_day(key.links_until)}"] if key.links_until is not None else []


def _reasons(key: KeyStanding) -> list[str]:
    return [*key.needed_by, *_links(key)]


def _tell_unknown(standing: Standing) -> None:
    for what, number in standing.unknown.items():
        click.echo(f"It is not known which key {number} {what} need: {_ADVICE}.", err=True)


def _day(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC") if moment is not None else "-"
