"""What commands of plugins are given: a server, opened as our own client commands open it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from terrapod_core.cli.api import API, place
from terrapod_core.cli.connection import pem
from terrapod_core.plugin.commands import ServerClient


class Opener:
    """Opens servers: an `Opens`."""

    @asynccontextmanager
    async def client(
        self, *, url: str | None, token_file: Path | None, certificate: Path | None, plain_http: bool
    ) -> AsyncIterator[ServerClient]:
        """The server that the options, the environment or `terraform login` name. Raises `UsageProblem`."""
        api = API(place(url, token_file, plain_http=plain_http), pem(certificate))
        try:
            yield api
        finally:
            await api.close()
