"""A repository of a server that knows git and nothing else: looked at by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.followed import ANY_GIT, Followed, following
from tests.support.forge import MAIN_TF


@pytest.fixture(scope="module")
def plain(terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """Such a server, and ours."""
    with following(ANY_GIT, terraform, tmp_path_factory.mktemp("plain")) as site:
        yield site


def test_a_push_is_planned_and_applied(plain: Followed) -> None:
    repo = plain.repository()
    workspace = plain.workspace(repo, auto_apply=True, queue_all_runs=True)
    workspace.run_of(repo.sha(), "applied")
    sha = repo.push({"main.tf": MAIN_TF.replace("rex", "felix")}, "Another pet")
    run = workspace.run_of(sha, "applied")
    assert run["attributes"]["message"] == "Another pet"
    workspace.run_of(repo.push({"main.tf": MAIN_TF}, "By force", force=True), "applied")


def test_a_part_of_a_repository_is_fetched(plain: Followed) -> None:
    repo = plain.repository({"live/main.tf": MAIN_TF, "shared/a.txt": "a", "other/large.bin": b"x" * 4096, "root.txt": "r"})
    workspace = plain.workspace(
        repo, working_directory="live", trigger_prefixes=["shared"], vcs_sparse_fetch=True, auto_apply=True, queue_all_runs=True
    )
    workspace.run_of(repo.sha(), "applied")
    with workspace.files(repo.sha()) as files:
        found = {each.name for each in files if each.isfile()}
    assert {"live/main.tf", "shared/a.txt"} <= found <= {"live/main.tf", "shared/a.txt", "root.txt"}


def test_a_change_elsewhere_runs_too_because_nobody_knows_what_changed(plain: Followed) -> None:
    repo = plain.repository({"live/main.tf": MAIN_TF, "docs/a.md": "a"})
    workspace = plain.workspace(repo, working_directory="live", auto_apply=True, queue_all_runs=True)
    workspace.run_of(repo.sha(), "applied")
    workspace.run_of(repo.push({"docs/a.md": "b"}, "Elsewhere"), "planned_and_finished", "applied")
