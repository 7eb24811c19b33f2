"""What is otherwise with a server that knows git and nothing else. What is not, is tried with `EVERY_KIND`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.followed import ANY_GIT, Followed, following
from tests.support.forge import MAIN_TF, Asked


@pytest.fixture(scope="module")
def plain(terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """Such a server, and ours."""
    with following(ANY_GIT, terraform, tmp_path_factory.mktemp("plain")) as site:
        yield site


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


def test_the_workspaces_of_a_monorepo_have_each_commit_by_one_fetch(plain: Followed) -> None:
    sets = [f"live/set-{number}" for number in range(4)]
    repo = plain.repository({f"{path}/main.tf": MAIN_TF for path in sets})
    workspaces = [plain.workspace(repo, working_directory=path, queue_all_runs=True) for path in sets]
    fetched: list[Asked] = []

    def count(asked: Asked) -> None:
        if asked.path == f"/{repo.path}.git/git-upload-pack":
            fetched.append(asked)

    with plain.files_answered(count):
        sha = repo.push({f"{sets[1]}/more.tf": ""}, "One directory")
        for each in workspaces:
            each.run_of(sha)
    assert len(fetched) == 2, "what the commit says, and its files"
