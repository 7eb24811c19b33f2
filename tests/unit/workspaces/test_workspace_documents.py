from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET

from terrapod_core.errors import Invalid
from terrapod_core.jsonapi import parse
from terrapod_core.workspaces import documents
from terrapod_core.workspaces.documents import CreateWorkspace, UpdateWorkspace, execution, normal_path, settings


def sent(relationships: dict[str, Any] | None = None, **attributes: Any) -> UpdateWorkspace:
    """A document as it comes over the wire."""
    wire = {name.replace("_", "-"): value for name, value in attributes.items()}
    data = {"type": "workspaces", "attributes": wire, "relationships": relationships or {}}
    return parse(json.dumps({"data": data}).encode(), UpdateWorkspace)


def pointers(document: UpdateWorkspace) -> list[str | None]:
    """What the refusal of a document points at."""
    with pytest.raises(Invalid) as refused:
        settings(document)
    return [problem.pointer for problem in refused.value.problems]


def test_nothing_sent_is_nothing_set() -> None:
    assert settings(sent()) == {}


def test_settings_are_taken_as_sent() -> None:
    values = settings(sent(auto_apply=True, description="x", terraform_version="~> 1.11", execution_backend="tofu", resource_cpu="500m"))
    assert values == {
        "auto_apply": True,
        "description": "x",
        "terraform_version": "~> 1.11",
        "execution_backend": "tofu",
        "resource_cpu": "500m",
    }


def test_every_setting_has_a_default_and_null_means_it() -> None:
    nulls = settings(sent(**dict.fromkeys(documents.DEFAULTS)))
    assert nulls == documents.DEFAULTS


@pytest.mark.parametrize("name", ["", "a b", "x" * 91, "a/b", "naïve", "a.b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    assert pointers(sent(name=name)) == ["/data/attributes/name"]


def test_a_new_workspace_needs_a_name() -> None:
    with pytest.raises(Invalid, match="name is required"):
        parse(b'{"data":{"attributes":{}}}', CreateWorkspace)


@pytest.mark.parametrize("version", ["latest", "1.11.4", "1.11", ">= 1.9, < 2.0", "~> 1.11.0", "1.10.0-alpha1"])
def test_versions_and_constraints_are_kept_as_written(version: str) -> None:
    assert settings(sent(terraform_version=version)) == {"terraform_version": version}


@pytest.mark.parametrize("version", ["", " ", "newest", "1.x", ">> 1", "1.11.4; rm -rf", "x" * 300])
def test_what_is_no_version_is_refused(version: str) -> None:
    assert pointers(sent(terraform_version=version)) == ["/data/attributes/terraform-version"]


@pytest.mark.parametrize(
    ("attributes", "mode"),
    [
        ({"execution_mode": "local"}, "local"),
        ({"execution_mode": "remote"}, "remote"),
        ({"operations": False}, "local"),
        ({"operations": True}, "remote"),
        ({"setting_overwrites": {"execution-mode": True}, "execution_mode": "local"}, "local"),
    ],
)
def test_the_execution_mode_has_two_spellings(attributes: dict[str, Any], mode: str) -> None:
    assert settings(sent(**attributes)) == {}
    assert execution(sent(**attributes)).mode == mode


@pytest.mark.parametrize(
    ("attributes", "own"),
    [
        ({"setting_overwrites": {"execution-mode": False, "agent-pool": False}}, False),
        ({"setting_overwrites": {"agent-pool": True}}, True),
        ({"setting_overwrites": {}, "execution_mode": "remote"}, None),
        ({"execution_mode": None}, False),
    ],
)
def test_a_document_says_whether_the_mode_is_the_projects(attributes: dict[str, Any], own: bool | None) -> None:
    assert execution(sent(**attributes)).own is own


@pytest.mark.parametrize(
    ("attributes", "relationships", "pool", "pointer"),
    [
        ({}, {}, UNSET, "attributes/agent-pool-id"),
        ({"agent_pool_id": "apool-1"}, {}, "apool-1", "attributes/agent-pool-id"),
        ({"agent_pool_id": ""}, {}, None, "attributes/agent-pool-id"),
        ({}, {"agent-pool": {"data": {"type": "agent-pools", "id": "apool-1"}}}, "apool-1", "relationships/agent-pool"),
        ({}, {"agent-pool": {"data": None}}, None, "attributes/agent-pool-id"),
        ({"agent_pool_id": "apool-1"}, {"agent-pool": {"data": {"id": "apool-1"}}}, "apool-1", "attributes/agent-pool-id"),
        ({"agent_pool_id": None}, {"agent-pool": {"data": {"id": "apool-1"}}}, "apool-1", "relationships/agent-pool"),
    ],
)
def test_a_pool_is_named_by_attribute_or_relationship(attributes: Any, relationships: Any, pool: object, pointer: str) -> None:
    said = execution(sent(relationships, **attributes))
    assert (said.pool_id, said.pool_pointer) == (pool, f"/data/{pointer}")


def test_two_ways_to_name_a_pool_must_agree() -> None:
    document = sent({"agent-pool": {"data": {"id": "apool-2"}}}, agent_pool_id="apool-1")
    assert pointers(document) == ["/data/attributes/agent-pool-id"]


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"execution_mode": "cloud"}, "execution-mode"),
        ({"execution_mode": "local", "operations": False}, "operations"),
        ({"setting_overwrites": {"execution-mode": True, "agent-pool": False}}, "setting-overwrites"),
        ({"execution_backend": "pulumi"}, "execution-backend"),
        ({"resource_cpu": "lots"}, "resource-cpu"),
        ({"resource_memory": "2GB"}, "resource-memory"),
        ({"description": "x" * 5000}, "description"),
    ],
)
def test_a_wrong_value_is_refused_where_it_stands(attributes: dict[str, Any], pointer: str) -> None:
    assert pointers(sent(**attributes)) == [f"/data/attributes/{pointer}"]


