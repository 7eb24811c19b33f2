"""Many rows of every table, made by the database itself: for tests of query plans, and for benchmarks of long lists.

A row is told by its number. Half of all runs, states and configurations belong to the first workspace, the rest is spread; one
in some hundred runs waits or runs, as in an installation that is in use. A table that is new is planted too, as far as its
columns say how; what they do not say stands in `SPECIAL`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, Table, UniqueConstraint, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapper

from terrapod_core.db import Base, Database, UTCDateTime
from terrapod_core.db.base import JSONValue

LEFT_OUT: Final = frozenset(
    {"visibility", "event_head", "key_checks", "audit_segments", "audit_checkpoints", "audit_archives", "agent_pool_authorities"}
)
"""Tables that have a row or a few, however long an installation lives."""

PREFIXES: Final = {
    "assessment_results": "asmtres",
    "workspaces": "ws",
    "runs": "run",
    "state_versions": "sv",
    "users": "user",
    "projects": "prj",
    "roles": "role",
}

REFERS: Final = {
    "workspace_id": "workspaces",
    "run_id": "runs",
    "current_run_id": "runs",
    "current_state_version_id": "state_versions",
    "current_assessment_result_id": "assessment_results",
    "current_configuration_version_id": "configuration_versions",
    "configuration_version_id": "configuration_versions",
    "state_version_id": "state_versions",
    "created_by_id": "users",
    "owner_id": "users",
    "user_id": "users",
    "actor_id": "users",
    "listener_id": "listeners",
    "repository_id": "vcs_repositories",
    "vcs_repository_id": "vcs_repositories",
}
"""What a column names that has no foreign key."""


@dataclass(frozen=True)
class Numbers:
    """How many rows of each table there shall be."""

    big: int = 20_000
    """Of those that grow with every run and every request."""
    workspaces: int = 4_000
    other: int = 2_000
    heavy: int = 50
    """Percent of what hangs on workspaces that hangs on the first."""
    few: Mapping[str, int] = field(
        default_factory=lambda: {
            "projects": 500,
            "roles": 60,
            "variable_sets": 200,
            "agent_pools": 500,
            "users": 1_000,
            "vcs_connections": 60,
        }
    )

    def of(self, table: str) -> int:
        """How many of this table."""
        if table in BIG:
            return self.big * (2 if table == "phases" else 1)
        if table in ("workspaces", "labels", "variables", "vcs_followings"):
            return self.workspaces
        return min(self.few.get(table, self.other), self.workspaces if table in self.few else self.other)


BIG: Final = frozenset(
    {
        "runs", "phases", "state_versions", "state_version_outputs", "configuration_versions", "audit_entries", "run_events", "comments",
        "told_events", "log_chunks", "jobs", "vcs_changes", "assessment_results",
    }
)  # fmt: skip


GROW: Final = BIG | {
    "workspaces",
    "outbox",
    "sessions",
    "api_tokens",
    "used_once",
    "login_states",
    "auth_codes",
    "listener_nonces",
    "listener_certificates",
    "agent_pool_tokens",
    "vcs_followings",
    "vcs_repositories",
    "vcs_pull_comments",
}
"""Tables of which no statement reads all. The others have a row for each person, role, label, project, pool or shared set: some
thousands, read whole where a part of a name, or what somebody sees by roles, is looked for in all of them.
"""


class Planting:
    """The words of one database for what is planted."""

    def __init__(self, dialect: str, numbers: Numbers) -> None:
        self._postgresql = dialect == "postgresql"
        self.numbers = numbers
        self._began = int(time.time()) - 24 * 3600

    def series(self, number: int) -> str:
        """A table `s` with the numbers `i` from 1."""
        if self._postgresql:
            return f"generate_series(1, {number}) AS s(i)"
        return f"(WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {number}) SELECT i FROM s) AS s"

    def key(self, prefix: str, number: str = "i") -> str:
        """Text with a number of sixteen digits."""
        digits = f"lpad(({number})::text, 16, '0')" if self._postgresql else f"printf('%016d', {number})"
        return f"'{prefix}-' || {digits}"

    def of(self, table: str, number: str = "i") -> str:
        """The key of a row of a table, its number brought into the table's range."""
        prefix = PREFIXES.get(table, table)
        return self.key(prefix, f"1 + ({number}) % {self.numbers.of(table)}")

    def moment(self, seconds: str = "i", *, days: int = 0) -> str:
        """Some time of the last day, or so many days later; later with the number."""
        moment = f"{self._began + days * 24 * 3600} + ({seconds}) % 80000"
        return f"to_timestamp({moment})" if self._postgresql else f"strftime('%Y-%m-%d %H:%M:%f', {moment}, 'unixepoch') || '000'"

    def hanging(self, number: str = "i") -> str:
        """The key of a workspace: the first for so many percent."""
        spread = f"2 + ({number}) % {self.numbers.workspaces - 1}"
        return self.key("ws", f"CASE WHEN ({number}) % 100 < {self.numbers.heavy} THEN 1 ELSE {spread} END")

    def special(self, table: str) -> Mapping[str, str]:
        """What the columns of a table do not say themselves."""
        every = "CASE i % 400 WHEN 0 THEN 'pending' WHEN 1 THEN 'plan_queued' WHEN 2 THEN 'planning' WHEN 3 THEN 'planned_and_saved'"
        runs = self.numbers.of("runs")
        first = f"i <= {runs}"
        run = f"(CASE WHEN {first} THEN i ELSE i - {runs} END)"
        return {
            "projects": {"default_execution_mode": "'remote'", "default_agent_pool_id": "NULL"},
            "workspaces": {
                "name": self.key("many"),
                "labels": """'{"team":"team' || (i % 40) || '","env":"' || CASE i % 2 WHEN 0 THEN 'dev' ELSE 'prod' END || '"}'""",
                "execution_mode": "'remote'",
                "agent_pool_id": "NULL",
                "terraform_version": "'1.11.4'",
                "conditions": "'[]'",
                "deleted_at": f"CASE WHEN i % 50 = 49 THEN {self.moment()} END",
                "current_run_id": self.key("run", f"1 + i % {runs}"),
            },
            "labels": {"workspace_id": self.key("ws"), "key": "'team'", "value": "'team' || (i % 40)"},
            "variables": {
                "workspace_id": f"CASE WHEN i % 10 > 0 THEN {self.key('ws')} END",
                "varset_id": f"CASE WHEN i % 10 = 0 THEN {self.of('variable_sets', 'i / 10 - 1')} END",
                "key": self.key("key"), "category": "'terraform'", "sensitive": self.true()},
            "runs": {
                "status": f"{every} ELSE 'applied' END",
                "plan_id": self.key("plan"),
                "apply_id": self.key("apply"),
                "plan_only": self.true("i % 10 = 9"),
                "save_plan": self.true("i % 20 = 0"),
                "is_destroy": self.true("i % 20 = 1"),
                "source": "'tfe-api'",
                "trigger_reason": "'manual'",
                "target_addrs": "'[]'",
                "replace_addrs": "'[]'",
                "terraform_version": "'1.11.4'",
            },
            "phases": {
                "id": f"CASE WHEN {first} THEN {self.key('plan')} ELSE {self.key('apply', f'i - {runs}')} END",
                "run_id": self.key("run", run),
                "kind": f"CASE WHEN {first} THEN 'plan' ELSE 'apply' END",
                "status": f"CASE WHEN NOT {first} THEN CASE WHEN i % 400 < 4 THEN 'pending' ELSE 'finished' END "
                "WHEN i % 400 = 0 THEN 'pending' WHEN i % 400 = 1 THEN 'queued' WHEN i % 400 = 2 THEN 'running' ELSE 'finished' END",
                "queued_at": self.moment(),
                "launched_at": f"CASE WHEN i % 400 > 1 THEN {self.moment()} END",
                "finished_at": f"CASE WHEN i % 400 > 3 THEN {self.moment()} END",
                "lease_expires_at": f"CASE WHEN i % 400 = 2 THEN {self.moment()} END",
                "log_size": "10",
                "log_key": "'log'",
                "plan_file_key": f"CASE WHEN {first} THEN 'plan-file' END",
            },
            "configuration_versions": {"status": "CASE i % 200 WHEN 0 THEN 'pending' ELSE 'uploaded' END", "object_key": "'archive'"},
            "state_versions": {
                "serial": "i",
                "status": f"CASE WHEN i > {self.numbers.of('state_versions') - 20} THEN 'pending' ELSE 'finalized' END",
                "object_key": "'state'",
                "run_id": self.key("run", f"1 + i % {runs}"),
            },
            "audit_entries": {
                "actor_name": "'somebody'", "action": "'workspace.update'", "outcome": "'allowed'",
                "resource_id": self.key("ws", f"1 + i % {self.numbers.workspaces}"), "request_id": self.key("req"),
                "seal_no": f"CASE WHEN i < {self.numbers.of('audit_entries') - 100} THEN 1000000 + i END",
            },
            "users": {"provider": "'local'", "issuer": "''"},
            "vcs_connections": {
                "installation": """CASE i % 10 WHEN 0 THEN '{"id":7,"name":"acme","type":"User","url":"","icon_url":""}' END"""
            },
            "registry_modules": {
                "vcs_link": """'{"connection-id":"vcs-1","identifier":"a/b","provider":"none","service-provider":null,"http-url":"","""
                """"app":false,"tag-prefix":"","source-directory":""}'"""
            },
            "role_assignments": {"role": "'role-' || (i % 60)", "provider": "'local'"},
            "roles": {
                "name": "'role-' || i", "workspace_permission": "'read'", "pool_permission": "'read'",
                "allow_labels": "'{\"team\":\"team' || (i % 40) || '\"}'", "allow_names": "'[]'", "deny_names": "'[]'",
            },
            "sessions": {"expires_at": self.moment("i", days=30), "last_used_at": self.moment("i", days=1)},
            "remote_state_consumers": {"workspace_id": self.hanging(), "consumer_id": self.key("ws")},
            "jobs": {"dead_at": f"CASE WHEN i % 100 <> 0 THEN {self.moment()} END"},
            "login_states": {"expires_at": self.moment("i", days=2)},
            "used_once": {"until": self.moment("i", days=2)},
            "auth_codes": {"expires_at": self.moment("i", days=2)},
            "listener_nonces": {"expires_at": self.moment("i", days=2)},
            "outbox": {"number": "1000000 + i", "event": "'workspace.unlocked'"},
            "told_events": {"id": "i", "event": "'run.status'", "workspace_id": self.hanging(), "told_at": self.moment("i", days=2)},
            "log_chunks": {"phase_id": self.key("plan"), "start": "0", "size": "1"},
            "api_tokens": {"workspace_ids": "NULL", "expires_at": "NULL", "origin": "'made'"},
            "claimed_roles": {"role": "'admin'"},
            "vcs_repositories": {"next_poll_at": self.moment("i", days=2), "claimed_until": "NULL"},
            "vcs_followings": {"workspace_id": self.key("ws"), "branch": "'main'"},
            "vcs_pull_comments": {"repository_id": self.key("vcs_repositories"), "number": "i"},
            "vcs_changes": {
                "kind": "CASE i % 4 WHEN 0 THEN 'pull' ELSE 'push' END",
                "ref": "CASE i % 4 WHEN 0 THEN '' || (i % 500) ELSE 'main' END",
                "number": "CASE i % 4 WHEN 0 THEN i % 500 END",
                "open": self.true("i % 40 = 0"),
                "status": "CASE i % 400 WHEN 1 THEN 'pending' WHEN 2 THEN 'stored' ELSE 'started' END",
                "next_try_at": f"CASE WHEN i % 400 IN (1, 2) THEN {self.moment()} END",
                "tell_at": f"CASE WHEN i % 400 = 3 THEN {self.moment()} END",
            },
            "assessment_results": {"run_id": self.key("run"), "plan_id": self.key("plan"), "workspace_id": self.hanging()},
            "mirror_indexes": {"source": self.mirrored("'engine:tool' || i")},
            "mirror_releases": {"source": self.mirrored("'engine:terraform'"), "version": "'1.' || i || '.0'"},
            "mirror_packages": {
                "os": f"CASE {self.mirrored_number()} % 3 WHEN 2 THEN '' ELSE 'linux' END",
                "arch": f"CASE {self.mirrored_number()} % 3 WHEN 2 THEN '' ELSE 'amd64' END",
                "object_key": "'package'", "size": "1000",
            },
        }.get(table, {})  # fmt: skip

    def mirrored(self, engine: str) -> str:
        """What a mirror names a source by: an engine, a provider and a module in turns."""
        provider, module = (f"'{kind}:registry.example.com/acme' || i" for kind in ("provider", "module"))
        return f"CASE i % 3 WHEN 0 THEN {engine} WHEN 1 THEN {provider} || '/fake' ELSE {module} || '/net/aws' END"

    def mirrored_number(self) -> str:
        """The number of the release that a package is of, as `of` tells it."""
        return f"(1 + i % {self.numbers.of('mirror_releases')})"

    def true(self, condition: str = "1 = 1") -> str:
        """A condition as a value."""
        return f"({condition})"

    def value(self, table: Table, column: Column[Any], hints: Mapping[str, Any]) -> str:
        """What a column is given."""
        special = self.special(table.name)
        if column.name in special:
            return special[column.name]
        referred = next(iter(column.foreign_keys)).column.table.name if column.foreign_keys else REFERS.get(column.name)
        unique = (
            column.primary_key or any(column.name in index.columns for index in table.indexes if index.unique) or _unique(table, column)
        )
        if referred is not None:
            hangs = referred == "workspaces" and table.name in BIG
            return self.hanging() if hangs else self.of(referred)
        if column.nullable and not unique:
            return "NULL"
        return self._plain(table, column, unique, hints)

    def _plain(self, table: Table, column: Column[Any], unique: bool, hints: Mapping[str, Any]) -> str:
        kind = column.type
        if isinstance(kind, Boolean):
            return self.true("1 = 0")
        if isinstance(kind, Integer | BigInteger):
            return "i" if column.primary_key or unique else "0"
        if isinstance(kind, UTCDateTime):
            return self.moment()
        if isinstance(kind, JSONValue):
            return "'[]'" if "list" in str(hints.get(column.name)) else "'{}'"
        if isinstance(getattr(kind, "impl", kind), LargeBinary):
            return "'\\x00'::bytea" if self._postgresql else "x'00'"
        if unique:
            return self.key(PREFIXES.get(table.name, table.name) if column.primary_key else column.name)
        default = column.default
        return f"'{default.arg}'" if default is not None and default.is_scalar else "'x'"  # type: ignore[attr-defined]


