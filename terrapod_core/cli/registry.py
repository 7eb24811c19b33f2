"""`terrapod registry`: publish modules and providers, as a client of a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from terrapod_core.cli.archives import quiet_option, until_stopped
from terrapod_core.cli.connection import pem
from terrapod_core.errors import TerrapodError
from terrapod_core.plugin.commands import OPTIONS

if TYPE_CHECKING:
    from terrapod_core.cli.api import API, Place

F = TypeVar("F", bound=Callable[..., object])


def server_options(command: F) -> F:
    """Which server, and as whom."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.group()
def registry() -> None:
    """The private registry, as a client of a server: nothing of the server has to be on this machine."""


@registry.group()
def publish() -> None:
    """Publish a version: pack, upload, and wait until terraform is told of it. Called again after a failure it goes on."""


@publish.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--version", "number", required=True, metavar="VERSION", help="The version, as 1.4.0.")
@click.option(
    "--name",
    metavar="[NAMESPACE/]NAME/PROVIDER",
    help="The module's address, as vpc/aws.  [default: from the directory's name, terraform-PROVIDER-NAME]",
)
@server_options
@quiet_option
def module(
    path: Path,
    number: str,
    name: str | None,
    url: str | None,
    token_file: Path | None,
    certificate: Path | None,
    plain_http: bool,
    quiet: bool,
) -> None:
    """Publish a version of a module. PATH is its directory, or a tar.gz of it. What `.terraformignore` names is not packed.

    Prints a block that calls the module.
    """
    from terrapod_core.cli.api import place
    from terrapod_core.cli.publishing_modules import address_of, packed, publish_module

    address = address_of(name, path)
    where = place(url, token_file, plain_http=plain_http)
    with _explained(), packed(path, quiet=quiet) as archive:
        work = _with_api(where, pem(certificate), lambda api: publish_module(api, address, number, archive, quiet=quiet))
        click.echo(asyncio.run(work), nl=False)


@publish.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--version", "number", metavar="VERSION", help="The version, where the directory holds several.")
@click.option("--namespace", default="default", show_default=True, help="The provider's namespace.")
@click.option("--key-id", help="The key that the sums are signed with, of those that the registry knows.  [default: its only one]")
@server_options
@quiet_option
def provider(
    directory: Path,
    number: str | None,
    namespace: str,
    key_id: str | None,
    url: str | None,
    token_file: Path | None,
    certificate: Path | None,
    plain_http: bool,
    quiet: bool,
) -> None:
    """Publish a version of a provider from a directory of release files, as GoReleaser leaves them.

    With SHA256SUMS and its signature the publisher signs; without them the server does. Prints a block that requires the provider.
    """
    from terrapod_core.cli.api import place
    from terrapod_core.cli.publishing_providers import publish_provider, release_in

    where = place(url, token_file, plain_http=plain_http)
    with _explained():
        release = release_in(directory, number)
        work = _with_api(where, pem(certificate), lambda api: publish_provider(api, namespace, release, key_id, quiet=quiet))
        click.echo(asyncio.run(work), nl=False)


async def _with_api(where: Place, certificate: str | None, act: Callable[[API], Awaitable[str]]) -> str:
    from terrapod_core.cli.api import API

    api = API(where, certificate)
    try:
        return await until_stopped(act(api), after="call it again to go on")
    finally:
        await api.close()


@contextmanager
def _explained() -> Iterator[None]:
    """Failures that a person can mend as one line."""
    try:
        yield
    except TerrapodError as error:
        raise click.ClickException(error.detail) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'a file'} cannot be read: {error.strerror or error}") from error
