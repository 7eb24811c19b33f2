"""The redacted form of a plan, as terraform's CLI renders it: the changes and the schemas to show them with, no sensitive value.

Two passes. First what terraform itself marks as sensitive is replaced, at the marked places, by stand-ins that keep what the CLI
shows of them: whether there is a value, and whether it changes. Then every text that is left is searched for the values that
were marked anywhere, for a provider may repeat in one place what it marks in another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from .texts import SHORTEST, Hidden

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

STAND_IN: Final = "(sensitive value)"
CHANGED: Final = "(sensitive value that changes)"

_FIXED: Final = ("mode", "type", "provider_name", "action_reason")
"""Words of terraform and of the providers by which the CLI finds its way, whatever they are equal to."""

_KINDS: Final = {"managed": "resource_schemas", "data": "data_source_schemas"}


class Sensitive(msgspec.Struct, frozen=True):
    """What the workspace keeps as sensitive: names of variables of the configuration, and other texts."""

    names: list[str] = []
    texts: list[str] = []


class _Provider(msgspec.Struct, omit_defaults=True):
    """A provider's schemas, of which those of resources are by far the most; none is decoded."""

    provider: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    resource_schemas: dict[str, msgspec.Raw] = {}
    data_source_schemas: dict[str, msgspec.Raw] = {}
    ephemeral_resource_schemas: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    action_schemas: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    resource_identity_schemas: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Schemas(msgspec.Struct):
    format_version: str = "1.0"
    provider_schemas: dict[str, _Provider] = {}


def redact(document: bytes, schemas: bytes, sensitive: Sensitive) -> bytes:
    """The redacted plan as JSON. Raises what `msgspec` and Python raise for a document that is no plan."""
    plan: dict[str, Any] = msgspec.json.decode(document)
    result: dict[str, Any] = {name: plan[name] for name in CARRIED if name in plan}
    changes = list(_changes(result))
    hidden = Hidden([*sensitive.texts, *_variables(plan, sensitive.names)])
    for change in changes:
        _veil_change(change, hidden)
    for invocation in result.get("action_invocations") or ():
        values, _ = _veil(invocation.get("config_values"), None, invocation.get("config_sensitive"), None, hidden.texts)
        invocation["config_values"] = values
    cleaned = hidden.without(result)
    for before, after in zip(_resource_changes(result), _resource_changes(cleaned), strict=True):
        after |= {name: before[name] for name in _FIXED if name in before}
    provided = msgspec.json.decode(schemas, type=_Schemas)
    cleaned |= {
        "plan_format_version": plan.get("format_version", "1.2"),
        "provider_format_version": provided.format_version,
        "provider_schemas": _needed(provided.provider_schemas, cleaned),
    }
    return msgspec.json.encode(cleaned)


