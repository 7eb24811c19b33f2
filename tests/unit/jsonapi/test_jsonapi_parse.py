from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from terrapod_core.errors import BadRequest, Invalid, Problem, TerrapodError
from terrapod_core.jsonapi import Ref, parse, parse_action, parse_plain, parse_refs


class Mode(StrEnum):
    REMOTE = "remote"
    LOCAL = "local"


class VCSRepo(msgspec.Struct, kw_only=True):
    oauth_token_id: str
    tags_regex: str | None = None
    globs: list[str] = []


class Change(msgspec.Struct, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=5)] | UnsetType = UNSET
    auto_apply: bool | UnsetType = UNSET
    serial: Annotated[int, msgspec.Meta(ge=0)] | UnsetType = UNSET
    mode: Mode | UnsetType | None = UNSET
    kind: Literal["a", "b"] | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    vcs_repo: VCSRepo | UnsetType | None = UNSET
    named: dict[str, VCSRepo] | UnsetType = UNSET
    repos: list[VCSRepo] | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    wire: str | UnsetType = msgspec.field(default=UNSET, name="other-name")
    project: Ref | UnsetType | None = UNSET
    workspace: Ref | UnsetType = UNSET
    tags: list[Ref] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.name == "evil":
            raise ValueError("name may not be evil")


class Create(msgspec.Struct, kw_only=True):
    display_name: str
    count: int
    workspace: Ref


def document(attributes: Any = UNSET, relationships: Any = UNSET) -> bytes:
    return msgspec.json.encode({"data": {"type": "", "attributes": attributes or {}, "relationships": relationships or {}}})


def problems(raw: bytes, into: type[msgspec.Struct] = Change) -> list[tuple[str | None, str]]:
    with pytest.raises(Invalid) as refused:
        parse(raw, into)
    return [(problem.pointer, problem.detail) for problem in refused.value.problems]


def only(raw: bytes) -> tuple[str | None, str]:
    (problem,) = problems(raw)
    return problem


def test_attributes_are_read_in_either_spelling_and_kebab_wins() -> None:
    assert parse(document({"auto-apply": True}), Change).auto_apply is True
    assert parse(document({"auto_apply": True}), Change).auto_apply is True
    assert parse(document({"auto_apply": False, "auto-apply": True}), Change).auto_apply is True
    assert parse(document({"other-name": "x"}), Change).wire == "x"


def test_what_is_absent_stays_unset_and_what_is_unknown_is_ignored() -> None:
    change = parse(b'{"data":{"id":"ws-1","attributes":{"nonsense":1},"x":2},"y":3}', Change)
    assert change == Change()
    assert change.vcs_repo is UNSET
    assert parse(document({"vcs-repo": None}), Change).vcs_repo is None


def test_attributes_and_relationships_may_be_null() -> None:
    assert parse(b'{"data":{"attributes":null,"relationships":null}}', Change) == Change()


def test_keys_of_nested_structs_are_respelled_and_those_of_dictionaries_are_not() -> None:
    change = parse(
        document(
            {
                "vcs-repo": {"oauth-token-id": "ot-1", "tags_regex": "v.*", "unknown": 1},
                "repos": [{"oauth-token-id": "ot-2"}],
                "labels": {"cost-centre": "a", "cost_centre": "b"},
            }
        ),
        Change,
    )
    assert change.vcs_repo == VCSRepo(oauth_token_id="ot-1", tags_regex="v.*")
    assert change.repos == [VCSRepo(oauth_token_id="ot-2")]
    assert change.labels == {"cost-centre": "a", "cost_centre": "b"}


