"""The plan as data for readers: redacted, in the form terraform's CLI renders (`terraform show`, structured output).

The work is done by `terrapod_core.redaction` in a process of its own. What goes in and what comes out passes through here in
pieces, so that neither the size of a plan nor the time it takes is felt by anybody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

import msgspec
import structlog
from sqlalchemy.orm import Session

from terrapod_core.confined.work import Failed, program, work
from terrapod_core.db import Database
from terrapod_core.errors import Gone, Invalid, NotFound, TooLarge
from terrapod_core.runs.models import Phase
from terrapod_core.storage import ObjectKind, Objects

PARSE_BYTES: Final = 64 * 1024 * 1024
"""A plan's JSON over this is kept but not taken apart."""

AT_ONCE: Final = 2
"""Plans that are taken apart side by side; further readers wait."""

PIECE: Final = 256 * 1024
PROGRAM: Final = program("terrapod_core.redaction")

log = structlog.get_logger("terrapod.runs")


def check_kept(plan: Phase) -> None:
    """Raise `Gone` when retention has removed the plan."""
    if plan.plan_removed_at is not None:
        raise Gone("the plan was removed: the server keeps plans of ended runs for a limited time", code="removed_by_retention")


async def whole(objects: Objects, plan: Phase, key: str) -> bytes | None:
    """The plan's JSON, stored under `key`; `None` when it is larger than `PARSE_BYTES`."""
    read = bytearray()
    async with contextlib.aclosing(objects.get(ObjectKind.PLAN_JSON, plan.id, key)) as pieces:
        async for piece in pieces:
            read += piece
            if len(read) > PARSE_BYTES:
                return None
    return bytes(read)


@dataclass(frozen=True)
class SensitiveVariable:
    """A variable that the workspace keeps as sensitive. `name` is `None` where it is one of the environment."""

    name: str | None
    value: str


SensitiveOf = Callable[[Session, str], Sequence[SensitiveVariable]]
"""Those of a workspace, by its id."""


class PlanRedactor:
    """Makes the redacted form of plans, each time anew: nothing of it is kept."""

    def __init__(self, db: Database, objects: Objects, sensitive_of: SensitiveOf, *, program: Sequence[str] = PROGRAM) -> None:
        self._db = db
        self._objects = objects
        self._sensitive_of = sensitive_of
        self._program = program
        self._room = asyncio.Semaphore(AT_ONCE)

    async def redacted(self, plan: Phase, workspace_id: str) -> tuple[AsyncIterator[bytes], int]:
        """The plan with sensitive values replaced and the schemas to render it with, in pieces, and its size.

        Raises `NotFound` when there is no plan, `Gone` when retention removed it, `TooLarge` when it is not taken apart for its size,
        `Invalid` when it cannot be.
        """
        check_kept(plan)
        if plan.plan_json_key is None:
            raise NotFound("this plan has no JSON")
        sensitive = await self._db.read(lambda session: self._sensitive_of(session, workspace_id))
        async with self._room:
            result = await asyncio.to_thread(tempfile.TemporaryFile)
            try:
                await self._take_apart(plan, plan.plan_json_key, sensitive, result)
            except BaseException:
                result.close()
                raise
        return _pieces(result), os.fstat(result.fileno()).st_size

    async def _take_apart(self, plan: Phase, key: str, sensitive: Sequence[SensitiveVariable], result: BinaryIO) -> None:
        try:
            await work(self._program, lambda stdin: self._feed(stdin, plan, key, sensitive), result)
        except Failed as failure:
            log.warning("a plan could not be redacted", plan=plan.id, reason=str(failure))
            raise Invalid(f"this plan cannot be shown in its redacted form: {failure}. Its admins can read json-output") from None

    async def _feed(self, stdin: asyncio.StreamWriter, plan: Phase, key: str, sensitive: Sequence[SensitiveVariable]) -> None:
        await _send(stdin, _bounded(self._objects.get(ObjectKind.PLAN_JSON, plan.id, key)))
        if plan.provider_schemas_key is not None:
            await _send(stdin, _bounded(self._objects.get(ObjectKind.PROVIDER_SCHEMAS, plan.id, plan.provider_schemas_key)))
        else:
            await _send(stdin, _once(b"{}"))
        names = [each.name for each in sensitive if each.name is not None]
        await _send(stdin, _once(msgspec.json.encode({"names": names, "texts": [each.value for each in sensitive]})))


async def _send(stdin: asyncio.StreamWriter, pieces: AsyncIterator[bytes]) -> None:
    async for piece in pieces:
        if piece:
            stdin.write(len(piece).to_bytes(4) + piece)
            await stdin.drain()
    stdin.write(bytes(4))
    await stdin.drain()


async def _bounded(pieces: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            size += len(piece)
            if size > PARSE_BYTES:
                raise TooLarge(
                    "this plan is larger than 64 MiB as JSON, which is kept but not taken apart, so it has no redacted form: its "
                    "admins can read json-output, and terraform shows plans of this size in workspaces without structured run output"
                )
            yield piece


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """A file from its beginning; it is closed at the end."""
    with file:
        await asyncio.to_thread(file.seek, 0)
        while piece := cast(bytes, await asyncio.to_thread(file.read, PIECE)):
            yield piece