@pytest.mark.parametrize(
    "attribute",
    [
        {"assessments_enabled": True},
        {"auto_destroy_at": "2030-01-01T00:00:00Z"},
        {"auto_destroy_activity_duration": "14d"},
        {"project_remote_state": True},
        {"hyok_enabled": True},
    ],
    ids=lambda attribute: next(iter(attribute)),
)
def test_what_this_server_has_no_part_for_is_refused_and_its_absence_passes(attribute: dict[str, Any]) -> None:
    (name,) = attribute
    assert pointers(sent(**attribute)) == [f"/data/attributes/{name.replace('_', '-')}"]
    nothings: list[Any] = [None, False, "", []]
    for nothing in nothings:
        assert settings(sent(**{name: nothing})) == {}


def test_so_are_its_relationships() -> None:
    assert pointers(sent({"ssh-key": {"data": {"type": "x", "id": "x-1"}}})) == ["/data/relationships/ssh-key"]
    assert settings(sent({"ssh-key": {"data": None}})) == {}


def test_triggers_are_paths_of_the_repository_of_one_kind() -> None:
    assert settings(sent(trigger_prefixes=["/a//b/", "."])) == {"trigger_prefixes": ["a/b", ""]}
    assert settings(sent(trigger_patterns=["/a/**/*.tf"], trigger_prefixes=None)) == {
        "trigger_patterns": ["/a/**/*.tf"],
        "trigger_prefixes": [],
    }
    assert pointers(sent(trigger_prefixes=["../a"])) == ["/data/attributes/trigger-prefixes"]
    assert pointers(sent(trigger_patterns=["a\n"])) == ["/data/attributes/trigger-patterns"]
    assert pointers(sent(trigger_patterns=["*"] * 101)) == ["/data/attributes/trigger-patterns"]
    assert pointers(sent(trigger_patterns=["*"], trigger_prefixes=["a"])) == ["/data/attributes/trigger-patterns"]


@pytest.mark.parametrize("pattern", ["../live/**", "./live/**", "live/../net/*", "!docs/**", ".."])
def test_a_trigger_pattern_that_fits_no_path_is_refused(pattern: str) -> None:
    assert pointers(sent(trigger_patterns=["**/*.tf", pattern])) == ["/data/attributes/trigger-patterns"]


@pytest.mark.parametrize("pattern", ["/live/**", ".github/*", "a..b", "**/..tf", "live/", "[a]", "odd!name"])
def test_a_trigger_pattern_that_may_fit_a_path_is_taken(pattern: str) -> None:
    assert settings(sent(trigger_patterns=[pattern]))["trigger_patterns"] == [pattern]


@pytest.mark.parametrize("word", ["ignored", "", "with-secrets"])
def test_pull_requests_of_forks_have_words_of_their_own(word: str) -> None:
    assert pointers(sent(fork_pull_requests=word)) == ["/data/attributes/fork-pull-requests"]


@pytest.mark.parametrize("name", ["working_directory", "vcs_working_directory"])
def test_the_working_directory_has_two_names(name: str) -> None:
    def named(path: str) -> UpdateWorkspace:
        attributes: dict[str, Any] = {name: path}
        return sent(**attributes)

    assert settings(named("a/b/")) == {"working_directory": "a/b"}
    assert settings(named("")) == {"working_directory": None}
    assert pointers(named("../up")) == [f"/data/attributes/{name.replace('_', '-')}"]


def test_the_two_names_may_not_differ() -> None:
    assert settings(sent(working_directory="a", vcs_working_directory="a")) == {"working_directory": "a"}
    assert pointers(sent(working_directory="a", vcs_working_directory="b")) == ["/data/attributes/vcs-working-directory"]


@pytest.mark.parametrize(("text", "path"), [("", ""), (".", ""), ("./a//b/", "a/b"), ("a/.b/c..d", "a/.b/c..d"), ("größe x", "größe x")])
def test_paths_lose_what_they_do_not_need(text: str, path: str) -> None:
    assert normal_path(text) == path


@pytest.mark.parametrize("text", ["/a", "..", "a/../b", "a\\b", "a\nb", "x" * 1025])
def test_a_path_that_leads_out_or_is_none_is_refused(text: str) -> None:
    assert normal_path(text) is None


def test_everything_wrong_is_told_at_once() -> None:
    document = sent(name="a b", execution_mode="x", terraform_version="y", hyok_enabled=True, working_directory="/")
    assert len(pointers(document)) == 5


def test_structured_run_output_is_wanted_unless_somebody_says_otherwise() -> None:
    assert settings(sent(structured_run_output_enabled=False)) == {"structured_run_output_enabled": False}
    assert settings(sent(structured_run_output_enabled=None)) == {"structured_run_output_enabled": True}
