"""A request that was opened with a good token, whose body or answer is still on its way when the token is good no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
from quart import Response

from terrapod_core.accounts.models import User
from terrapod_core.accounts.platform_roles import withdraw
from terrapod_core.authz import SYSTEM, PlatformRole
from terrapod_core.jsonapi import Includes
from terrapod_core.testing import FakeClock
from terrapod_core.web import TerrapodQuart, Web
from terrapod_core.web.failures import Failures
from tests.support.people import People


class Uploads:
    """An application that takes a body from somebody signed in, or from whoever has the link."""

    def __init__(self, people: People) -> None:
        self.app = TerrapodQuart("test")
        self.begun = asyncio.Event()
        web = Web(people.settings, people.db, Includes(), people.services.tokens.authenticate)
        Failures(self.app, people.refusals)

        @self.app.put("/own")
        async def own() -> Response:
            await web.actor()
            return await self._counted(web.upload(1 << 20, "file"))

        @self.app.put("/json")
        async def own_json() -> Response:
            await web.actor()
            return await self._counted(web.json_upload(1 << 20, "file"))

        @self.app.put("/link")
        async def link() -> Response:
            return await self._counted(web.upload(1 << 20, "file"))

        @self.app.get("/file")
        async def file() -> Response:
            await web.actor()
            return web.download(self._two_pieces(), size=None, content_type="text/plain")

        self.go_on = asyncio.Event()

    async def _two_pieces(self) -> AsyncIterator[bytes]:
        yield b"1234"
        self.begun.set()
        await self.go_on.wait()
        yield b"5678"

    async def _counted(self, body: AsyncIterator[bytes]) -> Response:
        size = 0
        async for piece in body:
            size += len(piece)
            self.begun.set()
        return Response(b"%d" % size)


async def sent(people: People, path: str, token: str, *, seconds: float, disable: str | None) -> int:
    """The status of an upload in two pieces, with a pause between them in which somebody may be disabled."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Content-Length": "8"}
    uploads = Uploads(people)
    async with uploads.app.test_client().request(path, method="PUT", headers=headers) as connection:
        await connection.send(b"1234")
        await asyncio.wait_for(uploads.begun.wait(), 30)
        if disable is not None:
            await people.restarted(people.keyring).accounts.disable(SYSTEM, disable)
        people.clock.advance(seconds=seconds)
        await connection.send(b"5678")
        await connection.send_complete()
    return (await connection.as_response()).status_code


@pytest.mark.parametrize("path", ["/own", "/json"])
async def test_an_upload_ends_when_its_user_is_disabled(people: People, path: str) -> None:
    alice = await people.user("alice")
    assert await sent(people, path, await people.token(alice), seconds=30, disable=alice) == 401


@pytest.mark.parametrize(("seconds", "path"), [(29, "/own"), (30, "/link")])
async def test_a_quick_upload_and_one_by_a_signed_link_go_on(people: People, seconds: float, path: str) -> None:
    alice = await people.user("alice")
    assert await sent(people, path, await people.token(alice), seconds=seconds, disable=alice) == 200


async def test_a_slow_upload_of_somebody_in_good_standing_goes_on(people: People, clock: FakeClock) -> None:
    assert await sent(people, "/own", await people.token(await people.user("alice")), seconds=3600, disable=None) == 200


async def received(people: People, token: str, *, seconds: float, change: Callable[[], Awaitable[object]] | None) -> bytes:
    """What comes of a download in two pieces, with a pause between them in which something may change."""
    uploads = Uploads(people)
    async with uploads.app.test_client().request("/file", headers={"Authorization": f"Bearer {token}"}) as connection:
        await connection.send_complete()
        await asyncio.wait_for(uploads.begun.wait(), 30)
        if change is not None:
            await change()
        people.clock.advance(seconds=seconds)
        uploads.go_on.set()
    return await (await connection.as_response()).get_data(as_text=False)


async def test_a_download_ends_when_its_user_is_disabled(people: People) -> None:
    alice = await people.user("alice")
    token = await people.token(alice)
    disable = partial(people.restarted(people.keyring).accounts.disable, SYSTEM, alice)
    assert await received(people, token, seconds=30, change=disable) == b"1234"


async def test_a_download_ends_when_its_user_may_less_than_before(people: People) -> None:
    alice = await people.user("alice", PlatformRole.AUDIT)
    token = await people.token(alice)

    async def demote() -> None:
        async with people.db.uow() as uow:
            await withdraw(uow, SYSTEM, await uow.session.get_one(User, alice), PlatformRole.AUDIT, {"local"})
            await uow.commit()

    assert await received(people, token, seconds=30, change=demote) == b"1234"


async def test_a_slow_download_of_somebody_in_good_standing_goes_on(people: People) -> None:
    token = await people.token(await people.user("alice"))
    assert await received(people, token, seconds=3600, change=None) == b"12345678"
