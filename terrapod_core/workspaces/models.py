"""Tables: workspaces, their labels, who may read whose state, and names that are taken for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final

from sqlalchemy import ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core import ids
from terrapod_core.agents.standing import Standing
from terrapod_core.authz import BYTEWISE, Guard, GuardKind, LabelColumns
from terrapod_core.db import Base, JSONValue
from terrapod_core.projects.execution import Execution, ExecutionMode

_LIVE = text("deleted_at IS NULL")
_AWAITING: Final = text("lock_until IS NOT NULL")
_DELETED: Final = text("deleted_at IS NOT NULL")
_FOLLOWS: Final = text("vcs_repository_id IS NOT NULL")


class UntrustedPlans(StrEnum):
    """What a workspace does with plans of configurations that nobody with the level write vouches for."""

    REFUSED = "refused"
    NO_SECRETS = "no-secrets"
    WITH_SECRETS = "with-secrets"


class ForkPullRequests(StrEnum):
    """What a workspace does with pull requests of those who may not push to its repository."""

    IGNORE = "ignore"
    NO_SECRETS = "no-secrets"
    """Planned at once, without any secret and without the state."""
    APPROVAL = "approval"
    """Planned with all that others get, once somebody with the level write has approved the very commit."""


class LockKind(StrEnum):
    """Who can hold a workspace."""

    USER = "user"
    RUN = "run"


class Workspace(Base):
    """One workspace. A deleted one keeps its row for a while, unseen, so that what hangs on it can be put away in order."""

    __tablename__ = "workspaces"
    __allow_unmapped__ = True
    __table_args__ = (
        Index("uq_workspaces_name", "name", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("ix_workspaces_listed", "name", "id", sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("ix_workspaces_created_at", "created_at", "name", "id", sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("ix_workspaces_lock_until", "lock_until", sqlite_where=_AWAITING, postgresql_where=_AWAITING),
        Index("ix_workspaces_owner_id", "owner_id", "name"),
        Index("ix_workspaces_project_id", "project_id"),
        Index("ix_workspaces_agent_pool_id", "agent_pool_id"),
        Index("ix_workspaces_vcs_repository_id", "vcs_repository_id", sqlite_where=_FOLLOWS, postgresql_where=_FOLLOWS),
        # Not of those that live: nearly all do, and SQLite would take them from here and sort.
        Index("ix_workspaces_deleted_at", "deleted_at", "id", sqlite_where=_DELETED, postgresql_where=_DELETED),
    )

    guarded_as: ClassVar[GuardKind] = GuardKind.WORKSPACE

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(BYTEWISE)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="RESTRICT"))
    owner_id: Mapped[str | None]
    """The user who made it; `None` when the server did."""
    admitted: Mapped[bool]
    """Whether a platform admin made it or let it in: what is shared by the whole installation reaches such workspaces only."""
    description: Mapped[str | None]
    labels: Mapped[dict[str, str | None]] = mapped_column(JSONValue)
    """The rows of `Label`, once more, in the order of their keys: reading a workspace is one row."""
    execution_mode: Mapped[str]
    agent_pool_id: Mapped[str | None] = mapped_column(ForeignKey("agent_pools.id", ondelete="RESTRICT"))
    """Whose listeners carry out its runs; set exactly when the execution mode is `agent`."""
    inherits_execution_mode: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether mode and pool are those of its project, and follow them."""
    execution_backend: Mapped[str | None]
    """`terraform` or `tofu`; `None` takes whichever is found."""
    terraform_version: Mapped[str]
    """`latest`, a version, a line (`1.11`) or a constraint."""
    working_directory: Mapped[str | None]
    """Relative to the configuration's root; `None` for the root."""
    auto_apply: Mapped[bool]
    auto_apply_run_trigger: Mapped[bool]
    allow_destroy_plan: Mapped[bool]
    queue_all_runs: Mapped[bool]
    speculative_enabled: Mapped[bool]
    file_triggers_enabled: Mapped[bool]
    global_remote_state: Mapped[bool]
    untrusted_plans: Mapped[str] = mapped_column(default=UntrustedPlans.WITH_SECRETS.value)
    """One of `UntrustedPlans`."""
    structured_run_output_enabled: Mapped[bool] = mapped_column(default=True)
    """Whether it is wanted; it is given where the version that the server tells allows it."""
    vendored_providers: Mapped[bool] = mapped_column(default=False)
    """Whether providers are taken from `terraform.d/plugins` of the configuration: they are programs that nobody has signed."""
    vcs_repository_id: Mapped[str | None] = mapped_column(ForeignKey("vcs_repositories.id", ondelete="SET NULL"))
    """The repository that it follows."""
    vcs_link: Mapped[dict[str, Any] | None] = mapped_column(JSONValue)
    """What is shown of that and of its connection, once more: reading a workspace is one row."""
    vcs_branch: Mapped[str | None]
    """`None` for the default branch."""
    vcs_tags_regex: Mapped[str | None]
    """Tags like this start runs, and pushes to branches do not; in RE2's syntax."""
    vcs_linked_by_id: Mapped[str | None]
    """Who answers for what the repository brings: runs have this user's rights."""
    vcs_sparse_fetch: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether only the working directory, the trigger prefixes and the files at the root are fetched."""
    fork_pull_requests: Mapped[str] = mapped_column(default=ForkPullRequests.IGNORE.value, server_default=ForkPullRequests.IGNORE.value)
    """One of `ForkPullRequests`."""
    trigger_prefixes: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    trigger_patterns: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    resource_cpu: Mapped[str | None]
    resource_memory: Mapped[str | None]
    source_name: Mapped[str | None]
    source_url: Mapped[str | None]
    lock_kind: Mapped[str | None]
    lock_holder_id: Mapped[str | None]
    lock_holder_name: Mapped[str | None]
    lock_reason: Mapped[str | None]
    locked_at: Mapped[datetime | None]
    lock_until: Mapped[datetime | None]
    """When the lock of a run that is over ends by itself; `None` for every other lock."""
    current_run_id: Mapped[str | None]
    """The run that took the workspace last, also after it ended."""
    current_state_version_id: Mapped[str | None]
    current_configuration_version_id: Mapped[str | None]
    current_assessment_result_id: Mapped[str | None]
    """What was found when the world was last compared with the state."""
    last_assessment_at: Mapped[datetime | None]
    """When that was."""
    resource_count: Mapped[int] = mapped_column(default=0)
    conditions: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    """What is wrong with it and was written down (`conditions.py`); on the row, so that a list of workspaces costs no other query."""
    latest_change_at: Mapped[datetime]
    """When the newest state came, or the workspace was made."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]

    @property
    def execution(self) -> Execution:
        """Where its runs are carried out."""
        return Execution(ExecutionMode(self.execution_mode), self.agent_pool_id)

    @property
    def locked(self) -> bool:
        """Whether somebody or some run holds it."""
        return self.lock_kind is not None

    output_ids: Sequence[str] | None = None
    """The ids of the outputs of its current state, where somebody asked for them; set by the room of states, not a column."""

    pool_standing: Standing | None = None
    """How it goes with its pool, where somebody asked for it (`pools.look`); not a column."""

    added_attributes: Mapping[str, Any] = MappingProxyType({})
    """What plugins add where it is shown (`extensions.additions`); not a column."""

    added_conditions: Sequence[dict[str, Any]] = ()
    """Likewise."""

    @property
    def tag_names(self) -> list[str]:
        """The keys of its labels; terraform wants every binding's key among them, or it binds again with each command."""
        return list(self.labels)

    @property
    def awaits_state(self) -> bool:
        """Whether the run that holds it is over, and holds it only because its state may still come (`lock_until`)."""
        return self.lock_until is not None

    def is_held_by(self, run_id: str) -> bool:
        """Whether this run has the lock."""
        return self.lock_kind == LockKind.RUN and self.lock_holder_id == run_id

    def lock(self, kind: LockKind, holder_id: str, holder_name: str, reason: str | None, now: datetime) -> None:
        """Give the lock away; the caller has made sure that it is free."""
        self.lock_kind, self.lock_holder_id, self.lock_holder_name = kind.value, holder_id, holder_name
        self.lock_reason, self.locked_at, self.lock_until = reason, now, None

    def unlock(self) -> None:
        """Take the lock from whoever has it."""
        self.lock_kind = self.lock_holder_id = self.lock_holder_name = self.lock_reason = self.locked_at = self.lock_until = None


