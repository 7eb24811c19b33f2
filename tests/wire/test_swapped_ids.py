"""Every id inside a document is judged as if it were fetched: swap each for one of an invisible thing, and nothing is told.

The document is good, and its sender may do what it asks. Then one id of it at a time becomes that of something another
owns, or one that nothing has. Both must be refused, with the same words, and the path's own ids likewise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.support import wire
from tests.support.databases import Databases
from tests.support.endpoints import WRITING, Body, Endpoint, World, make_world
from tests.support.known_forge import trusting
from tests.support.server import Server, running
from tests.support.wire import Person, document, make_person

MORE = (
    Endpoint(
        "POST",
        "runs",
        Body.DOCUMENT,
        document(
            "runs",
            {
                "workspace": {"type": "workspaces", "id": "{workspace}"},
                "configuration-version": {"type": "configuration-versions", "id": "{configuration}"},
            },
            plan_only=True,
        ),
    ),
    Endpoint(
        "POST",
        "organizations/default/workspaces",
        Body.DOCUMENT,
        document("workspaces", {"project": {"type": "projects", "id": "{project}"}}, name="swapped"),
    ),
    Endpoint(
        "PATCH", "workspaces/{workspace}", Body.DOCUMENT, document("workspaces", {"project": {"type": "projects", "id": "{project}"}})
    ),
    Endpoint(
        "POST",
        "workspaces/{workspace}/state-versions",
        Body.DOCUMENT,
        document("state-versions", {"run": {"type": "runs", "id": "{run}"}}, serial=2, md5="0" * 32, lineage=wire.LINEAGE),
    ),
    Endpoint(
        "POST",
        "authentication-tokens",
        Body.DOCUMENT,
        document("authentication-tokens", description="narrow", workspaces=["{workspace}"]),
    ),
)
"""Documents whose ids the shorter ones of `endpoints` leave out."""

LOOSE = frozenset({"DELETE workspaces/{workspace}/relationships/remote-state-consumers"})
"""Where naming what is not there is no mistake: removing it again."""

KINDS = {
    "workspace": "ws",
    "other": "ws",
    "variable": "var",
    "configuration": "cv",
    "run": "run",
    "plan": "plan",
    "apply": "apply",
    "event": "re",
    "state": "sv",
    "output": "wsout",
    "project": "prj",
    "token": "at",
}
"""The placeholders that are ids of things that can be invisible, with the prefix of such ids."""


@dataclass(frozen=True)
class Place:
    """One id in a document, by the way to it."""

    endpoint: Endpoint
    way: tuple[str | int, ...]
    placeholder: str

    def __str__(self) -> str:
        return f"{self.endpoint} at /{'/'.join(map(str, self.way))}"


def places() -> Iterator[Place]:
    """Every id of every good document."""
    for endpoint in (*WRITING, *MORE):
        for way, text in _texts(endpoint.good, ()):
            named = re.fullmatch(r"\{(\w+)\}", text)
            if named is not None and named[1] in KINDS and str(endpoint) not in LOOSE:
                yield Place(endpoint, way, named[1])


def _texts(value: Any, way: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield way, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _texts(item, (*way, key))


def _with(value: Any, way: tuple[str | int, ...], text: str) -> Any:
    """The document with another text at one place."""
    if not way:
        return text
    first, *rest = way
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[first] = _with(value[first], tuple(rest), text)
    return copy


@pytest.fixture(scope="module")
def anyone_runs(engines: dict[str, str], databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which everybody may start runs, on each database in turn."""
    settings = {**engines, **trusting(), "RUNNER__LOCAL__ALLOW_UNISOLATED_USERS": "true", "LIMITS__PENDING_RUNS_PER_USER": "10000"}
    url = databases.empty()
    with running(tmp_path_factory.mktemp("swapping"), database_url=url, settings=settings) as server:
        yield server
    databases.drop(url)


@pytest.fixture(scope="module")
def world(anyone_runs: Server) -> World:
    """One of each thing, the admin's."""
    return make_world(anyone_runs.api)


@pytest.fixture(scope="module")
def alice(anyone_runs: Server) -> Iterator[Person]:
    """A user with no role."""
    person = make_person(anyone_runs, "alice")
    with closing(person.api):
        yield person


@pytest.fixture(scope="module")
def own(alice: Person) -> World:
    """One of each thing of Alice's, as far as somebody without roles can make them."""
    return make_world(alice.api)


def test_there_are_ids_in_documents_to_swap() -> None:
    assert len(list(places())) >= 10