@pytest.mark.parametrize(
    ("attributes", "pointer", "sentence"),
    [
        ({"auto-apply": "true"}, "auto-apply", "auto-apply must be true or false, not a string"),
        ({"auto_apply": None}, "auto-apply", "auto-apply must be true or false, not null"),
        ({"serial": 1.0}, "serial", "serial must be a whole number, not a decimal number"),
        ({"serial": True}, "serial", "serial must be a whole number, not true or false"),
        ({"serial": -1}, "serial", "serial must be at least 0"),
        ({"name": ""}, "name", "name must have at least 1 characters"),
        ({"name": "sixsix"}, "name", "name must have at most 5 characters"),
        ({"name": []}, "name", "name must be a string, not a list"),
        ({"mode": "agent"}, "mode", "mode must be one of remote, local"),
        ({"kind": "c"}, "kind", "kind must be one of a, b"),
        ({"labels": {"a/b": 1}}, "labels", "a value in labels must be a string, not a number"),
        ({"named": {"x": {}}}, "named", "a value in named lacks oauth-token-id"),
        ({"labels": []}, "labels", "labels must be an object, not a list"),
        ({"vcs-repo": {}}, "vcs-repo/oauth-token-id", "vcs-repo.oauth-token-id is required"),
        ({"vcs-repo": {"oauth-token-id": 1}}, "vcs-repo/oauth-token-id", "vcs-repo.oauth-token-id must be a string, not a number"),
        ({"vcs-repo": 3}, "vcs-repo", "vcs-repo must be an object, or null, not a number"),
        ({"repos": [{"oauth-token-id": "x", "globs": ["a", None]}]}, "repos/0/globs/1", "repos.0.globs.1 must be a string, not null"),
        ({"expires-at": "soon"}, "expires-at", "expires-at must be a time such as 2026-01-31T12:00:00Z"),
        ({"expires-at": "2026-01-01T00:00:00"}, "expires-at", "expires-at needs a time zone, as in 2026-01-31T12:00:00Z"),
        ({"expires-at": "0001-01-01T00:00:00+23:00"}, "expires-at", "expires-at is not a time anybody lives in"),
        ({"expires-at": 5}, "expires-at", "expires-at must be a time such as 2026-01-31T12:00:00Z, or null, not a number"),
    ],
)
def test_a_wrong_value_is_refused_in_plain_words_with_its_pointer(attributes: dict[str, Any], pointer: str, sentence: str) -> None:
    assert only(document(attributes)) == (f"/data/attributes/{pointer}", sentence)


def test_every_problem_of_a_document_is_told_at_once() -> None:
    assert problems(document({"count": "x"}), Create) == [
        ("/data/attributes/display-name", "display-name is required"),
        ("/data/attributes/count", "count must be a whole number, not a string"),
        ("/data/relationships/workspace", "workspace is required"),
    ]


def test_a_struct_may_refuse_values_itself() -> None:
    assert only(document({"name": "evil"})) == (None, "name may not be evil")


def test_times_come_back_in_utc() -> None:
    expires = parse(document({"expires-at": "2026-01-31T13:00:00+01:00"}), Change).expires_at
    assert expires == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert isinstance(expires, datetime)
    assert expires.tzinfo is UTC


def test_relationships_are_read_as_references() -> None:
    change = parse(
        document(
            relationships={
                "workspace": {"data": {"type": "workspaces", "id": "ws-1"}},
                "project": {"data": None},
                "tags": {"data": [{"type": "tags", "attributes": {"name": "app"}}, {"id": "tag-1"}]},
            }
        ),
        Change,
    )
    assert change.workspace == Ref("workspaces", "ws-1")
    assert change.project is None
    assert change.tags == [Ref("tags", None, {"name": "app"}), Ref("", "tag-1")]


def test_a_relationship_with_links_only_says_nothing() -> None:
    assert parse(document(relationships={"project": {"links": {}}}), Change).project is UNSET


