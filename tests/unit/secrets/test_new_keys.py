"""How a running process learns of a key that was added."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from terrapod_core.errors import Unavailable
from terrapod_core.plugin import KeyringError, Keys
from terrapod_core.secrets import Keyring, SecretUnreadable, Signer
from terrapod_core.secrets.force import ASKED_AGAIN_AFTER
from terrapod_core.testing import FakeClock, MemoryKeys
from terrapod_core.testing.keys import key_text

SECRET = b"a planted secret"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Held:
    """The clock of the once-a-second rule, stopped, so that it is counted and not waited for."""

    now = 1000.0


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Held:
    held = Held()
    monkeypatch.setattr("terrapod_core.secrets.force.monotonic", lambda: held.now)
    return held


def sealed_by(*names: str) -> bytes:
    return Keyring(key_text(*names)).seal(SECRET, column="c", row="r")


def opened(keyring: Keyring, sealed: bytes) -> bytes:
    return keyring.open(sealed, column="c", row="r")


def test_a_value_under_an_unknown_key_makes_the_source_be_read_again() -> None:
    source = MemoryKeys(key_text("k1"))
    keyring = Keyring(source)
    source.text = key_text("k2", "k1")
    assert opened(keyring, sealed_by("k2")) == SECRET
    assert keyring.given == ("k2", "k1")


async def test_it_is_read_on_the_event_loop_too_when_that_is_quick() -> None:
    source = MemoryKeys(key_text("k1"))
    keyring = Keyring(source)
    source.text = key_text("k2", "k1")
    assert opened(keyring, sealed_by("k2")) == SECRET


async def test_a_slow_source_holds_the_event_loop_up_for_a_moment_only_and_asks_to_try_again() -> None:
    allowed = threading.Event()
    source = Slow(key_text("k1"), allowed)
    allowed.set()
    keyring = Keyring(source)
    allowed.clear()
    source.text = key_text("k2", "k1")
    with pytest.raises(Unavailable, match="'k2' is new here and is being fetched"):
        opened(keyring, sealed_by("k2"))
    allowed.set()
    await asyncio.to_thread(opened, keyring, sealed_by("k2"))  # joins the look that is going on
    assert opened(keyring, sealed_by("k2")) == SECRET


class Slow(MemoryKeys):
    def __init__(self, text: str, allowed: threading.Event) -> None:
        super().__init__(text)
        self.allowed = allowed

    def keys(self) -> Keys:
        assert self.allowed.wait(30)
        return super().keys()


def test_the_source_is_asked_once_a_second_at_most(seconds: Held) -> None:
    source = MemoryKeys(key_text("k1"))
    keyring = Keyring(source)
    for _ in range(20):
        with pytest.raises(SecretUnreadable, match="'gone'"):
            opened(keyring, sealed_by("gone"))
    assert source.asked == 2
    seconds.now += ASKED_AGAIN_AFTER
    with pytest.raises(SecretUnreadable):
        opened(keyring, sealed_by("gone"))
    assert source.asked == 3


def test_threads_that_miss_the_same_key_ask_once_and_all_get_it() -> None:
    source = MemoryKeys(key_text("k1"))
    keyring, sealed, found = Keyring(source), sealed_by("k2"), list[bytes]()
    source.text = key_text("k2", "k1")
    threads = [threading.Thread(target=lambda: found.append(opened(keyring, sealed))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [SECRET] * 8
    assert source.asked == 2


def test_a_source_that_cannot_change_is_not_asked_and_the_error_says_to_restart() -> None:
    source = MemoryKeys(key_text("k1"), live=False)
    with pytest.raises(SecretUnreadable, match="only k1 are given in a test.*then restart every server"):
        opened(Keyring(source), sealed_by("k2"))
    assert source.asked == 1


def test_a_forged_token_cannot_make_the_source_be_asked() -> None:
    source = MemoryKeys(key_text("k1"))
    assert Signer(Keyring(source), "capability").read(Signer(Keyring(key_text("k9")), "capability").sign(b"x")) is None
    assert source.asked == 1


@pytest.mark.parametrize("broken", [KeyringError("the vault is sealed"), RuntimeError(key_text("k1"))])
def test_a_source_that_breaks_later_leaves_the_keys_in_force(broken: Exception) -> None:
    source = MemoryKeys(key_text("k1"))
    keyring, sealed = Keyring(source), sealed_by("k1")
    source.broken = broken
    with pytest.raises(KeyringError) as refused:
        keyring.reload()
    assert key_text("k1").strip().partition(":")[2] not in str(refused.value)
    with pytest.raises(SecretUnreadable):
        opened(keyring, sealed_by("k2"))
    assert opened(keyring, sealed) == SECRET


def test_a_provider_that_returns_no_keys_is_named() -> None:
    source = MemoryKeys(key_text("k1"))
    source.keys = lambda: {"k1": b"x"}  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(KeyringError, match="'memory' returned dict"):
        Keyring(source)


def test_the_key_of_a_known_id_never_changes_under_a_running_process() -> None:
    source = MemoryKeys(key_text("k1"))
    keyring, sealed = Keyring(source), sealed_by("k1")
    source.text = key_text("k2", "k1").replace("azE", "eHh")
    with pytest.raises(KeyringError, match="'k1'.*another one than the key of that id before"):
        keyring.reload()
    assert keyring.given == ("k1",)
    assert opened(keyring, sealed) == SECRET


def test_a_new_key_whose_fingerprint_is_not_the_expected_one_is_refused() -> None:
    source = MemoryKeys(key_text("k1"))
    keyring = Keyring(source)
    keyring.expect({"k2": Keyring(key_text("k2")).fingerprint("k2")})
    source.text = key_text("k2", "k1").replace("azI", "eHh")
    with pytest.raises(KeyringError, match="'k2'"):
        keyring.reload()
    source.text = key_text("k2", "k1")
    keyring.reload()
    assert keyring.given == ("k2", "k1")


def test_a_new_key_opens_at_once_and_seals_only_when_it_has_settled(clock: FakeClock) -> None:
    source = MemoryKeys(key_text("k1"))
    keyring = Keyring(source, clock)
    source.text = key_text("k2", "k1")
    keyring.reload()
    assert opened(keyring, sealed_by("k2")) == SECRET
    assert keyring.newest == "k1"
    assert keyring.key_ids == ("k1", "k2")
    keyring.settle({"k1": clock.now(), "k2": clock.now() + timedelta(seconds=45)})
    clock.advance(seconds=44)
    assert Keyring.key_id_of(keyring.seal(SECRET, column="c", row="r")) == "k1"
    clock.advance(seconds=1)
    assert Keyring.key_id_of(keyring.seal(SECRET, column="c", row="r")) == "k2"
    assert keyring.key_ids == ("k2", "k1")


def test_a_key_that_came_while_the_others_were_registered_does_not_seal(clock: FakeClock) -> None:
    source = MemoryKeys(key_text("k1"))
    keyring = Keyring(source, clock)
    source.text = key_text("k2", "k1")
    keyring.reload()  # as when a value under an unknown key is met, between the watch's look and what it makes of it
    keyring.settle({"k1": clock.now()})
    assert keyring.newest == "k1"


def test_keys_that_all_have_yet_to_settle_still_seal(clock: FakeClock) -> None:
    keyring = Keyring(key_text("k2", "k1"), clock)
    keyring.settle({each: clock.now() + timedelta(days=1) for each in ("k1", "k2")})
    assert keyring.newest == "k2"


def test_what_was_derived_from_a_key_that_left_is_forgotten() -> None:
    source = MemoryKeys(key_text("k2", "k1"))
    keyring = Keyring(source)
    keyring.derive("capability", key_id="k1")
    source.text = key_text("k2")
    keyring.reload()
    with pytest.raises(SecretUnreadable):
        keyring.derive("capability", key_id="k1")


def test_sealing_goes_on_while_keys_are_added() -> None:
    source = MemoryKeys(key_text("k1"))
    keyring, stop, failed = Keyring(source), threading.Event(), list[Exception]()

    def seal() -> None:
        try:
            while not stop.is_set():
                assert opened(keyring, keyring.seal(SECRET, column="c", row="r")) == SECRET
        except Exception as error:  # noqa: BLE001 - the test tells it
            failed.append(error)

    threads = [threading.Thread(target=seal, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for newest in range(2, 20):
            source.text = key_text(*(f"k{number}" for number in range(newest, 0, -1)))
            keyring.reload()
            keyring.settle(dict.fromkeys(keyring.given, EPOCH))
    finally:
        stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
