from __future__ import annotations

import json

from terrapod_core.errors import BadRequest, Conflict, Invalid, NotFound, Problem
from terrapod_core.jsonapi import errors_document


def test_a_refusal_is_one_member_with_its_status_as_text() -> None:
    assert json.loads(errors_document(NotFound("There is no workspace ws-1"))) == {
        "errors": [{"status": "404", "title": "not found", "detail": "There is no workspace ws-1"}]
    }


def test_several_problems_are_several_members_each_with_its_pointer() -> None:
    refusal = Invalid(problems=(Problem("name is required", "/data/attributes/name"), Problem("x", "/data/attributes/x")))
    members = json.loads(errors_document(refusal))["errors"]
    assert [member["source"] for member in members] == [{"pointer": "/data/attributes/name"}, {"pointer": "/data/attributes/x"}]
    assert {member["status"] for member in members} == {"422"}


def test_a_parameter_is_named_in_the_source() -> None:
    assert json.loads(errors_document(BadRequest("no", parameter="page[size]")))["errors"][0]["source"] == {"parameter": "page[size]"}


def test_code_and_meta_are_passed_on() -> None:
    member = json.loads(errors_document(Conflict("offset", code="log_offset", meta={"size": 7})))["errors"][0]
    assert (member["code"], member["meta"]) == ("log_offset", {"size": 7})


def test_a_sentence_quoting_half_a_surrogate_pair_does_not_break_the_answer() -> None:
    assert json.loads(errors_document(BadRequest("no \ud800", parameter="\udfff")))["errors"][0]["detail"] == "no ?"
