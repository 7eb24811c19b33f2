"""What a listener does with the phases that it is given, against a server on paper."""

from __future__ import annotations

from functools import partial

import pytest

from terrapod_core.listener.service import MOST_KEPT
from terrapod_core.listener.state import Record, Word
from terrapod_core.plugin import LaunchFailed, LaunchPostponed
from tests.support.paper_server import PaperServer
from tests.unit.listener.conftest import Site


async def test_a_phase_is_started_told_of_and_let_go_of(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.give(asks={"cpu": "2", "memory": "1Gi", "service-account": "runner"})
    await site.until(lambda: site.programs.launched, "a launch")
    spec = site.programs.launched[0]
    assert (spec.run_id, spec.phase_id, spec.phase, spec.epoch) == ("run-1", "plan-1", "plan", 1)
    assert (spec.url, spec.token, spec.organization, spec.workspace) == (paper.url, "hunter2", "default", "demo")
    assert (spec.cpu, spec.memory, spec.service_account, spec.certificate) == ("2", "1Gi", "runner", None)
    await site.until(lambda: paper.told, "word that it is on its way")
    site.programs.ends["plan-1.1"] = "ended"
    await site.until(lambda: len(paper.told) == 2, "word of its end")
    assert paper.told == [("plan-1.1", "planning"), ("plan-1.1", "planned")]
    paper.end("plan-1.1")
    await site.until(lambda: site.in_hand == [], "it to be let go of")
    assert site.programs.forgotten == ["plan-1.1"]
    assert site.programs.cancels == []
    paper.answer_poll()
    await site.until(lambda: paper.held == [], "a poll that holds nothing")


async def test_no_token_of_a_phase_is_ever_written(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.give()
    await site.until(lambda: paper.told, "a start")
    written = [path.read_text() for path in site.state.path.rglob("*") if path.is_file()]
    assert any("plan-1" in text for text in written)
    assert not any("hunter2" in text for text in written)


async def test_a_phase_that_is_given_twice_is_started_once(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.give()
    paper.give()
    paper.give("apply-1", phase="apply", run_id="run-2")
    await site.until(lambda: "apply-1.1" in site.programs.started, "the other phase")
    assert site.programs.started == ["plan-1.1", "apply-1.1"]
    await site.until(lambda: sorted(paper.held) == ["apply-1.1", "plan-1.1"], "a poll that holds both")


async def test_a_newer_launch_waits_until_the_older_is_gone(site: Site, paper: PaperServer) -> None:
    site.programs.obeys = False
    site.start()
    paper.give()
    await site.until(lambda: site.programs.started == ["plan-1.1"], "the first launch")
    paper.give(epoch=2)
    # It is pressed again and again, and the newer one's lease is held meanwhile.
    await site.until(lambda: site.programs.cancels.count(("plan-1.1", "force")) >= 2, "force")
    await site.until(lambda: ("plan-1.2", "planning") in paper.told, "the lease to be held")
    assert site.programs.started == ["plan-1.1"]
    site.programs.ends["plan-1.1"] = "ended by signal 9"
    await site.until(lambda: site.programs.started == ["plan-1.1", "plan-1.2"], "the second launch")


async def test_one_thing_at_a_time_is_done_in_the_directory_of_a_run(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.give()
    await site.until(lambda: site.programs.launched, "a launch")
    site.programs.ends["plan-1.1"] = "ended"
    for epoch in range(2, 10):
        # As when a plan is made once more: the old launch may be let go of at the moment at which the new one is given.
        await site.until(partial(paper.has_told, f"plan-1.{epoch - 1}", "planned"), "word of its end")
        site.programs.ends[f"plan-1.{epoch}"] = "ended"
        paper.give(epoch=epoch, over=[f"plan-1.{epoch - 1}"])
    await site.until(lambda: len(site.programs.forgotten) == 8, "all of them to be let go of")
    assert not site.programs.crowded


async def test_a_program_that_cannot_be_started_ends_its_run(site: Site, paper: PaperServer) -> None:
    site.programs.refusal = LaunchFailed("there is no room")
    site.start()
    paper.give()
    told = (await site.until(lambda: paper.said("tell"), "word of it"))[0].document["data"]["attributes"]
    assert told == {"phase-id": "plan-1", "epoch": 1, "status": "errored", "message": "there is no room", "launched": False}
    paper.end("plan-1.1")
    await site.until(lambda: site.in_hand == [], "it to be let go of")
    assert site.programs.forgotten == []


@pytest.mark.parametrize(("phase", "status"), [("plan", "plan_queued"), ("apply", "apply_queued")])
async def test_a_program_that_cannot_be_started_now_is_given_back(site: Site, paper: PaperServer, phase: str, status: str) -> None:
    site.programs.refusal = LaunchPostponed("the cluster is away")
    site.start()
    paper.give(f"{phase}-1", phase=phase)
    await site.until(lambda: paper.told == [(f"{phase}-1.1", status)], "word of it")


async def test_a_backend_that_raises_anything_costs_one_run_and_not_the_listener(site: Site, paper: PaperServer) -> None:
    site.programs.refusal = RuntimeError("a bug")
    site.start()
    paper.give()
    await site.until(lambda: paper.told == [("plan-1.1", "errored")], "word of it")
    site.programs.refusal = None
    paper.give("plan-2", run_id="run-2")
    await site.until(lambda: site.programs.started == ["plan-2.1"], "another phase")


async def test_a_phase_that_nothing_can_be_asked_about_stops_no_other(site: Site, paper: PaperServer) -> None:
    site.programs.stumbles.add("plan-1.1")
    site.start()
    paper.give()
    paper.give("plan-2", run_id="run-2")
    await site.until(lambda: len(site.programs.started) == 2, "both")
    site.programs.ends["plan-2.1"] = "ended"
    await site.until(lambda: ("plan-2.1", "planned") in paper.told, "the end of the other")


async def test_a_lease_is_held_while_a_machine_is_made_ready(site: Site, paper: PaperServer) -> None:
    site.programs.waits.add("apply-1.1")
    site.start()
    paper.give("apply-1", phase="apply")
    await site.until(lambda: paper.told.count(("apply-1.1", "applying")) >= 4, "its lease to be held")
    site.programs.waits.clear()
    site.programs.ends["apply-1.1"] = "ended"
    await site.until(lambda: paper.told[-1] == ("apply-1.1", "applied"), "word of its end")


async def test_a_program_without_a_report_has_failed(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.give("apply-1", phase="apply")
    await site.until(lambda: paper.told, "its start")
    paper.refuse("tell", 409, "not_reported")
    site.programs.ends["apply-1.1"] = "ended by signal 9: killed"
    await site.until(lambda: paper.told[-1] == ("apply-1.1", "errored"), "word of its end")
    assert paper.said("tell")[-1].document["data"]["attributes"]["message"] == "ended by signal 9: killed"
    assert paper.told[-2] == ("apply-1.1", "applied")


async def test_a_phase_whose_lease_was_lost_is_killed_and_kept_until_it_is_over(site: Site, paper: PaperServer) -> None:
    paper.refuse("tell", 409, "lease_lost", meta={"lost": True})
    site.start()
    paper.give()
    await site.until(lambda: ("plan-1.1", "force") in site.programs.cancels, "it to be killed")
    paper.answer_poll()
    await site.until(lambda: paper.held == ["plan-1.1"], "a poll that holds it")
    assert paper.told == [("plan-1.1", "planning")]
    paper.end("plan-1.1")
    await site.until(lambda: site.in_hand == [], "it to be let go of")


async def test_an_interrupt_is_passed_on_once_and_force_until_it_works(site: Site, paper: PaperServer) -> None:
    site.programs.obeys = False
    site.start()
    paper.give()
    await site.until(lambda: site.programs.launched, "a launch")
    for word in ("interrupt", "interrupt", "force", "force", "interrupt"):
        paper.cancel(word)
    await site.until(lambda: site.programs.cancels.count(("plan-1.1", "force")) >= 3, "force, again")
    assert site.programs.cancels.count(("plan-1.1", "interrupt")) <= 1  # force may overtake it
    assert site.programs.cancels[-1] == ("plan-1.1", "force")
    site.programs.ends["plan-1.1"] = "ended"
    await site.until(lambda: paper.told[-1] == ("plan-1.1", "planned"), "word of its end")


async def test_what_is_over_and_still_runs_is_killed_before_it_is_forgotten(site: Site, paper: PaperServer) -> None:
    site.programs.obeys = False
    site.start()
    paper.give()
    await site.until(lambda: site.programs.launched, "a launch")
    paper.end("plan-1.1")
    await site.until(lambda: site.programs.cancels.count(("plan-1.1", "force")) >= 2, "force")
    assert site.programs.forgotten == []
    assert site.in_hand == ["plan-1.1"]
    site.programs.ends["plan-1.1"] = "ended by signal 9"
    await site.until(lambda: site.in_hand == [], "it to be let go of")
    assert site.programs.forgotten == ["plan-1.1"]


async def test_an_end_is_told_when_the_server_is_back(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.give()
    await site.until(lambda: paper.told, "its start")
    paper.is_away = True
    asked = len(paper.said("tell"))
    site.programs.ends["plan-1.1"] = "ended"
    await site.until(lambda: len(paper.said("tell")) >= asked + 2, "tries")
    paper.is_away = False
    paper.end("plan-1.1")
    await site.until(lambda: site.in_hand == [], "it to be let go of")
    assert paper.told[-1] == ("plan-1.1", "planned")


async def test_an_end_is_told_by_the_next_process_where_this_one_could_not(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.give()
    await site.until(lambda: paper.told, "its start")
    paper.is_away = True
    site.programs.ends["plan-1.1"] = "ended"
    await site.until(lambda: site.state.records()[0].word is not None, "its end")
    await site.kill()
    paper.is_away = False
    paper.heard.clear()
    site.start()
    await site.until(lambda: paper.told == [("plan-1.1", "planned")], "word of its end")


async def test_a_listener_that_was_killed_finds_what_it_had_started(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.give()
    await site.until(lambda: paper.told, "its start")
    await site.kill()
    record = site.state.records()[0]
    record.handle = None  # as if it had been killed right after the launch
    site.state.save(record)
    site.programs.known.add("plan-1.1")
    site.start()
    paper.wait_for("next", 2)
    await site.until(lambda: paper.held == ["plan-1.1"], "a poll that holds it")
    assert site.programs.started == ["plan-1.1"]
    site.programs.ends["plan-1.1"] = "ended"
    await site.until(lambda: paper.told[-1] == ("plan-1.1", "planned"), "word of its end")


async def test_what_was_not_started_before_a_kill_is_given_again(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.give()
    await site.until(lambda: paper.told, "its start")
    await site.kill()
    record = site.state.records()[0]
    record.handle = None
    site.state.save(record)
    paper.heard.clear()
    site.start()
    await site.until(lambda: paper.said("next"), "a poll")
    assert paper.held == []
    paper.give()
    await site.until(lambda: len(site.programs.started) == 2, "another launch")


async def test_a_disk_that_is_full_fails_a_run_in_words(site: Site, paper: PaperServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_record: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(site.state, "save", full)
    site.start()
    paper.give()
    told = (await site.until(lambda: paper.said("tell"), "word of it"))[0].document["data"]["attributes"]
    assert told["status"] == "errored"
    assert "No space left on device" in told["message"]
    assert site.programs.started == []


async def test_what_is_kept_for_its_run_is_asked_about_a_part_at_a_time(site: Site, paper: PaperServer) -> None:
    names = {f"plan-old{number}" for number in range(MOST_KEPT + 20)}
    for name in names:
        ended = Record(run_id=f"run-{name}", phase_id=name, phase="plan", epoch=1, organization="default", workspace="w")
        ended.word, ended.told = Word(status="planned"), True
        site.state.save(ended)
    site.start()
    await site.until(lambda: paper.said("next"), "a poll")
    paper.give()
    await site.until(lambda: len(paper.said("next")) >= 2, "another one")
    asked = [set(poll.path.partition("holds=")[2].split(",")) - {"plan-1.1"} for poll in paper.said("next")[:2]]
    assert [len(each) for each in asked] == [MOST_KEPT, MOST_KEPT]
    assert set.union(*asked) == {f"{name}.1" for name in names}
