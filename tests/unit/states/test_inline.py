"""Documents that make a state version, with the state inside and without."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from terrapod_core.errors import BadRequest, Invalid
from terrapod_core.states.inline import DOCUMENT_BYTES, CreationReader, Incoming
from tests.support.wire import LINEAGE, b64, state


async def pieces(data: bytes, step: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


def document(**attributes: Any) -> bytes:
    sent = {"serial": 1, "md5": "0" * 32, "lineage": LINEAGE} | attributes
    return json.dumps(
        {"data": {"type": "state-versions", "attributes": sent, "relationships": {"run": {"data": {"type": "runs", "id": "run-1"}}}}}
    ).encode()


def take(data: bytes, step: int) -> tuple[bytes, CreationReader]:
    reader, found = CreationReader(), b""
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
        found += reader.take()
    reader.finish()
    return found + reader.take(), reader


@pytest.mark.parametrize("step", [1, 3, 10, 1000])
def test_the_state_comes_out_and_the_rest_is_a_document(step: int) -> None:
    content = state(7)
    found, reader = take(document(state=b64(content), json_state=b64(b'{"a": 1}'), force=True), step)
    assert found == content
    new = reader.document()
    assert (new.serial, new.lineage, new.force) == (1, LINEAGE, True)
    assert new.run is not None
    assert new.run.id == "run-1"
    assert reader.parsed == b'{"a": 1}'


def test_escaped_slashes_and_line_ends_in_the_base64_are_read() -> None:
    content = bytes(range(256)) * 3
    wrapped = json.dumps(base64.encodebytes(content).decode()).replace("/", "\\/")
    found, _ = take(document(state="X").replace(b'"X"', wrapped.encode()), 5)
    assert found == content


async def test_a_document_without_a_state_is_read_to_its_end() -> None:
    incoming = Incoming(pieces(document(state=None), 10))
    assert not await incoming.has_state()
    assert incoming.document().md5 == "0" * 32


async def test_a_large_document_flows_and_is_not_held() -> None:
    content = state(1, note="x" * (4 << 20))
    incoming = Incoming(pieces(document(state=b64(content)), 1 << 16))
    assert await incoming.has_state()
    parts = [part async for part in incoming.state()]
    assert b"".join(parts) == content
    assert max(map(len, parts)) < 1 << 19


@pytest.mark.parametrize("wrong", ["no base64!", "AAA", "AA==AAAA", 5, {}, ["x"]])
@pytest.mark.parametrize("step", [2, 1000])
def test_a_state_that_is_no_base64_is_refused(wrong: object, step: int) -> None:
    with pytest.raises(Invalid) as refusal:
        take(document(state=wrong), step)
    assert refusal.value.problems[0].pointer == "/data/attributes/state"


@pytest.mark.parametrize("wrong", ["no base64!", b64(b"[]"), b64(b"{"), 5])
def test_a_parsed_view_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(Invalid) as refusal:
        take(document(json_state=wrong), 100)
    assert refusal.value.problems[0].pointer == "/data/attributes/json-state"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": null}', b'{"data": []}', b'{"data": {"attributes": {"state": "AA', b"no"])
def test_what_is_no_document_is_400(body: bytes) -> None:
    with pytest.raises(BadRequest):
        take(body, 3)[1].document()


def test_anything_else_that_is_large_is_400() -> None:
    with pytest.raises(BadRequest, match="holds more than"):
        take(document(lineage="x" * DOCUMENT_BYTES), 1 << 16)
