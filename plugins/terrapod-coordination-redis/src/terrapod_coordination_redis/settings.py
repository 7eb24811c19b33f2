"""`[coordination.redis]`. Which Redis it is, `[redis] url` says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from terrapod_core.plugin import PluginSettings, setting


@dataclass(frozen=True, kw_only=True)
class RedisCoordinationSettings(PluginSettings):
    """How it is used."""

    prefix: str = setting(
        "terrapod", "Begins the name of every key, and is the channel's; one of its own for each installation that shares a Redis."
    )
    timeout_milliseconds: int = setting(
        500, "The longest that a request waits for Redis; after one that waited in vain, none waits until it is back."
    )

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", self.prefix):
            raise ValueError("prefix must be 1 to 100 letters, digits and . _ : -")
        if not 10 <= self.timeout_milliseconds <= 1000:
            raise ValueError("timeout_milliseconds must be from 10 to 1000")
