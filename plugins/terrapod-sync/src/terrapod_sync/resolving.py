"""What a person says about a conflict, read as strictly as the configuration."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from terrapod_sync import documents, errors
from terrapod_sync.documents import InvalidConfig
from terrapod_sync.ports import Decision
from terrapod_sync.words import Resolution

WORD: Final = "invalid_request"
MOST_BYTES: Final = 16 * 1024
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def read(body: bytes, now: datetime) -> Decision:
    """The document of `POST …/resolve`. Raises `Invalid`."""
    try:
        given = documents.fields(documents.parse(body, MOST_BYTES), "", ("resolution",), ("until", "plan"))
        resolution = documents.word(given["resolution"], "resolution", Resolution)
        return Decision(resolution, _until(given, resolution, now), _plan(given))
    except InvalidConfig as refusal:
        raise errors.refused(refusal, WORD) from None


def _until(given: dict[str, Any], resolution: Resolution, now: datetime) -> datetime | None:
    if resolution is not Resolution.IGNORE:
        if "until" in given:
            raise InvalidConfig("until belongs to the resolution ignore alone; leave it out.", field="until")
        return None
    if "until" not in given:
        raise InvalidConfig("until must be given with the resolution ignore: a moment as 2026-01-31T08:00:00Z.", field="until")
    until = _moment(documents.text(given["until"], "until"))
    if until <= now:
        raise InvalidConfig("until must lie in the future.", field="until")
    return until


def _moment(text: str) -> datetime:
    refusal = InvalidConfig(f"until must be a moment as 2026-01-31T08:00:00Z, not {documents.shown(text)}.", field="until")
    if _MOMENT.fullmatch(text) is None:
        raise refusal
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # the 30th of February; the last hours of the calendar in another zone
        raise refusal from None


def _plan(given: dict[str, Any]) -> str | None:
    if "plan" not in given:
        return None
    plan = documents.text(given["plan"], "plan")
    if _DIGEST.fullmatch(plan) is None:
        raise InvalidConfig("plan must be the one that the conflict shows: 64 digits and letters a to f.", field="plan")
    return plan
