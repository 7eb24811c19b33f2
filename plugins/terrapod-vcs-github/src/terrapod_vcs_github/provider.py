"""The kind of forge that GitHub is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from terrapod_core.plugin import Connection, Field, PluginContext, Repo, Unreadable, VCSClient, VCSEvent
from terrapod_vcs_github.account import Account
from terrapod_vcs_github.addresses import HOSTED, check_base_url, repository_of
from terrapod_vcs_github.app import App
from terrapod_vcs_github.asking import Asking
from terrapod_vcs_github.client import GitHubClient
from terrapod_vcs_github.settings import GitHubSettings
from terrapod_vcs_github.webhooks import parse

MOST_ACCOUNTS: Final = 1000
"""Connections that something is remembered of; who has more asks for tokens more often."""

FIELDS: Final = (
    Field("github-app-id", "App ID", secret=False, number=True, help="From the app's settings, “About”."),
    Field(
        "github-installation-id",
        "Installation ID",
        secret=False,
        number=True,
        help="The number at the end of the address of the app's installation.",
    ),
    Field("github-account-login", "Account", secret=False, help="The organization or person that installed the app."),
    Field("github-account-type", "Kind of account", secret=False, help="User or Organization."),
    Field("private-key", "Private key", lines=True, help="A key that the app's settings gave for download, in PEM."),
    Field("token", "Token", help="Instead of an app: a personal access token."),
)


class GitHub:
    """github.com, and GitHub Enterprise by its address."""

    name = "github"
    display_name = "GitHub"
    service_providers: Sequence[str] = ("github", "github_enterprise")
    default_url: str | None = HOSTED
    fields: Sequence[Field] = FIELDS

    def __init__(self, context: PluginContext[GitHubSettings]) -> None:
        self._context = context
        self._accounts: dict[str, Account] = {}

    def check(self, connection: Connection) -> None:
        """Refuse values that cannot belong together. Raises `Unreadable`."""
        check_base_url(connection.base_url)
        app = App.of(connection.values)
        if app is not None:
            app.check_key()
        if connection.values.get("github-account-type", "") not in ("", "User", "Organization"):
            raise Unreadable("github-account-type is User or Organization.", "github-account-type")
        token = connection.values.get("token", "")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise Unreadable("A token of GitHub's has letters, digits and underscores.", "token")

    def repository(self, connection: Connection, text: str) -> Repo:
        """The repository that is meant. Raises `Unreadable`."""
        return repository_of(connection.base_url, text)

    @asynccontextmanager
    async def client(self, connection: Connection) -> AsyncIterator[VCSClient]:
        """A client; what its connection has tokens for and was told of limits is shared with others of the same."""
        account = self._account(connection)
        async with account.http() as http:
            yield GitHubClient(Asking(account, http))

    @property
    def webhook_secret(self) -> str | None:
        """`[vcs.github] webhook_secret`."""
        return self._context.settings.webhook_secret or None

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, secret: str) -> VCSEvent | None:
        """Of pushes, branches, tags, pull requests and the repository itself; anything else is `None`."""
        return parse(headers, body, secret)

    def _account(self, connection: Connection) -> Account:
        """The one of this connection; a new one when it was given other values."""
        account = self._accounts.pop(connection.id, None)
        if account is None or account.connection != connection:
            account = Account(connection, self._context.settings, self._context.http, self._context.clock)
        self._accounts[connection.id] = account
        if len(self._accounts) > MOST_ACCOUNTS:
            del self._accounts[next(iter(self._accounts))]
        return account