@pytest.mark.parametrize(
    ("name", "value", "pointer", "sentence"),
    [
        ("workspace", None, "workspace", "workspace must be an object with a member data"),
        ("workspace", [], "workspace", "workspace must be an object with a member data"),
        ("workspace", {"data": None}, "workspace", "workspace may not be null"),
        ("workspace", {"data": []}, "workspace/data", "workspace must be an object with a type and an id"),
        ("workspace", {"data": {"id": 1}}, "workspace/data/id", "the id of workspace must be a string"),
        ("workspace", {"data": {"type": 1, "id": "x"}}, "workspace/data/type", "the type of workspace must be a string"),
        ("workspace", {"data": {"type": "workspaces"}}, "workspace/data/id", "workspace needs an id"),
        ("tags", {"data": None}, "tags", "tags may not be null"),
        ("tags", {"data": {"id": "x"}}, "tags/data", "tags must be a list of objects with a type and an id"),
        ("tags", {"data": [{"id": "x"}, 5]}, "tags/data/1", "tags 2 must be an object with a type and an id"),
        ("tags", {"data": [{"attributes": []}]}, "tags/data/0/attributes", "the attributes of tags 1 must be an object"),
    ],
)
def test_a_wrong_relationship_is_refused_with_its_pointer(name: str, value: Any, pointer: str, sentence: str) -> None:
    assert only(document(relationships={name: value})) == (f"/data/relationships/{pointer}", sentence)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"  \n",
        b"{",
        b"NaN",
        b'{"data":{"attributes":{"serial":NaN}}}',
        b'{"data":{"attributes":{"serial":Infinity}}}',
        b'"\xff"',
        b'{"data":{"attributes":{"name":"\xed\xa0\x80"}}}',
        b'{"data":{"attributes":{"name":"\\ud800"}}}',
        b"\xef\xbb\xbf{}",
        b'{"data":{"attributes":{"serial":1e400}}}',
        b'{"data":{"attributes":{"serial":' + b"9" * 400 + b"}}}",
        b'{"data":{"attributes":{"serial":' + b"9" * 5000 + b"}}}",
        b'{"data":{"attributes":{"serial":9223372036854775808}}}',
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 50000 + b"1" + b"}" * 50000,
        b"null",
        b"[]",
        b"{}",
        b'{"data":null}',
        b'{"data":[]}',
        b'{"data":"x"}',
    ],
)
def test_what_is_no_document_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(raw, Change)


def test_nesting_is_accepted_up_to_the_limit() -> None:
    class Deep(msgspec.Struct, kw_only=True):
        x: Any

    deepest = b'{"data":{"attributes":{"x":' + b"[" * 61 + b"]" * 61 + b"}}}"
    assert parse(deepest, Deep).x
    with pytest.raises(BadRequest, match="64 levels"):
        parse(deepest.replace(b"[]", b"[[]]"), Deep)


def test_long_lists_are_refused_and_long_enough_ones_are_not() -> None:
    refs = {"tags": {"data": [{"id": "x"}] * 10_000}}
    tags = parse(document(relationships=refs), Change).tags
    assert isinstance(tags, list)
    assert len(tags) == 10_000
    refs["tags"]["data"].append({"id": "x"})
    assert only(document(relationships=refs)) == ("/data/relationships/tags/data", "A list or an object may have at most 10000 members")


@pytest.mark.parametrize("item", [b"[]", b"1"])
def test_a_document_of_a_million_values_is_refused(item: bytes) -> None:
    row = b"[" + b",".join([item] * 10_000) + b"]"
    with pytest.raises(Invalid, match="at most 100000 values"):
        parse(b'{"data":{"x":[' + b",".join([row] * 30) + b"]}}", Change)


def test_a_zero_character_is_refused_where_it_stands() -> None:
    assert only(document({"labels": {"a/~b": "x\0"}}))[0] == "/data/attributes/labels/a~1~0b"
    assert only(document({"labels": {"x\0": "a"}}))[0] == "/data/attributes/labels"


