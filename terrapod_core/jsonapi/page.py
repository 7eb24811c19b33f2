"""Pages of a list, in TFE's words: `meta.pagination` and the links of a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

T = TypeVar("T")

DEFAULT_PAGE_SIZE: Final = 20
MAX_PAGE_SIZE: Final = 100
NUMBER, SIZE = "page[number]", "page[size]"


@dataclass(frozen=True)
class PageRequest:
    """Which page is wanted: `number` counts from 1."""

    number: int = 1
    size: int = DEFAULT_PAGE_SIZE

    @property
    def offset(self) -> int:
        """How many items come before this page."""
        return (self.number - 1) * self.size


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page. `total` counts all items the actor may see; a page past the end is empty and keeps the true total.

    `None` as `total` is a list nobody counted (the runs of an organization): `more` then says whether a page follows, and the
    document has neither `total-count` and `total-pages` nor the links `first` and `last` (go-tfe's `PaginationNextPrev`).
    """

    items: Sequence[T]
    number: int
    size: int
    total: int | None
    more: bool = False

    @classmethod
    def whole(cls, items: Sequence[T]) -> Page[T]:
        """All there is, as one page: for lists TFE does not paginate."""
        return cls(items, 1, max(len(items), 1), len(items))

    @property
    def pages(self) -> int | None:
        """How many pages there are, at least 1; `None` when nobody counted."""
        return None if self.total is None else max(1, -(-self.total // self.size))

    @property
    def next(self) -> int | None:
        """The number of the page after this one."""
        follows = self.more if self.pages is None else self.number < self.pages
        return self.number + 1 if follows else None

    @property
    def previous(self) -> int | None:
        """The number of the page before this one; from past the end, the last page."""
        if self.number <= 1:
            return None
        return self.number - 1 if self.pages is None else min(self.number - 1, self.pages)


class Pagination(msgspec.Struct, rename="kebab", gc=False):
    """The member `meta.pagination`."""

    current_page: int
    page_size: int
    prev_page: int | None
    next_page: int | None
    total_pages: int | msgspec.UnsetType = msgspec.UNSET
    total_count: int | msgspec.UnsetType = msgspec.UNSET


def page_meta(page: Page[T]) -> Pagination:
    """The numbers a client walks a list by."""
    meta = Pagination(page.number, page.size, page.previous, page.next)
    if page.pages is not None and page.total is not None:
        meta.total_pages, meta.total_count = page.pages, page.total
    return meta


def page_links(page: Page[T], url: str) -> dict[str, str | None]:
    """The links of a page: `url` with its own query, and the page's number and size put into it."""
    base, _, query = url.partition("#")[0].partition("?")
    others = [(key, value) for key, value in parse_qsl(query, keep_blank_values=True) if key not in (NUMBER, SIZE)]
    kept = urlencode(others, quote_via=quote, errors="replace")
    prefix = f"{base}?{kept}&" if kept else f"{base}?"

    def link(number: int | None) -> str | None:
        return None if number is None else f"{prefix}page%5Bnumber%5D={number}&page%5Bsize%5D={page.size}"

    if page.pages is None:
        return {"self": link(page.number), "prev": link(page.previous), "next": link(page.next)}
    return {
        "self": link(page.number),
        "first": link(1),
        "prev": link(page.previous),
        "next": link(page.next),
        "last": link(page.pages),
    }
