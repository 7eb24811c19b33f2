"""`terrapod audit`: whether the record is what was sealed."""

from __future__ import annotations

import sys
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from terrapod_core.audit import Broken, CheckpointKeys, Verified, lines_of, read_anchors, verify as verify_chain, walk
from terrapod_core.cli.common import data_dir_option, with_terrapod

if TYPE_CHECKING:
    from terrapod_core.app import Terrapod


@click.group()
def audit() -> None:
    """Check the audit record, and print it. Works while the server runs."""


@audit.command()
@click.option(
    "--anchor",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of checkpoints kept elsewhere: the anchor file, or the server's log as JSON. The chain must reach them and agree.",
)
@data_dir_option
def verify(anchor: Path | None, data_dir: Path | None) -> None:
    """Walk the hash chain and name the first broken link. Exit code 1 when there is one."""

    async def act(terrapod: Terrapod) -> tuple[Verified, datetime]:
        keys = CheckpointKeys(terrapod.keyring)
        anchors = read_anchors(anchor) if anchor is not None else ()
        return await verify_chain(terrapod.db, terrapod.objects, keys, anchors, _progress), terrapod.clock.now()

    found, now = with_terrapod(data_dir, act)
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    for line in report(found, now):
        click.echo(line)
    if anchor is not None and not found.anchors and not found.broken:
        raise click.ClickException(f"{anchor} holds no checkpoint: it proves nothing")
    sys.exit(1 if found.broken else 0)


@audit.command()
@click.option("--first", type=click.IntRange(min=1), default=1, show_default=True, help="Number of the first entry.")
@click.option("--last", type=click.IntRange(min=1), help="Number of the last one.  [default: the newest]")
@data_dir_option
def export(first: int, last: int | None, data_dir: Path | None) -> None:
    """Print sealed entries as JSON lines, archived ones too, in the order of their numbers."""

    async def act(terrapod: Terrapod) -> str | None:
        try:
            async with aclosing(walk(terrapod.db, terrapod.objects, first)) as pages:
                async for page in pages:
                    wanted = [link for link in page if last is None or link.seal_no <= last]
                    sys.stdout.buffer.write(lines_of(wanted))
                    if len(wanted) < len(page):
                        break
        except Broken as broken:
            return str(broken)
        except BrokenPipeError:  # `| head` has seen enough
            return None
        return None

    broken = with_terrapod(data_dir, act)
    sys.stdout.buffer.flush()
    if broken is not None:
        raise click.ClickException(broken)


def report(found: Verified, now: datetime) -> list[str]:
    """What was found, for people."""
    lines = [f"BROKEN: {found.broken}"] if found.broken else []
    head = f", head {found.head}" if found.head else ""
    lines.append(f"{'good up to here' if found.broken else 'good'}: {found.entries} entries, {found.checkpoints} checkpoints{head}")
    if found.anchors:
        lines.append(f"{found.anchors} anchors agree")
    if found.keys_not_given:
        keys = ", ".join(sorted(found.keys_not_given))
        lines.append(
            f"key not given: {keys}. Checkpoints signed with it fit the public key stored beside them, which proves little; "
            "put the key at the end of secrets.keys to prove them"
        )
    if found.uncovered and not found.broken:
        lines.append(f"{found.uncovered} entries are behind the newest checkpoint: without an anchor nobody would see them cut off")
    if found.oldest_unsealed is not None:
        age = max(0, int((now - found.oldest_unsealed).total_seconds()))
        lines.append(f"{found.unsealed} entries wait to be sealed, the oldest for {age} s")
    return lines


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty() and of > 10_000:
        click.echo(f"\r{done} of {of} entries", err=True, nl=False)
