"""The database: one engine, one unit of work, one outbox. No table of any room lives here."""

from __future__ import annotations

from terrapod_core.db.base import Base, JSONValue, Sealed, UTCDateTime
from terrapod_core.db.bounds import Bounds, patient
from terrapod_core.db.database import Database
from terrapod_core.db.look_up import LookUp
from terrapod_core.db.outbox import HEAD_ID, EventHead, OutboxRow, ToldEvent
from terrapod_core.db.settled import SETTLES, SettledCounts
from terrapod_core.db.unit_of_work import UnitOfWork

__all__ = [
    "HEAD_ID",
    "SETTLES",
    "Base",
    "Bounds",
    "Database",
    "EventHead",
    "JSONValue",
    "LookUp",
    "OutboxRow",
    "Sealed",
    "SettledCounts",
    "ToldEvent",
    "UTCDateTime",
    "UnitOfWork",
    "patient",
]
