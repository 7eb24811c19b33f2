"""What an operator may choose."""

from __future__ import annotations

from dataclasses import dataclass

from terrapod_core.plugin import PluginSettings, setting


@dataclass(frozen=True, kw_only=True)
class GitSettings(PluginSettings):
    """`[vcs.git]`."""

    ask_seconds: int = setting(30, "How long a server may take to list its branches and tags.")
    fetch_seconds: int = setting(600, "How long the fetch of one commit may take.")
    max_bytes: int = setting(2 << 30, "The most that one commit may take on the server's disk, and as an archive.")
    at_once: int = setting(4, "How many fetches run at once; further ones wait.")

    def __post_init__(self) -> None:
        for name in ("ask_seconds", "fetch_seconds", "max_bytes", "at_once"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
