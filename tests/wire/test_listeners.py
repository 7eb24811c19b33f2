"""Listeners over a real socket."""

from __future__ import annotations

import httpx
import pytest

from terrapod_core.signatures import new_key
from tests.support.listeners import Joined, join, joining, make_listener, make_pool, make_token
from tests.support.server import Server
from tests.support.wire import attributes, data, refused


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