class Label(Base):
    """One label. TFE's tags (a key alone) and tag bindings (a key with a value) are these rows and nothing else."""

    __tablename__ = "labels"
    __table_args__ = (
        Index("uq_labels_workspace_id_key", "workspace_id", "key", unique=True),
        Index("ix_labels_key_value", "key", "value"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(BYTEWISE)
    value: Mapped[str | None]
    created_at: Mapped[datetime]


class RemoteStateConsumer(Base):
    """Permission of one workspace's runs to read another's state."""

    __tablename__ = "remote_state_consumers"
    __table_args__ = (Index("ix_remote_state_consumers_consumer_id", "consumer_id"),)

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)
    consumer_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)


GUARD: Final = Guard(
    GuardKind.WORKSPACE, Workspace.id, Workspace.owner_id, Workspace.name, LabelColumns(Label.workspace_id, Label.key, Label.value)
)
"""What decides who may see a workspace, and whatever belongs to one."""


def tag_id(key: str) -> str:
    """The id of the tag of this name. Drawn from the name, because a tag is no row: it is there while some label has its key."""
    return ids.of_name("tag", key)


def in_order(labels: Mapping[str, str | None]) -> dict[str, str | None]:
    """Labels as they are stored on the row."""
    return dict(sorted(labels.items()))
