"""Table: what assessments found."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base


class AssessmentResult(Base):
    """What the plan of one run found; never changed once it is written. The counts are `None` when the assessment did not succeed."""

    __tablename__ = "assessment_results"
    __table_args__ = (
        Index("uq_assessment_results_run_id", "run_id", unique=True),
        Index("ix_assessment_results_workspace", "workspace_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    plan_id: Mapped[str]
    succeeded: Mapped[bool]
    """Whether there was a plan, and it could be read."""
    error_message: Mapped[str | None]
    """Why it did not succeed."""
    drifted: Mapped[bool]
    """Whether something was changed outside of terraform; false also when nobody knows, as the assessment did not succeed."""
    resources_drifted: Mapped[int | None]
    resources_undrifted: Mapped[int | None]
    checks_passed: Mapped[int | None]
    checks_failed: Mapped[int | None]
    checks_errored: Mapped[int | None]
    checks_unknown: Mapped[int | None]
    created_at: Mapped[datetime]
    """When its plan had ended."""

    @property
    def all_checks_succeeded(self) -> bool:
        """Whether it succeeded, and every check there is passed."""
        return self.succeeded and not (self.checks_failed or self.checks_errored or self.checks_unknown)
