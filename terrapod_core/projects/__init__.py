"""Projects: where workspaces are kept together. The default one always exists and is everybody's."""

from __future__ import annotations

from terrapod_core.projects.execution import ExecutionMode
from terrapod_core.projects.models import Project
from terrapod_core.projects.service import Projects

__all__ = ["ExecutionMode", "Project", "Projects"]
