"""The configuration document of the Sync API: read strictly, kept as it was given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_sync import documents, periods, policies
from terrapod_sync.cron import UnreadableCron
from terrapod_sync.documents import InvalidConfig, place
from terrapod_sync.policies import Policy
from terrapod_sync.schedules import Every, Schedule, UnknownZone, at
from terrapod_sync.words import ConflictResolution

MOST_WORKSPACES: Final = 20_000
_NAME: Final = re.compile(r"([A-Za-z0-9_-]{1,90}/)?[A-Za-z0-9_-]{1,90}")
_TOP: Final[tuple[str, ...]] = ("enabled", "workspaces")
_OF_WORKSPACE: Final[tuple[str, ...]] = (
    "sync_interval",
    "period",
    "schedule",
    "schedule_timezone",
    "policy",
    "workspace_policy",
    "auto_apply",
)


class WorkspaceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One workspace's entry. What was not given is UNSET, and is not in the JSON."""

    enabled: bool
    sync_interval: str | UnsetType = UNSET
    period: str | UnsetType = UNSET
    """Another name of `sync_interval`."""
    schedule: str | UnsetType = UNSET
    schedule_timezone: str | UnsetType = UNSET
    policy: str | UnsetType = UNSET
    """The sync policy."""
    workspace_policy: str | UnsetType = UNSET
    """The general policy, which bounds every run."""
    auto_apply: bool | UnsetType = UNSET

    def due(self, default: timedelta) -> Schedule:
        """When it is due; every `default` when it says nothing of that."""
        if self.schedule is not UNSET:
            return at(self.schedule, self.schedule_timezone or "UTC")
        period = self.sync_interval or self.period
        return Every(periods.parse(period) if period else default)

    def general(self) -> Policy | None:
        """The general policy; None when none is given."""
        return policies.named(self.workspace_policy) if self.workspace_policy else None

    def intent(self) -> policies.Intent:
        """What its runs are to do."""
        sync = policies.named(self.policy) if self.policy else None
        return policies.intent(self.general(), sync, None if self.auto_apply is UNSET else self.auto_apply)


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The whole document."""

    enabled: bool
    workspaces: dict[str, WorkspaceConfig]
    conflict_resolution: ConflictResolution = ConflictResolution.MANUAL


@dataclass(frozen=True)
class Limits:
    """What an operator allows."""

    minimum: timedelta
    """The shortest time between two syncs."""
    document_bytes: int


def read(body: bytes, limits: Limits) -> Configuration:
    """What a person put. Raises `InvalidConfig`, at the first thing that is wrong."""
    given = documents.fields(documents.parse(body, limits.document_bytes), "", _TOP, ("conflict_resolution",))
    return Configuration(
        enabled=documents.truth(given["enabled"], "enabled"),
        workspaces=_workspaces(given["workspaces"], limits),
        conflict_resolution=documents.word(given.get("conflict_resolution", "manual"), "conflict_resolution", ConflictResolution),
    )


def names(body: bytes, limits: Limits) -> list[str]:
    """The workspaces that a document names, before anything is made of what it says of them: that may take its time."""
    given = documents.fields(documents.parse(body, limits.document_bytes), "", _TOP, ("conflict_resolution",))
    return list(_named(given["workspaces"]))


def write(configuration: Configuration) -> bytes:
    """The document with the contract's field names in the contract's order; what was not given is not in it."""
    return msgspec.json.encode(configuration)


def restore(stored: bytes) -> Configuration:
    """What `write` wrote, without looking at today's limits again: a document that was taken stays readable."""
    return msgspec.json.decode(stored, type=Configuration)


def named_twice(names: Mapping[str, object], organization: str) -> tuple[str, str] | None:
    """Two names of one workspace, when `production` and `<organization>/production` are both among these."""
    return next(((name, full) for name in names if "/" not in name and (full := f"{organization}/{name}") in names), None)


def _workspaces(value: Any, limits: Limits) -> dict[str, WorkspaceConfig]:
    return {name: _workspace(entry, place("workspaces", name), limits) for name, entry in _named(value).items()}


