from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from terrapod_core.errors import BadRequest, TerrapodError
from terrapod_core.jsonapi import PageRequest, Query, Sort, Tagged


def test_nothing_asked_is_the_first_page() -> None:
    query = Query.parse([])
    assert query.page == PageRequest(1, 20)
    assert not query.paginated
    assert query == Query()


def test_a_page_is_read_and_a_large_size_is_clamped() -> None:
    assert Query.parse([("page[number]", "3"), ("page[size]", "50")]).page == PageRequest(3, 50)
    assert Query.parse([("page[size]", "101")]).page.size == 100
    assert Query.parse([("page[size]", "9" * 5000)]).page.size == 100
    assert Query.parse([("page[size]", "007")]).page.size == 7
    assert Query.parse({"page[number]": "2"}).paginated


@pytest.mark.parametrize("value", ["", "0", "-1", "x", "1.5", "+1", " 1", "1_0", "१", "000"])
@pytest.mark.parametrize("parameter", ["page[number]", "page[size]"])
def test_a_page_that_is_no_positive_number_is_refused_by_name(parameter: str, value: str) -> None:
    with pytest.raises(BadRequest) as refused:
        Query.parse([(parameter, value)])
    assert refused.value.problems[0].parameter == parameter


@pytest.mark.parametrize("value", ["1000000001", "9" * 5000])
def test_a_page_too_far_for_the_database_is_refused(value: str) -> None:
    with pytest.raises(BadRequest, match="at most 1000000000"):
        Query.parse([("page[number]", value)])
    assert Query.parse([("page[number]", "1000000000")]).page.number == 1_000_000_000


def test_include_takes_dots_and_either_spelling() -> None:
    query = Query.parse([("include", "current_run.plan, organization-memberships,,workspace,workspace,.")])
    assert query.include == (("current_run", "plan"), ("organization_memberships",), ("workspace",))


def test_filters_are_found_under_dotted_names_in_either_spelling() -> None:
    query = Query.parse([("filter[current-run][status]", "planned, applied,"), ("filter[agent_pool_names]", "a")])
    assert query.filter("current_run.status") == query.filter("current-run.status") == "planned, applied,"
    assert query.filter_list("current_run.status") == ("planned", "applied")
    assert query.filter("agent_pool_names") == "a"
    assert query.filter("absent") is None
    assert query.filter_list("absent") == ()


def test_tag_conditions_are_gathered_by_their_index() -> None:
    query = Query.parse(
        [
            ("filter[tagged][0][key]", "app"),
            ("filter[tagged][1][key]", "env"),
            ("filter[tagged][0][value]", "web"),
            ("filter[tagged][2][value]", "a value without a key"),
        ]
    )
    assert query.tagged == (Tagged("app", "web"), Tagged("env", None))
    assert query.filters == {}


def test_too_many_tag_conditions_are_refused() -> None:
    pairs = [(f"filter[tagged][{number}][key]", "x") for number in range(51)]
    assert len(Query.parse(pairs[:50]).tagged) == 50
    with pytest.raises(BadRequest, match="at most 50"):
        Query.parse(pairs)


def test_searches_q_and_sort_are_read() -> None:
    query = Query.parse(
        [("search[wildcard-name]", "a*"), ("search[tags]", "app,net"), ("q", "x"), ("sort", "-current-run.created-at,name,-")]
    )
    assert query.search("wildcard_name") == "a*"
    assert query.search_list("tags") == ("app", "net")
    assert query.q == "x"
    assert query.sort == (Sort("current_run.created_at", True), Sort("name", False))


def test_an_empty_q_is_none() -> None:
    assert Query.parse([("q", "")]).q is None


@pytest.mark.parametrize(
    "key",
    [
        "TagBindings",
        "filter",
        "filter[",
        "filter[]",
        "filter[a",
        "filter[a]b",
        "filter[a][]",
        "filter[[a]]",
        "search]x[",
        "[a]",
        "page[x]",
        "",
    ],
)
def test_junk_keys_are_ignored(key: str) -> None:
    assert Query.parse([(key, "{ app web}")]) == Query()


def test_of_a_repeated_key_the_first_counts() -> None:
    assert Query.parse([("filter[a]", "1"), ("filter[a]", "2")]).filter("a") == "1"


@pytest.mark.parametrize("key", ["filter[a]", "search[name]", "q", "filter[tagged][0][key]"])
@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_text_no_database_can_hold_is_refused_by_name(key: str, value: str) -> None:
    with pytest.raises(BadRequest) as refused:
        Query.parse([(key, value)])
    assert refused.value.problems[0].parameter == key


KEYS = st.one_of(
    st.text(),
    st.sampled_from(["page[number]", "page[size]", "include", "sort", "q", "filter[a][b]", "filter[tagged][0][key]", "search[name]"]),
)


@given(st.lists(st.tuples(KEYS, st.one_of(st.text(st.characters()), st.integers().map(str)))))
def test_any_query_string_is_read_or_refused_as_a_bad_request(pairs: list[tuple[str, str]]) -> None:
    refused = None
    query = Query()
    try:
        query = Query.parse(pairs)
    except TerrapodError as refusal:
        refused = refusal
    assert refused is None or refused.status == 400
    assert 1 <= query.page.size <= 100
    assert query.page.number >= 1
