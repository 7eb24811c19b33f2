"""What of the audit log rests on a key: the signature over the chain's head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.audit.models import AuditCheckpoint


def _newest_checkpoint(session: Session, _now: datetime) -> Counter[str | None]:
    """The key of the newest checkpoint alone: it vouches for everything before it, older checkpoints too."""
    query = select(AuditCheckpoint.key_id).order_by(AuditCheckpoint.seal_no.desc()).limit(1)
    key_id = session.execute(query).scalar_one_or_none()
    return Counter() if key_id is None else Counter({key_id: 1})


SIGNED: Final[Mapping[str, Callable[[Session, datetime], Counter[str | None]]]] = {"the newest audit checkpoint": _newest_checkpoint}
"""By name: how many signatures each key has to be there for."""
