"""Which versions a module call takes: constraints as terraform reads them (`>= 1.2.0, < 2.0.0`, `~> 1.4`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from terrapod_core.packages.versions import SemanticVersion

_TERM: Final = re.compile(r"\s*(=|!=|>=|<=|>|<|~>)?\s*v?(\d{1,9}(?:\.\d{1,9}){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)\s*")


def newest(versions: Iterable[str], constraint: str | None) -> str | None:
    """The newest version that the constraint takes; pre-releases only where it names one exactly. `None` when there is none.

    `ValueError` for what is no constraint.
    """
    terms = [_term(text) for text in constraint.split(",")] if constraint is not None and constraint.strip() else []
    exact = {str(version) for operator, version, _ in terms if operator == "="}
    found = []
    for text in versions:
        version = SemanticVersion.parse(text)
        if version is None or (version.prerelease and str(version) not in exact):
            continue
        if all(_takes(version, *term) for term in terms):
            found.append((version.order, text))
    return max(found)[1] if found else None


def _term(text: str) -> tuple[str, SemanticVersion, int]:
    """Operator, version, and how many of its numbers were written."""
    match = _TERM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text.strip()[:64]!r} is no constraint on versions")
    number, dash, rest = match[2].partition("-")
    written = number.partition("+")[0].count(".") + 1
    filled = number if written == 3 else number + ".0" * (3 - written)
    version = SemanticVersion.parse(filled + dash + rest)
    if version is None:
        raise ValueError(f"{text.strip()[:64]!r} is no constraint on versions")
    return match[1] or "=", version, written


def _takes(version: SemanticVersion, operator: str, wanted: SemanticVersion, written: int) -> bool:
    order, limit = version.order, wanted.order
    if operator == "~>":
        # The last number that was written may grow; of one alone every later version is taken.
        kept = max(written - 1, 0)
        return order >= limit and version.numbers[:kept] == wanted.numbers[:kept]
    return {
        "=": order == limit,
        "!=": order != limit,
        ">": order > limit,
        ">=": order >= limit,
        "<": order < limit,
        "<=": order <= limit,
    }[operator]
