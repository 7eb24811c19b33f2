"""All open pull requests of a repository, and whether any has changed.

A page has an `ETag`; the validator is those of all pages. A page that has not changed is answered by 304, which counts towards no limit
(GitHub's documentation, "Best practices for using the REST API"). The newest change comes first: whatever is opened, reopened or pushed
to is on the first page afterwards, so no page can come into being behind those that are known without the first one's changing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from terrapod_core.plugin import PullRequest, PullRequests
from terrapod_vcs_github.account import Right
from terrapod_vcs_github.answers import Pull, read
from terrapod_vcs_github.asking import Asking

if TYPE_CHECKING:
    import httpx

PER_PAGE: Final = 100
MOST_PAGES: Final = 100

_ETAG: Final = r'(?:W/)?"[!#-~]*"'
_VALIDATOR: Final = re.compile(rf"{_ETAG}(?: {_ETAG})*")


async def open_pulls(asking: Asking, path: str, validator: str | None, *, missing: str) -> PullRequests | None:
    """As `SupportsPullRequests.pull_requests`."""
    known = validator.split(" ") if validator is not None and _VALIDATOR.fullmatch(validator) else []
    pages: list[httpx.Response] = []
    while len(pages) < MOST_PAGES:
        at = len(pages)
        page = await _page(asking, path, at + 1, known[at] if at < len(known) else None, missing)
        pages.append(page)
        more = at + 1 < len(known) if page.status_code == 304 else asking.next_page(page) is not None
        if not more:
            break
    if all(page.status_code == 304 for page in pages):
        return None
    whole = [page if page.status_code != 304 else await _page(asking, path, at, None, missing) for at, page in enumerate(pages, start=1)]
    found: dict[int, PullRequest] = {}
    for page in whole:
        for each in read(page.content, list[Pull], asking.account.host):
            found[each.number] = each.pull_request()
    etags = [page.headers.get("etag", "") for page in whole]
    return PullRequests(list(found.values()), " ".join(etags) if all(etags) else None)


async def _page(asking: Asking, path: str, number: int, etag: str | None, missing: str) -> httpx.Response:
    params: dict[str, str | int] = {"state": "open", "sort": "updated", "direction": "desc", "per_page": PER_PAGE}
    return await asking.ask("GET", path, missing=missing, right=Right.PULL_REQUESTS, params={**params, "page": number}, etag=etag)
