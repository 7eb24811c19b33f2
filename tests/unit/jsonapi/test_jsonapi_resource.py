from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from operator import attrgetter
from typing import Any

import msgspec
import pytest

from terrapod_core.jsonapi import ABSENT, Page, Rendering, Resource, attr, to_many, to_one

NOON = datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)
RENDERING = Rendering(actor="ana", base_url="https://pod.example", now=NOON, extra={"labels": {"ws-1": {"team": "core"}}})


class Mode(StrEnum):
    REMOTE = "remote"


@dataclass
class Thing:
    id: str = "ws-1"
    name: str = "demo"
    auto_apply: bool = False
    mode: Mode = Mode.REMOTE
    created_at: datetime | None = NOON
    timestamps: dict[str, Any] = field(default_factory=dict)
    project_id: str | None = "prj-1"
    locked_by_id: str | None = None
    locked_by_type: str | None = None
    output_ids: list[str] = field(default_factory=list)


def rendered(resource: Resource, thing: Thing | None = None) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resource.document(thing or Thing(), RENDERING))
    data: dict[str, Any] = document["data"]
    return data


def test_attributes_come_in_the_order_described_under_their_kebab_names() -> None:
    resource = Resource(
        type="workspaces",
        attributes=[attr("name"), attr("shout", from_=lambda thing: thing.name.upper()), attr("auto_apply"), attr("mode")],
    )
    data = rendered(resource)
    assert list(data["attributes"].items()) == [("name", "demo"), ("shout", "DEMO"), ("auto-apply", False), ("mode", "remote")]
    assert (data["id"], data["type"]) == ("ws-1", "workspaces")


def test_a_resource_with_one_attribute_and_one_without_any_are_rendered() -> None:
    assert rendered(Resource(type="a", attributes=[attr("name")])) == {"id": "ws-1", "type": "a", "attributes": {"name": "demo"}}
    assert rendered(Resource(type="a")) == {"id": "ws-1", "type": "a", "attributes": {}}


def test_an_attribute_may_have_a_wire_name_of_its_own_even_a_python_keyword() -> None:
    resource = Resource(type="a", attributes=[attr("name", wire="vcs-repo"), attr("global", from_=lambda thing: True)])
    assert rendered(resource)["attributes"] == {"vcs-repo": "demo", "global": True}


def test_an_absent_attribute_is_left_out_and_none_is_null() -> None:
    resource = Resource(type="a", attributes=[attr("secret", from_=lambda thing: ABSENT), attr("nothing", from_=lambda thing: None)])
    assert rendered(resource)["attributes"] == {"nothing": None}


def test_a_computed_attribute_may_ask_for_the_rendering() -> None:
    resource = Resource(
        type="a",
        attributes=[
            attr("labels", from_=lambda thing, rendering: rendering.extra["labels"][thing.id]),
            attr("key", from_=lambda thing, key="name": getattr(thing, key)),
            attr("title", from_=attrgetter("name")),
        ],
    )
    assert rendered(resource)["attributes"] == {"labels": {"team": "core"}, "key": "demo", "title": "demo"}


def test_raw_json_passes_through_untouched() -> None:
    resource = Resource(type="a", attributes=[attr("permissions", from_=lambda thing: msgspec.Raw(b'{"can-read":true}'))])
    assert b'"permissions":{"can-read":true}' in resource.document(Thing(), RENDERING)


def test_times_end_in_z_wherever_they_stand() -> None:
    paris = timezone(timedelta(hours=1))
    thing = Thing(created_at=NOON.astimezone(paris), timestamps={"planned-at": NOON.astimezone(paris), "list": [NOON], "n": 1})
    attributes = rendered(Resource(type="a", attributes=[attr("created_at"), attr("timestamps")]), thing)["attributes"]
    assert attributes["created-at"] == "2026-01-31T12:00:00.123000Z"
    assert attributes["timestamps"] == {"planned-at": "2026-01-31T12:00:00.123000Z", "list": ["2026-01-31T12:00:00.123000Z"], "n": 1}


@pytest.mark.parametrize("thing", [Thing(created_at=datetime(2026, 1, 1)), Thing(timestamps={"at": datetime(2026, 1, 1)})])  # noqa: DTZ001
def test_a_time_without_a_zone_is_a_programming_error(thing: Thing) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        rendered(Resource(type="a", attributes=[attr("created_at"), attr("timestamps")]), thing)


def test_a_to_one_relationship_reads_the_id_beside_it() -> None:
    resource = Resource(type="a", relationships=[to_one("project", "projects", related="/api/v2/workspaces/{id}/project")])
    assert rendered(resource)["relationships"] == {
        "project": {"data": {"id": "prj-1", "type": "projects"}, "links": {"related": "/api/v2/workspaces/ws-1/project"}}
    }
    assert rendered(resource, Thing(project_id=None))["relationships"]["project"]["data"] is None


