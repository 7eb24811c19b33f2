"""Two servers on one PostgreSQL, with and without Redis: what happens at one is heard at the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from terrapod_core.runs.tails import FRESH_SECONDS
from tests.support import wire
from tests.support.listeners import make_listener, make_pool, to_pool
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer, redis_server
from tests.support.server import Server
from tests.support.sse import Stream, Told, stream
from tests.support.waiting import until

PASSWORD = "hunter2-of-redis"


WOKEN_ALONE = """
from datetime import timedelta
from importlib import import_module
import_module("terrapod_core.accounts.authentication").REMEMBERED = timedelta(hours=1)
for name in ("jobs.worker", "live.feed", "runs.cancels", "runs.dispatch", "runs.offers", "runs.tails"):
    import_module(f"terrapod_core.{name}").SELDOM_SECONDS = 3600.0
import_module("terrapod_core.cli").main()
"""
"""A server that never looks by the clock while it hears others, and remembers people for an hour: whatever it notices in time, it was
woken for.
"""


class WokenServer(Server):
    program = ("-c", WOKEN_ALONE)


@dataclass
class Site:
    """Two servers that are one to their clients."""

    one: Server
    two: Server
    redis: RedisServer | None


def open_site(
    stack: ExitStack, directory: Path, database_url: str, redis: RedisServer | None, kind: type[Server] = Server, **settings: str
) -> Site:
    """Both started, with the objects of both in one place."""
    servers = [kind(directory / name, database_url=database_url, settings=settings) for name in ("one", "two")]
    for server in servers:
        server.set("STORAGE__LOCAL__PATH", str(directory / "objects"))
        if redis is not None:
            server.set("REDIS_URL", redis.url.replace("//", f"//:{PASSWORD}@"))
        stack.callback(server.close)
        server.start()
    return Site(servers[0], servers[1], redis)


def made_redis(stack: ExitStack) -> RedisServer:
    return stack.enter_context(redis_server(f"requirepass {PASSWORD}"))


@pytest.fixture(scope="module", params=["postgresql", "redis"])
def site(request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        redis = made_redis(stack) if request.param == "redis" else None
        yield open_site(stack, tmp_path_factory.mktemp("site"), postgres.url(postgres.create()), redis, WokenServer)


@pytest.fixture
def redis_site(postgres_url: str, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield open_site(stack, tmp_path, postgres_url, made_redis(stack))


def redis_check(server: Server) -> str:
    """What `/ready` says of Redis; the server is ready whatever it says."""
    answer = httpx.get(f"{server.url}/ready", trust_env=False)
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    return str(answer.json()["checks"]["redis"])


def touch(api: httpx.Client, workspace: str) -> None:
    """Make news of a workspace: it is locked and unlocked."""
    wire.lock(api, workspace)
    wire.data(api.post(f"workspaces/{workspace}/actions/unlock"))


def collected(heard: Stream) -> list[Told]:
    """What comes on the stream from now on, as it comes: a stream on which nothing is told goes on for ever."""
    told: list[Told] = []

    def read() -> None:
        with suppress(httpx.HTTPError, httpx.StreamError):  # it was closed
            while each := heard.next():
                told.append(each)

    threading.Thread(target=read, daemon=True).start()
    return told


def test_a_token_that_is_revoked_at_one_is_refused_at_the_other(site: Site) -> None:
    person = wire.make_person(site.one, wire.fresh("person"))
    with closing(person.api), site.two.client(person.token) as elsewhere:
        assert elsewhere.get("account/details").status_code == 200
        tokens = wire.data(site.one.api.get(f"users/{person.id}/authentication-tokens"))
        for each in tokens:
            site.one.api.delete(f"authentication-tokens/{each['id']}").raise_for_status()
        until(lambda: elsewhere.get("account/details").status_code == 401, "the other server to ask anew")


def given_phase(site: Site) -> dict[str, Any]:
    """A plan for a listener that waits at the second server, of a run that is asked of the first."""
    pool = make_pool(site.one.api)["id"]
    listener = make_listener(site.one.api, site.two.url, pool)
    workspace = wire.make_workspace(site.one.api)["id"]
    to_pool(site.one.api, workspace, pool)
    configuration = wire.make_configuration(site.one.api, workspace)
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(listener.poll(wait=50)))
    waiting.start()
    run_id = wire.make_run(site.one.api, workspace, configuration)
    waiting.join()
    given = answers[0].json()["data"]
    assert given is not None
    assert given["id"] == run_id
    attributes: dict[str, Any] = given["attributes"]
    return attributes


def append(server: Server, phase: dict[str, Any], offset: int, text: bytes) -> int:
    """Send a piece of the log, as the phase's runner; where the next one goes."""
    headers = {"Authorization": f"Bearer {phase['token']}"}
    url = f"{server.url}/api/runner/v1/phases/{phase['phase-id']}/log?offset={offset}"
    answer = httpx.put(url, content=text, headers=headers, trust_env=False)
    assert answer.status_code == 200, answer.text
    size: int = answer.json()["size"]
    return size


