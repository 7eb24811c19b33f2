"""The configuration document: the contract's example, and everything that is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from terrapod_sync.configuration import Configuration, Limits, named_twice, read, restore, write
from terrapod_sync.documents import InvalidConfig
from terrapod_sync.policies import NAMES, Mode
from terrapod_sync.schedules import At, Every
from terrapod_sync.words import ConflictResolution

LIMITS = Limits(minimum=timedelta(seconds=30), document_bytes=64 << 10)
MINUTE = timedelta(minutes=1)

EXAMPLE = b"""{
  "enabled": true,
  "workspaces": {
    "production": {
      "enabled": true,
      "sync_interval": "10m",
      "auto_apply": false
    }
  },
  "conflict_resolution": "manual"
}
"""
"""The body of `PUT /v1/terraform/sync/config` as the contract shows it."""


def document(entry: dict[str, Any] | None = None, **top: Any) -> bytes:
    """A document with one workspace, which is switched on."""
    workspaces = {"production": {"enabled": True, **(entry or {})}}
    return json.dumps({"enabled": True, "workspaces": workspaces, **top}).encode()


def refused(body: bytes) -> InvalidConfig:
    with pytest.raises(InvalidConfig) as caught:
        read(body, LIMITS)
    refusal = caught.value
    assert refusal.word == "invalid_config"
    assert refusal.message == str(refusal)
    assert refusal.message.endswith(".")
    assert refusal.message.isascii() or "…" in refusal.message
    return refusal


def test_the_contracts_example_is_given_back_as_it_was_put() -> None:
    given_back = write(read(EXAMPLE, LIMITS))
    assert json.dumps(json.loads(given_back), indent=2) + "\n" == EXAMPLE.decode()
    assert given_back == (
        b'{"enabled":true,"workspaces":{"production":{"enabled":true,"sync_interval":"10m","auto_apply":false}},'
        b'"conflict_resolution":"manual"}'
    )


def test_what_the_example_means() -> None:
    production = read(EXAMPLE, LIMITS).workspaces["production"]
    assert production.due(MINUTE) == Every(timedelta(minutes=10))
    assert production.intent().mode is Mode.SAVE
    assert production.general() is None


def test_every_field_is_kept_as_it_was_written() -> None:
    entry = {
        "schedule": "0 30 2 ? * mon-fri",
        "schedule_timezone": "Europe/Berlin",
        "policy": "create-update-only",
        "workspace_policy": "full-control",
        "auto_apply": True,
    }
    stored = write(read(document(entry, conflict_resolution="prefer_remote"), LIMITS))
    assert json.loads(stored) == json.loads(document(entry, conflict_resolution="prefer_remote"))
    production = restore(stored).workspaces["production"]
    assert production.intent().mode is Mode.APPLY
    assert production.due(MINUTE).next_after(datetime(2026, 6, 6, tzinfo=UTC)) == datetime(2026, 6, 8, 0, 30, tzinfo=UTC)


def test_a_schedule_without_a_time_zone_is_in_utc() -> None:
    due = read(document({"schedule": "0 2 * * *"}), LIMITS).workspaces["production"].due(MINUTE)
    assert isinstance(due, At)
    assert due.next_after(datetime(2026, 6, 6, tzinfo=UTC)) == datetime(2026, 6, 6, 2, tzinfo=UTC)


def test_an_entry_without_times_has_the_default_and_does_not_say_so() -> None:
    configuration = read(document(), LIMITS)
    assert configuration.workspaces["production"].due(MINUTE) == Every(MINUTE)
    assert json.loads(write(configuration))["workspaces"] == {"production": {"enabled": True}}


def test_period_is_another_name_of_sync_interval() -> None:
    for entry in ({"period": "2h"}, {"period": "2h", "sync_interval": "2h"}):
        configuration = read(document(entry), LIMITS)
        assert configuration.workspaces["production"].due(MINUTE) == Every(timedelta(hours=2))
        assert json.loads(write(configuration))["workspaces"]["production"] == {"enabled": True, **entry}


def test_conflicts_wait_for_a_person_unless_something_else_is_said() -> None:
    assert read(document(), LIMITS).conflict_resolution is ConflictResolution.MANUAL
    assert json.loads(write(read(document(), LIMITS)))["conflict_resolution"] == "manual"
    for word in ("manual", "prefer_config", "prefer_remote", "skip"):
        assert read(document(conflict_resolution=word), LIMITS).conflict_resolution == word


def test_names_may_have_the_organization_before_them() -> None:
    body = json.dumps({"enabled": False, "workspaces": {"team-a/prod_1": {"enabled": False}, "x" * 90: {"enabled": True}}}).encode()
    configuration = read(body, LIMITS)
    assert list(configuration.workspaces) == ["team-a/prod_1", "x" * 90]
    assert named_twice(configuration.workspaces, "team-a") is None
    assert named_twice({"prod": 1, "other/prod": 1, "default/prod": 1}, "default") == ("prod", "default/prod")


@pytest.mark.parametrize(
    ("entry", "field", "complaint"),
    [
        ({"sync_interval": "10s"}, "sync_interval", 'must leave at least 30s between two syncs; "10s" leaves 10s'),
        ({"period": "29s"}, "period", "must leave at least 30s"),
        ({"schedule": "*/10 * * * * *"}, "schedule", "must leave at least 30s"),
        ({"sync_interval": "5x"}, "sync_interval", "as 30s, 5m, 2h or 1d"),
        ({"sync_interval": 600}, "sync_interval", "must be text, not 600; leave it out to have none"),
        ({"sync_interval": ""}, "sync_interval", "must be text"),
        ({"sync_interval": None}, "sync_interval", "must be text, not null"),
        ({"sync_interval": "5m", "period": "300s"}, "period", "another name of sync_interval"),
        ({"sync_interval": "5m", "schedule": "0 * * * *"}, "schedule", "exclude each other"),
        ({"period": "5m", "schedule": "0 * * * *"}, "schedule", "exclude each other"),
        ({"schedule_timezone": "UTC"}, "schedule_timezone", "says nothing without a schedule"),
        ({"sync_interval": "5m", "schedule_timezone": "UTC"}, "schedule_timezone", "says nothing without a schedule"),
        ({"schedule": "0 * * * *", "schedule_timezone": "Mars/Base"}, "schedule_timezone", 'as UTC or Europe/Berlin; not "Mars/Base"'),
        ({"schedule": "0 0 30 2 *"}, "schedule", "never fires"),
        ({"schedule": "0 25 * * *"}, "schedule", "no hour field that can be read: allowed is 0-23"),
        ({"schedule": "hourly"}, "schedule", "five fields"),
        ({"policy": "destroy"}, "policy", "must be one of full-control, apply"),
        ({"workspace_policy": "Apply"}, "workspace_policy", "must be one of full-control, apply"),
        ({"policy": ["apply"]}, "policy", "must be text, not a list"),
        (
            {"policy": "full-control", "workspace_policy": "create-update-only"},
            "policy",
            "Policy full-control or apply not compatible: workspaces.production.policy may not allow more",
        ),
        ({"auto_apply": True, "workspace_policy": "observe"}, "auto_apply", "Policy apply or observe not compatible"),
        ({"auto_apply": "false"}, "auto_apply", 'must be true or false, not "false"'),
        ({"enabled": 1}, "enabled", "must be true or false, not 1"),
        ({"interval": "5m"}, "interval", "is no field; allowed are enabled, sync_interval, period, schedule"),
    ],
)
def test_an_entry_is_refused_with_its_field_and_what_is_allowed(entry: dict[str, Any], field: str, complaint: str) -> None:
    refusal = refused(document(entry))
    assert refusal.field == f"workspaces.production.{field}"
    assert refusal.field in refusal.message
    assert complaint in refusal.message


@pytest.mark.parametrize(
    ("body", "field", "complaint"),
    [
        (b"", "", "must be JSON: it cannot be read from line 1, column 1"),
        (b"enabled: true", "", "must be JSON"),
        (b"[]", "", "The document must be an object, not a list"),
        (b"null", "", "The document must be an object, not null"),
        (b"\xff{}", "", "JSON in UTF-8"),
        (b"\xef\xbb\xbf{}", "", "must be JSON"),
        (json.dumps({"enabled": True, "workspaces": {}}).encode("utf-16"), "", "JSON in UTF-8"),
        (b'{"enabled": NaN}', "", "which has no NaN"),
        (b"[" * 60_000, "", "nested too deeply"),
        (b'{"enabled": ' + b"1" * 5000 + b"}", "", "a number that is too long"),
        (b" " * (65 << 10), "", "at most 65536 are allowed"),
        (b"{}", "enabled", "enabled must be given"),
        (b'{"enabled": true}', "workspaces", "workspaces must be given"),
        (b'{"enabled": null, "workspaces": {}}', "enabled", "must be true or false, not null"),
        (b'{"enabled": true, "workspaces": null}', "workspaces", "an object of workspaces by name, {} for none, not null"),
        (b'{"enabled": true, "workspaces": []}', "workspaces", "an object of workspaces by name"),
        (b'{"enabled": true, "enabled": false, "workspaces": {}}', "enabled", '"enabled" is given twice'),
        (b'{"enabled": true, "workspaces": {"a": {"enabled": true}, "a": {"enabled": false}}}', "a", '"a" is given twice'),
        (b'{"enabled": true, "workspaces": {"a": {"enabled": true, "enabled": true}}}', "enabled", "is given twice"),
        (b'{"enabled": true, "workspaces": {"a": true}}', "workspaces.a", "must be an object, not true"),
        (b'{"enabled": true, "workspaces": {"a": {}}}', "workspaces.a.enabled", "must be given"),
        (b'{"enabled": true, "workspaces": {"a b": {"enabled": true}}}', "workspaces", '"a b", which is no name of a workspace'),
        (b'{"enabled": true, "workspaces": {"": {"enabled": true}}}', "workspaces", '"", which is no name'),
        (b'{"enabled": true, "workspaces": {"a/b/c": {"enabled": true}}}', "workspaces", "which is no name"),
        (b'{"enabled": true, "workspaces": {"\\ud800": {"enabled": true}}}', "workspaces", "which is no name"),
        (b'{"enabled": true, "workspaces": {}, "conflict_resolution": "ask"}', "conflict_resolution", "one of manual, prefer_config"),
        (b'{"enabled": true, "workspaces": {}, "conflict_resolution": null}', "conflict_resolution", "not null"),
        (b'{"enabled": true, "workspaces": {}, "conflict_resolution": {"a": 1}}', "conflict_resolution", "not an object"),
        (b'{"enabled": true, "workspaces": {}, "workspace": {}}', "workspace", "workspace is no field; allowed are enabled, workspaces"),
        (b'{"enabled": true, "workspaces": {}, "\\u0000\\ud800": 1}', "\0\ud800", '"\\u0000\\ud800" is no field'),
    ],
)
def test_a_document_is_refused_with_its_field_and_what_is_allowed(body: bytes, field: str, complaint: str) -> None:
    refusal = refused(body)
    assert refusal.field == field
    assert complaint in refusal.message


def test_there_may_not_be_more_workspaces_than_anybody_has() -> None:
    entries = ",".join(f'"w{number}":{{"enabled":true}}' for number in range(20_001))
    body = f'{{"enabled":true,"workspaces":{{{entries}}}}}'.encode()
    with pytest.raises(InvalidConfig, match="20001 entries; at most 20000"):
        read(body, Limits(MINUTE, 10 << 20))


def test_a_long_value_is_not_repeated_in_full() -> None:
    assert len(refused(document({"policy": "p" * 5000})).message) < 300
    assert len(refused(document({"p" * 5000: 1})).message) < 300


def test_a_stored_document_stays_readable_when_the_minimum_rises() -> None:
    stored = write(read(document({"sync_interval": "30s"}), LIMITS))
    assert restore(stored).workspaces["production"].due(MINUTE) == Every(timedelta(seconds=30))


NOTHING: dict[str, Any] = {}
TIMES = st.one_of(
    st.just(NOTHING),
    st.builds(lambda number: {"sync_interval": f"{number}m"}, st.integers(1, 10_000)),
    st.builds(lambda number: {"period": f"{number}h"}, st.integers(1, 500)),
    st.builds(lambda hour: {"schedule": f"0 {hour} * * *", "schedule_timezone": "Asia/Kathmandu"}, st.integers(0, 23)),
)
ENTRY = st.builds(
    lambda *parts: {name: value for part in parts for name, value in part.items()},
    st.builds(lambda enabled: {"enabled": enabled}, st.booleans()),
    TIMES,
    st.one_of(st.just(NOTHING), st.builds(lambda name: {"policy": name}, st.sampled_from(NAMES))),
    st.one_of(st.just(NOTHING), st.just({"workspace_policy": "full-control"})),
    st.one_of(st.just(NOTHING), st.builds(lambda auto: {"auto_apply": auto}, st.booleans())),
)
NAME = st.text(alphabet="abcXYZ019-_", min_size=1, max_size=20)


@given(st.booleans(), st.dictionaries(NAME, ENTRY, max_size=5), st.sampled_from(list(ConflictResolution)))
@settings(deadline=None)
def test_what_is_taken_comes_back(enabled: bool, workspaces: dict[str, Any], resolution: str) -> None:
    given_document = {"enabled": enabled, "workspaces": workspaces, "conflict_resolution": str(resolution)}
    configuration = read(json.dumps(given_document).encode(), LIMITS)
    assert json.loads(write(configuration)) == given_document
    assert restore(write(configuration)) == configuration


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=12), inner, max_size=3)),
    max_leaves=10,
)


@given(
    st.one_of(st.binary(max_size=200), st.builds(lambda value: json.dumps(value).encode(), JSON)),
    JSON,
    st.sampled_from(["entry", "field", "top"]),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_document_or_refused(body: bytes, value: Any, where: str) -> None:
    bodies = {
        "entry": {"enabled": True, "workspaces": {"a": value}},
        "field": {"enabled": True, "workspaces": {"a": {"enabled": True, "schedule": value}}},
        "top": {"enabled": True, "workspaces": value, "conflict_resolution": value},
    }
    for each in (body, json.dumps(bodies[where]).encode()):
        try:
            taken = read(each, LIMITS)
        except InvalidConfig:
            continue
        assert isinstance(taken, Configuration)