@pytest.mark.parametrize("place", list(places()), ids=str)
def test_an_invisible_id_in_a_document_is_as_good_as_none(alice: Person, own: World, world: World, place: Place) -> None:
    path, good = own.path(place.endpoint), own.filled(place.endpoint.good)

    def answer(ident: str) -> tuple[int, Any]:
        response = alice.api.request(place.endpoint.method, path, json=_with(good, place.way, ident))
        return response.status_code, re.sub(re.escape(ident), "<id>", response.text)

    hidden = answer(getattr(world, place.placeholder))
    unknown = answer(f"{KINDS[place.placeholder]}-{wire.UNKNOWN}")
    assert hidden[0] in (404, 422), f"{place}: {hidden}"
    assert hidden == unknown, f"{place} tells whether a thing exists"


@pytest.mark.parametrize("endpoint", [one for one in WRITING if any(f"{{{name}}}" in one.path for name in KINDS)], ids=str)
def test_an_invisible_id_in_a_path_is_as_good_as_none(alice: Person, own: World, world: World, endpoint: Endpoint) -> None:
    for name in re.findall(r"\{(\w+)\}", endpoint.path):
        if name not in KINDS:
            continue
        hidden, unknown = (
            _asked(alice.api, endpoint, own.fill(endpoint.path.replace(f"{{{name}}}", ident)), own.filled(endpoint.good), ident)
            for ident in (getattr(world, name), f"{KINDS[name]}-{wire.UNKNOWN}")
        )
        assert hidden[0] == 404, f"{endpoint}: {hidden}"
        assert hidden == unknown, f"{endpoint} tells whether a thing exists"


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_id_of_any_kind_at_any_place_opens_anything(alice: Person, own: World, world: World, data: st.DataObject) -> None:
    """Any id of another's things, or of one's own things of another kind, wherever an id can stand."""
    place = data.draw(st.sampled_from(list(places())))
    name = data.draw(st.sampled_from(sorted(KINDS)))
    mine = data.draw(st.booleans())
    ident = getattr(own if mine and KINDS[name] != KINDS[place.placeholder] else world, name)
    sent = _with(own.filled(place.endpoint.good), place.way, ident)
    response = alice.api.request(place.endpoint.method, own.path(place.endpoint), json=sent)
    assert response.status_code in (404, 422), f"{place} with {ident}: {response.status_code} {response.text[:300]}"
    assert world.sensitive not in response.text


def test_the_documents_are_good_before_anything_is_swapped(alice: Person) -> None:
    """Else the refusals above would prove nothing: with their own ids Alice is told of no missing thing."""
    fresh = make_world(alice.api)
    for endpoint in {str(place.endpoint): place.endpoint for place in places()}.values():
        response = alice.api.request(endpoint.method, fresh.path(endpoint), json=fresh.filled(endpoint.good))
        assert response.status_code != 404, f"{endpoint}: {response.text[:300]}"
        assert "no such" not in response.text, f"{endpoint}: {response.text[:300]}"


def _asked(api: httpx.Client, endpoint: Endpoint, path: str, body: Any, ident: str) -> tuple[int, str]:
    response = api.request(endpoint.method, path, json=body if endpoint.body is not Body.NONE else None)
    return response.status_code, response.text.replace(ident, "<id>")


QUERIES = (
    ("organizations/default/workspaces", "filter[project][id]", "project", "{project}"),
    ("organizations/default/runs", "filter[workspace-names]", "name", "{name}"),
    ("vars?filter[organization][name]=default", "filter[workspace][name]", "name", "{name}"),
    ("state-versions?filter[organization][name]=default", "filter[workspace][name]", "name", "{name}"),
)
"""Where a query names another thing: the list, the parameter, and what it takes."""


@pytest.mark.parametrize(("path", "parameter", "placeholder", "own_text"), QUERIES)
def test_an_invisible_thing_in_a_query_is_as_good_as_none(
    alice: Person, own: World, world: World, path: str, parameter: str, placeholder: str, own_text: str
) -> None:
    """It finds what Alice's own finds her, and of another's no more than of what nobody has."""

    def answer(text: str) -> tuple[int, str]:
        response = alice.api.get(path, params={**dict(httpx.QueryParams(path.partition("?")[2])), parameter: text})
        return response.status_code, response.text.replace(quote(text), "<text>").replace(text, "<text>")

    hidden = answer(getattr(world, placeholder))
    unknown = answer(f"prj-{wire.UNKNOWN}" if placeholder == "project" else "nobody-has-this")
    assert hidden == unknown, f"{path} by {parameter} tells whether a thing exists"
    assert answer(own.fill(own_text))[0] == 200
    assert world.sensitive not in hidden[1]
