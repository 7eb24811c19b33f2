"""The plan as data: whole for admins, redacted for readers in the form terraform's CLI renders (`terraform show`, structured output)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from terrapod_core.errors import Gone, NotFound, TooLarge
from terrapod_core.runs.models import Phase
from terrapod_core.storage import ObjectKind, Objects

PARSE_BYTES: Final = 64 * 1024 * 1024
"""A plan's JSON over this is kept but not taken apart."""

CARRIED: Final = (
    "resource_changes",
    "resource_drift",
    "relevant_attributes",
    "output_changes",
    "deferred_changes",
    "action_invocations",
    "errored",
    "timestamp",
)
"""Members that the redacted form takes over; prior state, planned values, configuration and variables stay out of it."""


def check_kept(plan: Phase) -> None:
    """Raise `Gone` when retention has removed the plan."""
    if plan.plan_removed_at is not None:
        raise Gone("the plan was removed: the server keeps plans of ended runs for a limited time", code="removed_by_retention")


async def redacted(objects: Objects, plan: Phase) -> bytes:
    """The plan with sensitive values blanked, and the provider schemas to render it with.

    Raises `NotFound` while there is no plan, `Gone` when retention removed it, `TooLarge` when it is too large to take apart.
    """
    check_kept(plan)
    if plan.plan_json_key is None:
        raise NotFound("this plan has no JSON")
    document = await _whole(objects, ObjectKind.PLAN_JSON, plan.id, plan.plan_json_key)
    schemas = b"{}"
    if plan.provider_schemas_key is not None:
        schemas = await _whole(objects, ObjectKind.PROVIDER_SCHEMAS, plan.id, plan.provider_schemas_key)
    return await asyncio.to_thread(_redact, document, schemas)


async def _whole(objects: Objects, kind: ObjectKind, plan_id: str, key: str) -> bytes:
    pieces, size = [], 0
    async for piece in objects.get(kind, plan_id, key):
        size += len(piece)
        if size > PARSE_BYTES:
            raise TooLarge("the plan's JSON is larger than 64 MiB and cannot be redacted; read json-output instead")
        pieces.append(piece)
    return b"".join(pieces)


def _redact(document: bytes, schemas: bytes) -> bytes:
    plan: dict[str, Any] = msgspec.json.decode(document)
    provided: dict[str, Any] = msgspec.json.decode(schemas)
    result: dict[str, Any] = {
        "plan_format_version": plan.get("format_version", "1.2"),
        "provider_format_version": provided.get("format_version", "1.0"),
        "provider_schemas": provided.get("provider_schemas", {}),
    }
    result.update({name: plan[name] for name in CARRIED if name in plan})
    for changed in (*result.get("resource_changes", ()), *result.get("resource_drift", ())):
        _redact_change(changed.get("change", {}))
    for change in result.get("output_changes", {}).values():
        _redact_change(change)
    return msgspec.json.encode(result)


def _redact_change(change: dict[str, Any]) -> None:
    for side in ("before", "after"):
        if side in change:
            change[side] = blank(change[side], change.get(f"{side}_sensitive"))
    # Generated configuration may spell the same values out.
    if change.get("before_sensitive") or change.get("after_sensitive"):
        change.pop("generated_config", None)


def blank(value: Any, sensitive: Any) -> Any:
    """The value with `None` wherever terraform's mark of the same shape says `true`."""
    if sensitive is True:
        return None
    if isinstance(sensitive, dict) and isinstance(value, dict):
        return {name: blank(each, sensitive.get(name)) for name, each in value.items()}
    if isinstance(sensitive, list) and isinstance(value, list):
        marks = sensitive + [None] * (len(value) - len(sensitive))
        return [blank(each, mark) for each, mark in zip(value, marks, strict=False)]
    return value
