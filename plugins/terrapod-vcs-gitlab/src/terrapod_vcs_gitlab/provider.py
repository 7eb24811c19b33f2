"""GitLab, as connections know it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from terrapod_core.plugin import Clock, Connection, Field, HTTPClients, Repo, Unreadable, VCSEvent
from terrapod_vcs_gitlab.addresses import check_base, repo_of
from terrapod_vcs_gitlab.api import API, DOCUMENT_BYTES, host_of
from terrapod_vcs_gitlab.client import GitLabClient
from terrapod_vcs_gitlab.settings import GitLabSettings
from terrapod_vcs_gitlab.webhooks import event_of

REFS_BYTES: Final = 64 << 20
"""Of git's own list of branches and tags."""


class GitLab:
    """gitlab.com, and any GitLab that an operator runs."""

    name = "gitlab"
    display_name = "GitLab"
    service_providers = ("gitlab_hosted", "gitlab_community_edition", "gitlab_enterprise_edition")
    default_url = "https://gitlab.com"
    fields = (
        Field(
            "token",
            "Access token",
            required=True,
            help="A personal, group or project access token with the scope “api” and the role Developer or above.",
        ),
    )

    def __init__(self, settings: GitLabSettings, http: HTTPClients, clock: Clock) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock

    @property
    def webhook_secret(self) -> str | None:
        """Of `[vcs.gitlab]`."""
        return self._settings.webhook_secret

    def check(self, connection: Connection) -> None:
        """Raises `Unreadable`."""
        check_base(connection.base_url)
        token = connection.values.get("token", "")
        if not token:
            raise Unreadable("A connection to GitLab needs an access token.", "token")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise Unreadable("An access token of GitLab has no spaces and no lines: copy it again, and nothing beside it.", "token")

    def repository(self, connection: Connection, text: str) -> Repo:
        """Raises `Unreadable`."""
        return repo_of(connection.base_url, text)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, secret: str) -> VCSEvent | None:
        """Raises `BadSignature` and `Unreadable`."""
        return event_of(headers, body, secret)

    @asynccontextmanager
    async def client(self, connection: Connection) -> AsyncIterator[GitLabClient]:
        """The token goes to the API in a header of GitLab's, and to git's door as the password of `oauth2`."""
        base, settings = connection.base_url, self._settings
        token = connection.values.get("token", "")
        private = {"PRIVATE-TOKEN": token}
        basic = {"Authorization": f"Basic {base64.b64encode(f'oauth2:{token}'.encode()).decode()}"}
        api_url = f"{base}/api/v4/"
        async with (
            self._http.trusted(
                base_url=api_url, headers=private, timeout=settings.document_seconds, max_bytes=DOCUMENT_BYTES, follow_redirects=True
            ) as http,
            self._http.trusted(headers=basic, timeout=settings.document_seconds, max_bytes=REFS_BYTES) as git,
            self._http.trusted(
                base_url=api_url,
                headers=private,
                timeout=settings.download_seconds,
                idle=settings.idle_seconds,
                max_bytes=settings.max_archive_bytes,
                follow_redirects=True,
            ) as archives,
        ):
            yield GitLabClient(base, API(http, host_of(base), self._clock), git, archives)
