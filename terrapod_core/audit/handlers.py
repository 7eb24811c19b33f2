"""The work of the record by the clock, and what readiness says about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from terrapod_core.audit.anchors import AnchorFile
from terrapod_core.audit.archive import EVERY as ARCHIVE_EVERY, Archiver
from terrapod_core.audit.checkpoints import CheckpointKeys
from terrapod_core.audit.sealer import EVERY as SEAL_EVERY, Sealer, waiting
from terrapod_core.db import Database
from terrapod_core.errors import Unavailable
from terrapod_core.jobs import Jobs
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Settings
from terrapod_core.storage import Objects

LATE: Final = timedelta(seconds=60)
"""An entry that waits longer tells that nobody seals."""


def register(jobs: Jobs, db: Database, objects: Objects, keyring: Keyring, settings: Settings) -> None:
    """Seal every second, and archive what is old enough, where the leader's lock is held."""
    chosen = settings.audit
    anchor = AnchorFile(chosen.anchor_file) if chosen.anchor_file is not None else None
    keep = timedelta(days=chosen.keep_days) if chosen.keep_days is not None else None
    jobs.every("audit.seal", SEAL_EVERY, Sealer(db, CheckpointKeys(keyring), anchor).run)
    jobs.every("audit.archive", ARCHIVE_EVERY, Archiver(db, objects, keep).run)


async def lateness(db: Database) -> str | None:
    """What `/ready` tells when entries wait for the sealer for too long; `None` when all is well, or the database is away."""
    try:
        found = await db.read(waiting)
    except Unavailable:
        return None
    if found.oldest is None or db.clock.now() - found.oldest < LATE:
        return None
    seconds = int((db.clock.now() - found.oldest).total_seconds())
    return f"{found.count} entries wait to be sealed, the oldest for {seconds} s: no process seals"
