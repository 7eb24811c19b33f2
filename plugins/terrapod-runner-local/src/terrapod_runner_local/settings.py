"""`[runner.local]`"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from terrapod_core.plugin import PluginSettings, setting


@dataclass(frozen=True, kw_only=True)
class LocalRunnerSettings(PluginSettings):
    """How many phases run here, and how far they are kept from the server."""

    concurrency: int | None = setting(None, "How many plans and applies run at once.", shown_default="the number of cores")
    isolation: Literal["auto", "sandbox", "none"] = setting(
        "auto", "How far terraform is kept from the server; `auto` is the best there is."
    )
    sandbox_uid: int = setting(60_650, "As root: the user and group that terraform is in the sandbox; give it to nobody else.")
    sandbox_paths: tuple[str, ...] = setting(
        (), "Absolute paths that terraform may read in the sandbox beside the system's own, such as tools in `/opt`."
    )
    shared_network: Literal["refused", "accepted"] = setting(
        "refused", "Whether a server for other machines may run terraform beside services that ask for no password; see Security."
    )
    allow_unisolated_users: bool = setting(False, "Without a sandbox, let everybody run terraform here, not only platform admins.")
    state_transport: Literal["http", "file"] = setting(
        "http", "How terraform hands over its state: fast and every 20 seconds, or slowly and after each resource."
    )

    def __post_init__(self) -> None:
        if self.concurrency is not None and self.concurrency < 1:
            raise ValueError(f"concurrency = {self.concurrency} runs nothing; it must be at least 1")
        if self.sandbox_uid < 1:
            raise ValueError(f"sandbox_uid = {self.sandbox_uid} is no user to hand terraform to; it must be at least 1, root is 0")
        for path in self.sandbox_paths:
            if not PurePath(path).is_absolute() or path == "/":
                raise ValueError(f"sandbox_paths: {path!r} must be an absolute path, and not the whole machine")

    @property
    def capacity(self) -> int:
        """`concurrency`, or the cores that this process may use."""
        return self.concurrency or len(os.sched_getaffinity(0))
