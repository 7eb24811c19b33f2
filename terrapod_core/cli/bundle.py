"""`terrapod bundle`: what is in the caches, carried over an air gap."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console

from terrapod_core.cli.archives import MIB, bytes_shown, quiet_option, until_stopped
from terrapod_core.cli.common import UsageProblem, data_dir_option, explained, print_table, with_terrapod

if TYPE_CHECKING:
    from terrapod_core.app import Terrapod
    from terrapod_core.bundles.exporting import Asked, Exported
    from terrapod_core.bundles.loading import Loaded
    from terrapod_core.bundles.manifest import Manifest

LINE_EVERY: Final = 10
"""Percent after which a line is said where no person looks on."""

file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
existing = click.Path(exists=True, dir_okay=False, path_type=Path)

Progress = Callable[[int, int], None]


@click.group()
def bundle() -> None:
    """Carry engines, providers and modules to a server that reaches no upstream. Works while the server runs."""


@bundle.command("export")
@file_argument
@click.option("--engine", "engines", multiple=True, help="As terraform@1.11.4; may be repeated, as all that follow.")
@click.option("--provider", "providers", multiple=True, help="As registry.terraform.io/hashicorp/random@3.6.0.")
@click.option("--module", "modules", multiple=True, help="As registry.terraform.io/terraform-aws-modules/vpc/aws@5.0.0.")
@click.option("--lock-file", "lock_files", multiple=True, type=existing, help="A .terraform.lock.hcl: the providers it names.")
@click.option("--workspace", "workspaces", multiple=True, help="Providers that its newest configuration locks, and modules it calls.")
@click.option("--all-workspaces", is_flag=True, help="Those of every workspace.")
@click.option("--platform", "platforms", multiple=True, help="What engines and providers are for.  [default: linux_amd64]")
@click.option("--since", type=existing, help="An earlier bundle, of which the beginning is enough: what is in it is left out.")
@quiet_option
@data_dir_option
def export_bundle(
    file: Path,
    engines: Sequence[str],
    providers: Sequence[str],
    modules: Sequence[str],
    lock_files: Sequence[Path],
    workspaces: Sequence[str],
    all_workspaces: bool,
    platforms: Sequence[str],
    since: Path | None,
    quiet: bool,
    data_dir: Path | None,
) -> None:
    """Write a bundle. What is not in the cache is fetched. Called again after an interruption, it goes on where it was."""
    from terrapod_core.bundles.exporting import Asked

    asked = Asked(engines, providers, modules, lock_files, workspaces, all_workspaces, platforms or ("linux_amd64",), since)
    if not asked.anything:
        raise UsageProblem("say what the bundle is to hold: --engine, --provider, --module, --lock-file, --workspace or --all-workspaces")
    exported = with_terrapod(data_dir, lambda terrapod: _export(terrapod, file, asked, quiet=quiet))
    for each in exported.left_out:
        click.echo(f"left out: {each}", err=True)
    if not quiet:
        manifest = exported.manifest
        click.echo(f"{file}: {_counted(manifest)}, {exported.size / MIB:.1f} MiB")
        click.echo(f"signed with the key {exported.fingerprint}: the far side is told to trust it once (--trust)")


@bundle.command("import")
@file_argument
@click.option("--trust", help="Fingerprint of the key that the bundle is signed with; trusted from now on.")
@click.option("--accept-keys", is_flag=True, help="Pin keys of publishers whose namespaces were not seen with them here.")
@quiet_option
@data_dir_option
def import_bundle(file: Path, trust: str | None, accept_keys: bool, quiet: bool, data_dir: Path | None) -> None:
    """Verify a bundle and load it. What is here already is skipped. Exit code 1 when anything was refused."""
    loaded = with_terrapod(data_dir, lambda terrapod: _import(terrapod, file, trust, accept_keys=accept_keys, quiet=quiet))
    for each in loaded.refused:
        click.echo(f"refused: {each}", err=True)
    if not quiet:
        unsigned = f" ({loaded.unsigned} of them signed by the exporting server alone)" if loaded.unsigned else ""
        click.echo(f"{loaded.loaded} releases loaded{unsigned}, {loaded.skipped} here before, {len(loaded.refused)} refused")
    sys.exit(1 if loaded.refused else 0)


@bundle.command("show")
@file_argument
def show(file: Path) -> None:
    """Print what a bundle says it holds, and who signed it. Only its beginning is read."""
    from terrapod_core.bundles.keys import fingerprint
    from terrapod_core.bundles.reading import Bundle

    with explained(), _readable(file), Bundle(file, whole=False) as opened:
        manifest = opened.manifest
        click.echo(f"bundle    {opened.id}")
        click.echo(f"made      {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC by Terrapod {manifest.terrapod} of {manifest.server}")
        click.echo(f"signed    {fingerprint(opened.public)}")
        if manifest.base is not None:
            click.echo(f"based on  {manifest.base.id}, made {manifest.base.made_at:%Y-%m-%d %H:%M:%S} UTC")
        click.echo(f"holds     {_counted(manifest)}, {opened.layout.size / MIB:.1f} MiB")
        for release in manifest.releases:
            platforms = [package.platform + ("" if package.file is not None else " (in its base)") for package in release.packages]
            click.echo(f"  {release.name}{'  ' if any(platforms) else ''}{', '.join(filter(None, platforms))}")


@bundle.command("key")
@data_dir_option
def key(data_dir: Path | None) -> None:
    """Print the fingerprint of the key that this server signs bundles with."""
    from terrapod_core.bundles.keys import fingerprint

    async def act(terrapod: Terrapod) -> str:
        return fingerprint((await terrapod.bundle_keys.own()).public)

    click.echo(with_terrapod(data_dir, act))


@bundle.command("trusted")
@data_dir_option
def trusted(data_dir: Path | None) -> None:
    """List the keys whose bundles are loaded here."""
    found = with_terrapod(data_dir, lambda terrapod: terrapod.bundle_keys.trusted())
    rows = [(each.fingerprint, f"{each.trusted_at:%Y-%m-%d}", each.server) for each in found]
    print_table(("fingerprint", "since", "server"), rows)


@bundle.command("distrust")
@click.argument("fingerprint")
@data_dir_option
def distrust(fingerprint: str, data_dir: Path | None) -> None:
    """Load bundles of this key no more. What was loaded stays."""
    from terrapod_core.bundles.keys import read_fingerprint

    async def act(terrapod: Terrapod) -> None:
        await terrapod.bundle_keys.distrust(read_fingerprint(fingerprint))

    with_terrapod(data_dir, act)


async def _export(terrapod: Terrapod, file: Path, asked: Asked, *, quiet: bool) -> Exported:
    from terrapod_core.bundles.exporting import Exporting
    from terrapod_core.bundles.gathering import Caches

    caches = Caches(terrapod.db, terrapod.upstreams, terrapod.mirror_indexes, terrapod.mirror_releases, terrapod.mirror_packages)
    exporting = Exporting(caches, terrapod.objects, terrapod.bundle_keys, terrapod.settings.limits)
    with _shown(quiet, "gathering", "writing") as (gathering, writing):
        work = exporting.run(file, asked, lambda _what, done, of: gathering(done, of), writing)
        try:
            return await until_stopped(work, after="call this again and it goes on where it was")
        except OSError as error:
            raise click.ClickException(f"{file} cannot be written: {error.strerror or error}") from error
        finally:
            await caches.indexes.close()
            await caches.releases.close()
            await caches.packages.close()


async def _import(terrapod: Terrapod, file: Path, trust: str | None, *, accept_keys: bool, quiet: bool) -> Loaded:
    from terrapod_core.bundles.loading import Loading, Options
    from terrapod_core.bundles.reading import Bundle

    with _readable(file):
        opened = await asyncio.to_thread(Bundle, file)
    with opened, _shown(quiet, "verifying", "loading") as (verifying, loading):
        work = Loading(terrapod.db, terrapod.bundle_keys, terrapod.bringing, opened).run(Options(trust, accept_keys), verifying, loading)
        return await until_stopped(work, after="what was loaded stays; call this again for the rest")


def _counted(manifest: Manifest) -> str:
    packages = sum(len(release.packages) for release in manifest.releases)
    based = f", {packages - len(manifest.files)} of them in the bundle it is based on" if manifest.base is not None else ""
    return f"{len(manifest.releases)} releases with {packages} packages{based}"


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageProblem(f"{file} cannot be read: {error.strerror or error}") from error


@contextmanager
def _shown(quiet: bool, *names: str) -> Iterator[list[Progress]]:
    """A bar where a person looks on, elsewhere a line every ten percent."""
    if quiet or not Console(stderr=True).is_terminal:
        yield [_lines(name, quiet=quiet) for name in names]
        return
    with bytes_shown(quiet, names[0]) as (bars, first):
        tasks = [first, *(bars.add_task(name, total=None) for name in names[1:])]
        yield [lambda done, of, task=task: bars.update(task, completed=done, total=of) for task in tasks]  # type: ignore[misc]


def _lines(name: str, *, quiet: bool) -> Progress:
    told = -1

    def tell(done: int, of: int) -> None:
        nonlocal told
        percent = 100 * done // of if of else 100
        if not quiet and percent // LINE_EVERY > told:
            told = percent // LINE_EVERY
            click.echo(f"{name} {percent} % ({done} of {of})", err=True)

    return tell
