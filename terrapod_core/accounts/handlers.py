"""What is done about accounts by the clock."""

from __future__ import annotations

from datetime import timedelta

from terrapod_core.accounts.service import AccountServices
from terrapod_core.jobs import Jobs


def register(jobs: Jobs, services: AccountServices) -> None:
    """Sweep away what ended: sessions, sign-ins that never came back, codes."""
    jobs.every("accounts.sweep", timedelta(minutes=30), services.sessions.sweep)
