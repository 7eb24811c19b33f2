"""The section about repositories that workspaces and modules follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from terrapod_core.settings._fields import setting
from terrapod_core.settings._numbers import Positive

Seconds = Annotated[float, Meta(ge=0.1, le=86_400)]


@dataclass(frozen=True, kw_only=True)
class VCS:
    """Looking at repositories. A look costs two requests however many workspaces follow a repository; webhooks only make it come sooner."""

    poll_seconds: Seconds = setting(60.0, "How often a repository is looked at that changed lately, or that no webhook tells of.")
    poll_quiet_seconds: Seconds = setting(
        300.0, "How often one that has not changed for a day is looked at, or whose webhooks arrive; a repository moves there step by step."
    )
    poll_at_once: Positive = setting(8, "How many repositories a server looks at at once.")
    request_seconds: Seconds = setting(30.0, "How long one look may take, or what is asked about one commit.")
    fetch_seconds: Seconds = setting(900.0, "How long the files of a commit may take to arrive.")
    fetch_at_once: Positive = setting(2, "How many commits' files a server fetches at once; others wait their turn.")
    retry_seconds: Seconds = setting(15.0, "How long after a fetch that failed it is tried again; doubled each time, up to ten minutes.")
    context: str = setting("terrapod", "What the names of commit statuses begin with: `terrapod/<workspace>`.")
    statuses: bool = setting(True, "Whether commits are told what became of them.")
    comments: bool = setting(True, "Whether pull requests get a comment with their plans.")

    def __post_init__(self) -> None:
        if self.poll_quiet_seconds < self.poll_seconds:
            raise ValueError("poll_quiet_seconds must not be less than poll_seconds")
        if not self.context or not self.context.isprintable() or len(self.context) > 64:
            raise ValueError("context must be 1 to 64 printable characters")
