"""What a mirror could not give terraform during a run: kept with the phase, and said in its log when the phase fails."""

from __future__ import annotations

import contextlib

from sqlalchemy import update

from terrapod_core.db import Database
from terrapod_core.errors import Unavailable
from terrapod_core.runs.models import Phase

LONGEST = 2000


class MirrorFailures:
    """Notes them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def note(self, phase_id: str, why: str) -> None:
        """Keep the sentence; the last one counts. Nothing when the phase has ended."""
        statement = update(Phase).where(Phase.id == phase_id, Phase.finished_at.is_(None)).values(mirror_failure=why[:LONGEST])
        with contextlib.suppress(Unavailable):  # whoever asked is told the reason all the same
            async with self._db.uow() as uow:
                await uow.session.execute(statement)
                await uow.commit()


def said(phase: Phase) -> str:
    """The line of a failed phase's log; empty when no mirror failed."""
    return f"\nThe mirror of this server could not give what was asked for: {phase.mirror_failure}\n" if phase.mirror_failure else ""
