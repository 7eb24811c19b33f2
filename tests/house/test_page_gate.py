"""The walk of the pages: every page, asked by everybody's browser, answers what the table of `tests/support/access` says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.support.access import LEVELS, TABLE, Actions, Gets, Page, Row, Who
from tests.support.endpoints import World
from tests.support.server import Server
from tests.support.walk import Walk, Window, is_sent_to_sign_in, make_people
from tests.support.wire import PASSPHRASE, make_person

PAGES = [
    (route, action)
    for route, row in TABLE.items()
    if isinstance(row.needs, Page)
    for action in (row.needs.needs.permissions if isinstance(row.needs.needs, Actions) else ("",))
]
FORMS = [(route, action) for route, action in PAGES if route.startswith("POST ")]
FRESH = ("POST /app/sign-out", "POST /app/settings/tokens", "GET /oauth/authorize", "POST /oauth/authorize")
"""Where the session ends, or has to be young."""


@dataclass
class Windows:
    """Everybody's browser, and the things that pages show."""

    walk: Walk
    all: dict[Who, Window]

    def ask(self, who: Who, route: str, action: str, world: World, *, signed: bool = True, origin: str | None = None) -> httpx.Response:
        """The answer to this one's browser; `signed` and `origin` are those of `Window.send`."""
        method, path = route.split(" ", 1)
        row = TABLE[route]
        where = self.walk.path(route, path.replace("<action>", action), world)
        if route in FRESH and who in LEVELS:
            self.all[who].sign_in()
        window = self.all[who]
        if method == "GET":
            answer = window.open(where, row.query)
        else:
            filled = {name: world.fill(value.replace("{email}", window.email)) for name, value in row.body.items()}
            answer = window.send(where, filled, signed=signed, origin=origin)
        if route == "POST /app/sign-out" and who in LEVELS:
            self.all[who].sign_in()
        return answer


@pytest.fixture(scope="module")
def windows(open_server: Server) -> Iterator[Windows]:
    """Everybody signed in, but for one who is not."""
    with ExitStack() as closing:
        people = make_people(open_server, closing)
        people[Who.PLATFORM] = make_person(open_server, "walker-platform", "admin")
        closing.callback(people[Who.PLATFORM].api.close)
        found = {who: Window(open_server, person.email, PASSPHRASE) for who, person in people.items()}
        for window in found.values():
            window.sign_in()
        found[Who.ANONYMOUS] = Window(open_server, "", "")
        for window in found.values():
            closing.callback(window.client.close)
        yield Windows(Walk(open_server, {}, closing.enter_context(httpx.Client(base_url=open_server.url))), found)


@pytest.mark.parametrize(("route", "action"), PAGES)
def test_a_page_answers_every_browser_as_the_table_says(windows: Windows, route: str, action: str) -> None:
    row = TABLE[route]
    assert isinstance(row.needs, Page)
    for who in windows.all:
        shows = row.needs.shows(who, action)
        spends = shows is Gets.IN and (action or "<token_id>" in route or route.endswith("/actions/delete"))
        answer = windows.ask(who, route, action, windows.walk.fresh() if spends else windows.walk.world)
        _judge(f"{route} {action} as {who}: {answer.status_code} where the table says {shows}: {answer.text}", row, action, shows, answer)


def _judge(said: str, row: Row, action: str, shows: Gets, answer: httpx.Response) -> None:
    if shows is Gets.UNKNOWN:
        assert is_sent_to_sign_in(answer) or (answer.request.method == "POST" and answer.status_code == 401), said
    elif shows is Gets.HIDDEN:
        assert answer.status_code == 404, said
        assert re.search("or you may not see it|or it is not yours", answer.text), said
    elif shows is Gets.FORBIDDEN:
        assert answer.status_code == 403, said
    elif action in row.then:
        assert answer.status_code in (404, 409, 422), said
        assert re.search(row.then[action], answer.text), said
    else:
        assert answer.status_code in (200, 303), said
        assert not is_sent_to_sign_in(answer) or answer.request.url.path == "/app/sign-out", said


@pytest.mark.parametrize(("route", "action"), FORMS)
def test_a_form_is_refused_without_its_token_with_anothers_and_from_elsewhere(windows: Windows, route: str, action: str) -> None:
    other = windows.all[Who.ADMIN].form_token
    for signed, origin in ((False, None), (True, "https://elsewhere.example.com")):
        assert windows.ask(Who.PLATFORM, route, action, windows.walk.world, signed=signed, origin=origin).status_code == 403
    where = windows.walk.path(route, route.split(" ", 1)[1].replace("<action>", action), windows.walk.world)
    assert windows.all[Who.PLATFORM].send(where, {**TABLE[route].body, "form-token": other}).status_code == 403
