"""What a stranger's provider may do wrong, and that all of it comes down to one sentence and a 502."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from terrapod_core.accounts import asking
from terrapod_core.errors import BadGateway, NotFound, Unavailable
from terrapod_core.plugin import Callback, Form, FormField, Identity, LoginRefused, LoginRequest, ProviderUnavailable, Redirect

LOGIN = LoginRequest("state", "https://terrapod.example/api/v2/auth/callback", "/app")
CALLBACK = Callback({"code": "x"}, "state")
ADA = Identity("1", "https://idp.example", "ada@example.com", True, "ada", frozenset({"team"}))


class Stranger:
    """A provider that does whatever it is made with."""

    name = "stranger"
    display_name: Any = "Stranger & Co"

    def __init__(self, does: Callable[[], Any]) -> None:
        self._does = does

    async def begin(self, login: LoginRequest) -> Any:
        return await self._do()

    async def finish(self, callback: Callback) -> Any:
        return await self._do()

    async def _do(self) -> Any:
        made = self._does()
        return await made if isinstance(made, Awaitable) else made


def answering(answer: object) -> Stranger:
    return Stranger(lambda: answer)


def raising(error: BaseException) -> Stranger:
    async def fail() -> None:
        raise error

    return Stranger(fail)


async def finish(provider: Stranger, seconds: float = 5) -> Identity:
    return await asking.finish(provider, CALLBACK, seconds)


def lying(**changes: object) -> Identity:
    return replace(ADA, **changes)  # type: ignore[arg-type]


LIES: dict[str, object] = {
    "None": None,
    "a dict": {"subject": "1"},
    "no subject": lying(subject=""),
    "a number as subject": lying(subject=1),
    "a long subject": lying(subject="x" * 257),
    "a line in the subject": lying(subject="1\n2"),
    "a NUL in the subject": lying(subject="1\0"),
    "half a character in the subject": lying(subject="\ud800"),
    "no issuer": lying(issuer=""),
    "bytes as issuer": lying(issuer=b"https://idp.example"),
    "a long issuer": lying(issuer="x" * 1025),
    "no address": lying(email=""),
    "None as address": lying(email=None),
    "an address without a host": lying(email="ada@"),
    "an address without an at": lying(email="ada"),
    "an address with a line end": lying(email="ada@example.com\r\nBcc: x@example.com"),
    "an address with a blank": lying(email="ada lovelace@example.com"),
    "a long address": lying(email="a" * 250 + "@example.com"),
    "a word as verified": lying(email_verified="yes"),
    "None as verified": lying(email_verified=None),
    "a number as name": lying(username=7),
    "text as groups": lying(groups="admin"),
    "None as groups": lying(groups=None),
    "numbers as groups": lying(groups=frozenset({1})),
    "an empty group": lying(groups=frozenset({""})),
    "a long group": lying(groups=frozenset({"x" * 257})),
    "a group with a line end": lying(groups=frozenset({"a\nb"})),
    "too many groups": lying(groups=frozenset(str(each) for each in range(1001))),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_who_it_was_is_not_believed_unless_a_user_can_be_made_of_it(lie: object) -> None:
    with pytest.raises(BadGateway, match="Stranger & Co does not work at the moment") as refused:
        await finish(answering(lie))
    assert refused.value.status == 502
    assert refused.value.retry_after is None


async def test_a_thousand_groups_and_a_long_subject_are_believed() -> None:
    groups = frozenset(f"{each:x>256}" for each in range(1000))
    believed = await finish(answering(lying(groups=groups, subject="x" * 256)))
    assert (believed.groups, believed.subject) == (groups, "x" * 256)


async def test_what_can_be_mended_is_mended() -> None:
    odd = lying(email="  Ada@Exa\u0301mple.com ", username=" ada\u202e\n ", groups=["a", "a"])
    mended = await finish(answering(odd))
    assert (mended.email, mended.username, mended.groups) == ("Ada@Ex\u00e1mple.com", "ada", frozenset({"a"}))
    assert (await finish(answering(lying(username="\n")))).username is None


BAD_STEPS: dict[str, object] = {
    "None": None,
    "a URL": "https://idp.example/",
    "a form without fields": Form(()),
    "a list of fields": Form([FormField("a", "A")]),  # type: ignore[arg-type]
    "a field that is none": Form(("a",)),  # type: ignore[arg-type]
    "a field without a name": Form((FormField("", "A"),)),
    "a field without a label": Form((FormField("a", ""),)),
    "a field of another kind": Form((FormField("a", "A", "file"),)),  # type: ignore[arg-type]
    "two fields of a name": Form((FormField("a", "A"), FormField("a", "B"))),
    "a field of the core": Form((FormField("state", "State"),)),
    "another field of the core": Form((FormField("return_to", "Where to"),)),
    "a script": Redirect("javascript:alert(1)"),
    "a file": Redirect("file:///etc/passwd"),
    "no host": Redirect("https:///x"),
    "a path": Redirect("/app"),
    "a header": Redirect("https://idp.example/\r\nSet-Cookie: a=b"),
    "a blank": Redirect("https://idp.example/a b"),
    "bytes": Redirect(b"https://idp.example/"),  # type: ignore[arg-type]
    "brackets": Redirect("https://[idp.example/"),
    "far too long": Redirect("https://idp.example/" + "x" * 20_000),
    "numbers to remember": Redirect("https://idp.example/", {"a": 1}),  # type: ignore[dict-item]
    "no dict to remember": Redirect("https://idp.example/", "abc"),  # type: ignore[arg-type]
    "too much to remember": Redirect("https://idp.example/", {"a": "x" * 20_000}),
}


@pytest.mark.parametrize("step", BAD_STEPS.values(), ids=BAD_STEPS.keys())
async def test_nobody_is_sent_or_shown_what_makes_no_sense(step: object) -> None:
    with pytest.raises(BadGateway, match="Stranger & Co"):
        await asking.begin(answering(step), LOGIN, 5)


async def test_good_steps_pass() -> None:
    form = Form((FormField("word", "Word", "password", "current-password"),))
    away = Redirect("https://idp.example/?state=state", {"nonce": "n"}, returns_by_post=True)
    assert [await asking.begin(answering(step), LOGIN, 5) for step in (form, away)] == [form, away]


@pytest.mark.parametrize("error", [RuntimeError("secret-of-the-plugin"), KeyError("x"), asyncio.CancelledError(), TimeoutError("x")])
async def test_whatever_it_raises_is_a_502_that_repeats_nothing(error: BaseException) -> None:
    for step in (asking.begin(raising(error), LOGIN, 5), asking.finish(raising(error), CALLBACK, 5)):
        with pytest.raises(BadGateway, match="Stranger & Co") as refused:
            await step
        assert "secret-of-the-plugin" not in refused.value.detail


async def test_what_it_says_of_being_away_is_told_in_one_line() -> None:
    with pytest.raises(BadGateway, match="moment: the moon is in the way; try again") as refused:
        await finish(raising(ProviderUnavailable("the moon\r\n is in the way.")))
    assert refused.value.code == "provider_unavailable"
    with pytest.raises(BadGateway, match="cannot be reached"):
        await finish(raising(ProviderUnavailable(7)))  # type: ignore[arg-type]
    with pytest.raises(BadGateway) as long:
        await finish(raising(ProviderUnavailable("x" * 5000)))
    assert len(long.value.detail) < 600


async def test_a_refusal_is_a_refusal_with_a_sentence_that_can_be_shown() -> None:
    with pytest.raises(LoginRefused) as refused:
        await finish(raising(LoginRefused("no\0\n entry", retry_after=10**9)))
    assert (refused.value.reason, refused.value.retry_after) == ("no entry", 3600)
    with pytest.raises(LoginRefused) as odd:
        await finish(raising(LoginRefused(None, retry_after="soon")))  # type: ignore[arg-type]
    assert odd.value.reason
    assert odd.value.retry_after is None


async def test_an_error_of_the_cores_own_stays_what_it_is() -> None:
    with pytest.raises(Unavailable, match="the database is away"):
        await finish(raising(Unavailable("the database is away")))


async def test_a_provider_that_never_answers_is_cut_off() -> None:
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(BadGateway, match="did not answer within 0.1 seconds"):
        await finish(Stranger(hang), 0.1)
    await asyncio.wait_for(cancelled.wait(), 10)


async def test_a_provider_that_does_not_let_itself_be_cut_off_is_left_behind() -> None:
    free = asyncio.Event()

    async def deaf() -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    with pytest.raises(BadGateway, match="did not answer"):
        await finish(Stranger(deaf), 0.1)
    free.set()


async def test_a_person_who_leaves_takes_the_question_along() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    asked = asyncio.create_task(finish(Stranger(hang), 60))
    await begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.wait_for(cancelled.wait(), 10)


async def test_what_is_no_coroutine_is_a_502() -> None:
    class Sync(Stranger):
        def begin(self, login: LoginRequest) -> Any:
            return Form((FormField("a", "A"),))

    with pytest.raises(BadGateway):
        await asking.begin(Sync(lambda: None), LOGIN, 5)


@pytest.mark.parametrize("display_name", [None, "", 7, "\n", "x" * 10_000])
def test_a_name_that_cannot_be_shown_gives_way_to_the_plain_one(display_name: object) -> None:
    provider = answering(None)
    provider.display_name = display_name
    shown = asking.view_of(provider).display_name
    assert shown
    assert len(shown) <= 80
    assert shown.isprintable()


@pytest.mark.parametrize("name", ["service", "", "Okta", "a b", "../x", "ök", "-x", "x" * 64])
def test_a_provider_whose_name_cannot_stand_in_a_path_is_left_out(name: str) -> None:
    assert list(asking.usable({name: answering(None), "fine-2": answering(None)})) == ["fine-2"]


class Described(Stranger):
    def metadata(self, callback_url: str) -> Any:
        return self._does()


def test_metadata_is_a_document_or_a_404_or_a_502() -> None:
    good = Described(lambda: ("application/samlmetadata+xml; charset=utf-8", b"<md/>"))
    assert asking.metadata(good, "u")[1] == b"<md/>"
    with pytest.raises(NotFound):
        asking.metadata(answering(None), "u")
    for bad in (None, ("text/html\r\nX: y", b""), ("text/html", "text"), ("", b""), 7):
        with pytest.raises(BadGateway):
            asking.metadata(Described(lambda bad=bad: bad), "u")  # type: ignore[misc]