def test_sections_that_are_no_objects_are_refused() -> None:
    assert only(b'{"data":{"attributes":[]}}') == ("/data/attributes", "attributes must be an object")
    assert only(b'{"data":{"relationships":1}}') == ("/data/relationships", "relationships must be an object")


class Claim(msgspec.Struct, kw_only=True):
    runner: str
    log_size: int = 0


def test_a_plain_object_is_read_from_its_top() -> None:
    assert parse_plain(b'{"runner":"h 1","log-size":3}', Claim) == Claim(runner="h 1", log_size=3)
    with pytest.raises(Invalid) as refused:
        parse_plain(b'{"log-size":"x"}', Claim)
    assert refused.value.problems == (
        Problem("runner is required", "/runner"),
        Problem("log-size must be a whole number, not a string", "/log-size"),
    )


def test_no_body_at_all_is_an_empty_plain_object() -> None:
    with pytest.raises(Invalid, match="runner is required"):
        parse_plain(b"", Claim)


def test_a_plain_list_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        parse_plain(b"[]", Claim)


@pytest.mark.parametrize(
    ("raw", "comment"),
    [
        (b"", None),
        (b"  ", None),
        (b"null", None),
        (b"{}", None),
        (b'{"comment":null}', None),
        (b'{"comment":"go"}', "go"),
        (b'{"data":null}', None),
        (b'{"data":{}}', None),
        (b'{"data":{"attributes":null}}', None),
        (b'{"data":{"type":"","attributes":{"comment":"go"}}}', "go"),
    ],
)
def test_a_comment_is_found_in_each_form_clients_send(raw: bytes, comment: str | None) -> None:
    assert parse_action(raw) == comment


def test_an_action_may_carry_its_remark_under_another_name() -> None:
    assert parse_action(b'{"data":{"attributes":{"reason":"busy"}}}', "reason") == "busy"
    assert parse_action(b'{"reason":"busy"}', "reason") == "busy"


@pytest.mark.parametrize(
    ("raw", "status", "pointer"),
    [
        (b"[]", 400, None),
        (b"{", 400, None),
        (b'{"data":[]}', 400, "/data"),
        (b'{"comment":1}', 422, "/comment"),
        (b'{"data":{"attributes":{"comment":[]}}}', 422, "/data/attributes/comment"),
        (b'{"data":{"attributes":1}}', 422, "/data/attributes"),
    ],
)
def test_a_wrong_action_is_refused(raw: bytes, status: int, pointer: str | None) -> None:
    with pytest.raises(TerrapodError) as refused:
        parse_action(raw)
    assert (refused.value.status, refused.value.problems[0].pointer) == (status, pointer)


def test_references_are_read_as_a_list_as_one_and_as_none() -> None:
    assert parse_refs(b'{"data":[{"type":"tags","id":"tag-1"}]}') == [Ref("tags", "tag-1")]
    assert parse_refs(b'{"data":{"type":"projects","id":"prj-1"}}') == [Ref("projects", "prj-1")]
    assert parse_refs(b'{"data":null}') == []
    assert parse_refs(b'{"data":[]}') == []


def test_a_reference_without_an_id_has_its_attributes() -> None:
    (tag,) = parse_refs(b'{"data":[{"type":"tags","attributes":{"name":"app","n":1}}]}')
    assert (tag.id, tag.name, tag.text("n"), tag.text("absent")) == (None, "app", None, None)


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 400, None),
        ([], 400, None),
        ({"data": 1}, 400, "/data"),
        ({"data": [1]}, 422, "/data/0"),
        ({"data": [{"id": "a"}, {"type": "tags"}]}, 422, "/data/1/id"),
        ({"data": {"id": 5}}, 422, "/data/id"),
    ],
)
def test_wrong_references_are_refused(body: Any, status: int, pointer: str | None) -> None:
    with pytest.raises(TerrapodError) as refused:
        parse_refs(json.dumps(body).encode())
    assert (refused.value.status, refused.value.problems[0].pointer) == (status, pointer)
