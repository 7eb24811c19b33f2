"""What clients may send about a project, and what of it is refused."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.errors import Problems
from terrapod_core.jsonapi import Ref
from terrapod_core.projects.execution import Said, said

NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9 _-]{1,38}[A-Za-z0-9_-]")
MAX_DESCRIPTION: Final = 256


class SettingOverwrites(msgspec.Struct, kw_only=True):
    """Which settings a project has of its own; `False` takes the organization's, under which runs are carried out on the server."""

    default_execution_mode: bool | UnsetType | None = UNSET
    default_agent_pool: bool | UnsetType | None = UNSET


class UpdateProject(msgspec.Struct, kw_only=True):
    """What may be sent about a project; what is absent stays as it is."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    auto_destroy_activity_duration: str | UnsetType | None = UNSET
    default_execution_mode: str | UnsetType | None = UNSET
    default_agent_pool_id: str | UnsetType | None = UNSET
    default_agent_pool: Ref | UnsetType | None = UNSET
    setting_overwrites: SettingOverwrites | UnsetType | None = UNSET
    tag_bindings: list[Ref] | UnsetType = UNSET


class CreateProject(UpdateProject, kw_only=True):
    """The same for a new one, which needs a name."""

    name: str


def check(sent: UpdateProject) -> Said:
    """Raise `Invalid` with everything that is wrong; what the document says of the execution mode."""
    problems = Problems()
    if sent.name is not UNSET and NAME.fullmatch(sent.name) is None:
        problems.add(
            "Name must have 3 to 40 characters, and may only contain letters, digits, spaces, - and _, with no space at either end",
            attribute="name",
        )
    if isinstance(sent.description, str) and len(sent.description) > MAX_DESCRIPTION:
        problems.add(f"Description must have at most {MAX_DESCRIPTION} characters", attribute="description")
    if sent.auto_destroy_activity_duration:
        problems.add("Workspaces are not destroyed automatically here", attribute="auto-destroy-activity-duration")
    if sent.tag_bindings:
        problems.add("Tag bindings are kept on workspaces; projects have none", relationship="tag-bindings")
    overwrites = sent.setting_overwrites if isinstance(sent.setting_overwrites, SettingOverwrites) else SettingOverwrites()
    found = said(
        problems,
        mode=sent.default_execution_mode,
        pool_id=sent.default_agent_pool_id,
        pool=sent.default_agent_pool,
        overwrites=(overwrites.default_execution_mode, overwrites.default_agent_pool),
        prefix="default-",
    )
    problems.refuse()
    return found