def _resource_changes(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ("resource_changes", "resource_drift"):
        yield from result.get(name) or ()
    for deferred in result.get("deferred_changes") or ():
        if deferred.get("resource_change"):
            yield deferred["resource_change"]


def _changes(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for changed in _resource_changes(result):
        if changed.get("change"):
            yield changed["change"]
    yield from (result.get("output_changes") or {}).values()


def _variables(plan: dict[str, Any], names: list[str]) -> Iterator[Any]:
    """Values of variables that the configuration declares as sensitive, or the workspace keeps so."""
    declared = plan.get("configuration", {}).get("root_module", {}).get("variables") or {}
    chosen = {name for name, declaration in declared.items() if declaration.get("sensitive")} | set(names)
    for name, variable in (plan.get("variables") or {}).items():
        if name in chosen:
            yield variable.get("value")


def _veil_change(change: dict[str, Any], hidden: Hidden) -> None:
    found: list[Any] = []
    before, after = _veil(change.get("before"), change.get("after"), change.get("before_sensitive"), change.get("after_sensitive"), found)
    change |= {name: value for name, value in (("before", before), ("after", after)) if name in change}
    hidden.texts += found
    generated = change.get("generated_config")
    if isinstance(generated, str) and any(_spells(generated, each) for each in leaves(found)):
        del change["generated_config"]


def _veil(before: Any, after: Any, before_mark: Any, after_mark: Any, found: list[Any]) -> tuple[Any, Any]:
    """Both sides with stand-ins at every place that one of them marks; what was there goes into `found`.

    A mark is `true`, or has the shape of the value with marks inside it. A place that is sensitive on one side alone is so on both:
    the value may be the same.
    """
    if before_mark is True or after_mark is True:
        found += (before, after)
        return _stand_in(before, changed=False), _stand_in(after, changed=before != after)
    if isinstance(before_mark, dict) or isinstance(after_mark, dict):
        before, after = _veil_maps(before, after, before_mark, after_mark, found)
    if isinstance(before_mark, list) or isinstance(after_mark, list):
        before, after = _veil_lists(before, after, before_mark, after_mark, found)
    return before, after


def _veil_maps(before: Any, after: Any, before_mark: Any, after_mark: Any, found: list[Any]) -> tuple[Any, Any]:
    sides = [dict(each) if isinstance(each, dict) else {} for each in (before, after)]
    marks = [each if isinstance(each, dict) else {} for each in (before_mark, after_mark)]
    for name in marks[0] | marks[1]:
        values = _veil(sides[0].get(name), sides[1].get(name), marks[0].get(name), marks[1].get(name), found)
        for side, value in zip(sides, values, strict=True):
            if name in side:
                side[name] = value
    return (sides[0] if isinstance(before, dict) else before), (sides[1] if isinstance(after, dict) else after)


def _veil_lists(before: Any, after: Any, before_mark: Any, after_mark: Any, found: list[Any]) -> tuple[Any, Any]:
    sides = [list(each) if isinstance(each, list) else [] for each in (before, after)]
    marks = [each if isinstance(each, list) else [] for each in (before_mark, after_mark)]
    for index in range(max(len(marks[0]), len(marks[1]))):
        first, second, third, fourth = (each[index] if index < len(each) else None for each in (*sides, *marks))
        values = _veil(first, second, third, fourth, found)
        for side, value in zip(sides, values, strict=True):
            if index < len(side):
                side[index] = value
    return (sides[0] if isinstance(before, list) else before), (sides[1] if isinstance(after, list) else after)


def _stand_in(value: Any, *, changed: bool) -> Any:
    """Something of the same kind that says no more than that it is there, and (beside the other side's) whether it changes.

    The CLI compares both sides before it shows a sensitive value as such: with nothing in its place it would show no change.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return changed
    if isinstance(value, (int, float)):
        return int(changed)
    if isinstance(value, list):
        return [CHANGED] if changed else []
    if isinstance(value, dict):
        return {"": CHANGED} if changed else {}
    return CHANGED if changed else STAND_IN


def leaves(value: Any) -> Iterator[Any]:
    """Texts and numbers in a value, keys of maps among them."""
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield value


def _spells(generated: str, value: Any) -> bool:
    """Whether generated configuration has this value, which is too short to be searched for everywhere, as one of its own."""
    text = str(value)
    if not text or len(text) >= SHORTEST:
        return False
    form = re.escape(json.dumps(text, ensure_ascii=False)) if isinstance(value, str) else rf"(?<![\w.]){re.escape(text)}(?![\w.])"
    return re.search(form, generated) is not None


def _needed(provided: dict[str, _Provider], result: dict[str, Any]) -> dict[str, _Provider]:
    """Schemas of what changes and no others: those of one cloud's provider alone are tens of megabytes."""
    wanted: dict[str, set[tuple[str, str]]] = {}
    for changed in _resource_changes(result):
        kind = _KINDS.get(changed.get("mode", "managed"), "")
        wanted.setdefault(changed.get("provider_name", ""), set()).add((kind, changed.get("type", "")))
    for name, provider in provided.items():
        chosen = wanted.get(name, set())
        for kind in _KINDS.values():
            schemas: dict[str, msgspec.Raw] = getattr(provider, kind)
            setattr(provider, kind, {type_: schema for type_, schema in schemas.items() if (kind, type_) in chosen})
    return provided
