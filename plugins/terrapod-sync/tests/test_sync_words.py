"""The words of the Sync API, and the settings of the plugin."""

from __future__ import annotations

import pytest

from terrapod_core.plugin import PluginSettings
from terrapod_sync import register_settings
from terrapod_sync.settings import SyncSettings
from terrapod_sync.words import ConflictKind, ConflictResolution, Resolution, Status, status_of


@pytest.mark.parametrize(
    ("run", "has_changes", "word"),
    [
        ("pending", None, "pending"),
        ("plan_queued", None, "pending"),
        ("planning", None, "running"),
        ("confirmed", True, "running"),
        ("apply_queued", True, "running"),
        ("applying", True, "running"),
        ("applied", True, "success"),
        ("planned_and_finished", False, "success"),
        ("planned_and_finished", True, "out_of_sync"),
        ("planned", True, "awaiting_approval"),
        ("planned_and_saved", True, "awaiting_approval"),
        ("discarded", True, "out_of_sync"),
        ("discarded", None, "out_of_sync"),
        ("discarded", False, "success"),
        ("errored", None, "error"),
        ("canceled", None, "error"),
        ("force_canceled", None, "error"),
        (None, None, "never"),
    ],
)
def test_a_runs_status_and_the_word_for_it(run: str | None, has_changes: bool | None, word: str) -> None:
    assert status_of(run, has_changes=has_changes) == word
    assert status_of(run, has_changes=has_changes, enabled=False) is Status.DISABLED


@pytest.mark.parametrize("run", ["planned", "planned_and_saved", "errored", "planned_and_finished"])
def test_what_a_policy_stopped_is_a_conflict(run: str) -> None:
    assert status_of(run, has_changes=True, blocked=True) is Status.CONFLICT
    assert status_of(run, has_changes=True, blocked=True, enabled=False) is Status.DISABLED


def test_a_status_that_no_run_has_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no run has the status frozen"):
        status_of("frozen")


def test_the_words_that_are_written_down_elsewhere() -> None:
    assert set(Status) == {"pending", "running", "success", "out_of_sync", "awaiting_approval", "conflict", "error", "disabled", "never"}
    assert set(ConflictKind) == {"policy", "destructive_plan", "lock", "state", "config"}
    assert set(ConflictResolution) == {"manual", "prefer_config", "prefer_remote", "skip"}
    assert set(Resolution) == {"accept", "prefer_remote", "ignore", "discard"}


def test_the_plugin_declares_its_settings() -> None:
    assert register_settings() is SyncSettings
    assert issubclass(SyncSettings, PluginSettings)


def test_the_default_interval_may_not_be_under_the_minimum() -> None:
    assert SyncSettings().minimum_interval_seconds == 30
    with pytest.raises(ValueError, match="must not be less than minimum_interval_seconds"):
        SyncSettings(minimum_interval_seconds=61)
