"""Deprecated and revoked versions: what is sent about them, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.errors import Gone, InvalidTransition, Problems
from terrapod_core.registry.models import Item, Version

LONGEST_REASON: Final = 1000
LONGEST_LINK: Final = 2048
DEPRECATED: Final = "Deprecated"
UNDEPRECATED: Final = "Undeprecated"
REVOKED: Final = "Revoked"
UNREVOKED: Final = "Unrevoked"
SCHEMES: Final = ("http", "https")


class Deprecation(msgspec.Struct, kw_only=True):
    """A warning; go-tfe sends `deprecated-status` with it, which may be left out."""

    deprecated_status: str | None = None
    reason: str | None = None
    link: str | None = None


class Revocation(msgspec.Struct, kw_only=True):
    """The same for a version that nobody is to use any more."""

    revoked_status: str | None = None
    reason: str | None = None
    link: str | None = None


class UpdateVersion(msgspec.Struct, kw_only=True):
    """All that can be changed of a version; `null` takes it back."""

    deprecation: Deprecation | UnsetType | None = UNSET
    revocation: Revocation | UnsetType | None = UNSET

    def check(self) -> None:
        """Raise `Invalid` for what cannot be."""
        problems = Problems()
        if isinstance(self.deprecation, Deprecation):
            _check(self.deprecation, self.deprecation.deprecated_status, (DEPRECATED, UNDEPRECATED), "deprecation", problems)
        if isinstance(self.revocation, Revocation):
            _check(self.revocation, self.revocation.revoked_status, (REVOKED, UNREVOKED), "revocation", problems)
        problems.refuse()


def change(version: Version, changes: UpdateVersion, now: datetime) -> dict[str, Any]:
    """Write the changes to a version; what an audit entry says of them, empty when nothing changed.

    The date stays that of the first time while only the words change. Raises `InvalidTransition` for a version that nobody can use yet.
    """
    if not version.is_published:
        raise InvalidTransition(f"version {version.version} is not published; delete it instead")
    detail: dict[str, Any] = {}
    if changes.deprecation is not UNSET:
        off = changes.deprecation is None or changes.deprecation.deprecated_status == UNDEPRECATED
        deprecation = _mark(None if off else changes.deprecation, version.deprecation, now)
        if deprecation != version.deprecation:
            version.deprecation = detail["deprecation"] = deprecation
    if changes.revocation is not UNSET:
        off = changes.revocation is None or changes.revocation.revoked_status == UNREVOKED
        revocation = _mark(None if off else changes.revocation, version.revocation, now)
        if revocation != version.revocation:
            version.revocation = detail["revocation"] = revocation
    if detail:
        version.updated_at = now
    return detail


def newest_usable(published: Sequence[Version]) -> str | None:
    """The newest of these versions, the newest number first, that is not revoked; a pre-release only where there is nothing else."""
    usable = [each.version for each in published if each.revocation is None]
    releases = (number for number in usable if "-" not in number.partition("+")[0])
    return next(releases, usable[0] if usable else None)


def refuse_revoked(item: Item, version: Version, instead: str | None) -> None:
    """Raise `Gone` with the publisher's words for a version that is revoked; `instead` is the newest version that is not."""
    if version.revocation is None:
        return
    reason, link = version.revocation["reason"].rstrip("."), version.revocation["link"]
    raise Gone(
        f"version {version.version} of {item.address} was revoked on {version.revocation['at'][:10]}: {reason}"
        + (f" ({link})" if link else "")
        + (f". The newest version that is not revoked is {instead}" if instead else ". There is no version that is not revoked"),
        code="version_revoked",
    )


def _mark(sent: Deprecation | Revocation | None, there: Mapping[str, Any] | None, now: datetime) -> dict[str, Any] | None:
    if sent is None:
        return None
    at = there["at"] if there is not None else now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"reason": (sent.reason or "").strip(), "link": sent.link or None, "at": at}


def _check(sent: Deprecation | Revocation, status: str | None, known: tuple[str, str], name: str, problems: Problems) -> None:
    if status not in (None, *known):
        problems.add(f"The status of a {name} must be {' or '.join(known)}", attribute=name)
    if len(sent.reason or "") > LONGEST_REASON:
        problems.add(f"The reason of a {name} must have at most {LONGEST_REASON} characters", attribute=name)
    if status != known[1] and not (sent.reason or "").strip():
        problems.add(f"A {name} needs a reason: it is shown to whoever uses the version", attribute=name)
    if sent.link and not _is_link(sent.link):
        problems.add(f"The link of a {name} must be an http or https URL of at most {LONGEST_LINK} characters", attribute=name)


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return len(text) <= LONGEST_LINK and text.isprintable() and " " not in text and parts.scheme in SCHEMES and bool(parts.hostname)
    except ValueError:
        return False
