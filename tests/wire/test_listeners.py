"""Listeners over a real socket."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from terrapod_core.signatures import Signer, new_key
from tests.support.listeners import Joined, join, joining, make_listener, make_pool, make_token
from tests.support.server import Server
from tests.support.wire import attributes, data, document, refused


@pytest.fixture
def listener(api: httpx.Client, server: Server) -> Joined:
    """One that has joined a pool of its own."""
    return make_listener(api, server.url, make_pool(api)["id"])


def test_a_listener_joins_is_heard_and_renews(listener: Joined) -> None:
    assert attributes(listener.send("heartbeat", b'{"data":{"attributes":{"capacity":4}}}'))["capacity"] == 4
    renewed = attributes(listener.send("renew"))
    assert renewed["key-id"] != listener.signer.key_id
    listener.signer.key_id = renewed["key-id"]
    assert attributes(listener.send("heartbeat"))["status"] == "idle"


def test_a_host_that_is_not_the_servers_counts_for_nothing(listener: Joined) -> None:
    forged = listener.signer.headers("POST", f"http://evil.example.com/api/v2/listeners/{listener.id}/heartbeat")
    refused(listener.send("heartbeat", signed=forged, Host="evil.example.com"), 401, says="signature does not fit")


def test_every_answer_says_what_time_it_is(listener: Joined) -> None:
    listener.signer.offset = -3600
    late = listener.send("heartbeat")
    (error,) = refused(late, 401, says="the server's")
    assert error["code"] == "clock-skew"
    assert error["meta"]["server-time"].endswith("Z")
    assert "date" in late.headers


def test_a_replayed_request_and_a_header_sent_twice_are_refused(listener: Joined) -> None:
    signed = listener.sign("heartbeat")
    data(listener.send("heartbeat", signed=signed))
    refused(listener.send("heartbeat", signed=signed), 401, says="taken already")
    fresh = list(listener.sign("heartbeat").items())
    with httpx.Client(trust_env=False) as client:
        twice = client.post(f"{listener.url}/api/v2/listeners/{listener.id}/heartbeat", headers=[*fresh, fresh[-1]])
    refused(twice, 401, says="once each")


def test_a_body_beyond_the_limit_is_refused_before_it_is_believed(listener: Joined) -> None:
    refused(listener.send("heartbeat", b" " * 70_000), 413)


def test_a_join_token_is_no_users_token_and_the_other_way_round(api: httpx.Client, server: Server) -> None:
    pool = make_pool(api)["id"]
    with server.client(make_token(api, pool)) as client:
        refused(client.get("account/details"), 401)
    refused(join(server.url, pool, server.token, joining(new_key())), 401, says="not one of this pool")
    refused(httpx.post(f"{server.url}/api/v2/agent-pools/{pool}/listeners/join", json={}, trust_env=False), 401)


def test_a_poll_for_runs_begins_at_once_and_ends_with_one_document(listener: Joined) -> None:
    answer = listener.poll(wait=1)
    assert answer.text.startswith("\n")
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == {"data": None, "meta": {"cancels": [], "over": []}}


def test_a_poll_says_what_its_listener_need_not_keep(listener: Joined) -> None:
    assert listener.poll(wait=60, holds="plan-abc.1,apply-def.2").json()["meta"]["over"] == ["apply-def.2", "plan-abc.1"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"wait": 0}, "between 1 and 600"),
        ({"wait": 601}, "between 1 and 600"),
        ({"holds": "run-abc"}, "phases with their epochs"),
        ({"holds": "plan-abc.0"}, "phases with their epochs"),
        ({"holds": ",".join(["plan-abc.1"] * 2001)}, "phases with their epochs"),
    ],
)
def test_a_poll_that_asks_for_nonsense_is_refused(listener: Joined, query: dict[str, Any], says: str) -> None:
    refused(listener.poll(**query), 400, says=says)


def test_a_poll_without_a_signature_or_by_another_listener_is_refused(listener: Joined, api: httpx.Client) -> None:
    refused(httpx.get(f"{listener.url}/api/v2/listeners/{listener.id}/runs/next", trust_env=False), 401)
    refused(api.get(f"listeners/{listener.id}/runs/next"), 401)
    other = make_listener(api, listener.url, make_pool(api)["id"])
    other.id = listener.id
    refused(other.poll(), 404)


def test_a_listener_tells_of_no_run_that_it_was_not_given(listener: Joined) -> None:
    refused(listener.tell("run-abc", **{"phase-id": "plan-abc", "epoch": 1, "status": "planned"}), 404)
    refused(listener.tell("run-abc", status="planned"), 422)


@pytest.mark.parametrize("version", ["0.0.1", "99.0.0-rc1+build.7"])
def test_a_listener_of_another_version_is_as_good_as_any(api: httpx.Client, server: Server, version: str) -> None:
    pool, key = make_pool(api)["id"], new_key()
    sent = joining(key, version=version, **{"of-another-day": {"and": ["more"]}})
    joined = data(join(server.url, pool, make_token(api, pool), sent), 201)
    listener = Joined(server.url, joined["id"], joined["attributes"]["name"], Signer(key, joined["attributes"]["key-id"]))
    body = json.dumps(document("listeners", version=version, capacity=3, news="something")).encode()
    assert attributes(listener.send("heartbeat", body))["version"] == version
    assert listener.poll().json()["data"] is None
