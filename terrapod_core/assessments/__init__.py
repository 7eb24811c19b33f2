"""Health assessments: what a plan that nobody asked for by hand found out about the world, kept for those who look at the workspace."""

from __future__ import annotations

from terrapod_core.assessments.models import AssessmentResult
from terrapod_core.assessments.service import Assessments

__all__ = ["AssessmentResult", "Assessments"]
