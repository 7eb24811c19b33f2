"""Runs: what is planned and applied, in which order, by whom, and what came of it."""

from __future__ import annotations

from terrapod_core.runs.again import Again
from terrapod_core.runs.comments import Comments
from terrapod_core.runs.dispatch import Dispatcher, RunnerDoor
from terrapod_core.runs.isolation import Isolation
from terrapod_core.runs.logs import Logs
from terrapod_core.runs.models import Comment, LogChunk, Phase, Run, RunEvent
from terrapod_core.runs.service import Runs
from terrapod_core.runs.status import ALLOWED, PhaseStatus, RunStatus

__all__ = [
    "ALLOWED",
    "Again",
    "Comment",
    "Comments",
    "Dispatcher",
    "Isolation",
    "LogChunk",
    "Logs",
    "Phase",
    "PhaseStatus",
    "Run",
    "RunEvent",
    "RunStatus",
    "RunnerDoor",
    "Runs",
]
