"""How a listener takes refusals, silence and outages."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from terrapod_core.listener import Ended, JoinRefused, asking, join, pool_of
from terrapod_core.outgoing import HTTPClients
from terrapod_core.signatures import new_key
from tests.support.paper_server import PaperServer
from tests.unit.listener.conftest import Site

TOKEN = "terrapod-at-4mTgQ2-apool-9fKx-secret"


async def test_a_clock_that_is_wrong_is_set_by_the_servers(site: Site, paper: PaperServer) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    paper.refuse("heartbeat", 401, "clock-skew", meta={"server-time": ahead.isoformat().replace("+00:00", "Z")})
    site.start()
    first, second = (await site.until(lambda: paper.said("heartbeat")[1:] and paper.said("heartbeat"), "another try"))[:2]
    assert first.created <= time.time()
    assert second.created >= time.time() + 3500
    assert first.nonce != second.nonce
    await site.until(lambda: paper.said("next"), "a poll")
    assert paper.said("next")[0].created >= time.time() + 3500


async def test_no_nonce_is_used_twice(site: Site, paper: PaperServer) -> None:
    paper.refuse("heartbeat", 401, "replayed")
    paper.refuse("heartbeat", 503)
    paper.refuse("heartbeat", 429, headers={"Retry-After": "1"})
    paper.refuse("next", 502)
    began = time.monotonic()
    site.start()
    await site.until(lambda: len(paper.said("next")) >= 2, "polls")
    assert time.monotonic() - began >= 1
    nonces = [each.nonce for each in paper.heard]
    assert len(nonces) >= 6
    assert len(set(nonces)) == len(nonces)


async def test_an_expired_certificate_is_renewed_and_the_request_made_again(site: Site, paper: PaperServer) -> None:
    paper.refuse("heartbeat", 401, "certificate_expired")
    site.start()
    await site.until(lambda: paper.said("next"), "a poll")
    assert [each.what for each in paper.heard[:4]] == ["heartbeat", "renew", "heartbeat", "next"]
    assert [each.key_id for each in paper.heard[:4]] == ["1", "1", "2", "2"]
    kept = site.state.identity()
    assert kept is not None
    assert kept.key_id == "2"


async def test_a_certificate_is_renewed_in_time(site: Site, paper: PaperServer) -> None:
    identity = site.state.identity()
    assert identity is not None
    site.state.save_identity(msgspec.structs.replace(identity, renew_at=datetime.now(UTC)))
    paper.refuse("renew", 503)
    site.start()
    await site.until(lambda: len(paper.said("renew")) == 2, "a renewal")
    await site.until(lambda: getattr(site.state.identity(), "key_id", "") == "2", "the new certificate")
    paper.answer_poll()
    await site.until(lambda: paper.said("next")[-1].key_id == "2", "a request under it")
    assert len(paper.said("renew")) == 2


async def test_a_silent_connection_is_made_anew(site: Site, paper: PaperServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SILENCE_SECONDS", 0.2)
    site.start()
    await site.until(lambda: len(paper.said("next")) >= 3, "new polls")
    paper.give()
    await site.until(lambda: site.programs.launched, "what is given by the latest")


@pytest.mark.parametrize("code", ["listener_revoked", "listener_exited", "certificate_unknown"])
async def test_a_listener_that_nobody_believes_kills_what_runs(site: Site, paper: PaperServer, code: str) -> None:
    site.start()
    paper.give()
    await site.until(lambda: site.programs.launched, "a launch")
    await site.until(lambda: len(paper.said("next")) == 2, "the next poll")
    paper.refuse("next", 401, code)
    paper.answer_poll()
    with pytest.raises(Ended, match=code):
        await site.end()
    assert ("plan-1.1", "force") in site.programs.cancels


async def test_a_listener_hears_that_it_was_revoked_from_whatever_it_says(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.refuse("tell", 401, "listener_revoked")
    paper.give()
    with pytest.raises(Ended):
        await site.end()
    assert site.programs.ends == {"plan-1.1": "ended by signal 9"}


async def test_a_server_that_gives_no_runs_is_asked_again(site: Site, paper: PaperServer) -> None:
    paper.refuse("heartbeat", 403, "something_new")
    site.start()
    await site.until(lambda: paper.said("heartbeat"), "a try")
    assert site.listener is not None
    site.stop()
    await site.end()


def test_a_join_token_says_which_pool_it_is_of() -> None:
    assert pool_of(TOKEN) == "apool-9fKx"
    for other in ("", "hunter2", "terrapod-at-4mTgQ2-secret", TOKEN + "\n", TOKEN.replace("apool", "ws"), f"{TOKEN}/../x"):
        assert pool_of(other) is None


async def test_joining_waits_for_a_server_that_is_away(paper: PaperServer) -> None:
    paper.refuse("join", 503)
    identity = await join(HTTPClients(), paper.url, "apool-1", TOKEN, "one", 2, new_key())
    assert (identity.listener_id, identity.pool_id, identity.key_id, identity.url) == ("agent-1", "apool-1", "1", paper.url)
    sent = paper.said("join")[-1]
    assert sent.path == "/api/v2/agent-pools/apool-1/listeners/join"
    assert sent.document["data"]["attributes"]["csr"].startswith("-----BEGIN CERTIFICATE REQUEST-----")


@pytest.mark.parametrize(
    ("status", "code", "says"), [(401, "token_expired", "no: token_expired"), (409, "name_taken", "--name"), (404, "", "external_url")]
)
async def test_a_refusal_to_join_says_what_to_do(paper: PaperServer, status: int, code: str, says: str) -> None:
    paper.refuse("join", status, code)
    with pytest.raises(JoinRefused, match=says):
        await join(HTTPClients(), paper.url, "apool-1", TOKEN, "one", 2, new_key())


async def test_a_join_whose_answer_was_lost_is_explained(paper: PaperServer) -> None:
    paper.refuse("join", 502)
    paper.refuse("join", 401, "token_used_up")
    with pytest.raises(JoinRefused, match="it may be this very listener that joined"):
        await join(HTTPClients(), paper.url, "apool-1", TOKEN, "one", 2, new_key())


async def test_stopping_takes_nothing_more_and_waits(site: Site, paper: PaperServer) -> None:
    site.start()
    paper.give()
    await site.until(lambda: paper.told, "a start")
    site.stop()
    await site.until(lambda: len(paper.said("heartbeat")) >= 2, "a heartbeat instead of polls")
    paper.give("plan-2", run_id="run-2")
    site.programs.ends["plan-1.1"] = "ended"
    await site.end()
    assert paper.told[-1] == ("plan-1.1", "planned")
    assert site.programs.cancels == []
    assert site.programs.started == ["plan-1.1"]
    assert site.in_hand == ["plan-1.1"]  # its directory is needed as long as its run goes on


async def test_a_second_stop_interrupts_and_a_third_kills(site: Site, paper: PaperServer) -> None:
    site.programs.obeys = False
    site.start()
    paper.give()
    await site.until(lambda: paper.told, "a start")
    site.stop()
    site.stop()
    await site.until(lambda: site.programs.cancels == [("plan-1.1", "interrupt")], "an interrupt")
    site.stop()
    await site.end()
    assert site.programs.cancels[:2] == [("plan-1.1", "interrupt"), ("plan-1.1", "force")]
    assert site.in_hand == ["plan-1.1"]


async def test_a_listener_that_leaves_says_so_and_forgets_who_it_was(site: Site, paper: PaperServer) -> None:
    site.start(leaving=True)
    paper.give()
    await site.until(lambda: paper.told, "a start")
    site.programs.ends["plan-1.1"] = "ended"
    await site.until(lambda: paper.told[-1] == ("plan-1.1", "planned"), "word of its end")
    site.stop()
    await site.end()
    assert paper.said("heartbeat")[-1].document["data"]["attributes"] == {"status": "exited"}
    assert site.state.identity() is None
    assert site.programs.forgotten == ["plan-1.1"]
    assert site.in_hand == []


async def test_a_listener_stops_also_while_the_server_is_away(site: Site, paper: PaperServer) -> None:
    paper.is_away = True
    site.start(leaving=True)
    await site.until(lambda: paper.said("heartbeat"), "a try")
    site.stop()
    await site.end()
    assert site.state.identity() is not None


async def test_many_phases_are_told_of_side_by_side(site: Site, paper: PaperServer) -> None:
    site.start()
    for number in range(20):
        paper.give(f"plan-{number}", run_id=f"run-{number}")
    await site.until(lambda: len(site.programs.launched) == 20, "all of them")
    site.programs.ends |= dict.fromkeys(site.programs.started, "ended")
    await site.until(lambda: sum(status == "planned" for _, status in paper.told) == 20, "all their ends")
    assert len(site.in_hand) == 20
