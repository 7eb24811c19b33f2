"""State versions: what terraform knows of the world, each whole or not there, and their outputs."""

from __future__ import annotations

from terrapod_core.states.creation import CreateStateVersion, RollBack
from terrapod_core.states.models import StateStatus, StateVersion, StateVersionOutput
from terrapod_core.states.service import States

__all__ = ["CreateStateVersion", "RollBack", "StateStatus", "StateVersion", "StateVersionOutput", "States"]
