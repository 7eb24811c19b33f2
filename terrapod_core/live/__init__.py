"""What happens, told while it happens: events of runs, workspaces and the organization, and logs as they grow.

One reader a process: however many watch, the database is asked once for news and once for each new piece of a log.
"""

from __future__ import annotations

from terrapod_core.live.feed import Feed
from terrapod_core.live.service import Live

__all__ = ["Feed", "Live"]
