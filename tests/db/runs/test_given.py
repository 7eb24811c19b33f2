"""Runs that listeners carry out: who is given which, and what becomes of them."""

from __future__ import annotations

import pytest

from terrapod_core.agents.status import status_of
from terrapod_core.errors import Conflict, Invalid, NotFound
from terrapod_core.jsonapi import Query
from terrapod_core.runs.listener_runs import LONGEST_MESSAGE
from terrapod_core.runs.offers import AGAIN, HeldPhase
from terrapod_core.runs.phases import LEASE, LeaseLost
from tests.db.runs.conftest import Engine
from tests.db.runs.crew import Crew, held, queued


@pytest.fixture
async def crew(engine: Engine) -> Crew:
    return await Crew.open(engine, service_account_name="runner")


async def test_a_run_of_a_pool_is_given_to_its_listener_and_not_launched_by_the_server(crew: Crew) -> None:
    workspace = await crew.workspace(resource_cpu="2", resource_memory="1Gi")
    run = await crew.engine.run(workspace)
    who = await crew.listener()
    await crew.engine.look()
    assert crew.engine.backend.phases == {}
    given = await crew.take(who)
    assert (given.id, given.phase, given.phase_id, given.epoch) == (run.id, "plan", run.run.plan_id, 1)
    assert (given.workspace, given.cpu, given.memory, given.service_account) == ("far", "2", "1Gi", "runner")
    assert given.url == "https://tfe.example.com"
    await crew.plan(given)
    assert await crew.engine.status(run) == "planned"
    await crew.engine.runs.confirm(crew.engine.admin, run.id)
    apply = await crew.take(who, held(given))
    assert (apply.phase, apply.phase_id) == ("apply", run.run.apply_id)


async def test_the_token_is_in_no_text_of_what_is_given(crew: Crew) -> None:
    await queued(crew)
    given = await crew.take(await crew.listener())
    assert given.token not in repr(given)


async def test_runs_of_the_server_and_of_other_pools_are_not_given(crew: Crew) -> None:
    await crew.engine.run(await crew.engine.workspace("near"))
    other = await Crew.open(crew.engine, "other")
    await queued(other, "elsewhere")
    assert await crew.offer(await crew.listener()) is None
    assert (await other.take(await other.listener("host-2"))).workspace == "elsewhere"


async def test_a_listener_is_given_as_many_phases_as_it_takes(crew: Crew) -> None:
    for name in ("a", "b", "c"):
        await queued(crew, name)
    who = await crew.listener(capacity=2)
    first = await crew.take(who)
    second = await crew.take(who, held(first))
    assert await crew.offer(who, held(first), held(second)) is None
    await crew.plan(first, has_changes=False)
    assert (await crew.take(who, held(second))).workspace == "c"


async def test_whoever_has_least_to_do_is_given_the_next_phase(crew: Crew) -> None:
    busy, idle = await crew.listener("busy", capacity=5), await crew.listener("idle", capacity=5)
    await queued(crew, "a")
    first = await crew.take(busy)
    polls = crew.waits(busy, held(first)), crew.waits(idle)
    await queued(crew, "b")
    await crew.engine.terrapod.offers.look()
    assert polls[0].offer is None
    assert polls[1].offer is not None


async def test_one_look_serves_all_that_wait(crew: Crew) -> None:
    listeners = [await crew.listener(f"host-{number}") for number in range(3)]
    for name in ("a", "b", "c"):
        await queued(crew, name)
    polls = [crew.waits(who) for who in listeners]
    await crew.engine.terrapod.offers.look()
    given = [poll.offer.given.workspace for poll in polls if poll.offer is not None and poll.offer.given is not None]
    assert sorted(given) == ["a", "b", "c"]


async def test_a_draining_or_revoked_listener_is_given_nothing(crew: Crew) -> None:
    await queued(crew)
    who = await crew.listener()
    await crew.engine.terrapod.listeners.drain(crew.engine.admin, who.listener_id, on=True)
    assert await crew.offer(who) is None
    await crew.engine.terrapod.listeners.drain(crew.engine.admin, who.listener_id, on=False)
    await crew.engine.terrapod.listeners.revoke(crew.engine.admin, who.listener_id)
    assert await crew.offer(who) is None


async def test_a_second_poll_ends_the_first(crew: Crew) -> None:
    who = await crew.listener()
    first = crew.waits(who)
    second = crew.waits(who)
    assert first.offer is not None
    assert first.offer.given is None
    await queued(crew)
    await crew.engine.terrapod.offers.look()
    assert second.offer is not None
    assert second.offer.given is not None


async def test_what_a_lost_answer_gave_is_given_again_with_the_same_epoch(crew: Crew) -> None:
    await queued(crew)
    who = await crew.listener()
    first = await crew.take(who)
    second = await crew.take(who)  # it does not say that it has it
    assert (second.phase_id, second.epoch) == (first.phase_id, first.epoch)
    await crew.begin(second)
    assert await crew.offer(who) is None