def test_a_related_link_may_be_there_for_some_objects_only() -> None:
    related = to_one("project", "projects", related=lambda thing: f"/api/v2/projects/{thing.project_id}" if thing.project_id else ABSENT)
    resource = Resource(type="a", relationships=[related])
    assert rendered(resource)["relationships"]["project"]["links"] == {"related": "/api/v2/projects/prj-1"}
    assert rendered(resource, Thing(project_id=None))["relationships"] == {"project": {"data": None}}


def test_a_polymorphic_relationship_names_the_type_of_each_object() -> None:
    resource = Resource(type="a", relationships=[to_one("locked_by", "users", type_from="locked_by_type")])
    locked = Thing(locked_by_id="run-1", locked_by_type="runs")
    assert rendered(resource, locked)["relationships"] == {"locked-by": {"data": {"id": "run-1", "type": "runs"}}}
    assert rendered(resource, Thing(locked_by_id="user-1"))["relationships"]["locked-by"]["data"]["type"] == "users"


def test_an_id_may_come_from_elsewhere() -> None:
    resource = Resource(
        type="organizations",
        id_from="name",
        relationships=[
            to_one("x", "projects", id_from=lambda thing: thing.project_id),
            to_one("y", "projects", id_from="project_id", wire="why"),
            to_one("z", "users", id_from=lambda thing, rendering: rendering.actor),
        ],
    )
    data = rendered(resource)
    assert data["id"] == "demo"
    assert [(name, one["data"]["id"]) for name, one in data["relationships"].items()] == [("x", "prj-1"), ("why", "prj-1"), ("z", "ana")]


def test_a_to_many_relationship_is_always_a_list() -> None:
    resource = Resource(type="a", relationships=[to_many("outputs", "workspace-outputs", ids_from="output_ids")])
    assert rendered(resource)["relationships"] == {"outputs": {"data": []}}
    assert rendered(resource, Thing(output_ids=["wsout-1", "wsout-2"]))["relationships"]["outputs"]["data"] == [
        {"id": "wsout-1", "type": "workspace-outputs"},
        {"id": "wsout-2", "type": "workspace-outputs"},
    ]


def test_a_relationship_without_data_has_its_link_and_without_a_link_is_left_out() -> None:
    resource = Resource(
        type="a",
        relationships=[
            to_many("runs", "runs", ids_from=lambda thing: ABSENT, related="/api/v2/workspaces/{id}/runs"),
            to_one("gone", "runs", id_from=lambda thing: ABSENT),
        ],
    )
    assert rendered(resource)["relationships"] == {"runs": {"links": {"related": "/api/v2/workspaces/ws-1/runs"}}}


def test_links_are_filled_from_the_object_and_percent_encoded() -> None:
    resource = Resource(
        type="a",
        links={
            "self": "/api/v2/workspaces/{id}",
            "self-html": "/app/{project_id}/{name}?x={id}",
            "upload": lambda thing, rendering: f"{rendering.base_url}/u",
            "hidden": lambda thing: ABSENT,
        },
    )
    assert rendered(resource, Thing(id="ws/ä", name="a b"))["links"] == {
        "self": "/api/v2/workspaces/ws%2F%C3%A4",
        "self-html": "/app/prj-1/a%20b?x=ws%2F%C3%A4",
        "upload": "https://pod.example/u",
    }


def test_the_same_wire_name_twice_is_refused_when_described() -> None:
    with pytest.raises(ValueError, match="described twice: auto-apply"):
        Resource(type="a", attributes=[attr("auto_apply"), attr("x", wire="auto-apply")])


def test_nothing_is_a_document_with_null() -> None:
    assert Resource(type="a").document(None, RENDERING) == b'{"data":null}'


def test_included_things_are_there_once_and_never_the_primary_one() -> None:
    resource = Resource(type="a", attributes=[attr("name")])
    one, other = resource.render(Thing(id="1"), RENDERING), resource.render(Thing(id="2"), RENDERING)
    document = json.loads(resource.document(Thing(id="1"), RENDERING, included=[one, other, other], meta={"seen": 1}))
    assert [item["id"] for item in document["included"]] == ["2"]
    assert document["meta"] == {"seen": 1}


def test_a_listing_has_data_links_and_pagination() -> None:
    resource = Resource(type="a", attributes=[attr("name")])
    page = Page([Thing(id="1"), Thing(id="2")], number=1, size=2, total=3)
    document = json.loads(resource.listing(page, RENDERING, url="/api/v2/things?q=x", meta={"status-counts": {"total": 3}}))
    assert [item["id"] for item in document["data"]] == ["1", "2"]
    assert document["links"]["next"] == "https://pod.example/api/v2/things?q=x&page%5Bnumber%5D=2&page%5Bsize%5D=2"
    assert document["meta"]["pagination"]["total-count"] == 3
    assert document["meta"]["status-counts"] == {"total": 3}
    assert "included" not in document


def test_an_empty_listing_has_an_empty_list() -> None:
    document = json.loads(Resource(type="a").listing(Page([], 1, 20, 0), RENDERING, url="https://pod.example/api/v2/things"))
    assert document["data"] == []
    assert document["links"]["self"].startswith("https://pod.example/api/v2/things?")
