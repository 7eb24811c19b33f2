"""Repositories that are larger than a server takes: whoever follows one is told which limit it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.followed import KINDS, Followed, following
from tests.support.waiting import until

MiB = 1 << 20
TF = 'output "one" {\n  value = 1\n}\n'


@pytest.fixture(scope="module")
def strict(terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """GitHub, which sends all of a repository, and a server that takes little."""
    limits = {
        "LIMITS__UNPACKED_BYTES": str(MiB),
        "LIMITS__CONFIGURATION_BYTES": str(200_000),
        "VCS__GITHUB__MAX_ARCHIVE_BYTES": str(MiB),
    }
    with following(KINDS["github"], terraform, tmp_path_factory.mktemp("strict"), limits) as site:
        yield site


@pytest.mark.parametrize(
    ("content", "setting"),
    [(os.urandom(300_000), "limits.configuration_bytes"), (bytes(2 * MiB), "limits.unpacked_bytes")],
    ids=["packed", "unpacked"],
)
def test_a_commit_with_too_much_to_be_kept_is_refused_by_the_name_of_the_limit(strict: Followed, content: bytes, setting: str) -> None:
    repo = strict.repository({"main.tf": TF})
    workspace = strict.workspace(repo)
    sha = repo.push({"data.bin": content}, "Much")
    assert setting in workspace.until_change(sha, "refused")["attributes"]["reason"]
    condition = workspace.conditions()["vcs-no-configuration"]
    assert setting in condition["detail"]
    assert "vcs-sparse-fetch" in condition["remedy"]


def test_what_is_not_kept_of_a_repository_may_be_large(strict: Followed) -> None:
    repo = strict.repository({"main.tf": TF, "infra/main.tf": TF})
    workspace = strict.workspace(repo, working_directory="infra", vcs_sparse_fetch=True)
    sha = repo.push(
        {"data/zeros.bin": bytes(2 * MiB), "data/more.bin": os.urandom(300_000), "infra/main.tf": TF + TF.replace("one", "two")}
    )
    workspace.until_change(sha, "skipped", "started")
    assert "vcs-no-configuration" not in workspace.conditions()


def test_an_archive_that_is_too_large_to_be_fetched_is_said_to_be_with_its_setting(strict: Followed) -> None:
    repo = strict.repository({"main.tf": TF, "infra/main.tf": TF})
    workspace = strict.workspace(repo, working_directory="infra", vcs_sparse_fetch=True, file_triggers_enabled=False)
    repo.push({"data/random.bin": os.urandom(2 * MiB)}, "Too much")
    until(lambda: "vcs-fetch-failing" in workspace.conditions(), "the workspace to say that it cannot be fetched")
    condition = workspace.conditions()["vcs-fetch-failing"]
    assert f"more than {MiB} bytes" in condition["detail"]
    assert "max_archive_bytes" in condition["remedy"]
