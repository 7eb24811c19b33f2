"""Which versions a module call takes: constraints as terraform reads them (`>= 1.2.0, < 2.0.0`, `~> 1.4`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from terrapod_core.runner.versions import Version, Wanted

_OPERATORS: Final = ("=", "!", "<", ">", "~")


def newest(versions: Iterable[str], constraint: str | None) -> str | None:
    """The newest version that the constraint takes; `None` when there is none. `ValueError` for what is no constraint."""
    # Of an engine a number alone is a line of versions, and a pre-release may be among those that fit. Of a module both are meant exactly.
    terms = [each if each.strip().startswith(_OPERATORS) else f"= {each}" for each in (constraint or "").split(",") if each.strip()]
    wanted = Wanted.parse(",".join(terms))
    exact = {str(version) for operator, version in wanted.terms if operator == "="}
    fitting = [
        (version.order, text)
        for version, text in ((Version.parse(text), text) for text in versions)
        if version is not None and wanted.accepts(version) and (not version.prerelease or str(version) in exact)
    ]
    return max(fitting)[1] if fitting else None
