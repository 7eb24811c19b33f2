"""What an operator may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from terrapod_core.plugin import PluginSettings, setting


@dataclass(frozen=True, kw_only=True)
class GitLabSettings(PluginSettings):
    """`[vcs.gitlab]`."""

    webhook_secret: str | None = setting(
        None, "The secret token of webhooks to `/api/v2/vcs-events/gitlab`. Without it they are refused.", secret=True
    )
    document_seconds: Annotated[float, Meta(gt=0, le=600)] = setting(20.0, "How long GitLab may take to answer a question.")
    idle_seconds: Annotated[float, Meta(gt=0, le=600)] = setting(60.0, "How long an archive may go on without a byte.")
    download_seconds: Annotated[float, Meta(gt=0)] = setting(3600.0, "How long an archive may take in all.")
    max_archive_bytes: Annotated[int, Meta(gt=0)] = setting(2 << 30, "The largest archive of a commit that is fetched.")

    def __post_init__(self) -> None:
        if self.webhook_secret is not None and not self.webhook_secret.strip():
            raise ValueError("webhook_secret is empty")
