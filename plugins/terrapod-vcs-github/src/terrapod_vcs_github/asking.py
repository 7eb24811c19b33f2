"""Requests of one client: with the token of its account, once more with another when that was thrown away, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from terrapod_core.plugin import VCSFailed
from terrapod_vcs_github.account import Account, Right

if TYPE_CHECKING:
    import httpx

REFUSAL_BYTES: Final = 64 << 10


class Asking:
    """Asks the API."""

    def __init__(self, account: Account, http: httpx.AsyncClient) -> None:
        self.account = account
        self.http = http

    async def ask(
        self,
        method: str,
        path: str,
        *,
        missing: str,
        right: Right,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
        etag: str | None = None,
    ) -> httpx.Response:
        """The answer: 2xx, or 304 for a GET with an `etag`. Raises as `Account.check` does."""
        condition = {} if etag is None else {"If-None-Match": etag}
        request = self.http.build_request(method, path, params=params, json=json, headers=condition)
        answer = await self.send(self.http, request)
        self.account.check(answer, missing=missing, right=right)
        return answer

    async def send(self, http: httpx.AsyncClient, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """An answer as it is, but that a token which GitHub no longer takes is replaced once, when it can be."""
        for last in (False, True):
            self.account.limits.check()
            token = await self.account.token()
            request.headers["Authorization"] = f"Bearer {token}"
            answer = await http.send(request, stream=stream)
            if answer.status_code != 401 or last or not self._is_of_api(str(answer.url)) or not self.account.forget(token):
                return answer
            await answer.aclose()
        raise AssertionError("the second attempt is the last")

    async def pages(self, path: str, *, missing: str, right: Right, params: Mapping[str, str | int]) -> AsyncIterator[httpx.Response]:
        """All pages of a list, as `Link` leads from one to the next."""
        answer = await self.ask("GET", path, missing=missing, right=right, params={**params, "per_page": 100})
        while True:
            yield answer
            onward = self.next_page(answer)
            if onward is None:
                return
            answer = await self.ask("GET", onward, missing=missing, right=right)

    def next_page(self, answer: httpx.Response) -> str | None:
        """Where a list goes on; `None` at its end. Raises `VCSFailed` for a link that leads away: our token would go along."""
        onward = answer.links.get("next", {}).get("url")
        if onward is not None and not self._is_of_api(onward):
            raise VCSFailed(f"{self.account.host}: a list goes on at another host")
        return onward

    def _is_of_api(self, url: str) -> bool:
        return url.startswith(f"{self.account.api}/")


async def beginning(answer: httpx.Response) -> httpx.Response:
    """A refusal that was to be streamed, with no more of its body than a sentence takes: it may be as long as an archive."""
    import httpx

    body = b""
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) >= REFUSAL_BYTES:
            break
    headers = {name: value for name, value in answer.headers.items() if name not in ("content-length", "transfer-encoding")}
    return httpx.Response(answer.status_code, headers=headers, content=body[:REFUSAL_BYTES], request=answer.request, history=answer.history)