def _unique(table: Table, column: Column[Any]) -> bool:
    return any(column.name in each.columns for each in table.constraints if isinstance(each, UniqueConstraint))


async def plant(url: str, numbers: Numbers) -> None:
    """Fill an empty, migrated database, and let it count what it has."""
    db = Database(url)
    try:
        async with db.engine.begin() as connection:
            planting = Planting(connection.dialect.name, numbers)
            for mapper in sorted(Base.registry.mappers, key=_order):
                await _plant(connection, planting, mapper)
            await connection.execute(text(f"UPDATE event_head SET last = {numbers.of('told_events')}"))
        if db.is_sqlite:
            async with db.engine.begin() as connection:
                await connection.execute(text("ANALYZE"))
        else:
            async with db.engine.connect() as connection:
                await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
    finally:
        await db.close()


def _order(mapper: Mapper[Any]) -> int:
    return [table.name for table in Base.metadata.sorted_tables].index(str(mapper.local_table.name))  # type: ignore[attr-defined]


async def _plant(connection: AsyncConnection, planting: Planting, mapper: Mapper[Any]) -> None:
    table = Base.metadata.tables[str(mapper.local_table.name)]  # type: ignore[attr-defined]
    if table.name in LEFT_OUT:
        return
    hints = mapper.class_.__annotations__
    values = {column.name: planting.value(table, column, hints) for column in table.columns}
    names = ", ".join(f'"{name}"' for name in values)
    rows = planting.series(planting.numbers.of(table.name))
    statement = f"INSERT INTO {table.name} ({names}) SELECT {', '.join(values.values())} FROM {rows} WHERE true ON CONFLICT DO NOTHING"
    await connection.exec_driver_sql(statement)
