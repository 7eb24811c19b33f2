"""The page of a run: where it is, what it waits for, what it printed, and what can be done about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from quart import Blueprint, Response, request

from terrapod_core.authz import Actor
from terrapod_core.errors import BadRequest, NotFound
from terrapod_core.runs.logs import ETX
from terrapod_core.runs.readable import readable
from terrapod_core.ui.ansi import plain
from terrapod_core.ui.pages import Pages, go
from terrapod_core.ui.render import protect
from terrapod_core.ui.views import PhaseView, RunAction, RunPages, RunView

LOG_BYTES: Final = 256 * 1024
"""Of one answer to the page's script."""

TAIL_BYTES: Final = 64 * 1024
"""Of a log that stand in the page itself, for browsers without scripts."""

NEXT_OFFSET: Final = "Log-Next-Offset"
"""Where the log goes on behind what an answer tells of it, in bytes of the log."""

COMMENT_LENGTH: Final = 2000
PATH: Final = "/app/<org>/<workspace>/runs/<run_id>"


def run_pages(pages: Pages, runs: RunPages) -> Blueprint:
    """`/app/{organization}/{workspace}/runs/{run}`: the address that terraform prints."""
    blueprint = Blueprint("run_pages", __name__)

    @blueprint.get(PATH)
    async def show_run(org: str, workspace: str, run_id: str) -> Response:
        actor = await pages.actor()
        run = await runs.show(actor, run_id)
        if (run.organization, run.workspace) != (org, workspace):
            return go(run.path)
        return pages.show("run.html", actor, run=run, tails=await _tails(runs, actor, run))

    @blueprint.get("/app/<org>/workspaces/<workspace>/runs/<run_id>")
    async def show_run_there(run_id: str, **_where: str) -> Response:
        return go((await runs.show(await pages.actor(), run_id)).path)

    @blueprint.get(PATH + "/progress")
    async def show_progress(run_id: str, **_where: str) -> Response:
        actor = await pages.actor()
        return pages.show("_progress.html", actor, run=await runs.show(actor, run_id))

    @blueprint.get(PATH + "/logs/<phase_id>")
    async def read_log(phase_id: str, **_where: str) -> Response:
        start = offset(request.args.get("offset", "0"))
        data = await runs.log(await pages.actor(), phase_id, start, LOG_BYTES)
        told = data[: _told(data)]
        response = _text(Response(_words(told)))
        response.headers[NEXT_OFFSET] = str(start + len(told))
        return response

    @blueprint.get(PATH + "/logs/<phase_id>/raw")
    async def download_log(phase_id: str, **_where: str) -> Response:
        actor = await pages.actor()
        first = await runs.log(actor, phase_id, 0, LOG_BYTES)
        response = _text(Response(pages.attended(_whole(runs, actor, phase_id, first))))
        response.headers["Content-Disposition"] = f'attachment; filename="{"".join(c for c in phase_id if c.isalnum() or c == "-")}.txt"'
        response.timeout = None
        return response

    @blueprint.post(PATH + "/actions/<action>")
    async def act(run_id: str, action: str, **_where: str) -> Response:
        actor = await pages.actor()
        fields = await pages.form(actor)
        if action not in list(RunAction):
            raise NotFound(f"there is no action {action[:40]} on a run")
        comment = fields.get("comment", "").strip()
        if len(comment) > COMMENT_LENGTH:
            raise BadRequest(f"a comment has at most {COMMENT_LENGTH} characters")
        shown = await runs.act(actor, run_id, RunAction(action), comment or None)
        return go((await runs.show(actor, shown)).path)

    return blueprint


async def _tails(runs: RunPages, actor: Actor, run: RunView) -> dict[str, str]:
    """The end of each log as plain text."""
    return {phase.id: await _tail(runs, actor, phase) for phase in run.phases if phase.has_log}


async def _tail(runs: RunPages, actor: Actor, phase: PhaseView) -> str:
    start = max(0, phase.log_size - TAIL_BYTES)
    data = await runs.log(actor, phase.id, start, TAIL_BYTES)
    return plain(_words(data if start == 0 else data[data.find(b"\n") + 1 :]))


def _told(data: bytes) -> int:
    """How many bytes of a part of a log are told now: whole lines, or everything where it ends or no line does."""
    lines = data.rfind(b"\n") + 1
    return len(data) if data.endswith(ETX) or (not lines and len(data) == LOG_BYTES) else lines


def _words(data: bytes) -> str:
    """Text and structured lines as people read them; bytes that are no UTF-8 are shown as such."""
    return readable(data.decode("utf-8", "replace"))


async def _whole(runs: RunPages, actor: Actor, phase_id: str, piece: bytes) -> AsyncIterator[bytes]:
    offset = 0
    while piece:
        yield piece
        offset += len(piece)
        piece = await runs.log(actor, phase_id, offset, LOG_BYTES)


def offset(text: str) -> int:
    """A number of bytes that a page names; raises `BadRequest` for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadRequest("offset must be a whole number, 0 or more", parameter="offset")
    return int(text)


def _text(response: Response) -> Response:
    """What a run printed is never a page: plain text, in a sandbox, whatever is in it."""
    protect(response)
    response.headers["Content-Type"] = "text/plain; charset=utf-8"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
