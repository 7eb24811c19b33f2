"""Servers as one: any number of them over one database, one store and perhaps one Redis, behind a proxy that takes each in turn.

A site is written as its parts, joined by `+`: `sqlite+s3`, `postgresql+redis+s3+2` (two servers). With the variable `TESTS_SITE` the suites
that drive a real server drive a site instead; `nox -s matrix` goes through all of them.
"""

from __future__ import annotations

import atexit
import itertools
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from tests.support.balancer import balancing
from tests.support.object_stores import Store, azurite, fake_gcs, rclone_s3
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.redis_server import RedisServer, redis_server
from tests.support.server import Server

VARIABLE: Final = "TESTS_SITE"
DATABASES: Final = ("sqlite", "postgresql")
STORES: Final = ("local", "s3", "gcs", "azure")


@dataclass(frozen=True)
class Plan:
    """What a site is made of."""

    database: str
    storage: str
    redis: bool
    servers: int

    @classmethod
    def read(cls, text: str) -> Plan:
        """From its parts; `ValueError` for one that cannot be."""
        parts = text.split("+")
        known = {*DATABASES, *STORES, "redis", *map(str, range(1, 10))}
        if not known.issuperset(parts):
            raise ValueError(f"{text!r} has a part that is none of {', '.join(sorted(known))}")
        servers = next((int(part) for part in parts if part.isdigit()), 1)
        storage = next((part for part in parts if part in STORES), "local")
        plan = cls("postgresql" if "postgresql" in parts else "sqlite", storage, "redis" in parts, servers)
        if plan.database == "sqlite" and (plan.redis or servers > 1):
            raise ValueError("SQLite has one server, and no use for Redis")
        return plan

    @classmethod
    def chosen(cls) -> Plan | None:
        """What `TESTS_SITE` says; `None`: plain servers."""
        text = os.environ.get(VARIABLE)
        return cls.read(text) if text else None


class Parts:
    """What the sites of this process share, started when the first asks for it and gone with the process."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._numbers = itertools.count(1)
        atexit.register(self._stack.close)

    @cached_property
    def postgres(self) -> PostgresServer:
        return self._stack.enter_context(postgres_server())

    @cached_property
    def redis(self) -> RedisServer:
        return self._stack.enter_context(redis_server())

    def store(self, kind: str) -> Store:
        if kind not in self._stores:
            make: Mapping[str, AbstractContextManager[Store]] = {"s3": rclone_s3(), "gcs": fake_gcs(), "azure": azurite()}
            self._stores[kind] = self._stack.enter_context(make[kind])
        return self._stores[kind]

    @cached_property
    def _stores(self) -> dict[str, Store]:
        return {}

    def settings(self, plan: Plan) -> dict[str, str]:
        """What servers of one more such site are given: a database, a prefix of the bucket and a namespace of their own."""
        number = next(self._numbers)
        settings: dict[str, str] = {}
        if plan.storage != "local":
            prefix = f"STORAGE__{plan.storage.upper()}__PREFIX"
            settings |= self.store(plan.storage).settings | {prefix: f"site-{number}"}
        if plan.redis:
            settings |= {"REDIS_URL": self.redis.url, "COORDINATION__REDIS__PREFIX": f"site-{number}"}
        return settings


PARTS: Final = Parts()


class Site(Server):
    """The same door as a server's: those who use it need not know that there are several."""

    def __init__(self, directory: Path, plan: Plan, *, settings: Mapping[str, str] | None = None) -> None:
        url = PARTS.postgres.url(PARTS.postgres.create()) if plan.database == "postgresql" else None
        given = {**PARTS.settings(plan), **(settings or {})}
        if plan.storage == "local":
            given["STORAGE__LOCAL__PATH"] = str(directory / "objects")
        super().__init__(directory, database_url=url, settings=given)
        self.replicas = [Server(directory / f"replica-{each + 1}", database_url=url, settings=given) for each in range(plan.servers)]
        self._ends = ExitStack()
        self.balancer = self._ends.enter_context(balancing([each.port for each in self.replicas]))
        self.url = self.balancer.url
        self.port = self.balancer.server_address[1]
        self.host = f"localhost:{self.port}"
        self.data = self.replicas[0].data
        self.storage = plan.storage
        self.set("EXTERNAL_URL", self.url)

    @property
    def addresses(self) -> list[str]:
        return [each.url for each in self.replicas]

    def set(self, name: str, value: str) -> None:
        super().set(name, value)
        for each in self.replicas:
            each.set(name, value)

    def start(self, *, awaiting: str = "/ready") -> Site:
        for each in self.replicas:
            each.start(awaiting=awaiting)
        return self

    def stop(self) -> int:
        return max([each.stop() for each in self.replicas])

    def kill(self) -> None:
        for each in self.replicas:
            each.kill()

    def close(self) -> None:
        if self._api is not None:
            self._api.close()
        for each in self.replicas:
            each.close()
        self._ends.close()

    @property
    def pid(self) -> int:
        return self.replicas[0].pid

    def said(self) -> str:
        return "".join(each.said() for each in self.replicas)


def server_for_all(directory: Path, settings: Mapping[str, str]) -> Server:
    """The server that a suite shares: a plain one, or the site that `TESTS_SITE` names."""
    plan = Plan.chosen()
    return Server(directory, settings=settings) if plan is None else Site(directory, plan, settings=settings)
