from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from terrapod_core.authz import Actor
from terrapod_core.errors import Conflict, NotFound
from terrapod_core.testing.fakes import START
from terrapod_core.ui import Happening, PhaseView, RunAction, RunView
from tests.support.people import Browser, People

LOG = "\x02\x1b[1m\x1b[32mPlan:\x1b[0m 1 to add <script>alert(1)</script>\nprüfen\n".encode()
PLAN = PhaseView("plan-2uPXtbAVfmCkwGsT", "plan", "finished", len(LOG), True, START, START + timedelta(seconds=75), additions=1)
APPLY = PhaseView("apply-2uPXtbAVfmCkwGsT", "apply", "pending", 0, False)
RUN = RunView(
    id="run-2uPXtbAVfmCkwGsT",
    organization="default",
    workspace="network",
    status="planned",
    message="Triggered <b>by</b> CLI",
    created_at=START,
    created_by="alice",
    is_final=False,
    phases=(PLAN, APPLY),
    actions=frozenset({RunAction.CONFIRM, RunAction.DISCARD}),
    waiting_for="somebody has to confirm it",
    has_changes=True,
    engine="terraform 1.11.4",
)
PATH = RUN.path


class Runs:
    """`RunPages` with one run, which Alice alone may see."""

    def __init__(self) -> None:
        self.run = RUN
        self.logs = {PLAN.id: LOG, APPLY.id: b""}
        self.acted: list[tuple[str, RunAction, str | None]] = []
        self.refusal: Conflict | None = None

    async def show(self, actor: Actor, run_id: str) -> RunView:
        self._allowed(actor, run_id == self.run.id)
        return self.run

    async def log(self, actor: Actor, phase_id: str, offset: int, limit: int) -> bytes:
        self._allowed(actor, phase_id in self.logs)
        return self.logs[phase_id][offset : offset + limit]

    async def act(self, actor: Actor, run_id: str, action: RunAction, comment: str | None) -> str:
        self._allowed(actor, run_id == self.run.id)
        if self.refusal is not None:
            raise self.refusal
        self.acted.append((actor.name, action, comment))
        return run_id

    def _allowed(self, actor: Actor, there: bool) -> None:
        if not there or actor.name != "alice":
            raise NotFound("there is no such run, or you may not see it")


@pytest.fixture
def runs(people: People) -> Runs:
    people.runs = runs = Runs()
    return runs


@pytest.fixture
async def browser(people: People, runs: Runs) -> Browser:
    """Alice's, signed in."""
    await people.user("alice")
    browser = people.browser()
    await browser.sign_in("alice@example.com")
    return browser


async def test_the_page_says_where_the_run_is_what_it_waits_for_and_what_changes(browser: Browser) -> None:
    page = await browser.open(PATH)
    assert page.status == 200
    for fact in ("planned", "somebody has to confirm it", "1 to add", "0 to destroy", "1 min 15 s", "terraform 1.11.4", "by alice"):
        assert fact in page.text, fact
    assert "<b>by</b>" not in page.text


async def test_without_scripts_the_log_is_there_as_text_and_the_page_renews_itself(browser: Browser) -> None:
    page = await browser.open(PATH)
    without = "".join(re.findall(r"<noscript>(.*?)</noscript>", page.text, re.DOTALL))
    assert 'http-equiv="refresh"' in without
    assert "Plan: 1 to add &lt;script&gt;alert(1)&lt;/script&gt;" in without
    assert "\x1b" not in page.text
    assert "\x02" not in page.text


async def test_a_finished_run_does_not_renew_its_page(browser: Browser, runs: Runs) -> None:
    runs.run = replace(RUN, status="applied", is_final=True, actions=frozenset(), waiting_for=None)
    page = await browser.open(PATH)
    assert "http-equiv" not in page.text
    assert 'data-final="yes"' in page.text


async def test_only_what_can_be_done_is_offered(browser: Browser, runs: Runs) -> None:
    offered = set(re.findall(r"/actions/([a-z-]+)", (await browser.open(PATH)).text))
    assert offered == {"confirm", "discard"}
    runs.run = replace(RUN, actions=frozenset())
    assert "/actions/" not in (await browser.open(PATH)).text


@pytest.mark.parametrize("action", ["confirm", "discard", "cancel", "force-cancel", "force-execute", "retry", "comment"])
async def test_a_button_does_what_it_says_once_and_comes_back(browser: Browser, runs: Runs, action: str) -> None:
    page = await browser.open(PATH)
    done = await browser.send(f"{PATH}/actions/{action}", {**page.hidden(), "comment": " looks good "})
    assert (done.status, done.leads_to) == (303, PATH)
    assert runs.acted == [("alice", RunAction(action), "looks good")]


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "same-site"}])
async def test_a_foreign_page_confirms_nothing(browser: Browser, runs: Runs, headers: dict[str, str]) -> None:
    page = await browser.open(PATH)
    assert (await browser.send(f"{PATH}/actions/confirm", page.hidden(), **headers)).status == 403
    assert not runs.acted