def _named(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidConfig(
            f"workspaces must be an object of workspaces by name, {{}} for none, not {documents.shown(value)}.", field="workspaces"
        )
    if len(value) > MOST_WORKSPACES:
        raise InvalidConfig(f"workspaces has {len(value)} entries; at most {MOST_WORKSPACES} are allowed.", field="workspaces")
    for name in value:
        if _NAME.fullmatch(name) is None:
            raise InvalidConfig(
                f"workspaces has {documents.shown(name)}, which is no name of a workspace: 1 to 90 letters, digits, - and _, with the"
                " organization and / before it where it is not the default one.",
                field="workspaces",
            )
    return value


def _workspace(value: Any, where: str, limits: Limits) -> WorkspaceConfig:
    given = documents.fields(value, where, ("enabled",), _OF_WORKSPACE)
    truths: dict[str, Any] = {name: documents.truth(given[name], place(where, name)) for name in ("enabled", "auto_apply") if name in given}
    texts = {name: documents.text(given[name], place(where, name)) for name in _OF_WORKSPACE if name in given and name not in truths}
    _check_times(texts, where)
    _check_minimum(texts, where, limits.minimum)
    _check_policies(texts, truths.get("auto_apply"), where)
    return msgspec.convert(truths | texts, WorkspaceConfig)


def _check_times(given: Mapping[str, str], where: str) -> None:
    """At most one of a period and a schedule, and a time zone with a schedule alone."""
    interval, period = given.get("sync_interval"), given.get("period")
    for name in ("sync_interval", "period"):
        if name in given and "schedule" in given:
            raise InvalidConfig(
                f"{place(where, name)} and {place(where, 'schedule')} exclude each other; give one of them.", field=place(where, "schedule")
            )
    if interval is not None and period is not None and interval != period:
        raise InvalidConfig(
            f"{place(where, 'period')} is another name of sync_interval; give one of them, or the same in both.",
            field=place(where, "period"),
        )
    if "schedule_timezone" in given and "schedule" not in given:
        field = place(where, "schedule_timezone")
        raise InvalidConfig(f"{field} says nothing without a schedule; give both, or leave it out.", field=field)


def _check_minimum(given: Mapping[str, str], where: str, minimum: timedelta) -> None:
    """Every period and schedule can be read, fires, and leaves the shortest time that is allowed."""
    for name in ("sync_interval", "period", "schedule"):
        if name not in given:
            continue
        field = place(where, name)
        try:
            due = at(given[name], given.get("schedule_timezone", "UTC")) if name == "schedule" else Every(periods.parse(given[name]))
        except (periods.UnreadablePeriod, UnreadableCron) as refusal:
            raise InvalidConfig(f"{field} {refusal}; not {documents.shown(given[name])}.", field=field) from None
        except UnknownZone as refusal:
            field = place(where, "schedule_timezone")
            raise InvalidConfig(f"{field} {refusal}; not {documents.shown(given['schedule_timezone'])}.", field=field) from None
        if due.shortest() < minimum:
            raise InvalidConfig(
                f"{field} must leave at least {periods.text_of(minimum)} between two syncs; {documents.shown(given[name])} leaves"
                f" {periods.text_of(due.shortest())}.",
                field=field,
            )


def _check_policies(given: Mapping[str, str], auto_apply: bool | None, where: str) -> None:
    """Both policies are known, and the sync policy is not above the general one."""
    known: dict[str, Policy] = {}
    for name in ("policy", "workspace_policy"):
        if name in given:
            field = place(where, name)
            try:
                known[name] = policies.named(given[name])
            except policies.UnknownPolicy as refusal:
                raise InvalidConfig(f"{field} {refusal}; not {documents.shown(given[name])}.", field=field) from None
    general, sync = known.get("workspace_policy"), policies.implied(known.get("policy"), auto_apply)
    if general is not None and sync is not None and not policies.compatible(general, sync):
        field = place(where, "policy" if "policy" in given else "auto_apply")
        raise InvalidConfig(
            f"{policies.incompatible(general, sync)}: {field} may not allow more than {place(where, 'workspace_policy')}.", field=field
        )
