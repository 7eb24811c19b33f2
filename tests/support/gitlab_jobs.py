"""What GitLab makes of a commit's status: a job of a pipeline, which has one way to go (its `CommitStatus` and its statuses' service)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

ENDED: Final = frozenset({"success", "failed", "canceled"})


@dataclass
class Job:
    """One status. When it has ended, the next of its name is another one."""

    id: int
    sha: str
    name: str
    state: str = "created"
    description: str = ""
    target_url: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def document(self) -> dict[str, Any]:
        """As the API has it."""
        return {
            "id": self.id,
            "sha": self.sha,
            "name": self.name,
            "status": self.state,
            "description": self.description,
            "target_url": self.target_url,
        }


def moved_on(job: Job, to: str) -> str | None:
    """Bring it to another state; when it does not go there, what GitLab says instead."""
    if to not in {"pending", "running", *ENDED}:
        return "state does not have a valid value"
    if to == "pending" and job.state != "created":
        return _refusal("enqueue", job)
    if to == "running" and job.state not in ("created", "pending"):
        return _refusal("run", job)
    job.state = to
    return None


def _refusal(event: str, job: Job) -> str:
    return f'Cannot transition status via :{event} from :{job.state} (Reason(s): Status cannot transition via "{event}")'
