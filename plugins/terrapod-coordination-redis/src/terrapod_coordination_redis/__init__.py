"""Wake-ups, leases and rate limits of several servers through one Redis."""

from __future__ import annotations

from terrapod_coordination_redis.coordination import RedisCoordination
from terrapod_coordination_redis.settings import RedisCoordinationSettings
from terrapod_core.plugin import PluginContext, hookimpl


@hookimpl
def register_settings() -> type[RedisCoordinationSettings]:
    """`[coordination.redis]`."""
    return RedisCoordinationSettings


@hookimpl
def register_coordination_backends(context: PluginContext[RedisCoordinationSettings]) -> list[RedisCoordination]:
    """The backend `redis`, where `[redis] url` says which."""
    return [RedisCoordination(context.redis_url, context.settings)] if context.redis_url is not None else []