async def test_a_form_without_its_token_confirms_nothing(browser: Browser, runs: Runs) -> None:
    for fields in ({}, {"form-token": "0" * 64}):
        assert (await browser.send(f"{PATH}/actions/confirm", fields)).status == 403
    assert (await browser.open(f"{PATH}/actions/confirm")).status == 405
    assert not runs.acted


async def test_a_run_that_moved_on_is_told_as_a_page(browser: Browser, runs: Runs) -> None:
    runs.refusal = Conflict("the run was discarded a moment ago")
    fields = (await browser.open(PATH)).hidden()
    page = await browser.send(f"{PATH}/actions/confirm", fields)
    assert page.status == 409
    assert "the run was discarded a moment ago" in page.text
    assert (await browser.send(f"{PATH}/actions/explode", fields)).status == 404
    assert (await browser.send(f"{PATH}/actions/confirm", {**fields, "comment": "x" * 2001})).status == 400


async def test_a_log_is_read_from_an_offset_as_text_that_no_browser_takes_for_a_page(browser: Browser) -> None:
    whole = await browser.open(f"{PATH}/logs/{PLAN.id}")
    assert whole.text.encode() == LOG
    rest = await browser.open(f"{PATH}/logs/{PLAN.id}?offset=10")
    assert rest.text.encode() == LOG[10:]
    assert rest.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert rest.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in rest.headers["Content-Security-Policy"]
    assert (await browser.open(f"{PATH}/logs/{PLAN.id}?offset=9999")).text == ""
    for offset in ("-1", "x", "1.5", "1" * 20, "%C2%B2"):
        assert (await browser.open(f"{PATH}/logs/{PLAN.id}?offset={offset}")).status == 400


async def test_a_whole_log_is_downloaded_in_pieces(browser: Browser, runs: Runs) -> None:
    runs.logs[PLAN.id] = b"0123456789" * 100_000
    page = await browser.open(f"{PATH}/logs/{PLAN.id}/raw")
    assert len(page.text) == 1_000_000
    assert page.headers["Content-Disposition"] == f'attachment; filename="{PLAN.id}.txt"'


async def test_progress_is_the_same_part_of_the_page(browser: Browser) -> None:
    part = (await browser.open(f"{PATH}/progress")).text
    assert "<html" not in part
    assert part.strip() in (await browser.open(PATH)).text


async def test_the_address_of_before_a_rename_leads_to_the_new_one(browser: Browser) -> None:
    for old in (f"/app/default/old-name/runs/{RUN.id}", f"/app/default/workspaces/network/runs/{RUN.id}"):
        assert (await browser.open(old)).leads_to == PATH


@pytest.mark.parametrize("path", [PATH, f"{PATH}/progress", f"{PATH}/logs/{PLAN.id}", f"{PATH}/logs/{PLAN.id}/raw"])
async def test_nobody_else_sees_anything_of_it(people: People, runs: Runs, path: str) -> None:
    assert (await people.browser().open(path)).leads_to.startswith("/app/sign-in")
    await people.user("mallory")
    mallorys = people.browser()
    await mallorys.sign_in("mallory@example.com")
    page = await mallorys.open(path)
    assert page.status == 404
    assert "there is no such run" in page.text


async def test_the_page_tells_since_when_it_waits_why_it_is_untrusted_and_what_happened(browser: Browser, runs: Runs) -> None:
    runs.run = replace(
        RUN,
        waiting_since=START,
        untrusted="This run is untrusted: nobody vouches.",
        history=(Happening(START, "the run was created", "alice"), Happening(START, "said", "bob", "<i>mind</i> this")),
    )
    text = (await browser.open(PATH)).text
    for fact in ("(since 2026-01-01", "untrusted: nobody vouches", "the run was created", "by bob", "&lt;i&gt;mind&lt;/i&gt; this"):
        assert fact in text, fact


async def test_a_cancel_by_force_is_told_of_before_it_is_offered(browser: Browser, runs: Runs) -> None:
    runs.run = replace(RUN, actions=frozenset(), force_from=START + timedelta(seconds=42), force_in=42)
    text = (await browser.open(PATH)).text
    assert "by force from 12:00:42 UTC" in text
    assert 'data-left="42"' in text
    assert "/actions/force-cancel" not in text
    runs.run = replace(RUN, actions=frozenset({RunAction.FORCE_CANCEL}))
    assert "/actions/force-cancel" in (await browser.open(PATH)).text
