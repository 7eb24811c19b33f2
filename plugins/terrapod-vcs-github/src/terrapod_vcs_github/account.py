"""One connection as long as its values stay the same: its tokens, its limits, and how its requests leave."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from terrapod_core.plugin import Clock, Connection, HTTPClients, VCSDenied, VCSFailed, VCSMissing
from terrapod_vcs_github.addresses import api_url
from terrapod_vcs_github.answers import InstallationToken, Trouble, read
from terrapod_vcs_github.app import App, InstallationTokens, Token
from terrapod_vcs_github.limits import Limits, sent_at
from terrapod_vcs_github.settings import GitHubSettings

if TYPE_CHECKING:
    import httpx

DOCUMENT_BYTES: Final = 64 << 20
"""Of a page of a hundred pull requests: each has a text of up to 64 Ki characters, and repeats much of its repository."""

_HEADERS: Final = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


class Right(StrEnum):
    """What an app is given, as GitHub's pages call it."""

    METADATA = "Metadata (read)"
    CONTENTS = "Contents (read)"
    PULL_REQUESTS = "Pull requests (read and write)"
    STATUSES = "Commit statuses (read and write)"


class Unprocessable(VCSFailed):
    """422: a comparison that takes too long, one status too many."""


class Unrelated(VCSMissing):
    """Two commits without a common ancestor."""


class Account:
    """What the clients of one connection share. It holds no connection to GitHub by itself."""

    def __init__(self, connection: Connection, settings: GitHubSettings, http: HTTPClients, clock: Clock) -> None:
        self.connection = connection
        self.host = urlsplit(connection.base_url).hostname or "GitHub"
        self.api = api_url(connection.base_url)
        self.app = App.of(connection.values)
        self.limits = Limits(self.host, clock)
        self._settings = settings
        self._http = http
        self._clock = clock
        self._tokens = InstallationTokens(self._renew, clock)

    # -- who we are

    @property
    def no_installation(self) -> str:
        """The sentence for an installation that GitHub does not know."""
        assert self.app is not None
        return (
            f"{self.host} has no installation {self.app.installation} of the app {self.app.id}. "
            "The number of an installation stands at the end of its page's address; the app's id, in the app's settings."
        )

    async def token(self) -> str:
        """What proves who we are, to the API and to git's door."""
        return self.connection.values["token"] if self.app is None else await self._tokens.get()

    def forget(self, token: str) -> bool:
        """GitHub does not take this token; whether another one may be had."""
        self._tokens.forget(token)
        return self.app is not None

    async def _renew(self) -> Token:
        """Asks for itself, as those who wait for it may go away."""
        assert self.app is not None
        missing = self.no_installation
        async with self.http() as http:
            answer = await self.as_app(http, "POST", f"app/installations/{self.app.installation}/access_tokens", missing=missing)
        found = read(answer.content, InstallationToken, self.host)
        try:
            left = datetime.fromisoformat(found.expires_at) - sent_at(answer, self._clock)
        except (ValueError, TypeError):
            raise VCSFailed(f"{self.host}: gave a token without saying how long it is good") from None
        return Token(found.token, self._clock.now() + left)

    async def as_app(self, http: httpx.AsyncClient, method: str, path: str, *, missing: str) -> httpx.Response:
        """Ask as the app itself, which may little more than look after its installations."""
        assert self.app is not None
        self.limits.check()
        answer = await http.request(method, path, headers={"Authorization": f"Bearer {await self.app.jwt()}"})
        self.check(answer, missing=missing, right=Right.METADATA)
        return answer

    # -- the ways out

    def http(self) -> httpx.AsyncClient:
        """For the API."""
        settings = self._settings
        return self._http.trusted(
            base_url=f"{self.api}/", headers=_HEADERS, timeout=settings.request_seconds, max_bytes=DOCUMENT_BYTES, follow_redirects=True
        )

    def http_for_archives(self) -> httpx.AsyncClient:
        """For what is large."""
        settings = self._settings
        return self._http.trusted(
            base_url=f"{self.api}/",
            headers=_HEADERS,
            timeout=settings.archive_seconds,
            idle=settings.idle_seconds,
            max_bytes=settings.max_archive_bytes,
            follow_redirects=True,
        )

    def http_for_git(self, headers: Mapping[str, str]) -> httpx.AsyncClient:
        """For git's door."""
        return self._http.trusted(headers=headers, timeout=self._settings.request_seconds, max_bytes=DOCUMENT_BYTES, follow_redirects=True)

    # -- what answers mean

    def check(self, answer: httpx.Response, *, missing: str, right: Right) -> None:
        """Raises what an answer means that is none. `missing` is the sentence for 404, `right` what would have been needed.

        The body of a refusal has been read.
        """
        status = answer.status_code
        self.note(answer)
        if status < 300 or status == 304:
            return
        said = self._said(answer)
        if status == 404 and "No common ancestor" in said:
            raise Unrelated(missing)
        # 409: the repository is empty.
        if status in (404, 410) or (status == 409 and answer.request.method == "GET") or "No commit found" in said:
            raise VCSMissing(missing)
        if status == 401:
            raise VCSDenied(f"{self.host} does not accept the connection's credentials{said}. {self._remedy()}")
        if status == 403:
            raise VCSDenied(f"{self.host} refuses this{said}. {self.give([right])}")
        kind = Unprocessable if status == 422 else VCSFailed
        raise kind(f"{self.host}: answered {status}{said}")

    def note(self, answer: httpx.Response) -> None:
        """Learn what an answer, and the redirects to it, say of limits. Raises `VCSFailed` when it is a refusal for one."""
        for each in (*answer.history, answer):
            self.limits.note(each)

    def give(self, rights: list[Right]) -> str:
        """A sentence that says how to give these."""
        names = ", ".join(rights)
        if self.app is None:
            return f"Give the connection a token with the scope repo, or a fine-grained one with the repository permissions {names}."
        return f"Give the app the repository permissions {names}, and accept them at its installation."

    def _remedy(self) -> str:
        if self.app is None:
            return "The token is wrong, revoked or expired: give the connection a new one."
        return "The app's id and its private key do not belong together, or the key was deleted at GitHub: give the connection a new key."

    def _said(self, answer: httpx.Response) -> str:
        """GitHub's own words, which say more of some refusals: that a company's sign-in is wanted, that an app is suspended."""
        try:
            text = read(answer.content, Trouble, self.host).message
        except VCSFailed:
            return ""
        plain = "".join(each if each.isprintable() else " " for each in text).strip().rstrip(".")
        return f" (“{plain[:200]}”)" if plain else ""
