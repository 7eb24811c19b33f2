"""Commands of a plugin: `terrapod <name>`, found by entry points of the group `terrapod.commands`, whose objects are click commands.

They are clients of a server, on whatever machine: they know its API and a token, not its database. The module with them is imported
when one is called or `terrapod --help` is, so it imports little. They are not hooks: a machine that has the package for its commands
has no settings of a server, and loads no plugins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import wraps
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import click

GROUP: Final = "terrapod.commands"

OPTIONS: Final = (
    click.option("--url", help="The server's external_url.  [default: $TERRAPOD_URL]"),
    click.option(
        "--token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File that holds an API token.  [default: $TERRAPOD_TOKEN, else what `terraform login` keeps]",
    ),
    click.option(
        "--certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM of the certificate the server shows."
    ),
    click.option("--plain-http", is_flag=True, help="Accept a server elsewhere without TLS."),
)
"""Which server, and as whom."""


class ServerClient(Protocol):
    """A server's HTTP, with the token of whoever calls the command. Every refusal ends the command with the server's own words."""

    async def ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON answer to plain JSON at a path of the server; `{}` when it has no body."""
        ...


@runtime_checkable
class Opens(Protocol):
    """What `terrapod` hands to the commands of plugins."""

    def client(
        self, *, url: str | None, token_file: Path | None, certificate: Path | None, plain_http: bool
    ) -> AbstractAsyncContextManager[ServerClient]:
        """A client of the server that the options name; raises `click.ClickException` when they name none."""
        ...


def with_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make a click callback of `async def command(server, …)`: it gets a `ServerClient`, and the options that say of which server."""

    @wraps(command)
    def called(url: str | None, token_file: Path | None, certificate: Path | None, plain_http: bool, **given: Any) -> None:
        opens = click.get_current_context().obj
        if not isinstance(opens, Opens):
            raise click.ClickException("this command is called by `terrapod`")

        async def work() -> None:
            async with opens.client(url=url, token_file=token_file, certificate=certificate, plain_http=plain_http) as server:
                await command(server, **given)

        asyncio.run(work())

    made: Callable[..., Any] = called
    for option in reversed(OPTIONS):
        made = option(made)
    return made
