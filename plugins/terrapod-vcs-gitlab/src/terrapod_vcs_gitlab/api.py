"""GitLab's REST API: bounded documents, and refusals in sentences that say what to do.

Statuses and headers are those of docs.gitlab.com, "REST API", "REST API troubleshooting" and "Rate limits".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from terrapod_core.plugin import Clock, Repo, VCSDenied, VCSFailed, VCSMissing
from terrapod_vcs_gitlab.documents import Refusal

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

DOCUMENT_BYTES: Final = 32 << 20
"""A hundred merge requests, each with a description of 100,000 characters, are less."""

PAGE: Final = 100
"""The most that GitLab puts on one."""

REMEDY: Final = "Make an access token with the scope “api”, of a member with the role Developer or above, and put it into the connection."

_TOO_MANY_SECONDS: Final = 60.0
"""GitLab's limits of archives and notes count by the minute, and do not say when they are over."""
_LONGEST_WAIT: Final = 3600.0


@dataclass(frozen=True)
class Answer(Generic[T]):
    """A document, and what its headers say."""

    value: T
    etag: str
    """Empty for none."""
    next_page: int | None
    """`None` on the last page."""
    total: str
    """How many there are on all pages; empty when there are too many to count."""


class API:
    """One GitLab, with one token."""

    def __init__(self, http: httpx.AsyncClient, host: str, clock: Clock) -> None:
        """`http` has the base URL of the API, and the token."""
        self._http = http
        self._clock = clock
        self.host = host

    async def get(
        self, path: str, kind: type[T], *, missing: str, params: Mapping[str, str | int] | None = None, etag: str = ""
    ) -> Answer[T] | None:
        """`None` when nothing has changed since the answer with this ETag. Raises `VCSMissing` with the sentence `missing`, `VCSDenied`
        and `VCSFailed`."""
        response = await self._http.get(path, params=params, headers={"If-None-Match": etag} if etag else None)
        if response.status_code == 304 and etag:
            return None
        self.check(response, missing)
        headers = response.headers
        return Answer(self.decoded(response, kind), headers.get("ETag", ""), _next_page(headers), headers.get("X-Total", ""))

    async def one(self, path: str, kind: type[T], *, missing: str, params: Mapping[str, str | int] | None = None) -> T:
        """The same for what is asked without a condition."""
        answer = await self.get(path, kind, missing=missing, params=params)
        assert answer is not None, "there was no condition"
        return answer.value

    async def send(self, method: str, path: str, document: Mapping[str, str]) -> httpx.Response:
        """Whatever the answer is; `check` it."""
        return await self._http.request(method, path, json=document)

    def decoded(self, response: httpx.Response, kind: type[T]) -> T:
        """Raises `VCSFailed` for what is no document of this kind."""
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.ValidationError as error:
            raise VCSFailed(f"{self.host}: answered with a document that is not as it should be: {str(error)[:200]}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            page = " but a page for people" if response.content[:512].lstrip()[:1] == b"<" else ""
            raise VCSFailed(f"{self.host}: answered with what is no JSON{page}") from None

    def check(self, response: httpx.Response, missing: str) -> None:
        """Raise what a status that is no success means."""
        status = response.status_code
        if response.is_success:
            return
        if status == 401:
            raise VCSDenied(f"{self.host} does not accept the access token: it is wrong, revoked or expired. {REMEDY}")
        if status == 403:
            raise VCSDenied(f"{self.host} does not let the access token do this{self._reason(response, ' ({})')}. {REMEDY}")
        if status in (404, 410):
            raise VCSMissing(missing)
        if status == 429:
            raise VCSFailed(f"{self.host}: has been asked too often (HTTP 429)", retry_after=self._wait(response) or _TOO_MANY_SECONDS)
        raise VCSFailed(f"{self.host}: answered with HTTP {status}{self._reason(response, ': {}')}", retry_after=self._wait(response))

    def reason(self, response: httpx.Response) -> str:
        """What GitLab says of a request that it refuses; empty for nothing."""
        try:
            return msgspec.json.decode(response.content, type=Refusal).text[:200]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""

    def _reason(self, response: httpx.Response, form: str) -> str:
        # A stream that was not read says nothing.
        said = self.reason(response) if response.is_closed and response.is_stream_consumed else ""
        return form.format(said) if said else ""

    def _wait(self, response: httpx.Response) -> float | None:
        """`Retry-After` in seconds, or else `RateLimit-Reset`, a time in seconds since 1970 that every answer has."""
        after, reset = response.headers.get("Retry-After", ""), response.headers.get("RateLimit-Reset", "")
        if after.isdecimal() and len(after) < 10:
            return min(float(after), _LONGEST_WAIT)
        if response.status_code == 429 and reset.isdecimal() and len(reset) < 14:
            return min(max(float(reset) - self._clock.now().timestamp(), 1.0), _LONGEST_WAIT)
        return None


def project_path(repo: Repo | int) -> str:
    """A project in a path of the API: by its own path, or by its number."""
    return f"projects/{quote(str(repo), safe='')}"


def host_of(url: str) -> str:
    """As it is named in sentences."""
    return urlsplit(url).netloc or "the GitLab"


def _next_page(headers: httpx.Headers) -> int | None:
    """Of `X-Next-Page`, so that the token goes nowhere that a `Link` names."""
    said = headers.get("X-Next-Page", "")
    return int(said) if said.isdecimal() and len(said) < 10 else None
