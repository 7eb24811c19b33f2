from __future__ import annotations

import asyncio
import threading

import pytest

from terrapod_auth_password.hashing import MOST_WAITING, Hashing
from terrapod_auth_password.provider import NAME, PasswordProvider, judge
from terrapod_auth_password.settings import PasswordAuthSettings
from terrapod_core.plugin import Callback, LoginRefused, PasswordRefused, StoredPassword, SupportsPasswords
from terrapod_core.testing import MemoryPasswords

QUICK = PasswordAuthSettings(memory_mib=1, passes=1, threads=1)
PHRASE = "a quiet walnut drawer"


def provider_for(passwords: MemoryPasswords, settings: PasswordAuthSettings = QUICK) -> PasswordProvider:
    return PasswordProvider(passwords, Hashing(settings), settings)


async def someone(email: str = "alice@example.com", settings: PasswordAuthSettings = QUICK) -> tuple[PasswordProvider, MemoryPasswords]:
    hashed = await provider_for(MemoryPasswords(), settings).hash_password(PHRASE)
    passwords = MemoryPasswords(StoredPassword("user-1", email, "alice", hashed))
    return provider_for(passwords, settings), passwords


def typed(email: str, password: str) -> Callback:
    return Callback({"email": email, "password": password}, state="s")


async def refusal(provider: PasswordProvider, callback: Callback) -> str:
    with pytest.raises(LoginRefused) as refused:
        await provider.finish(callback)
    return refused.value.reason


async def test_it_signs_in_under_its_own_name_and_the_users_id() -> None:
    provider, _ = await someone()
    identity = await provider.finish(typed("ALICE@example.com", PHRASE))
    assert (identity.issuer, identity.subject) == (NAME, "user-1")
    assert isinstance(provider, SupportsPasswords)


async def test_an_unknown_address_and_a_wrong_password_get_the_same_sentence() -> None:
    provider, _ = await someone()
    assert await refusal(provider, typed("nobody@example.com", PHRASE)) == await refusal(provider, typed("alice@example.com", "wrong"))


async def test_an_unknown_address_costs_as_much_hashing_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, _ = await someone()
    verified: list[str] = []
    verify = provider._hashing.verify

    async def counted(stored: str, password: str) -> bool:
        verified.append(stored)
        return await verify(stored, password)

    monkeypatch.setattr(provider._hashing, "verify", counted)
    await refusal(provider, typed("nobody@example.com", PHRASE))
    await refusal(provider, typed("alice@example.com", "wrong"))
    unknown, known = verified
    assert unknown != known
    assert unknown.split("$")[:4] == known.split("$")[:4], "the same algorithm, version and parameters"


async def test_a_password_is_kept_as_argon2id() -> None:
    assert (await provider_for(MemoryPasswords()).hash_password(PHRASE)).startswith("$argon2id$v=19$m=1024,t=1,p=1$")


async def test_a_hash_is_renewed_when_the_parameters_grow() -> None:
    _, passwords = await someone()
    grown = PasswordAuthSettings(memory_mib=2, passes=2)
    before = await passwords.find("alice@example.com")
    await provider_for(passwords, grown).finish(typed("alice@example.com", PHRASE))
    after = await passwords.find("alice@example.com")
    assert before is not None
    assert after is not None
    assert "m=2048,t=2" in after.hash
    assert after.hash != before.hash
    await provider_for(passwords, grown).finish(typed("alice@example.com", PHRASE))
    assert await passwords.find("alice@example.com") == after, "and only once"


async def test_a_wrong_password_renews_nothing() -> None:
    _, passwords = await someone()
    before = await passwords.find("alice@example.com")
    await refusal(provider_for(passwords, PasswordAuthSettings(memory_mib=2, passes=2)), typed("alice@example.com", "wrong"))
    assert await passwords.find("alice@example.com") == before


async def test_a_stored_text_that_is_no_hash_fits_no_password() -> None:
    provider = provider_for(MemoryPasswords(StoredPassword("user-1", "alice@example.com", "alice", "plain")))
    await refusal(provider, typed("alice@example.com", "plain"))


async def test_an_accent_may_be_composed_or_not() -> None:
    provider = provider_for(MemoryPasswords())
    stored = await provider.hash_password("cafe\u0301 walnut drawer quiet")
    assert await provider._hashing.verify(stored, "café walnut drawer quiet")


@pytest.mark.parametrize("password", ["short", "password1234", "qwertyuiop12", "alice@example.com", "alicealice1", "x" * 1025])
async def test_an_easy_password_is_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        await provider_for(MemoryPasswords()).hash_password(password, known=("alice@example.com", "alice"))
    assert password not in refused.value.reason


def test_a_long_text_is_judged_quickly_enough_to_be_judged_at_all() -> None:
    score, _ = judge("walnut drawer quiet " * 50, ())
    assert score == 4


async def test_beyond_thirty_two_that_wait_the_next_is_told_to_come_back() -> None:
    hashing = Hashing(QUICK)
    gate = threading.Event()
    held = [asyncio.create_task(hashing.apart(gate.wait)) for _ in range(QUICK.threads + MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(LoginRefused) as refused:
        await hashing.apart(lambda: None)
    assert refused.value.retry_after
    gate.set()
    await asyncio.gather(*held)
    assert await hashing.apart(lambda: "there is room again")


@pytest.mark.parametrize("wrong", [{"memory_mib": 0}, {"passes": 0}, {"threads": 0}, {"min_length": 7}, {"min_strength": 5}])
def test_settings_that_would_protect_nobody_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PasswordAuthSettings(**wrong)
