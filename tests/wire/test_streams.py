"""Streams over HTTP: events of a run, a workspace and everything; logs; who hears what, and how one comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import httpx
import pytest

from tests.support import wire
from tests.support.server import Server
from tests.support.sse import Stream, stream
from tests.support.waiting import until
from tests.support.wire import Person, data, document, refused

ALL = "organizations/default/events"


@pytest.fixture
def carol(server: Server) -> Iterator[Person]:
    """A user of this test's own, who can be disabled."""
    person = wire.make_person(server, "carol")
    with closing(person.api):
        yield person


@pytest.fixture
def role(api: httpx.Client) -> Iterator[str]:
    """A role that reads workspaces with a label of its name."""
    name = wire.fresh("reader")
    sent = document("roles", name=name, workspace_permission="read", allow_labels={"for": name})
    data(api.post("roles", json=sent), 201)
    yield name
    api.delete(f"roles/{name}")


def give(api: httpx.Client, person: Person, *roles: str) -> None:
    """Let them hold exactly these roles."""
    data(api.put("role-assignments", json=document("role-assignments", provider_name="local", email=person.email, roles=list(roles))))


def touch(api: httpx.Client, workspace: str) -> None:
    """Make news of a workspace: it is locked and unlocked."""
    wire.lock(api, workspace)
    data(api.post(f"workspaces/{workspace}/actions/unlock"))


def test_a_run_is_heard_from_its_beginning_to_its_end(server: Server, api: httpx.Client) -> None:
    workspace = wire.make_workspace(api)["id"]
    with stream(server, f"workspaces/{workspace}/events", server.token) as heard, stream(server, ALL, server.token) as everything:
        heard.begun()
        everything.begun()
        run = wire.make_run(api, workspace, wire.make_configuration(api, workspace))
        created = heard.hears("run.created")
        assert created.data.items() >= {"type": "run.created", "run-id": run, "workspace-id": workspace}.items()
        statuses = [heard.hears("run.status") for _ in range(3)]
        assert [each.data["status"] for each in statuses] == ["plan_queued", "planning", "planned"]
        assert [each.data["previous"] for each in statuses] == ["pending", "plan_queued", "planning"]
        ids = [int(each.id) for each in (created, *statuses)]
        assert ids == sorted(set(ids))
        assert everything.hears("run.created").id == created.id
    with stream(server, f"runs/{run}/events", server.token, last_id=created.id) as heard:
        missed = [heard.next() for _ in range(3)]
        assert [each.data["status"] for each in missed if each] == ["plan_queued", "planning", "planned"]
        api.post(f"runs/{run}/actions/discard").raise_for_status()
        assert heard.hears("run.status").data["status"] == "discarded"
    with stream(server, f"runs/{run}/events", server.token, **{"last-event-id": statuses[1].id}) as heard:
        assert [heard.hears("run.status").data["status"] for _ in range(2)] == ["planned", "discarded"]


def test_everything_is_heard_as_far_as_one_may_read_it_at_that_moment(server: Server, api: httpx.Client, carol: Person, role: str) -> None:
    hidden, shared = wire.make_workspace(api)["id"], wire.make_workspace(api, labels={"for": role})["id"]
    own = wire.make_workspace(carol.api)["id"]
    give(api, carol, role)
    with stream(server, ALL, carol.token) as heard:
        heard.begun()
        touch(api, hidden)
        touch(api, shared)
        told = [heard.next() for _ in range(2)]
        assert [(each.name, each.data["workspace-id"]) for each in told if each] == [
            ("workspace.locked", shared),
            ("workspace.unlocked", shared),
        ]
        give(api, carol)
        touch(api, shared)
        touch(carol.api, own)
        told = [heard.next() for _ in range(2)]
        assert [each.data["workspace-id"] for each in told if each] == [own, own]


def test_a_stream_ends_when_the_right_to_read_is_taken_away(server: Server, api: httpx.Client, carol: Person, role: str) -> None:
    shared = wire.make_workspace(api, labels={"for": role})["id"]
    give(api, carol, role)
    with stream(server, f"workspaces/{shared}/events", carol.token) as heard:
        heard.begun()
        touch(api, shared)
        assert [getattr(heard.next(), "name", None) for _ in range(2)] == ["workspace.locked", "workspace.unlocked"]
        give(api, carol)
        touch(api, shared)
        assert heard.next() is None
    refused(carol.api.get(f"workspaces/{shared}/events"), 404)


@pytest.mark.parametrize("ended", ["disabled", "revoked"])
def test_a_stream_ends_with_what_opened_it(server: Server, api: httpx.Client, carol: Person, ended: str) -> None:
    own = wire.make_workspace(carol.api, labels={"access": "everyone"})["id"]
    made = data(carol.api.post("authentication-tokens", json=document("authentication-tokens")), 201)
    with ExitStack() as opened:
        heard = [opened.enter_context(stream(server, path, made["attributes"]["token"])) for path in (f"workspaces/{own}/events", ALL)]
        for each in heard:
            each.begun()
        if ended == "disabled":
            api.post(f"admin/users/{carol.id}/actions/suspend").raise_for_status()
        else:
            carol.api.delete(f"authentication-tokens/{made['id']}").raise_for_status()
        touch(api, wire.make_workspace(api)["id"])
        api.post(f"workspaces/{own}/actions/lock").raise_for_status()
        assert [each.next() for each in heard] == [None, None]


