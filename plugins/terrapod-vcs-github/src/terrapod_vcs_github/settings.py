"""What an operator may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from terrapod_core.plugin import PluginSettings, setting


@dataclass(frozen=True, kw_only=True)
class GitHubSettings(PluginSettings):
    """`[vcs.github]`."""

    webhook_secret: str = setting(
        "",
        "What GitHub signs webhooks with that arrive at `/api/v2/vcs-events/github`.",
        secret=True,
        shown_default="none; only webhooks of single connections are taken",
    )
    request_seconds: Annotated[float, Meta(gt=0, le=600)] = setting(30.0, "How long a request to the API may take.")
    archive_seconds: Annotated[float, Meta(gt=0)] = setting(1800.0, "How long the archive of a commit may take in all.")
    idle_seconds: Annotated[float, Meta(gt=0, le=600)] = setting(30.0, "How long an archive may go on without a byte.")
    max_archive_bytes: Annotated[int, Meta(gt=0)] = setting(2 << 30, "The largest archive that is fetched, packed.")
