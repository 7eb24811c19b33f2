"""The redacted form of a plan: made beside everything else, bounded, and without what the workspace keeps as sensitive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from terrapod_core.errors import Invalid, NotFound, TooLarge
from terrapod_core.runs import Phase, plan_json
from terrapod_core.runs.plan_json import PlanRedactor
from terrapod_core.storage import ObjectKind
from terrapod_core.variables.documents import CreateVariable
from tests.db.runs.conftest import Engine, pieces
from tests.support.gate import Gate

PLAN = {
    "format_version": "1.2",
    "variables": {"token": {"value": "kept-by-the-workspace"}},
    "configuration": {"root_module": {"variables": {"token": {}}}},
    "output_changes": {
        "a": {"actions": ["create"], "before": None, "after": "kept-by-the-workspace", "after_sensitive": False},
        "b": {"actions": ["create"], "before": None, "after": "marked-by-terraform", "after_sensitive": True},
        "c": {"actions": ["create"], "before": None, "after": "of the shell: from-the-shell", "after_sensitive": False},
    },
}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


async def planned(engine: Engine, document: bytes | None) -> tuple[str, Phase]:
    """A plan that left this as its JSON; the ids of its workspace, and the plan."""
    workspace = await engine.workspace()
    for key, value, category in (("token", "kept-by-the-workspace", "terraform"), ("SECRET", "from-the-shell", "env")):
        new = CreateVariable(key=key, value=value, category=category, sensitive=True)
        await engine.terrapod.variables.create(engine.admin, workspace.id, new)
    run = await engine.run(workspace)
    claim = await engine.begin(run.run.plan_id)
    if document is not None:
        await engine.phases.put_artifact(claim, ObjectKind.PLAN_JSON, pieces(document[:10], document[10:]), 1 << 20)
    return workspace.id, await engine.phase(run.run.plan_id)


async def text(answer: tuple[AsyncIterator[bytes], int]) -> str:
    whole = b"".join([piece async for piece in answer[0]])
    assert len(whole) == answer[1]
    return whole.decode()


async def test_a_plan_is_redacted_by_a_program_of_its_own(engine: Engine) -> None:
    workspace_id, plan = await planned(engine, json.dumps(PLAN).encode())
    shown = await text(await engine.terrapod.redactor.redacted(plan, workspace_id))
    assert {name: change["after"] for name, change in json.loads(shown)["output_changes"].items()} == {
        "a": "***",
        "b": "(sensitive value that changes)",
        "c": "of the shell: ***",
    }
    assert json.loads(shown)["provider_schemas"] == {}


async def test_others_are_answered_while_a_plan_is_taken_apart_and_only_some_are_at_once(engine: Engine, gate: Gate) -> None:
    workspace_id, plan = await planned(engine, json.dumps(PLAN).encode())
    slow = ("/bin/sh", "-c", f"cat > /dev/null; cat {gate.path} > /dev/null; echo -n done")
    redactor = PlanRedactor(engine.terrapod.db, engine.terrapod.objects, lambda _session, _workspace: [], program=slow)
    waiting = [asyncio.create_task(redactor.redacted(plan, workspace_id)) for _ in range(plan_json.AT_ONCE + 1)]
    await asyncio.to_thread(gate.wait)
    assert (await engine.runs.show(engine.admin, plan.run_id)).run.status == "planning"
    assert not any(task.done() for task in waiting)
    await asyncio.to_thread(gate.open)
    assert [await text(await task) for task in waiting] == ["done"] * len(waiting)


async def test_a_reader_who_leaves_ends_the_program(engine: Engine, gate: Gate) -> None:
    workspace_id, plan = await planned(engine, json.dumps(PLAN).encode())
    endless = ("/bin/sh", "-c", f"cat > /dev/null; exec cat {gate.path}")
    redactor = PlanRedactor(engine.terrapod.db, engine.terrapod.objects, lambda _session, _workspace: [], program=endless)
    task = asyncio.create_task(redactor.redacted(plan, workspace_id))
    await asyncio.to_thread(gate.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(BrokenPipeError):  # nobody stands before the gate any more
        await asyncio.to_thread(gate.open)


async def test_a_plan_that_is_too_large_is_not_taken_apart_and_the_answer_says_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace_id, plan = await planned(engine, json.dumps(PLAN).encode())
    monkeypatch.setattr(plan_json, "PARSE_BYTES", 100)
    with pytest.raises(TooLarge, match="json-output"):
        await engine.terrapod.redactor.redacted(plan, workspace_id)


@pytest.mark.parametrize("document", [b"no JSON at all, and a secret", b"[1, 2, 3, 4, 5, 6]", b'{"output_changes": 17, "a": "secret"}'])
async def test_what_is_no_plan_is_refused_without_its_words(engine: Engine, document: bytes) -> None:
    workspace_id, plan = await planned(engine, document)
    with pytest.raises(Invalid, match="not in the form") as refusal:
        await engine.terrapod.redactor.redacted(plan, workspace_id)
    assert "secret" not in refusal.value.detail


async def test_a_plan_without_json_is_not_found(engine: Engine) -> None:
    workspace_id, plan = await planned(engine, None)
    with pytest.raises(NotFound):
        await engine.terrapod.redactor.redacted(plan, workspace_id)
