"""The page of the Sync API: the contract's examples, every route, every word of an error, every field."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from terrapod_sync import configuration, errors, resolving, rows
from terrapod_sync.models import Conflict, Sync, SyncedWorkspace
from tests.docs.route_words.sync import SYNC
from tests.support import ROOT
from tests.wire.test_sync_api import CONFIGURATION, LISTED, REFUSED

PAGE = (ROOT / "docs/reference/sync-api.md").read_text()
EXAMPLES = [json.loads(each) for each in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_contracts_examples_are_on_the_page() -> None:
    """`tests/wire/test_sync_api.py` has a server answer them."""
    for example in (LISTED, CONFIGURATION, REFUSED):
        assert json.loads(example) in EXAMPLES


def test_what_the_page_tells_to_send_is_taken() -> None:
    sent = [each for each in EXAMPLES if "conflict_resolution" in each]
    assert sent
    for each in sent:
        configuration.read(json.dumps(each).encode(), configuration.Limits(timedelta(seconds=30), 1 << 20))
    decided = [each for each in EXAMPLES if "resolution" in each]
    assert decided
    for each in decided:
        resolving.read(json.dumps(each).encode(), NOW)


@pytest.mark.parametrize("key", [key for key in SYNC.words if "{organization}" not in key])
def test_every_route_has_its_place(key: str) -> None:
    method, path = key.split(" ")
    assert f"### {method} {SYNC.base}{path}\n" in PAGE


def test_every_word_of_an_error_is_explained() -> None:
    table = PAGE[PAGE.index("## Errors") :]
    rare = {"not_acceptable", "request_timeout", "conflict", "too_large", "unsupported_media_type"}
    assert not [word for word in {*errors.OWN, *errors.BY_STATUS.values()} - rare if f"`{word}`" not in table]


def test_every_field_is_explained() -> None:
    workspace = SyncedWorkspace(status="error", enabled=True, attempts=1, rests_until=datetime.max.replace(tzinfo=UTC))
    for name in ("next_at", "last_sync_at", "problem_since"):
        setattr(workspace, name, NOW)
    for name in ("last_run_id", "active_sync_id", "problem", "problem_code"):
        setattr(workspace, name, "x")
    workspace.has_changes = workspace.drifted = True
    sync = Sync(id="s", cause="c", status="s", mode="m", created_at=NOW, tick_at=NOW, ended_at=NOW, attempt=1, run_id="r")
    sync.plan_digest, sync.has_changes, sync.drifted, sync.forbidden, sync.reason = "x", True, True, [{}], "x"
    conflict = Conflict(id="c", kind="k", status="s", detail="d", created_at=NOW, sync_id="s", run_id="r", plan_digest="x", steps=[{}])
    conflict.resolution, conflict.resolved_by_id, conflict.resulting_run_id = "accept", "user", "run"
    conflict.resolved_at = conflict.ignored_until = NOW
    shown = {
        **rows.workspace("x", workspace, enabled=True, now=NOW),
        **rows.more(workspace, ["c"], now=NOW),
        **rows.sync(sync),
        **rows.conflict(conflict, "x"),
    }
    assert len(shown) >= 30
    assert not [name for name in shown if f"`{name}`" not in PAGE]
