"""Runners are shared: applies first, then plans in turns, so that nobody holds all of them for ever."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor
from terrapod_core.errors import Conflict
from terrapod_core.jsonapi import Ref
from terrapod_core.runs import Phase, turns
from terrapod_core.runs.models import Run
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import CreateRun
from terrapod_core.settings import Limits
from terrapod_core.workspaces import Workspace
from tests.db.runs.conftest import Engine, make_person


async def queue(engine: Engine, actor: Actor, workspace: Workspace, configuration: str, number: int) -> list[RunView]:
    """So many plan-only runs of somebody's."""
    new = CreateRun(
        workspace=Ref("workspaces", workspace.id), configuration_version=Ref("configuration-versions", configuration), plan_only=True
    )
    made = []
    for _ in range(number):
        made.append(await engine.runs.create(actor, new))
        engine.clock.advance(milliseconds=1)
    return made


async def test_a_newcomer_waits_for_one_plan_of_everybody_else_not_for_a_hundred(engine: Engine) -> None:
    engine.backend.capacity = 1
    workspace = await engine.workspace()
    configuration = await engine.configuration(workspace)
    busy, other = await make_person(engine, workspace, "plan"), await make_person(engine, workspace, "write")
    await queue(engine, busy, workspace, configuration, 30)
    await engine.terrapod.dispatcher.look()
    (newcomer,) = await queue(engine, other, workspace, configuration, 1)
    first = next(iter(engine.backend.phases.values()))
    await engine.runs.cancel(engine.admin, first.spec.run_id)
    first.running = False
    await engine.terrapod.dispatcher.look()
    await engine.terrapod.dispatcher.look()
    assert newcomer.run.plan_id in {fake.spec.phase_id for fake in engine.backend.phases.values()}


async def test_with_one_runner_two_people_take_turns_however_much_they_have(engine: Engine) -> None:
    engine.backend.capacity = 1
    workspace = await engine.workspace()
    configuration = await engine.configuration(workspace)
    one, two = await make_person(engine, workspace, "plan"), await make_person(engine, workspace, "write")
    await queue(engine, one, workspace, configuration, 4)
    await queue(engine, two, workspace, configuration, 2)
    known = {None: "?", one.id: "one", two.id: "two"}
    order = [known[owner] for owner in await launch_order(engine, 6)]
    assert order == ["one", "two", "one", "two", "one", "one"]


async def launch_order(engine: Engine, number: int) -> list[str | None]:
    """Whose plans one runner takes, in order."""
    owners: list[str | None] = []
    while len(owners) < number:
        known = {fake.spec.phase_id for fake in engine.backend.phases.values()}
        await engine.terrapod.dispatcher.look()
        for fake in list(engine.backend.phases.values()):
            if fake.spec.phase_id not in known:
                run = await engine.terrapod.db.read(lambda session, fake=fake: session.get_one(Run, fake.spec.run_id))  # type: ignore[misc]
                owners.append(run.created_by_id)
        engine.clock.advance(seconds=10)
        for fake in engine.backend.phases.values():
            if fake.running:
                await engine.runs.cancel(engine.admin, fake.spec.run_id)
                fake.running = False
    return owners


async def test_one_persons_plans_take_turns_by_workspace(engine: Engine) -> None:
    engine.backend.capacity = 3
    crowded, quiet = await engine.workspace("crowded"), await engine.workspace("quiet")
    crowd = await queue(engine, engine.admin, crowded, await engine.configuration(crowded), 10)
    (alone,) = await queue(engine, engine.admin, quiet, await engine.configuration(quiet), 1)
    await engine.terrapod.dispatcher.look()
    launched = {fake.spec.run_id for fake in engine.backend.phases.values()}
    assert launched == {crowd[0].id, crowd[1].id, alone.id}


async def test_a_thousand_runs_of_one_user_are_cut_at_the_limit_and_hold_up_nobody(engine: Engine) -> None:
    workspace, elsewhere = await engine.workspace(), await engine.workspace("elsewhere")
    configuration = await engine.configuration(workspace)
    busy = await make_person(engine, workspace, "plan")
    made = refused = 0
    for _ in range(1000):
        try:
            await queue(engine, busy, workspace, configuration, 1)
            made += 1
        except Conflict:
            refused += 1
    assert (made, refused) == (Limits().pending_runs_per_user, 1000 - Limits().pending_runs_per_user)
    await engine.terrapod.dispatcher.look()
    other = await engine.run(elsewhere)
    assert other.position <= 2 + 1  # two runners are at work; at most one more goes first
    for fake in list(engine.backend.phases.values())[:1]:
        await engine.runs.cancel(engine.admin, fake.spec.run_id)
        fake.running = False
    await engine.terrapod.dispatcher.look()
    await engine.terrapod.dispatcher.look()
    assert other.id in {fake.spec.run_id for fake in engine.backend.phases.values()}


async def test_the_order_is_found_by_indexes_not_by_reading_every_phase_there_ever_was(engine: Engine) -> None:
    if not engine.terrapod.db.is_sqlite:
        pytest.skip("PostgreSQL plans by what is in the table; a test's few rows it reads whole")
    compiled = turns.in_turn(engine.clock.now()).compile(engine.terrapod.db.engine, compile_kwargs={"render_postcompile": True})
    explain = f"EXPLAIN QUERY PLAN {compiled}"

    def lines(session: Session) -> list[str]:
        return [row[3] for row in session.connection().exec_driver_sql(explain, (None,) * explain.count("?"))]

    assert not [line for line in await engine.terrapod.db.read(lines) if line.startswith(("SCAN phases", "SCAN runs"))]


async def test_what_is_launched_is_remembered_for_the_next_turn(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    await engine.look()
    phase = await engine.terrapod.db.read(lambda session: session.execute(select(Phase).where(Phase.id == run.run.plan_id)).scalar_one())
    assert phase.launched_at == engine.clock.now()
