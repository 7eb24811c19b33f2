"""What of accounts rests on a key: hashes of tokens and sessions, which only a use moves on to the newest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from terrapod_core.accounts.models import APIToken, SignedIn


def _count(session: Session, key: InstrumentedAttribute[str | None], live: ColumnElement[bool]) -> Counter[str | None]:
    rows = session.execute(select(key, func.count()).where(live).group_by(key))
    return Counter({row[0]: row[1] for row in rows})


def _tokens(session: Session, now: datetime) -> Counter[str | None]:
    unexpired = or_(APIToken.expires_at.is_(None), APIToken.expires_at > now)
    return _count(session, APIToken.hash_key, and_(APIToken.revoked_at.is_(None), unexpired))


def _sessions(session: Session, now: datetime) -> Counter[str | None]:
    return _count(session, SignedIn.hash_key, SignedIn.expires_at > now)


HASHES: Final[Mapping[str, Callable[[Session, datetime], Counter[str | None]]]] = {"API tokens": _tokens, "sessions": _sessions}
"""By name: how many live ones each key hashed; under `None` those of which that is not known until they are used again."""
