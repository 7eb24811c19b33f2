"""The kit of coordination backends, on a real Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from terrapod_coordination_redis.coordination import RedisCoordination
from terrapod_coordination_redis.settings import RedisCoordinationSettings
from terrapod_core.testing.coordination import CoordinationBackendKit, Make
from tests.support.redis_server import redis_server


class TestRedis(CoordinationBackendKit):
    @pytest.fixture
    def make(self) -> Iterator[Make]:
        with redis_server() as redis:
            yield lambda: RedisCoordination(redis.url, RedisCoordinationSettings())
