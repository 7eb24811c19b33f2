"""The provider `git`: polled, and asked through git's own protocol alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from terrapod_core.plugin import Connection, HTTPClients, Repo, Unreadable
from terrapod_vcs_git import credentials
from terrapod_vcs_git.addresses import Base
from terrapod_vcs_git.client import GitClient
from terrapod_vcs_git.scratch import Scratch
from terrapod_vcs_git.settings import GitSettings


class GitProvider:
    """A `VCSProvider` without webhooks, pull requests and statuses: git itself knows none."""

    name = "git"
    display_name = "Git"
    service_providers = ()
    default_url = None
    fields = credentials.FIELDS

    def __init__(self, settings: GitSettings, http: HTTPClients, directory: Path) -> None:
        """`directory` is the plugin's own; it is made when it is needed."""
        self._settings = settings
        self._http = http
        self._scratch = Scratch(directory)
        self._places = asyncio.Semaphore(settings.at_once)

    def check(self, connection: Connection) -> None:
        base = Base.of(connection.base_url)
        if base.scheme == "ssh" and self._http.settings.proxy is not None:
            raise Unreadable("This server asks through a proxy ([outgoing] proxy), which ssh cannot: use an https address.", "base-url")
        credentials.check(connection.values, base)
        if connection.values.get("check-repository"):
            try:
                base.repository(connection.values["check-repository"])
            except Unreadable as error:
                raise Unreadable(str(error), "check-repository") from None

    def repository(self, connection: Connection, text: str) -> Repo:
        return Base.of(connection.base_url).repository(text)

    @asynccontextmanager
    async def client(self, connection: Connection) -> AsyncIterator[GitClient]:
        yield GitClient(connection, self._settings, self._http, self._scratch, self._places)
