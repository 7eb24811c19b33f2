"""How soon a repository is looked at again. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from terrapod_core.settings import VCS
from terrapod_core.vcs.models import Repository

LATELY: Final = timedelta(days=1)
LONGEST_PAUSE: Final = 600.0
"""Seconds between tries of what fails."""
ECHO: Final = timedelta(seconds=60)
"""So long after a webhook it is looked at often, if nothing new was found: some forges tell before it is there."""
ECHO_SECONDS: Final = 5.0


def next_look(repository: Repository, settings: VCS, now: datetime) -> datetime:
    """After a look that went well; `repository` has what it found."""
    changed = repository.changed_at or repository.created_at
    heard = repository.heard_at
    if heard is not None and now - heard < ECHO and changed < heard:
        return now + timedelta(seconds=min(ECHO_SECONDS, settings.poll_seconds))
    quiet = min(1.0, max(0.0, (now - changed) / LATELY))
    if heard is not None and now - heard < LATELY:
        quiet = 1.0
    return now + timedelta(seconds=settings.poll_seconds + quiet * (settings.poll_quiet_seconds - settings.poll_seconds))


def next_try(failures: int, settings: VCS, now: datetime) -> datetime:
    """After so many looks in a row that failed."""
    return now + timedelta(seconds=pause_after(failures, settings.poll_seconds))


def pause_after(failures: int, seconds: float) -> float:
    """Seconds until the next try after so many in a row that failed: `seconds` after the first, doubled each time."""
    return min(LONGEST_PAUSE, seconds * 2.0 ** min(failures - 1, 10))
