"""Variables of workspaces, and the effective set that a run gets."""

from __future__ import annotations

from terrapod_core.variables.service import EffectiveVariable, Variables

__all__ = ["EffectiveVariable", "Variables"]
