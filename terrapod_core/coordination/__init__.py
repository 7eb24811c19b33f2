"""How the processes of one installation wake each other: the topics, who hears of them here, and what carries them there."""

from __future__ import annotations

from terrapod_core.coordination.alone import Alone
from terrapod_core.coordination.leases import Leases
from terrapod_core.coordination.postgresql import PostgreSQLCoordination
from terrapod_core.coordination.topics import ACCESS, CHANGES, EVENTS, JOBS, LOGS, MIRRORS, PHASES, READERS, TOLD, VCS
from terrapod_core.coordination.wakeups import Carrying, Wakeups

__all__ = [
    "ACCESS",
    "CHANGES",
    "EVENTS",
    "JOBS",
    "LOGS",
    "MIRRORS",
    "PHASES",
    "READERS",
    "TOLD",
    "VCS",
    "Alone",
    "Carrying",
    "Leases",
    "PostgreSQLCoordination",
    "Wakeups",
]
