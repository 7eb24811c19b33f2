"""`[runner.local]`"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from terrapod_core.plugin import PluginSettings, setting


@dataclass(frozen=True, kw_only=True)
class LocalRunnerSettings(PluginSettings):
    """How many phases run here, and how far they are kept from the server."""

    concurrency: int | None = setting(None, "How many plans and applies run at once.", shown_default="the number of cores")
    isolation: Literal["auto", "sandbox", "none"] = setting(
        "auto", "How far terraform is kept from the server; `auto` is the best there is."
    )
    allow_unisolated_users: bool = setting(False, "Without a sandbox, let everybody run terraform here, not only platform admins.")
    state_transport: Literal["http", "file"] = setting(
        "http", "How terraform hands over its state: fast and every 20 seconds, or slowly and after each resource."
    )

    def __post_init__(self) -> None:
        if self.concurrency is not None and self.concurrency < 1:
            raise ValueError(f"concurrency = {self.concurrency} runs nothing; it must be at least 1")
        if self.isolation == "sandbox":
            raise ValueError("isolation = sandbox asks for a sandbox, which this version does not have; set it to auto or none")

    @property
    def capacity(self) -> int:
        """`concurrency`, or the cores that this process may use."""
        return self.concurrency or len(os.sched_getaffinity(0))
