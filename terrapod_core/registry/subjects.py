"""For whom an archive is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from terrapod_core.authz import Actor

Downloaded: TypeAlias = Callable[[str, str], None]
"""Told the id of a version and the subject of the link, when a download of it begins."""


def subject_of(actor: Actor) -> str:
    """What the link of an archive says of who is given it, for downloads to be counted by: the id of their token, or of the workspace
    whose run this is. Nothing for a session.
    """
    return actor.engine.workspace_id if actor.engine is not None else actor.token_id or ""
