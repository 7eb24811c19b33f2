"""What is read from a state while it streams past, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from terrapod_core.errors import Invalid
from terrapod_core.states.reading import INDICES, INDICES_SHOWN, MAX_SERIAL, RESOURCES_SHOWN, State, StateReader, simple_type
from terrapod_core.states.scanner import LEAF_BYTES, NEAR_BYTES
from terrapod_core.states.writing import with_serial
from tests.support.wire import LINEAGE, state

PROVIDER = 'provider["registry.terraform.io/hashicorp/null"]'


def read(data: bytes, step: int = 1 << 16) -> State:
    reader = StateReader()
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    reader.finish()
    return reader.state


def document(**members: Any) -> bytes:
    return json.dumps({"version": 4, "serial": 1, "lineage": LINEAGE} | members).encode()


def resource(instances: int = 1, filler: str = "", **members: Any) -> dict[str, Any]:
    body = [
        {"attributes": {"id": str(number), "note": 'a "quoted" \\ brace } and ] bracket', "filler": filler}} for number in range(instances)
    ]
    return {"mode": "managed", "type": "null_resource", "name": "one", "provider": PROVIDER, "instances": body} | members


@pytest.mark.parametrize("step", [1, 2, 3, 17, 1 << 16])
def test_a_state_is_read_the_same_however_it_is_cut(step: int) -> None:
    outputs = {
        "list": {"value": [1, {"deep": ["x"]}], "type": ["tuple", ["number", ["object", {"deep": ["tuple", ["string"]]}]]]},
        "secret": {"value": 's3cr"et', "type": "string", "sensitive": True},
    }
    data = document(
        terraform_version="1.11.4",
        outputs=outputs,
        resources=[resource(3), resource(2, mode="data", type="http", name="page"), resource(module="module.net")],
        check_results=[{"a": [[]]}],
    )
    found = read(data, step)
    assert (found.serial, found.lineage, found.format, found.terraform_version) == (1, LINEAGE, 4, "1.11.4")
    assert data[slice(*found.serial_span)] == b"1"
    assert msgspec.json.decode(found.outputs["list"].value or b"") == [1, {"deep": ["x"]}]
    assert found.outputs["list"].type == outputs["list"]["type"]
    assert found.outputs["secret"].sensitive
    assert found.resource_count == 4
    assert [(one["name"], one["type"], one["count"], one["module"]) for one in found.resources] == [
        ("one", "null_resource", 3, "root"),
        ("page", "data.http", 2, "root"),
        ("one", "null_resource", 1, "module.net"),
    ]
    assert found.modules == {"root": {"null-resource": 3, "data.http": 2}, "module.net": {"null-resource": 1}}
    assert found.providers == {PROVIDER: {"null-resource": 4, "data.http": 2}}


@pytest.mark.parametrize("filler", [NEAR_BYTES, LEAF_BYTES + 1])
def test_a_resource_of_any_size_is_counted(filler: int) -> None:
    found = read(document(resources=[resource(2, "x" * filler), resource()]))
    assert found.resource_count == 3


def test_a_value_too_large_to_be_held_makes_an_output_without_a_value_and_secret() -> None:
    found = read(
        document(outputs={"large": {"value": "x" * (LEAF_BYTES + (1 << 17)), "type": "string"}, "small": {"value": 1, "type": "number"}})
    )
    assert (found.outputs["large"].value, found.outputs["large"].type, found.outputs["large"].sensitive) == (None, None, True)
    assert found.outputs["small"].value == b"1"


def test_what_a_reader_holds_does_not_grow_with_the_state() -> None:
    piece = json.dumps(resource(20, "x" * 1000)).encode()
    reader = StateReader()
    reader.feed(document()[:-1] + b', "resources": [')
    held = []
    for _ in range(300):
        reader.feed(piece + b",")
        held.append(len(reader._buffer))
    reader.feed(piece + b"]}")
    reader.finish()
    assert reader.state.resource_count == 301 * 20
    assert max(held) <= len(piece) + 1


@pytest.mark.parametrize("filler", ["", "x" * NEAR_BYTES])
@pytest.mark.parametrize("step", [3, 1 << 16])
def test_instances_are_told_apart_by_their_indices(step: int, filler: str) -> None:
    keyed = [{"index_key": index, "attributes": {"index_key": "no", "filler": filler}} for index in (0, "a", None, 1.5, True, "x" * 300)]
    found = read(document(resources=[resource(instances=2), {**resource(), "instances": keyed}]), step)
    assert [one.get(INDICES) for one in found.resources] == [None, [0, "a"]]
    assert (found.resources[1]["count"], found.resource_count) == (6, 8)


def test_only_so_many_indices_are_kept() -> None:
    keyed = [{"index_key": number} for number in range(INDICES_SHOWN + 5)]
    found = read(document(resources=[{**resource(), "instances": keyed}, {**resource(), "instances": keyed}]))
    assert [len(one.get(INDICES, ())) for one in found.resources] == [INDICES_SHOWN, 0]
    assert found.resource_count == 2 * len(keyed)


def test_only_so_many_resources_are_listed_and_all_are_counted() -> None:
    found = read(document(resources=[resource(name=f"r{number}") for number in range(RESOURCES_SHOWN + 5)]))
    assert (len(found.resources), found.resource_count) == (RESOURCES_SHOWN, RESOURCES_SHOWN + 5)


def test_serial_and_lineage_may_stand_at_the_end() -> None:
    found = read(b'{"resources": [], "outputs": {}, "version": 4, "lineage": "l", "serial": 77}')
    assert (found.serial, found.lineage) == (77, "l")


def test_the_last_of_two_serials_counts_as_it_does_for_terraform() -> None:
    data = b'{"version": 4, "serial": 1, "serial": 22}'
    found = read(data)
    assert (found.serial, data[slice(*found.serial_span)]) == (22, b"22")


def test_an_encrypted_state_of_opentofu_is_a_state() -> None:
    found = read(b'{"serial": 3, "lineage": "l", "meta": {}, "encrypted_data": "AAAA", "encryption_version": "v0"}')
    assert (found.serial, found.format, found.encrypted) == (3, None, True)


def test_an_old_format_has_no_outputs() -> None:
    found = read(b'{"version": 3, "serial": 3, "lineage": "l", "modules": [{"path": ["root"], "outputs": {}}]}')
    assert (found.format, found.outputs) == (3, {})


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it is empty"),
    "blanks": (b"  \n", "cut short"),
    "no object": (b"[]", "not a JSON object"),
    "half": (state()[:-30], "cut short"),
    "half a string": (b'{"version": 4, "lineage": "abc', "cut short"),
    "two documents": (state() + b"{}", "something follows its end"),
    "no version": (b'{"serial": 1, "lineage": "l"}', "no version"),
    "no serial": (b'{"version": 4, "lineage": "l"}', "no serial"),
    "a serial that is a text": (b'{"version": 4, "serial": "1"}', "Expected `int`"),
    "a serial that is true": (b'{"version": 4, "serial": true}', "Expected `int`"),
    "a serial below zero": (b'{"version": 4, "serial": -1}', "not between"),
    "a serial beyond 64 bits": (b'{"version": 4, "serial": %d}' % (MAX_SERIAL + 1), "not between"),
    "a version beyond 32 bits": (b'{"version": 4000000000, "serial": 1}', "not between"),
    "a lineage that is a number": (b'{"version": 4, "serial": 1, "lineage": 5}', "Expected `str"),
    "a comma too many": (b'{"version": 4, "serial": 1,}', "name of a member is missing"),
    "no comma": (b'{"version": 4 "serial": 1}', "'}' is missing"),
    "no colon": (b'{"version" 4}', "':' is missing"),
    "a wrong word": (b'{"version": 4, "serial": 1, "check_results": nul}', "at byte"),
    "damage inside a resource": (document(resources=[resource()]).replace(b'"id": "0"', b'"id" "0"'), "at byte"),
    "damage inside a large resource": (document(resources=[resource(2, "x" * NEAR_BYTES)]).replace(b'"id": "1"', b'"id" "1"'), "at byte"),
    "a bracket of the wrong kind": (b'{"version": 4, "serial": 1, "resources": [{"instances": [}]]}', "at byte"),
    "an output without an object": (b'{"version": 4, "serial": 1, "outputs": {"a": 5}}', "Expected `object`"),
    "a bottomless pit": (b'{"version": 4, "serial": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "at byte"),
    "NaN": (b'{"version": 4, "serial": 1, "x": NaN}', "at byte"),
    "a zero in an output's name": (
        b'{"version": 4, "serial": 1, "outputs": {"a\\u0000": {"value": 1, "type": "number"}}}',
        "zero character",
    ),
}


@pytest.mark.parametrize(("data", "says"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("step", [11, 1 << 20])
def test_what_is_no_state_is_refused_with_the_reason(data: bytes, says: str, step: int) -> None:
    with pytest.raises(Invalid, match=says) as refusal:
        read(data, step)
    assert refusal.value.detail.startswith("the state is refused: ")


@pytest.mark.parametrize(
    ("cty", "value", "name"),
    [
        ("string", b'"x"', "string"),
        ("number", b"1", "number"),
        ("bool", b"true", "boolean"),
        (["list", "string"], b"[]", "array"),
        (["set", "string"], b"[]", "array"),
        (["tuple", []], b"[]", "array"),
        (["map", "string"], b"{}", "object"),
        (["object", {}], b"{}", "object"),
        ("dynamic", b"[1]", "array"),
        ("dynamic", b"null", "string"),
        (None, b"-1", "number"),
    ],
)
def test_types_are_told_in_the_words_of_the_api(cty: Any, value: bytes, name: str) -> None:
    assert simple_type(cty, value) == name


@pytest.mark.parametrize("step", [1, 2, 5, 4096])
async def test_a_serial_is_rewritten_wherever_the_bytes_are_cut(step: int) -> None:
    data = json.dumps({"version": 4, "serial": 9876, "lineage": LINEAGE, "resources": [resource()]}, indent=2).encode()

    async def pieces() -> Any:
        for at in range(0, len(data), step):
            yield data[at : at + step]

    found = read(data)
    rewritten = b"".join([piece async for piece in with_serial(pieces(), found.serial_span, 10)])
    assert rewritten == data.replace(b"9876", b"10")
    assert read(rewritten).serial == 10
