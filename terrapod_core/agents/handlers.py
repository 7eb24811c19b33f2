"""What is done about agents by the clock."""

from __future__ import annotations

from datetime import timedelta

from terrapod_core.agents.listeners import Listeners
from terrapod_core.jobs import Jobs


def register(jobs: Jobs, listeners: Listeners) -> None:
    """Sweep away what is over."""
    jobs.every("agents.sweep", timedelta(minutes=5), listeners.sweep)
