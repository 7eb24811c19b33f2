"""All open merge requests of a project, and whether they are as they were.

GitLab pages them (docs.gitlab.com, "Merge requests API"; "Pagination"), the newest first, and gives each page an `ETag` of its body. A new
one is on the first page, and one that is closed changes the page that it was on: as long as no page has changed, nothing has.
"""

from __future__ import annotations

from typing import Final

from terrapod_core.plugin import PullRequest, PullRequests, Repo, VCSFailed
from terrapod_vcs_gitlab.api import API, PAGE, Answer, project_path
from terrapod_vcs_gitlab.documents import MergeRequest, User

MOST_PAGES: Final = 100
TRIES: Final = 3

_Page = Answer[list[MergeRequest]]
_APART: Final = " "
"""Between the ETags of a validator."""


async def open_ones(api: API, repo: Repo, validator: str | None) -> PullRequests | None:
    """All of them; `None` when nothing has changed since the answer with this validator."""
    known = validator.split(_APART) if validator else [""]
    first = await _page(api, repo, 1, known[0])
    if first is None:
        if not await _any_changed(api, repo, known):
            return None
        first = await _page(api, repo, 1)
    for _ in range(TRIES):
        assert first is not None, "there was no condition"
        pages = await _rest(api, repo, first)
        if pages is not None:
            return _together(pages)
        first = await _page(api, repo, 1)
    raise VCSFailed(f"{api.host}: changes its list of merge requests faster than it can be read")


async def _any_changed(api: API, repo: Repo, known: list[str]) -> bool:
    """Of the pages after the first."""
    for number, etag in enumerate(known[1:], start=2):
        if await _page(api, repo, number, etag) is not None:
            return True
    return False


async def _rest(api: API, repo: Repo, first: _Page) -> list[_Page] | None:
    """All pages; `None` when the number of merge requests changed on the way, so that one may have slipped from page to page."""
    pages = [first]
    while pages[-1].next_page is not None:
        if len(pages) == MOST_PAGES:
            raise VCSFailed(f"{api.host}: has more than {MOST_PAGES * PAGE} open merge requests in {repo}")
        page = await _page(api, repo, pages[-1].next_page)
        assert page is not None, "there was no condition"
        if page.total != first.total:
            return None
        pages.append(page)
    return pages


async def _page(api: API, repo: Repo, number: int, etag: str = "") -> _Page | None:
    return await api.get(
        f"{project_path(repo)}/merge_requests",
        list[MergeRequest],
        missing=f"{api.host} has no project {repo}, or does not show it to this access token.",
        params={"state": "opened", "scope": "all", "order_by": "created_at", "sort": "desc", "per_page": PAGE, "page": number},
        etag=etag,
    )


def _together(pages: list[_Page]) -> PullRequests:
    # One that was opened on the way moves others to the next page, where they come again.
    found = {each.iid: each for page in pages for each in page.value}
    etags = [page.etag for page in pages]
    usable = all(etag and not any(map(str.isspace, etag)) for etag in etags)
    items = [_pull_request(each, each.sha) for each in found.values() if each.sha]
    return PullRequests(items, _APART.join(etags) if usable else None)


def _pull_request(said: MergeRequest, sha: str) -> PullRequest:
    author = said.author or User("")
    return PullRequest(
        number=said.iid,
        title=said.title,
        body=said.description or "",
        url=said.web_url,
        head_sha=sha,
        head_branch=said.source_branch,
        base_branch=said.target_branch,
        is_fork=said.source_project_id != said.target_project_id,
        author_login=author.username,
        author_url=author.web_url,
        author_avatar_url=author.avatar_url or "",
    )