def test_a_queued_run_reaches_a_listener_that_waits_at_another_server_and_its_log_those_who_follow_there(site: Site) -> None:
    phase = given_phase(site)
    url = f"{site.one.url}/api/runner/v1/phases/{phase['phase-id']}/claim"
    headers = {"Authorization": f"Bearer {phase['token']}"}
    httpx.post(url, json={"runner": "test"}, headers=headers, trust_env=False).raise_for_status()
    with stream(site.two, f"plans/{phase['phase-id']}/log-stream", site.two.token) as heard:
        told = collected(heard)
        offset, number, began = 0, 0, time.monotonic()
        # As long as the first may not have heard yet that somebody follows, the second looks; then it is woken alone.
        while time.monotonic() < began + 2 * FRESH_SECONDS:
            number += 1
            line = f"line {number}\n"
            offset = append(site.one, phase, offset, line.encode())
            until(lambda line=line: any(line in each.data["text"] for each in told), f"{line!r} to be heard")  # type: ignore[misc]


def test_events_are_heard_at_another_server(site: Site) -> None:
    workspace = wire.make_workspace(site.one.api)["id"]
    with stream(site.two, f"workspaces/{workspace}/events", site.two.token) as heard:
        heard.begun()
        told = collected(heard)
        touch(site.one.api, workspace)
        until(lambda: len(told) == 2, "the events to be heard")
    assert [(each.name, each.data["workspace-id"]) for each in told] == [("workspace.locked", workspace), ("workspace.unlocked", workspace)]


def test_servers_say_that_they_hear_each_other(site: Site) -> None:
    for server in (site.one, site.two):
        assert redis_check(server) == "healthy"
        until(lambda server=server: "other servers are heard" in server.said(), "the server to say so")  # type: ignore[misc]


def test_redis_may_be_killed_and_come_back_in_the_midst(redis_site: Site) -> None:
    site, redis = redis_site, redis_site.redis
    assert redis is not None
    workspace = wire.make_workspace(site.one.api)["id"]
    with stream(site.two, f"workspaces/{workspace}/events", site.two.token) as heard:
        heard.begun()
        for away in (redis.kill, redis.freeze):
            away()
            touch(site.one.api, workspace)
            heard.hears("workspace.unlocked")
            until(lambda: redis_check(site.one).startswith("degraded: "), "the server to say that Redis is away")
            for server in (site.one, site.two):
                for _ in range(20):
                    wire.data(server.api.get(f"workspaces/{workspace}"))
            if away == redis.kill:
                redis.start()
            else:
                redis.thaw()
            until(lambda: redis_check(site.one) == redis_check(site.two) == "healthy", "both servers to be back with Redis")
            touch(site.one.api, workspace)
            heard.hears("workspace.unlocked")
    for server in (site.one, site.two):
        assert PASSWORD not in server.said()
        assert "other servers are not heard" in server.said()


def test_servers_start_without_their_redis_and_use_it_when_it_comes(postgres_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        redis = made_redis(stack)
        redis.stop()
        site = open_site(stack, tmp_path, postgres_url, redis)
        assert redis_check(site.one).startswith("degraded: Redis cannot be used")
        redis.start()
        until(lambda: redis_check(site.one) == redis_check(site.two) == "healthy", "both servers to find Redis")
        assert site.one.said().count("other servers are not heard") == 1
        assert PASSWORD not in site.one.said() + redis_check(site.one)


def test_servers_with_redis_count_requests_together(postgres_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        site = open_site(stack, tmp_path, postgres_url, made_redis(stack), LIMITS__REQUESTS_PER_SECOND_PER_ADDRESS="1")
        until(lambda: redis_check(site.one) == redis_check(site.two) == "healthy", "both servers to find Redis")
        clients = [stack.enter_context(server.client(None)) for server in (site.one, site.two)]
        began = time.monotonic()
        statuses = [client.get("account/details").status_code for client in clients * 20]
        # However slow the machine is, no more go than what one bucket had and got meanwhile; two had twice as much.
        assert set(statuses) == {401, 429}
        assert statuses.count(401) <= 2 + (time.monotonic() - began) + 0.01
