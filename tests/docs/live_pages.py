"""The page about streams, printed from the table that they read."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

from terrapod_core.db import ToldEvent
from terrapod_core.live.guards import FRESH
from terrapod_core.live.kinds import KINDS, news
from terrapod_core.plugin import RunStatusChanged
from terrapod_core.web.streams import BEAT_SECONDS
from tests.docs.markdown import code, table

REASONS = {
    "unknown": "no event ever had the id that was named",
    "too_old": "the events after that id are no longer kept (`live.keep_minutes`)",
    "too_slow": "the client read more slowly than things happened",
}


def events() -> str:
    """What is told on streams of events, and how logs are followed."""
    return (
        "# Events\n\n"
        "What happens, told while it happens, as [Server-Sent Events]"
        "(https://html.spec.whatwg.org/multipage/server-sent-events.html) over one request that goes on.\n"
        "[Follow runs](../how-to/follow-runs.md) shows it with curl.\n\n"
        "| stream | tells of |\n| --- | --- |\n"
        "| `GET /api/v2/runs/{run_id}/events` | one run |\n"
        "| `GET /api/v2/workspaces/{workspace_id}/events` | one workspace and its runs |\n"
        "| `GET /api/v2/organizations/default/events` | everything that the caller may read at that moment |\n"
        "| `GET /api/v2/plans/{plan_id}/log-stream` | the plan's log as it grows |\n"
        "| `GET /api/v2/applies/{apply_id}/log-stream` | the apply's log as it grows |\n\n"
        "All need an API token or a session: `Authorization: Bearer …`. A page in a browser uses streams of its own under `/app`.\n\n"
        "## What is told\n\n" + table(("event", "fields", "means", "needs"), map(_cells, KINDS)) + "\n"
        "Every event has `type`, which is its name, and `at`, the moment at which it happened. It holds ids and words, no more: what a\n"
        "run or a workspace is like now, the API says, to those who may know.\n\n"
        f"```text\n{_example()}```\n\n"
        "## Ids, and coming back\n\n"
        "Ids are whole numbers that grow over the whole installation; they have gaps, are the same on every server and go on after a\n"
        "restart. A client that comes back names the last one it has seen in the header `Last-Event-ID`, as browsers do, or in the query,\n"
        "`?last-event-id=42`, and hears everything after it once. A quiet stream tells a newer id now and then, without an event.\n"
        "Without an id a stream begins with what happens next; it says at once which id that follows.\n\n"
        "When what was missed cannot be told, the first event is `reset` with a `reason`. Fetch what you show anew; the stream goes on.\n\n"
        + table(("reason", "means"), ([code(name), words] for name, words in REASONS.items()))
        + "\n## Logs\n\n"
        "`log` has `phase`, `offset` (how many bytes of the log come before) and `text`; its id is the number of bytes up to its end, and\n"
        "`Last-Event-ID` is such a number. The text begins with STX and ends with ETX, as the log itself does. `end` is the last event,\n"
        "and the stream ends with it. Who comes back after the end is answered 204, which tells a browser to stay away.\n\n"
        "## Rules\n\n"
        "- Whether the caller may see what an event is about is judged when it is sent. Tokens, sessions, roles and workspaces are as\n"
        f"  they were at most {FRESH.total_seconds():g} seconds before, also for what happened earlier.\n"
        f"- Nothing more is sent to a token that was revoked or a user who was disabled, and the stream ends within\n"
        f"  {2 * BEAT_SECONDS:g} seconds.\n"
        "  It also ends when the caller may not read the run or the workspace any more, and when the workspace is deleted.\n"
        f"- A quiet stream sends a comment every {BEAT_SECONDS:g} seconds.\n"
        "- One user has at most `live.streams_per_user` streams on a server; one more is answered 429 with the code `too_many_streams`.\n"
        "- A server that stops ends its streams. Come back with the last id.\n"
        "- Events are told within a moment on the server where they happen, and within a second or two on others; a line of a log within\n"
        "  half a second on all of them.\n"
    )


def _cells(event: type) -> list[str]:
    kind = KINDS[event]
    names = ", ".join(code(field.name.replace("_", "-")) for field in fields(event))
    return [code(kind.name), names, kind.words, code(kind.permission)]


def _example() -> str:
    event = RunStatusChanged(run_id="run-2uPXtbAVfmCkwGsT", workspace_id="ws-8XbQm3kVtYpRz5Na", status="planned", previous="planning")
    at = datetime(2026, 1, 31, 12, 30, 5, 250_000, tzinfo=UTC)
    row = ToldEvent(id=42, event=event.name(), payload=event.payload(), workspace_id=event.workspace_id, happened_at=at, told_at=at)
    told = news(row)
    assert told is not None
    return told.text.decode().rstrip() + "\n"
