"""What happened to a run, for people: one event for each thing, and what somebody said with it."""

from __future__ import annotations

from typing import Final

from terrapod_core import ids, traces
from terrapod_core.authz import Actor
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Invalid
from terrapod_core.runs.models import Comment, Run, RunEvent

COMMENT_CHARACTERS: Final = 4096


def note(uow: UnitOfWork, run: Run, action: str, description: str, actor: Actor | None = None, comment: str | None = None) -> RunEvent:
    """Write what happened into the run's history. `comment` is kept as one, too; `Invalid` when it is too long."""
    traces.concerns_run(run.id)
    actor_id = actor.user_id if actor is not None else None
    event = RunEvent(id=ids.new("re"), run_id=run.id, action=action, description=description, actor_id=actor_id, created_at=uow.now())
    if comment:
        event.description = f"{description}: {comment}"
        event.comment_id = say(uow, run, event, comment).id
    uow.add(event)
    return event


def say(uow: UnitOfWork, run: Run, event: RunEvent, body: str) -> Comment:
    """Keep a comment that belongs to this event, by the same actor. `Invalid` when it is empty or too long."""
    if not body.strip():
        raise Invalid("a comment needs a text", pointer="/data/attributes/body")
    if len(body) > COMMENT_CHARACTERS:
        raise Invalid(f"a comment has at most {COMMENT_CHARACTERS} characters", pointer="/data/attributes/body")
    comment = Comment(
        id=ids.new("wsc"), run_id=run.id, run_event_id=event.id, body=body, actor_id=event.actor_id, created_at=event.created_at
    )
    uow.add(comment)
    return comment
