"""What processes wake each other for."""

from __future__ import annotations

from typing import Final

EVENTS: Final = "events"
"""The outbox has rows: one relay that looks is enough."""

JOBS: Final = "jobs"
"""There is more to do than the process that relayed it does at once."""

TOLD: Final = "told"
"""The relay has told events that people may watch."""

PHASES: Final = "phases"
"""A phase was queued, cancelled or ended."""

ACCESS: Final = "access"
"""A user, a token, a session or a role was changed: who is remembered is asked for anew. Should it get lost, that happens in 5 seconds."""

LOGS: Final = "logs"
"""The log of a phase, the key, has grown or ended. Told only while somebody elsewhere reads it."""

READERS: Final = "readers"
"""Somebody reads the log of a phase, the key, and would hear of its growth."""

MIRRORS: Final = "mirrors"
"""A package, the key, is in the cache now: whoever waits for another process's download of it may go on."""

VCS: Final = "vcs"
"""A repository is to be looked at sooner than by the clock."""

CHANGES: Final = "changes"
"""Something that was pushed is to be fetched, to be run, or to be told of."""
