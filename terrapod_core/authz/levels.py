"""Levels and what each permits: the table the code reads and the documentation prints."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final


class Level(IntEnum):
    """How far somebody may go with a workspace; each level includes those below."""

    NONE = 0
    READ = 1
    PLAN = 2
    WRITE = 3
    ADMIN = 4


class GuardKind(StrEnum):
    """What roles are about; things of other kinds belong to their owner alone."""

    WORKSPACE = "workspace"
    REGISTRY = "registry"
    POOL = "pool"
    OWNED = "owned"


class PlatformRole(StrEnum):
    """Roles over the whole installation."""

    ADMIN = "admin"
    AUDIT = "audit"


class Permission(StrEnum):
    """What can be asked of the gate; the grammar is `<resource>:<action>`."""

    WORKSPACE_READ = "workspace:read"
    WORKSPACE_LOCK = "workspace:lock"
    WORKSPACE_UPDATE = "workspace:update"
    WORKSPACE_DELETE = "workspace:delete"
    WORKSPACE_FORCE_UNLOCK = "workspace:force-unlock"
    RUN_READ = "run:read"
    RUN_PLAN = "run:plan"
    RUN_COMMENT = "run:comment"
    RUN_APPLY = "run:apply"
    RUN_CANCEL = "run:cancel"
    RUN_FORCE_CANCEL = "run:force-cancel"
    PLAN_JSON_READ = "plan-json:read"
    VARIABLE_READ = "variable:read"
    VARIABLE_WRITE = "variable:write"
    STATE_READ = "state:read"
    STATE_DOWNLOAD = "state:download"
    STATE_WRITE = "state:write"
    OUTPUT_READ_SENSITIVE = "output:read-sensitive"
    CONFIGURATION_READ = "configuration:read"
    CONFIGURATION_UPLOAD_SPECULATIVE = "configuration:upload-speculative"
    CONFIGURATION_UPLOAD = "configuration:upload"
    CONFIGURATION_DOWNLOAD = "configuration:download"
    PROJECT_READ = "project:read"
    PROJECT_UPDATE = "project:update"
    POOL_READ = "agent-pool:read"
    POOL_USE = "agent-pool:use"
    REGISTRY_READ = "registry:read"
    REGISTRY_PUBLISH = "registry:publish"
    REGISTRY_UPDATE = "registry:update"


NEEDS: Final[dict[Permission, Level]] = {
    Permission.WORKSPACE_READ: Level.READ,
    Permission.RUN_READ: Level.READ,
    Permission.VARIABLE_READ: Level.READ,
    Permission.STATE_READ: Level.READ,
    Permission.CONFIGURATION_READ: Level.READ,
    Permission.PROJECT_READ: Level.READ,
    Permission.POOL_READ: Level.READ,
    Permission.REGISTRY_READ: Level.READ,
    Permission.RUN_PLAN: Level.PLAN,
    Permission.RUN_COMMENT: Level.PLAN,
    Permission.WORKSPACE_LOCK: Level.PLAN,
    Permission.STATE_DOWNLOAD: Level.PLAN,
    Permission.OUTPUT_READ_SENSITIVE: Level.PLAN,
    Permission.CONFIGURATION_UPLOAD_SPECULATIVE: Level.PLAN,
    Permission.RUN_APPLY: Level.WRITE,
    Permission.RUN_CANCEL: Level.WRITE,
    Permission.VARIABLE_WRITE: Level.WRITE,
    Permission.STATE_WRITE: Level.WRITE,
    Permission.CONFIGURATION_UPLOAD: Level.WRITE,
    Permission.CONFIGURATION_DOWNLOAD: Level.WRITE,
    Permission.POOL_USE: Level.WRITE,
    Permission.REGISTRY_PUBLISH: Level.WRITE,
    Permission.WORKSPACE_UPDATE: Level.ADMIN,
    Permission.WORKSPACE_DELETE: Level.ADMIN,
    Permission.WORKSPACE_FORCE_UNLOCK: Level.ADMIN,
    Permission.RUN_FORCE_CANCEL: Level.ADMIN,
    Permission.PLAN_JSON_READ: Level.ADMIN,
    Permission.PROJECT_UPDATE: Level.ADMIN,
    Permission.REGISTRY_UPDATE: Level.ADMIN,
}
"""The level each permission asks for."""
