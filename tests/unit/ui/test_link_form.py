"""The form by which a workspace follows a repository, and the document it comes to."""

from __future__ import annotations

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.ui import link_form


@pytest.mark.parametrize(
    ("when", "enabled", "prefixes", "patterns"),
    [("everything", False, [], []), ("directories", True, ["a/b", "c"], []), ("patterns", True, [], ["a/b", "c"])],
)
def test_one_field_of_paths_is_directories_or_patterns(when: str, enabled: bool, prefixes: list[str], patterns: list[str]) -> None:
    document = link_form.document("vcs-1", {"when": when, "triggers": "a/b\r\n\r\n c \n", "repository": " acme/net "})
    assert (document.file_triggers_enabled, document.trigger_prefixes, document.trigger_patterns) == (enabled, prefixes, patterns)
    assert document.vcs_repo == {"oauth-token-id": "ot-1", "identifier": "acme/net", "branch": "", "tags-regex": ""}


def test_a_box_that_is_not_ticked_says_no() -> None:
    document = link_form.document("vcs-1", {"speculative-enabled": "yes"})
    assert (document.speculative_enabled, document.queue_all_runs, document.vcs_sparse_fetch) == (True, False, False)


def test_what_is_wrong_stands_beside_its_field() -> None:
    assert link_form.problems(Invalid("no such branch", pointer="/data/attributes/vcs-repo/branch")) == {"branch": "no such branch"}
    assert link_form.problems(Invalid("gone", pointer="/data/attributes/vcs-repo/oauth-token-id")) == {"connection": "gone"}
    assert link_form.problems(Invalid("something else")) == {"": "something else"}