async def test_a_listener_hears_of_a_cancel_at_once_and_again_after_a_while(crew: Crew) -> None:
    run = await queued(crew)
    who = await crew.listener()
    given = await crew.take(who)
    await crew.begin(given)
    poll = crew.waits(who, held(given))
    assert await crew.answered(poll) is None
    await crew.engine.runs.cancel(crew.engine.admin, run.id)
    offer = await crew.answered(poll)
    assert offer is not None
    (told,) = offer.cancels
    assert (told.phase_id, told.epoch, told.cancel) == (given.phase_id, given.epoch, "interrupt")
    assert await crew.offer(who, held(given)) is None
    crew.engine.clock.advance(seconds=AGAIN.total_seconds())
    again = await crew.offer(who, held(given))
    assert again is not None
    assert again.cancels == (told,)


async def test_a_plan_is_kept_until_its_run_is_over(crew: Crew) -> None:
    run = await queued(crew)
    who = await crew.listener()
    given = await crew.take(who)
    await crew.plan(given)
    assert await crew.offer(who, held(given)) is None
    await crew.engine.runs.discard(crew.engine.admin, run.id)
    offer = await crew.offer(who, held(given))
    assert offer is not None
    assert offer.over == (held(given),)


async def test_what_is_not_the_listeners_is_over(crew: Crew) -> None:
    offer = await crew.offer(await crew.listener(), HeldPhase("plan-neverheardof", 1))
    assert offer is not None
    assert offer.over == (HeldPhase("plan-neverheardof", 1),)


async def test_a_plan_of_a_silent_listener_is_given_to_another_one(crew: Crew) -> None:
    run = await queued(crew)
    first, second = await crew.listener("first"), await crew.listener("second")
    given = await crew.take(first)
    claim = await crew.begin(given)
    await _silence(crew.engine)
    later = await crew.take(second)
    assert (later.id, later.phase_id, later.epoch) == (run.id, given.phase_id, given.epoch + 2)
    with pytest.raises(LeaseLost):
        await crew.engine.phases.renew(claim)
    offer = await crew.offer(first, held(given))
    assert offer is not None
    assert offer.over == (held(given),)
    with pytest.raises(NotFound):
        await crew.tell(first, given, "planned")


async def test_the_phases_of_a_revoked_listener_are_lost_at_once(crew: Crew) -> None:
    run = await queued(crew)
    who = await crew.listener()
    given = await crew.take(who)
    await crew.plan(given)
    await crew.engine.runs.confirm(crew.engine.admin, run.id)
    claim = await crew.begin(await crew.take(who, held(given)))
    await crew.engine.terrapod.listeners.revoke(crew.engine.admin, who.listener_id)
    await crew.engine.look()
    assert await crew.engine.status(run) == "errored"
    assert b"its listener was revoked" in await crew.engine.log(run.run.apply_id)
    with pytest.raises(LeaseLost):
        await crew.engine.phases.renew(claim)


async def test_a_listener_that_prepares_a_machine_keeps_its_lease(crew: Crew) -> None:
    await queued(crew)
    who = await crew.listener()
    given = await crew.take(who)
    for _ in range(6):
        crew.engine.clock.advance(seconds=LEASE.total_seconds() / 3)
        assert await crew.tell(who, given, "planning") == "plan_queued"
        await crew.engine.look()
    await crew.begin(given)


async def test_a_program_that_ended_without_a_report_is_lost_with_its_reason(crew: Crew) -> None:
    run = await queued(crew)
    who = await crew.listener()
    for _ in range(2):
        given = await crew.take(who)
        await crew.begin(given)
        await crew.tell(who, given, "errored", message="the machine was shut down")
    assert await crew.engine.status(run) == "errored"
    assert b"the runner of this plan was lost (the machine was shut down)" in await crew.engine.log(run.run.plan_id)


async def test_a_program_that_could_not_be_started_ends_its_run_with_the_reason(crew: Crew) -> None:
    run = await queued(crew)
    who = await crew.listener()
    given = await crew.take(who)
    assert await crew.tell(who, given, "errored", launched=False, message="no such image") == "errored"
    assert b"the runner could not be started: no such image" in await crew.engine.log(run.run.plan_id)


async def test_a_phase_that_is_put_back_says_why_and_is_given_to_another(crew: Crew) -> None:
    run = await queued(crew)
    who = await crew.listener("first")
    given = await crew.take(who)
    assert await crew.tell(who, given, "plan_queued", message="the cluster is away") == "plan_queued"
    waiting = (await crew.engine.show(run)).waiting_on
    assert waiting is not None
    assert (waiting.code, waiting.detail) == ("pool_capacity", "its runner cannot be started now: the cluster is away")
    assert (await crew.take(await crew.listener("second"))).phase_id == given.phase_id
    with pytest.raises(NotFound):
        await crew.tell(who, given, "planning")


