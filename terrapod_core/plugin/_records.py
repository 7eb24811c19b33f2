"""What became of each plugin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PluginState(StrEnum):
    """`disabled` by the operator, `failed` by itself."""

    LOADED = "loaded"
    DISABLED = "disabled"
    FAILED = "failed"


@dataclass(frozen=True)
class PluginRecord:
    """One line of `terrapod plugins list`."""

    name: str
    distribution: str | None
    """`None` for one that is not installed, and in tests."""
    version: str | None
    state: PluginState
    reason: str | None = None
    """Why it is not loaded, in a sentence; `None` when it is."""
    provides: tuple[str, ...] = ()
    """`storage backend local`, `settings`, …; before its hooks were called only the kinds."""
