from __future__ import annotations

from typing import Any

import msgspec

from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.jsonapi.page import page_links, page_meta


def meta(page: Page[Any]) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(page_meta(page))
    return built


def test_a_page_in_the_middle_knows_its_neighbours() -> None:
    assert meta(Page(["x"], number=2, size=20, total=55)) == {
        "current-page": 2,
        "page-size": 20,
        "prev-page": 1,
        "next-page": 3,
        "total-pages": 3,
        "total-count": 55,
    }


def test_a_page_past_the_end_echoes_its_number_and_keeps_the_true_totals() -> None:
    found = meta(Page([], number=999, size=20, total=55))
    assert (found["current-page"], found["prev-page"], found["next-page"]) == (999, 3, None)
    assert (found["total-pages"], found["total-count"]) == (3, 55)


def test_an_empty_list_is_one_page() -> None:
    found = meta(Page([], number=1, size=20, total=0))
    assert (found["total-pages"], found["prev-page"], found["next-page"]) == (1, None, None)


def test_a_full_last_page_is_the_last() -> None:
    assert meta(Page([], number=2, size=20, total=40))["next-page"] is None


def test_a_whole_list_is_one_page_of_its_own_size() -> None:
    found = meta(Page.whole(["a", "b", "c"]))
    assert (found["page-size"], found["total-count"], found["total-pages"]) == (3, 3, 1)


def test_a_list_nobody_counted_says_only_what_comes_next() -> None:
    page: Page[str] = Page(["x"], number=2, size=1, total=None, more=True)
    assert meta(page) == {"current-page": 2, "page-size": 1, "prev-page": 1, "next-page": 3}
    assert set(page_links(page, "https://h/x")) == {"self", "prev", "next"}


def test_links_keep_the_other_parameters_and_replace_the_page() -> None:
    url = "https://h/x?search%5Bname%5D=a%20b&page%5Bnumber%5D=2&empty=&page[size]=7&TagBindings={ app web}#top"
    links = page_links(Page(["x"], number=2, size=7, total=20), url)
    kept = "https://h/x?search%5Bname%5D=a%20b&empty=&TagBindings=%7B%20app%20web%7D&page%5Bnumber%5D="
    assert links == {
        "self": f"{kept}2&page%5Bsize%5D=7",
        "first": f"{kept}1&page%5Bsize%5D=7",
        "prev": f"{kept}1&page%5Bsize%5D=7",
        "next": f"{kept}3&page%5Bsize%5D=7",
        "last": f"{kept}3&page%5Bsize%5D=7",
    }


def test_the_ends_have_no_neighbour_beyond() -> None:
    links = page_links(Page(["x"], number=1, size=20, total=1), "https://h/x")
    assert (links["prev"], links["next"]) == (None, None)
    assert links["self"] == "https://h/x?page%5Bnumber%5D=1&page%5Bsize%5D=20"


def test_a_page_request_knows_how_many_items_come_before_it() -> None:
    assert PageRequest().offset == 0
    assert PageRequest(number=3, size=50).offset == 100