async def test_reports_out_of_order_twice_and_of_others_change_nothing(crew: Crew) -> None:
    run = await queued(crew)
    who, other = await crew.listener(), await crew.listener("other")
    given = await crew.take(who)
    with pytest.raises(NotFound):
        await crew.tell(other, given, "errored")
    with pytest.raises(LeaseLost):
        await crew.tell(who, given, "planning", epoch=given.epoch + 1)
    with pytest.raises(Invalid, match="Status of a plan"):
        await crew.tell(who, given, "applied")
    with pytest.raises(Invalid, match="Message must have"):
        await crew.tell(who, given, "errored", message="x" * (LONGEST_MESSAGE + 1))
    with pytest.raises(Conflict, match="has not reported"):
        await crew.tell(who, given, "planned")
    await crew.begin(given)
    with pytest.raises(Conflict, match="cannot be put back"):
        await crew.tell(who, given, "plan_queued")
    assert await crew.tell(who, given, "planning") == "planning"
    await crew.plan(given)
    for word in ("planned", "planned", "planning", "errored", "plan_queued"):
        assert await crew.tell(who, given, word) == "planned"
    assert await crew.engine.status(run) == "planned"


async def test_a_cancelled_apply_whose_listener_knows_its_end_frees_the_workspace_at_once(crew: Crew) -> None:
    workspace = await crew.workspace()
    run = await crew.engine.run(workspace)
    who = await crew.listener()
    plan = await crew.take(who)
    await crew.plan(plan)
    await crew.engine.runs.confirm(crew.engine.admin, run.id)
    given = await crew.take(who, held(plan))
    await crew.begin(given)
    await crew.engine.runs.cancel(crew.engine.admin, run.id)
    await _silence(crew.engine)
    assert await crew.engine.status(run) == "canceled"
    shown = await crew.engine.terrapod.workspaces.read(crew.engine.admin, workspace.id)
    assert shown.awaits_state
    await crew.tell(who, given, "errored", message="killed")
    shown = await crew.engine.terrapod.workspaces.read(crew.engine.admin, workspace.id)
    assert not shown.locked


async def test_a_run_says_that_no_listener_is_there_and_then_that_all_are_busy(crew: Crew) -> None:
    first = await queued(crew, "a")
    assert await _waits(crew.engine, first) == ("no_agent", "no listener of its agent pool takes runs now")
    who = await crew.listener()
    assert (await _waits(crew.engine, first))[1] == "a listener of its agent pool takes it in a moment"
    await crew.take(who)
    second = await queued(crew, "b")
    assert await _waits(crew.engine, second) == ("pool_capacity", "the one place is taken by other runs of its agent pool")
    await crew.engine.look()
    log = await crew.engine.log(second.run.plan_id)
    assert log == b"\x02Waiting: the one place is taken by other runs of its agent pool.\n"
    await crew.engine.look()
    assert await crew.engine.log(second.run.plan_id) == log
    crew.engine.clock.advance(minutes=2)
    code, detail = await _waits(crew.engine, second)
    assert (code, detail.split(";")[0]) == ("no_agent", "no listener of its agent pool takes runs now")


async def test_a_listener_that_carries_out_a_run_is_busy(crew: Crew) -> None:
    await queued(crew)
    who = await crew.listener("at-work")
    await crew.listener("at-rest")
    given = await crew.take(who)
    assert await _with_status(crew, "busy") == ["at-work"]
    assert await _with_status(crew, "idle") == ["at-rest"]
    listener = await crew.engine.terrapod.listeners.read(crew.engine.admin, who.listener_id)
    assert status_of(listener, crew.engine.clock.now()) == "busy"
    await crew.plan(given)
    assert await _with_status(crew, "idle") == ["at-rest", "at-work"]


async def test_an_open_poll_is_a_heartbeat(crew: Crew) -> None:
    who = await crew.listener()
    crew.waits(who)
    for _ in range(4):
        crew.engine.clock.advance(seconds=30)
        await crew.engine.terrapod.offers.look()
    listener = await crew.engine.terrapod.listeners.read(crew.engine.admin, who.listener_id)
    assert listener.last_seen_at == crew.engine.clock.now()


async def test_a_listener_that_was_revoked_is_sent_away_from_its_poll(crew: Crew) -> None:
    who = await crew.listener()
    poll = crew.waits(who)
    await crew.engine.terrapod.listeners.revoke(crew.engine.admin, who.listener_id)
    crew.engine.clock.advance(seconds=30)
    await crew.engine.terrapod.offers.look()
    assert poll.offer is not None


async def test_a_server_that_stops_answers_all_polls(crew: Crew) -> None:
    who = await crew.listener()
    poll = crew.waits(who)
    await crew.engine.terrapod.offers.stop()
    assert poll.offer is not None
    assert crew.waits(who).offer is not None


async def _silence(engine: Engine) -> None:
    """Nobody is heard for a lease period while the server is there to hear."""
    for _ in range(8):
        await engine.look()
        engine.clock.advance(seconds=10)
    await engine.look()


async def _with_status(crew: Crew, status: str) -> list[str]:
    query = Query.parse([("filter[status]", status)])
    page = await crew.engine.terrapod.listeners.list(crew.engine.admin, crew.pool_id, query)
    now = crew.engine.clock.now()
    return [each.name for each in page.items if status_of(each, now) == status]


async def _waits(engine: Engine, run: object) -> tuple[str, str]:
    waiting = (await engine.show(run)).waiting_on  # type: ignore[arg-type]
    assert waiting is not None
    return waiting.code, waiting.detail
