"""What of agents rests on a key without being sealed: hashes of join tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrapod_core.agents.models import PoolToken


def _tokens(session: Session, now: datetime) -> Counter[str | None]:
    live = (PoolToken.uses_left > 0, PoolToken.expires_at > now)
    rows = session.execute(select(PoolToken.hash_key, func.count()).where(*live).group_by(PoolToken.hash_key))
    return Counter({row[0]: row[1] for row in rows})


HASHES: Final[Mapping[str, Callable[[Session, datetime], Counter[str | None]]]] = {"join tokens of agent pools": _tokens}
"""By name: how many live ones each key hashed."""
