"""What an operator may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from terrapod_core.plugin import PluginSettings, setting
from terrapod_sync.periods import LONGEST

_LONGEST = int(LONGEST.total_seconds())


@dataclass(frozen=True, kw_only=True)
class SyncSettings(PluginSettings):
    """`[plugin.sync]`."""

    minimum_interval_seconds: Annotated[int, Meta(ge=1, le=_LONGEST)] = setting(
        30, "The shortest time between two syncs of one workspace that a period or a cron expression may ask for."
    )
    default_interval_seconds: Annotated[int, Meta(ge=1, le=_LONGEST)] = setting(
        60, "The time between two syncs of a workspace whose entry has neither a period nor a schedule."
    )
    jitter_seconds: Annotated[int, Meta(ge=0, le=3600)] = setting(
        30, "How much later than due a sync may start, so that not all start at once; never more than a tenth of the interval. 0 for none."
    )
    max_concurrent_runs: Annotated[int, Meta(ge=1, le=10_000)] = setting(
        10, "How many runs of the schedule may be under way at once; further ones wait."
    )
    retry_pause_seconds: Annotated[int, Meta(ge=1, le=86_400)] = setting(
        300, "How long after a failed sync it is tried again; each further pause is twice as long."
    )
    retries: Annotated[int, Meta(ge=0, le=20)] = setting(
        5, "How often a failed sync is tried again before the error stays until somebody acts or the configuration changes."
    )
    history_days: Annotated[int, Meta(ge=1, le=36_500)] = setting(
        90, "How long syncs and conflicts that are over are kept. What stands with a workspace now stays."
    )
    requests_per_minute: Annotated[int, Meta(ge=0)] = setting(100, "Requests of the Sync API with one key; 0 sets no limit.")
    document_bytes: Annotated[int, Meta(ge=1024)] = setting(1 << 20, "The largest configuration document that is taken.")

    def __post_init__(self) -> None:
        if self.default_interval_seconds < self.minimum_interval_seconds:
            raise ValueError("default_interval_seconds must not be less than minimum_interval_seconds")
