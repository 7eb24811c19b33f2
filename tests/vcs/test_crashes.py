"""Servers that die between a push and its run: whatever had been done, there is one run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.followed import EVERY_KIND, Followed, Follower, Kind, following
from tests.support.forge import Answer, Asked
from tests.support.waiting import until

pytestmark = EVERY_KIND

TF = 'output "a" {\n  value = "%s"\n}\n'
DONE = ("applied", "planned_and_finished")


@pytest.fixture(scope="module")
def site(kind: Kind, terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """A server that looks at a repository when it is told to: what is found after a crash was known before it."""
    settings = {"VCS__POLL_SECONDS": "3600", "VCS__POLL_QUIET_SECONDS": "3600"}
    with following(kind, terraform, tmp_path_factory.mktemp(f"forge-{kind.name}"), settings) as site:
        yield site


@pytest.fixture
def workspace(site: Followed) -> Follower:
    """One that applies what is pushed."""
    workspace = site.workspace(site.repository({"main.tf": TF % "begun"}), auto_apply=True, queue_all_runs=True)
    workspace.run_of(workspace.repo.sha(), *DONE)
    return workspace


def look(workspace: Follower) -> None:
    assert workspace.site.server.api.post(f"workspaces/{workspace.id}/actions/look-at-repository").status_code == 202


def test_a_server_that_dies_while_files_arrive_fetches_them_after_its_start(site: Followed, workspace: Follower) -> None:
    asked_for, over = threading.Event(), threading.Event()

    def hang(asked: Asked) -> Answer | None:
        asked_for.set()
        over.wait(60)
        return None

    with site.files_answered(hang):
        sha = workspace.repo.push({"main.tf": TF % "pushed"}, "While it dies")
        look(workspace)
        assert asked_for.wait(60)
        site.server.kill()
        over.set()
    site.server.start()
    workspace.run_of(sha, *DONE)
    assert len(workspace.runs()) == 2


def test_a_server_that_dies_between_files_and_run_starts_one_run(site: Followed, workspace: Follower) -> None:
    sha = workspace.repo.push({"main.tf": TF % "pushed"}, "Just before its run")
    look(workspace)

    def stored() -> bool:
        change = workspace.change(sha)
        return change is not None and change["attributes"]["status"] in ("stored", "started")

    until(stored, "the files to be here")
    site.server.kill()
    site.server.start()
    workspace.run_of(sha)  # how it goes on is not of interest: its runner may have died too, and is missed after a while
    look(workspace)
    after = workspace.repo.push({"main.tf": TF % "after"}, "After it")
    look(workspace)
    workspace.run_of(after)
    assert len(workspace.runs()) == 3
