"""How soon a repository is looked at again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from terrapod_core.settings import VCS
from terrapod_core.vcs.models import Repository
from terrapod_core.vcs.pace import ECHO_SECONDS, LONGEST_PAUSE, next_look, next_try

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SETTINGS = VCS(poll_seconds=60, poll_quiet_seconds=300)


def wait(*, changed: timedelta | None = None, heard: timedelta | None = None, created: timedelta = timedelta(days=9)) -> float:
    """Seconds until the next look at a repository to which something happened so long ago."""
    repository = Repository(
        changed_at=NOW - changed if changed is not None else None,
        heard_at=NOW - heard if heard is not None else None,
        created_at=NOW - created,
    )
    return (next_look(repository, SETTINGS, NOW) - NOW).total_seconds()


def test_one_that_changed_just_now_is_looked_at_often_and_a_quiet_one_seldom() -> None:
    assert wait(changed=timedelta()) == 60
    assert wait(changed=timedelta(hours=12)) == 180
    assert wait(changed=timedelta(days=1)) == wait(changed=timedelta(days=400)) == 300


def test_the_pace_slackens_step_by_step() -> None:
    waits = [wait(changed=timedelta(hours=hours)) for hours in range(30)]
    assert all(earlier <= later for earlier, later in pairwise(waits))


def test_one_that_never_changed_counts_from_when_somebody_began_to_follow_it() -> None:
    assert wait(created=timedelta()) == 60
    assert wait(created=timedelta(days=2)) == 300


def test_one_whose_webhooks_arrive_needs_the_clock_seldom() -> None:
    assert wait(changed=timedelta(minutes=5), heard=timedelta(minutes=5)) == 300
    assert wait(changed=timedelta(minutes=5), heard=timedelta(days=2)) < 120


def test_a_webhook_that_came_before_what_it_tells_of_is_followed_up_soon() -> None:
    assert wait(changed=timedelta(hours=3), heard=timedelta(seconds=2)) == ECHO_SECONDS
    assert wait(changed=timedelta(seconds=1), heard=timedelta(seconds=2)) == 300
    assert wait(changed=timedelta(hours=3), heard=timedelta(seconds=61)) == 300


def test_a_clock_that_went_back_does_no_harm() -> None:
    assert wait(changed=timedelta(hours=-2)) == 60


def test_the_follow_up_is_never_later_than_the_clock() -> None:
    repository = Repository(changed_at=NOW - timedelta(hours=3), heard_at=NOW, created_at=NOW)
    assert next_look(repository, VCS(poll_seconds=1, poll_quiet_seconds=1), NOW) == NOW + timedelta(seconds=1)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 60), (2, 120), (3, 240), (4, 480), (5, LONGEST_PAUSE), (10_000, LONGEST_PAUSE)])
def test_looks_that_fail_come_ever_more_seldom_up_to_an_end(failures: int, seconds: float) -> None:
    assert next_try(failures, SETTINGS, NOW) == NOW + timedelta(seconds=seconds)
