"""What generated requests are made of, and what every answer to them has to be."""

from __future__ import annotations

import json
from typing import Any

import httpx
from hypothesis import strategies as st

from tests.support.wire import JSON, JSON_API

texts = st.text(max_size=40) | st.sampled_from(
    [
        "",
        " ",
        "\u0000",
        "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
        "..",
        "/",
        "%",
        "'",
        '"',
        "\u202e",
        "🦕" * 10,
        "x" * 5000,
        "null",
        "-1",
    ]
)
numbers = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 1e308, 0.1])
)
scalars = st.none() | st.booleans() | numbers | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
"""Any JSON value, the awkward ones often."""


def mutated(good: Any) -> st.SearchStrategy[Any]:
    """The good value with something in it replaced, dropped or added; rarely the good value itself."""
    if isinstance(good, dict) and good:
        return st.one_of(
            st.sampled_from(sorted(good)).flatmap(lambda key: mutated(good[key]).map(lambda value: {**good, key: value})),
            st.sampled_from(sorted(good)).map(lambda key: {name: value for name, value in good.items() if name != key}),
            st.tuples(texts, values).map(lambda pair: {**good, pair[0]: pair[1]}),
            values,
        )
    if isinstance(good, list) and good:
        return st.one_of(
            mutated(good[0]).map(lambda value: [value, *good[1:]]), values.map(lambda value: [*good, value]), st.just(good * 2), values
        )
    return values


def encoded(value: Any) -> bytes:
    """JSON as a careless client writes it: lone surrogates and all."""
    return json.dumps(value).encode()


def sane(response: httpx.Response) -> None:
    """Fail unless the answer is one that a client can live with: no 5xx, JSON, and errors that say something."""
    request = response.request
    what = f"{request.method} {request.url} {request.content[:500]!r} -> {response.status_code} {response.text[:500]}"
    assert response.status_code < 500, what
    if response.status_code in (202, 204, 301, 302, 307, 308):
        return
    assert response.headers["content-type"].partition(";")[0] in (JSON, JSON_API), what
    document = response.json()
    if response.status_code < 400:
        return
    for error in document["errors"]:
        assert error["status"] == str(response.status_code), what
        assert error["title"], what
        assert len(error["detail"]) > 10, what
    assert document["errors"], what
