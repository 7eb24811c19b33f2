"""What the kit cannot ask: Redis away, hanging, back, of the wrong kind, and passwords."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from redis.asyncio import Redis

from terrapod_coordination_redis import register_coordination_backends
from terrapod_coordination_redis.coordination import RedisCoordination
from terrapod_coordination_redis.settings import RedisCoordinationSettings
from terrapod_core.plugin import CoordinationAway, PluginContext, SettingsError, Wakeup
from terrapod_core.testing.coordination import Process, acquired, eventually
from tests.support.redis_server import RedisServer, redis_server

BUCKET = ("token at-1", 0.01, 100)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def process(redis: RedisServer, url: str = "", prefix: str = "terrapod") -> Process:
    return Process(RedisCoordination(url or redis.url, RedisCoordinationSettings(prefix=prefix)))


@pytest.fixture
async def here(redis: RedisServer) -> AsyncIterator[Process]:
    started = await process(redis).start()
    yield started
    await started.backend.close()


@pytest.fixture
async def there(redis: RedisServer) -> AsyncIterator[Process]:
    started = await process(redis).start()
    yield started
    await started.backend.close()


def redis_of(each: Process) -> RedisCoordination:
    assert isinstance(each.backend, RedisCoordination)
    return each.backend


async def test_one_that_is_killed_and_comes_back_is_used_again(redis: RedisServer, here: Process, there: Process) -> None:
    redis.kill()
    await eventually(lambda: here.backend.trouble and there.backend.trouble)
    here.backend.publish([Wakeup("phases", "lost")])
    with pytest.raises(CoordinationAway):
        await redis_of(here).take(*BUCKET)
    redis.start()
    await eventually(lambda: here.backend.trouble is None and there.backend.trouble is None)
    here.backend.publish([Wakeup("phases", "heard")])
    await eventually(lambda: there.heard)
    assert there.heard == [("phases", "heard")]
    assert await redis_of(here).take(*BUCKET) == 0.0
    assert here.turns == [None, here.turns[1], None]
    assert here.turns[1] is not None


async def test_one_that_is_away_at_the_start_is_used_when_it_comes(redis: RedisServer) -> None:
    redis.stop()
    late = process(redis)
    late.backend.start(late.heard.append, lambda: late.turns.append(late.backend.trouble))
    await eventually(lambda: late.turns)
    assert "Redis cannot be used" in str(late.turns[0])
    redis.start()
    await eventually(lambda: late.backend.trouble is None)
    assert len(late.turns) == 2
    await late.backend.close()


async def test_one_that_hangs_is_waited_for_once(redis: RedisServer, here: Process) -> None:
    redis.freeze()
    with pytest.raises(CoordinationAway):
        await redis_of(here).take(*BUCKET)
    assert here.backend.trouble is not None
    for _ in range(1000):
        # Nobody waits: the first step ends it, without a turn of the loop.
        with pytest.raises(CoordinationAway):
            redis_of(here).take(*BUCKET).send(None)
    redis.thaw()
    await eventually(lambda: here.backend.trouble is None)
    assert await redis_of(here).take(*BUCKET) == 0.0


async def test_one_that_hangs_is_noticed_though_nobody_asks(redis: RedisServer, here: Process) -> None:
    redis.freeze()
    await eventually(lambda: here.backend.trouble)
    assert here.backend.trouble == "Redis does not answer in time"


async def test_many_who_wait_for_one_that_hangs_are_all_let_go(redis: RedisServer, here: Process) -> None:
    redis.freeze()
    found = await asyncio.gather(*(redis_of(here).take(*BUCKET) for _ in range(50)), return_exceptions=True)
    assert all(isinstance(each, CoordinationAway) for each in found)


async def test_installations_with_prefixes_of_their_own_do_not_meet(redis: RedisServer, here: Process) -> None:
    stranger = await process(redis, prefix="other").start()
    await acquired(here.backend, "work")
    await acquired(stranger.backend, "work")
    for _ in range(100):
        await redis_of(stranger).take(*BUCKET)
    assert await redis_of(stranger).take(*BUCKET) > 0
    assert await redis_of(here).take(*BUCKET) == 0.0
    await stranger.backend.close()


async def test_what_others_publish_on_the_channel_does_no_harm(redis: RedisServer, here: Process, there: Process) -> None:
    client = Redis.from_url(redis.url)
    for text in (b"", b" ", b"x", b"x  ", b"\xff\xfe", b"a b c d e"):
        await client.publish("terrapod", text)
    await client.aclose()
    there.backend.publish([Wakeup("told")])
    await eventually(lambda: Wakeup("told") in here.heard)


async def test_nothing_stays_in_redis_for_long(redis: RedisServer, here: Process) -> None:
    await acquired(here.backend, "work", 5)
    await redis_of(here).take("token at-1", 10.0, 20)
    client = Redis.from_url(redis.url, decode_responses=True)
    keys = [key async for key in client.scan_iter()]
    assert {key.split(":")[1] for key in keys} >= {"lease", "rate"}
    assert all([await client.pttl(key) > 0 for key in keys])
    await client.aclose()


@pytest.mark.parametrize(
    ("options", "user", "works"),
    [
        (["requirepass p@ss:w/rd"], "", True),
        (["user terrapod on >p@ss:w/rd ~terrapod:* resetchannels &terrapod +@all -@dangerous"], "terrapod", True),
        (["user terrapod on >p@ss:w/rd ~terrapod:* resetchannels &terrapod +@read +@connection +@pubsub"], "terrapod", False),
        (["user terrapod on >another ~* &* +@all"], "terrapod", False),
    ],
)
async def test_passwords_and_users(options: list[str], user: str, works: bool) -> None:
    with redis_server(*options) as own:
        one = process(own, f"redis://{user}:p%40ss%3Aw%2Frd@127.0.0.1:{own.port}/0")
        one.backend.start(one.heard.append, lambda: one.turns.append(one.backend.trouble))
        await eventually(lambda: one.turns)
        assert (one.backend.trouble is None) is works
        assert "p@ss" not in f"{one.backend.trouble} {one.backend!r}"
        await one.backend.close()


async def test_a_cluster_is_refused_in_a_sentence() -> None:
    with redis_server("cluster-enabled yes") as own:
        one = process(own)
        one.backend.start(one.heard.append, lambda: one.turns.append(one.backend.trouble))
        await eventually(lambda: one.turns)
        assert "it is a Redis Cluster, which is not supported" in str(one.backend.trouble)
        await one.backend.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:hunter2/x@cache",
        "redis://:hunter2@a:1,b:2/0",
        "redis://:hunter2@cache/0?hunter2=1",
        "redis://:hunter2@cache/0?db=hunter2",
    ],
)
def test_a_url_that_is_none_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        RedisCoordination(url, RedisCoordinationSettings())
    assert "redis.url is no address" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("wrong", [{"prefix": ""}, {"prefix": "a b"}, {"timeout_milliseconds": 0}, {"timeout_milliseconds": 60_000}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RedisCoordinationSettings(**wrong)  # type: ignore[arg-type]


def test_it_is_there_when_a_url_is_set(plugin_context: PluginContext) -> None:
    context = replace(plugin_context, settings=RedisCoordinationSettings())
    assert register_coordination_backends(context) == []
    [backend] = register_coordination_backends(replace(context, redis_url="redis://:hunter2@cache/0"))
    assert backend.name == "redis"
    assert backend.trouble is not None
    assert "hunter2" not in repr(context) + repr(backend)


@pytest.fixture
async def secured(redis: RedisServer, tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """The host and port of a TLS listener before Redis, and the authority that it is to be believed by."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, outside = await asyncio.open_connection("127.0.0.1", redis.port)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data)
            target.close()

        await asyncio.gather(copy(reader, outside), copy(inside, writer), return_exceptions=True)

    server = await asyncio.start_server(passed_on, "127.0.0.1", 0, ssl=context)
    yield f"localhost:{server.sockets[0].getsockname()[1]}", tmp_path / "ca.pem"
    server.close()


async def test_tls_is_spoken_to_a_server_whose_authority_is_known(redis: RedisServer, secured: tuple[str, Path], here: Process) -> None:
    where, authority = secured
    trusting = await process(redis, f"rediss://{where}/0?ssl_ca_certs={authority}").start()
    trusting.backend.publish([Wakeup("told")])
    await eventually(lambda: here.heard)
    await trusting.backend.close()


async def test_a_server_whose_authority_is_not_known_is_not_used(redis: RedisServer, secured: tuple[str, Path]) -> None:
    doubting = process(redis, f"rediss://{secured[0]}/0")
    doubting.backend.start(doubting.heard.append, lambda: doubting.turns.append(doubting.backend.trouble))
    await eventually(lambda: doubting.turns)
    assert "certificate verify failed" in str(doubting.turns[0])
    await doubting.backend.close()
