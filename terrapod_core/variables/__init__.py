"""Variables of workspaces, sets of variables that workspaces share, and what of them is in force for a run."""

from __future__ import annotations

from terrapod_core.variables.precedence import RunValue
from terrapod_core.variables.service import EffectiveVariable, Variables
from terrapod_core.variables.sets import VariableSets
from terrapod_core.variables.values import Values

__all__ = ["EffectiveVariable", "RunValue", "Values", "VariableSets", "Variables"]