@pytest.mark.parametrize("last_id", ["never", "999999999999"])
def test_who_names_an_event_that_never_was_is_told_to_begin_anew(server: Server, api: httpx.Client, last_id: str) -> None:
    workspace = wire.make_workspace(api)["id"]
    with stream(server, f"workspaces/{workspace}/events", server.token, last_id=last_id) as heard:
        told = heard.next()
        assert told is not None
        assert (told.name, told.data) == ("reset", {"type": "reset", "reason": "unknown"})
        touch(api, workspace)
        assert heard.hears("workspace.locked").data["workspace-id"] == workspace


def test_one_user_has_so_many_streams(new_server: Callable[..., Server]) -> None:
    server = new_server(settings={"LIVE__STREAMS_PER_USER": "2"}).start()
    with stream(server, ALL, server.token) as first, stream(server, ALL, server.token) as second:
        first.begun()
        second.begun()
        with server.client(server.token) as client:
            answer = client.get(ALL)
        assert refused(answer, 429)[0]["code"] == "too_many_streams"
        assert int(answer.headers["retry-after"]) > 0

    def again() -> Stream | None:
        with stream(server, ALL, server.token) as third:
            return third if third.answer.status_code == 200 else None

    until(again, "the places of those who left to be free")


def test_a_server_that_stops_ends_its_streams_in_order(new_server: Callable[..., Server]) -> None:
    server = new_server().start()
    workspace = wire.make_workspace(server.api)["id"]
    with stream(server, ALL, server.token) as heard, stream(server, f"workspaces/{workspace}/events", server.token) as other:
        heard.begun()
        other.begun()
        assert server.stop() == 0
        # A connection that breaks would raise here.
        assert heard.next() is None
        assert other.next() is None
    server.start()
    with stream(server, f"workspaces/{workspace}/events", server.token, last_id=other.last_id) as heard:
        touch(server.api, workspace)
        assert getattr(heard.next(), "name", None) == "workspace.locked", "the numbers go on where they were"


def test_the_other_methods_and_those_who_may_not(server: Server, api: httpx.Client, alice: Person) -> None:
    workspace = wire.make_workspace(api)["id"]
    for path in (f"workspaces/{workspace}/events", ALL):
        head = api.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == "text/event-stream"
        assert head.headers["x-accel-buffering"] == "no"
        refused(api.post(path), 405)
        with server.client(None) as nobody:
            refused(nobody.get(path), 401)
    refused(alice.api.get(f"workspaces/{workspace}/events"), 404)
    refused(api.get("organizations/other/events"), 404)
    for path in (f"runs/run-{wire.UNKNOWN}/events", f"plans/plan-{wire.UNKNOWN}/log-stream", f"plans/apply-{wire.UNKNOWN}/log-stream"):
        refused(api.get(path), 404)


def test_a_log_is_heard_to_its_end_and_from_where_one_left(server: Server, api: httpx.Client, alice: Person) -> None:
    workspace = wire.make_workspace(api)["id"]
    run = wire.make_run(api, workspace, wire.make_configuration(api, workspace))
    plan = data(api.get(f"runs/{run}"))["relationships"]["plan"]["data"]["id"]
    refused(alice.api.get(f"plans/{plan}/log-stream"), 404)
    text, first = "", ""
    with stream(server, f"plans/{plan}/log-stream", server.token) as heard:
        while told := heard.next():
            if told.name == "end":
                break
            assert (told.name, told.data["phase"]) == ("log", plan)
            assert told.data["offset"] == len(text.encode())
            text += told.data["text"]
            assert int(told.id) == len(text.encode())
            first = first or told.id
        assert heard.next() is None
    link = data(api.get(f"plans/{plan}"))["attributes"]["log-read-url"]
    assert text.encode() == httpx.get(link, trust_env=False).content
    assert "Terraform used the selected providers" in text
    wire.run_at(api, run, "planned")
    with stream(server, f"plans/{plan}/log-stream", server.token, last_id=first) as heard:
        rest = []
        while (told := heard.next()) and told.name == "log":
            rest.append(told.data["text"])
    assert "".join(rest).encode() == text.encode()[int(first) :]
    ended = api.get(f"plans/{plan}/log-stream", headers={"Last-Event-ID": str(len(text.encode())), "Accept": "text/event-stream"})
    assert (ended.status_code, ended.content) == (204, b"")
    for wrong in ("-1", "x", str(len(text.encode()) + 1)):
        refused(api.get(f"plans/{plan}/log-stream", params={"last-event-id": wrong}), 400)
    apply = data(api.get(f"runs/{run}"))["relationships"]["apply"]["data"]["id"]
    with stream(server, f"applies/{apply}/log-stream", server.token) as heard:
        api.post(f"runs/{run}/actions/discard").raise_for_status()
        assert [told.name for told in iter(heard.next, None)] == ["end"], "an apply that never will be has an end too"
    with stream(server, f"applies/{apply}/log-stream", server.token) as heard:
        assert heard.answer.status_code == 204
