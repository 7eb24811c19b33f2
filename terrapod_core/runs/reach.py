"""Which phases the runner backend of this process can see and stop: those that it launched itself, or that a process of the same place did.

A server on another machine that asked about a process here would be told that there is none, and would take the phase for lost.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_

from terrapod_core.plugin import RunnerBackend, StaysInPlace
from terrapod_core.runs.models import Phase


class Reach:
    """What one backend reaches from here."""

    def __init__(self, backend: RunnerBackend) -> None:
        self.backend = backend.name
        self.place = backend.place if isinstance(backend, StaysInPlace) else None

    def has(self, phase: Phase) -> bool:
        """Whether the backend here can tell what becomes of the phase's program."""
        return phase.backend == self.backend and phase.place in (None, self.place)

    @property
    def covers(self) -> ColumnElement[bool]:
        """The same of rows."""
        here = Phase.place.is_(None)
        return and_(Phase.backend == self.backend, here if self.place is None else or_(here, Phase.place == self.place))
