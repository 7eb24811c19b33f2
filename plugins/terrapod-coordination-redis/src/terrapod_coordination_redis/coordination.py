"""The backend `redis`: wake-ups by publish and subscribe, leases by keys that expire, buckets by a script.

One connection a process listens, and it is also what finds out whether Redis is there. A call that fails or waits too long says
that it is not, and from then on none is made until the listening connection is back and has tried everything once.
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from terrapod_coordination_redis import scripts
from terrapod_coordination_redis.settings import RedisCoordinationSettings
from terrapod_core.plugin import CoordinationAway, Hear, Lease, SettingsError, Wakeup

CHECK_SECONDS: Final = 2.0
"""For what nobody waits for: to connect and to try whether all works."""

BEAT_SECONDS: Final = 1.0
"""After such a silence it asks whether Redis is there, and after another believes that it is not."""

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 3.0

T = TypeVar("T")


class RedisCoordination:
    """One process's connections to Redis."""

    name = "redis"

    def __init__(self, url: str, settings: RedisCoordinationSettings) -> None:
        """Raises `SettingsError` for a URL that leads nowhere; whether it leads to Redis is found out later."""
        self._prefix = settings.prefix
        self._seconds = settings.timeout_milliseconds / 1000
        self._client = _client(url)
        self._password = self._client.connection_pool.connection_kwargs.get("password") or ""
        self._scripts = {
            each: self._client.register_script(each) for each in (scripts.TAKE, scripts.GIVE_BACK, scripts.RENEW, scripts.RELEASE)
        }
        self._sender = secrets.token_hex(8)
        self._hear: Hear = lambda _wakeup: None
        self._turned: Callable[[], None] = lambda: None
        self._trouble: str | None = "it is not connected yet"
        self._told = False
        self._waiting: dict[Wakeup, None] = {}
        self._work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # -- wake-ups

    @property
    def trouble(self) -> str | None:
        """Why Redis cannot be used now."""
        return self._trouble

    def start(self, hear: Hear, turned: Callable[[], None]) -> None:
        """Begin to listen."""
        self._hear, self._turned = hear, turned
        self._tasks = [
            asyncio.create_task(self._keep_listening(), name="coordination:redis"),
            asyncio.create_task(self._keep_publishing(), name="coordination:redis:publish"),
        ]

    async def close(self) -> None:
        """Listen no more. Leases end by themselves."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._trouble = "it is closed"
        await self._client.aclose()

    def publish(self, wakeups: Sequence[Wakeup]) -> None:
        """Tell others, in the background."""
        if self._trouble is None:
            self._waiting.update(dict.fromkeys(wakeups))
            self._work.set()

    # -- leases

    async def acquire(self, name: str, seconds: float) -> Lease | None:
        """A key that nobody has, for so long."""
        lease = Lease(name, secrets.token_hex(16))
        made = await self._ask(lambda: self._client.set(self._key("lease", name), lease.holder, nx=True, px=_milliseconds(seconds)))
        return lease if made else None

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Let the key live for so long from now on."""
        return bool(await self._run(scripts.RENEW, self._key("lease", lease.name), lease.holder, _milliseconds(seconds)))

    async def release(self, lease: Lease) -> None:
        """Remove the key."""
        await self._run(scripts.RELEASE, self._key("lease", lease.name), lease.holder)

    # -- buckets

    async def take(self, key: str, per_second: float, burst: int) -> float:
        """Take one; 0.0, or the seconds until there is one."""
        each = 1_000_000 / per_second
        return int(await self._run(scripts.TAKE, self._key("rate", key), each, each * burst)) / 1_000_000

    async def give_back(self, key: str, per_second: float, burst: int) -> None:
        """Take the latest back."""
        await self._run(scripts.GIVE_BACK, self._key("rate", key), 1_000_000 / per_second)

    # -- asking

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{name}"

    async def _run(self, script: str, key: str, *arguments: float | str) -> Any:
        return await self._ask(lambda: self._scripts[script](keys=[key], args=list(arguments)))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer, within the time that a request may wait; raises `CoordinationAway`."""
        if self._trouble is not None:
            raise CoordinationAway(self._trouble)
        try:
            async with asyncio.timeout(self._seconds):
                return await question()
        except (RedisError, OSError) as error:
            said = self._said(error)
            self._turn(said)
            raise CoordinationAway(said) from error

    async def _keep_publishing(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            waiting, self._waiting = self._waiting, {}
            pipe = self._client.pipeline(transaction=False)
            for each in waiting:
                pipe.publish(self._prefix, f"{self._sender} {each.topic} {each.key}")
            with suppress(CoordinationAway):
                await self._ask(pipe.execute)

    # -- listening

    async def _keep_listening(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    async with asyncio.timeout(CHECK_SECONDS):
                        await self._check(pubsub)
                    self._turn(None)
                    pause = FIRST_PAUSE
                    await self._listen(pubsub)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                self._turn(self._said(error))
            await asyncio.sleep(pause * random.uniform(1.0, 1.5))  # noqa: S311 - that servers do not come back all at once
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _check(self, pubsub: PubSub) -> None:
        """Try everything once. What Redis does not let us do is trouble from the start, not in every request."""
        mode = await self._mode()
        if mode != "standalone":
            raise ResponseError(f"it is a Redis {mode.capitalize()}, which is not supported: set redis.url to a single server")
        await pubsub.subscribe(self._prefix)
        probe = self._key("probe", self._sender)
        await self._client.set(probe, "1", px=1000)
        await self._scripts[scripts.TAKE](keys=[self._key("rate", f"probe {self._sender}")], args=[1000, 1000])
        await self._client.publish(self._prefix, f"{self._sender}  ")
        while True:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=CHECK_SECONDS)
            if message is not None and self._is_own(message):
                return

    async def _mode(self) -> str:
        """`standalone`, `sentinel` or `cluster`; a server that does not tell is taken for one that stands alone."""
        try:
            told = await self._client.execute_command("HELLO")  # type: ignore[no-untyped-call]
        except ResponseError:
            return "standalone"
        pairs = told.items() if isinstance(told, dict) else zip(told[::2], told[1::2], strict=False)
        return str(dict(pairs).get("mode", "standalone"))

    async def _listen(self, pubsub: PubSub) -> None:
        """Hear what comes, until a call has found trouble. Raises what the connection raises."""
        asked = False
        while self._trouble is None:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=BEAT_SECONDS)
            if message is not None:
                asked = False
                self._take_in(message)
            elif asked:
                raise TimeoutError
            else:
                await pubsub.ping()
                asked = True

    def _take_in(self, message: dict[str, Any]) -> None:
        if message["type"] == "message" and not self._is_own(message):
            _, topic, key = (*str(message["data"]).split(" ", 2), "", "")[:3]
            if topic:
                self._hear(Wakeup(topic, key))

    def _is_own(self, message: dict[str, Any]) -> bool:
        return str(message["data"]).partition(" ")[0] == self._sender

    def _turn(self, trouble: str | None) -> None:
        before, self._trouble = self._trouble, trouble
        if (before is None) != (trouble is None) or not self._told:
            self._told = True
            self._turned()

    def _said(self, error: Exception) -> str:
        if isinstance(error, TimeoutError) or not str(error):
            return "Redis does not answer in time"
        text = str(error).replace(self._password, "***") if self._password else str(error)
        return f"Redis cannot be used: {text.rstrip('.')}"


def _client(url: str) -> Redis:
    try:
        client = Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",  # anybody may publish anything
            socket_connect_timeout=CHECK_SECONDS,
            socket_timeout=None,  # every call has its own
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        # Does not connect; finds parts of the URL that mean nothing.
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - the URL decides which
        # Not what it says: it quotes the part that it did not understand, and that may be the password.
        raise SettingsError(
            f"redis.url is no address of a Redis server ({type(error).__name__}); write it as redis://user:password@host:6379/0, "
            "and in the password % for each character that has a meaning in URLs"
        ) from None
    return client


def _milliseconds(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))
