"""`terrapod mirror`: what a server caches of others, as a client of that server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from terrapod_core.cli.archives import bytes_shown, quiet_option, until_stopped
from terrapod_core.cli.common import print_table
from terrapod_core.cli.connection import pem
from terrapod_core.cli.registry import server_options

if TYPE_CHECKING:
    from terrapod_core.cli.api import API

LOOK_SECONDS: Final = 0.5
KEYS: Final = "admin/mirror-keys"
CACHE: Final = "admin/binary-cache"


@click.group()
def mirror() -> None:
    """What a server caches of others, and the keys that sign it. Needs the token of a platform admin."""


@mirror.group()
def keys() -> None:
    """Keys that may sign what is cached: the first that was seen of a namespace, and those that were accepted since."""


@mirror.group()
def engines() -> None:
    """terraform and tofu in the binary cache."""


@keys.command("list")
@server_options
def list_keys(url: str | None, token_file: Path | None, certificate: Path | None, plain_http: bool) -> None:
    """Print the keys by what they are for."""

    async def act(api: API) -> None:
        rows = [each["attributes"] for each in await _all(api, KEYS)]
        lines = [(row["scope"], row["fingerprint"], row["pinned-at"][:10], row["pinned-by"]) for row in rows]
        print_table(("SCOPE", "FINGERPRINT", "SINCE", "BY"), lines)

    _ask(url, token_file, certificate, plain_http, act)


@keys.command()
@click.argument("scope")
@click.argument("fingerprint")
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_options
def accept(
    scope: str, fingerprint: str, yes: bool, url: str | None, token_file: Path | None, certificate: Path | None, plain_http: bool
) -> None:
    """Let a key sign what is cached of SCOPE: HOST/NAMESPACE, terraform, or tofu.

    The server asks the upstream again which keys it names, and the one of this fingerprint is shown before it is accepted.
    """
    wanted = "".join(fingerprint.split()).upper()

    async def act(api: API) -> None:
        offered = (await api.get(f"{KEYS}/offered?filter%5Bscope%5D={quote(scope, safe='')}"))["data"]
        key = next((each["attributes"] for each in offered if each["attributes"]["fingerprint"] == wanted), None)
        if key is None:
            named = "".join(f"\n  {each['attributes']['fingerprint']}  {each['attributes']['user']}" for each in offered) or " none"
            raise click.ClickException(f"the upstream of {scope} does not name the key {wanted} now. It names{named}")
        for title, value in (("key", key["fingerprint"]), ("of", key["user"]), ("until", key["expires-at"] or "for ever")):
            click.echo(f"{title:<8}{value}")
        if key["is-pinned"]:
            click.echo(f"it may sign what is of {scope} already")
            return
        if not yes:
            click.confirm(f"Let it sign what is of {scope}?", abort=True)
        await api.post(KEYS, "mirror-keys", scope=scope, fingerprint=wanted)
        click.echo(f"accepted for {scope}")

    _ask(url, token_file, certificate, plain_http, act)


@keys.command()
@click.argument("scope")
@click.argument("fingerprint")
@server_options
def remove(scope: str, fingerprint: str, url: str | None, token_file: Path | None, certificate: Path | None, plain_http: bool) -> None:
    """Let a key sign nothing new. What it signed stays; a namespace without any key takes the next one that it is seen with."""
    wanted = scope, "".join(fingerprint.split()).upper()

    async def act(api: API) -> None:
        known = [each for each in await _all(api, KEYS) if (each["attributes"]["scope"], each["attributes"]["fingerprint"]) == wanted]
        if not known:
            raise click.ClickException(f"{scope} has no key {wanted[1]}; `terrapod mirror keys list` prints them")
        await api.delete(f"{KEYS}/{known[0]['id']}")
        click.echo(f"removed from {scope}")

    _ask(url, token_file, certificate, plain_http, act)


@engines.command("list")
@server_options
def list_engines(url: str | None, token_file: Path | None, certificate: Path | None, plain_http: bool) -> None:
    """Print what is in the binary cache, the last used first."""

    async def act(api: API) -> None:
        rows = [each["attributes"] for each in await _all(api, CACHE)]
        lines = [
            (row["tool"], row["version"], f"{row['os']}_{row['arch']}", str(row["size"]), row["last-used-at"][:10], row["sha256"])
            for row in rows
        ]
        print_table(("TOOL", "VERSION", "PLATFORM", "BYTES", "LAST USED", "SHA-256"), lines)

    _ask(url, token_file, certificate, plain_http, act)


@engines.command()
@click.argument("tool")
@click.argument("version")
@click.option("--platform", "platforms", multiple=True, default=("linux_amd64",), show_default=True, help="Say it once for each platform.")
@server_options
@quiet_option
def warm(
    tool: str,
    version: str,
    platforms: tuple[str, ...],
    url: str | None,
    token_file: Path | None,
    certificate: Path | None,
    plain_http: bool,
    quiet: bool,
) -> None:
    """Bring a version of terraform or tofu into the cache, and wait until it is there.

    VERSION may be exact, `latest`, `1.11`, or `>= 1.9, < 2.0`.
    """

    async def act(api: API) -> None:
        asked = (await api.post(f"{CACHE}/warm", "binary-cache-warmings", tool=tool, version=version, platforms=list(platforms)))["data"]
        failures = [said for each in asked if (said := await _warmed(api, each, quiet=quiet)) is not None]
        if failures:
            raise click.ClickException("\n".join(failures))

    _ask(url, token_file, certificate, plain_http, act, after="the server goes on; call it again to see how far it is")


@engines.command()
@click.argument("tool")
@click.argument("version")
@click.option("--platform", default="linux_amd64", show_default=True, help="Of which platform.")
@server_options
def purge(
    tool: str, version: str, platform: str, url: str | None, token_file: Path | None, certificate: Path | None, plain_http: bool
) -> None:
    """Remove a version of terraform or tofu from the cache. What it has to be stays known, so nothing else ever takes its place."""
    os_name, _, arch = platform.partition("_")
    path = "/".join(quote(each, safe="") or "-" for each in (tool, version, os_name, arch))

    async def act(api: API) -> None:
        await api.delete(f"{CACHE}/{path}")
        click.echo(f"removed {tool} {version} for {platform}")

    _ask(url, token_file, certificate, plain_http, act)


async def _warmed(api: API, warming: dict[str, Any], *, quiet: bool) -> str | None:
    """Wait for one; why it failed, or `None`."""
    told = warming["attributes"]
    name = f"{told['tool']} {told['version']} for {told['os']}_{told['arch']}"
    with bytes_shown(quiet, name) as (bars, bar):
        while told["finished-at"] is None:
            await asyncio.sleep(LOOK_SECONDS)
            told = (await api.get(f"{CACHE}/warm/{warming['id']}"))["data"]["attributes"]
            bars.update(bar, completed=told["received"])
    if told["status"] != "finished":
        return f"{name}: {told['message']}"
    click.echo(f"{name} is in the cache ({told['received']} bytes)")
    return None


async def _all(api: API, path: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    page: int | None = 1
    while page is not None:
        document = await api.get(f"{path}?page%5Bsize%5D=100&page%5Bnumber%5D={page}")
        found += document["data"]
        page = document["meta"]["pagination"]["next-page"]
    return found


def _ask(
    url: str | None,
    token_file: Path | None,
    certificate: Path | None,
    plain_http: bool,
    act: Callable[[API], Awaitable[None]],
    *,
    after: str = "nothing was changed",
) -> None:
    from terrapod_core.cli.api import API, place

    where = place(url, token_file, plain_http=plain_http)

    async def work() -> None:
        api = API(where, pem(certificate))
        try:
            await until_stopped(act(api), after=after)
        finally:
            await api.close()

    asyncio.run(work())
