from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from terrapod_core.errors import NotFound, Unauthorized
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.storage import Capabilities, Capability, Holder, PhaseClaim, PhaseTokens, Purpose
from terrapod_core.testing import FakeClock

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOTHING = "There is nothing at this address."


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(new_key())


@pytest.fixture
def capabilities(keyring: Keyring, clock: FakeClock) -> Capabilities:
    return Capabilities(keyring, clock)


def token_of(path: str) -> str:
    assert re.fullmatch(r"/c/[A-Za-z0-9_-]+", path)
    return path.removeprefix("/c/")


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_a_link_says_what_it_was_made_for(capabilities: Capabilities, purpose: Purpose, method: str) -> None:
    token = token_of(capabilities.url_path(purpose, method, "sv-2uPXtbAVfmCkwGsT", expires=NOW + HOUR, epoch=7))
    assert capabilities.verify(token, method) == Capability(purpose, method, "sv-2uPXtbAVfmCkwGsT", 7, NOW + HOUR)


def test_a_link_is_short_and_never_the_same_twice(capabilities: Capabilities) -> None:
    paths = {capabilities.url_path(Purpose.LOG_READ, "GET", "plan-2uPXtbAVfmCkwGsT", expires=NOW + HOUR) for _ in range(2)}
    assert len(paths) == 2
    assert max(map(len, paths)) < 160


def test_a_link_for_reading_also_answers_head(capabilities: Capabilities) -> None:
    token = token_of(capabilities.url_path(Purpose.LOG_READ, "GET", "plan-1", expires=NOW + HOUR))
    assert capabilities.verify(token, "HEAD").method == "GET"


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "get", ""])
def test_another_method_finds_nothing(capabilities: Capabilities, method: str) -> None:
    token = token_of(capabilities.url_path(Purpose.STATE_DOWNLOAD, "GET", "sv-1", expires=NOW + HOUR))
    with pytest.raises(NotFound, match=NOTHING):
        capabilities.verify(token, method)


def test_a_link_ends_at_its_second(capabilities: Capabilities, clock: FakeClock) -> None:
    token = token_of(capabilities.url_path(Purpose.LOG_READ, "GET", "plan-1", expires=NOW + HOUR))
    clock.set(NOW + HOUR - timedelta(microseconds=1))
    capabilities.verify(token, "GET")
    clock.set(NOW + HOUR)
    with pytest.raises(NotFound, match="This link is over"):
        capabilities.verify(token, "GET")


def test_every_altered_character_finds_nothing(capabilities: Capabilities) -> None:
    token = token_of(capabilities.url_path(Purpose.STATE_UPLOAD, "PUT", "sv-1", expires=NOW + HOUR))
    for at in range(len(token)):
        altered = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(NotFound, match=NOTHING):
            capabilities.verify(altered, "PUT")


@given(token=st.text(max_size=200))
def test_any_text_finds_nothing_and_fails_nothing(token: str) -> None:
    with pytest.raises(NotFound, match=NOTHING):
        Capabilities(Keyring(new_key()), FakeClock(NOW)).verify(token, "GET")


def test_an_expired_link_that_was_altered_is_not_told_that_it_is_over(capabilities: Capabilities) -> None:
    token = token_of(capabilities.url_path(Purpose.LOG_READ, "GET", "plan-1", expires=NOW - HOUR))
    with pytest.raises(NotFound, match=NOTHING):
        capabilities.verify(token[:-6] + ("AAAAAA" if not token.endswith("AAAAAA") else "BBBBBB"), "GET")


def test_links_live_through_a_newer_key_and_die_with_their_own(clock: FakeClock) -> None:
    old, new = new_key(), new_key()
    token = token_of(Capabilities(Keyring(old), clock).url_path(Purpose.LOG_READ, "GET", "plan-1", expires=NOW + HOUR))
    assert Capabilities(Keyring(f"{new},{old}"), clock).verify(token, "GET").object_id == "plan-1"
    with pytest.raises(NotFound, match=NOTHING):
        Capabilities(Keyring(new), clock).verify(token, "GET")


def test_a_phase_token_says_what_it_was_issued_for(keyring: Keyring, clock: FakeClock) -> None:
    tokens = PhaseTokens(keyring, clock)
    token = tokens.issue("run-1", "apply-1", "apply", 3, NOW + HOUR)
    assert re.fullmatch(r"terrapod-phase-[A-Za-z0-9_-]+", token)
    assert tokens.verify(token) == PhaseClaim("run-1", "apply-1", "apply", 3, NOW + HOUR)
    assert token != tokens.issue("run-1", "apply-1", "apply", 3, NOW + HOUR)


def test_a_phase_token_is_refused_once_expired_altered_or_of_another_installation(keyring: Keyring, clock: FakeClock) -> None:
    tokens = PhaseTokens(keyring, clock)
    token = tokens.issue("run-1", "plan-1", "plan", 1, NOW + HOUR)
    for at in range(len("terrapod-phase-"), len(token)):
        with pytest.raises(Unauthorized):
            tokens.verify(token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :])
    with pytest.raises(Unauthorized):
        PhaseTokens(Keyring(new_key()), clock).verify(token)
    clock.set(NOW + HOUR)
    with pytest.raises(Unauthorized, match="expired"):
        tokens.verify(token)


def test_the_engines_token_says_the_same_and_is_not_the_supervisors(keyring: Keyring, clock: FakeClock) -> None:
    tokens = PhaseTokens(keyring, clock)
    claim = PhaseClaim("run-1", "plan-1", "plan", 3, NOW + HOUR)
    engine = tokens.issue_engine(claim)
    assert re.fullmatch(r"terrapod-engine-[A-Za-z0-9_-]+", engine)
    assert tokens.verify(engine, holder=Holder.ENGINE) == claim
    supervisor = tokens.issue("run-1", "plan-1", "plan", 3, NOW + HOUR)
    for shown, holder in (
        (engine, Holder.SUPERVISOR),
        (engine.replace("engine", "phase"), Holder.SUPERVISOR),
        (supervisor, Holder.ENGINE),
        (supervisor.replace("phase", "engine"), Holder.ENGINE),
    ):
        with pytest.raises(Unauthorized, match="not a valid phase token"):
            tokens.verify(shown, holder=holder)
    clock.set(NOW + HOUR)
    with pytest.raises(Unauthorized, match="expired"):
        tokens.verify(engine, holder=Holder.ENGINE)


@pytest.mark.parametrize("token", ["", "terrapod-phase-", "terrapod-at-1-secret", "terrapod-phase-é", "terrapod-phase-AAAA"])
def test_what_is_no_phase_token_is_refused(keyring: Keyring, clock: FakeClock, token: str) -> None:
    with pytest.raises(Unauthorized, match="not a valid phase token"):
        PhaseTokens(keyring, clock).verify(token)


def test_a_link_and_a_phase_token_cannot_be_taken_for_each_other(keyring: Keyring, clock: FakeClock) -> None:
    path = Capabilities(keyring, clock).url_path(Purpose.LOG_READ, "GET", "plan-1", expires=NOW + HOUR)
    phase = PhaseTokens(keyring, clock).issue("run-1", "plan-1", "plan", 1, NOW + HOUR)
    with pytest.raises(Unauthorized):
        PhaseTokens(keyring, clock).verify("terrapod-phase-" + token_of(path))
    with pytest.raises(NotFound):
        Capabilities(keyring, clock).verify(phase.removeprefix("terrapod-phase-"), "GET")
