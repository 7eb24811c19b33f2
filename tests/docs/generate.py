"""Writes the generated pages of docs/reference from the code they describe.

python -m tests.docs.generate             writes what is stale
python -m tests.docs.generate --check     exit code 1, and the names of the stale pages
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.docs import api_pages, core_pages, live_pages, metrics_page
from tests.support import ROOT

REFERENCE: Final = ROOT / "docs/reference"
NOTICE: Final = "<!-- Made by `nox -s docs -- --write` from the code. Do not edit. -->\n"
COMMAND: Final = "nox -s docs -- --write"

PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": core_pages.settings,
    "permissions.md": core_pages.permissions,
    "statuses.md": core_pages.statuses,
    "errors.md": core_pages.errors,
    "cli.md": core_pages.cli,
    "hooks.md": api_pages.hooks,
    "routes.md": api_pages.routes,
    "events.md": live_pages.events,
    "metrics.md": metrics_page.metrics,
}
"""Every generated page, and what makes its text."""


def stale(folder: Path = REFERENCE) -> dict[Path, str]:
    """The pages that differ from what the code says now, with the text they should have."""
    found = {}
    for name, build in PAGES.items():
        text = NOTICE + build()
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            found[path] = text
    return found


def main(arguments: list[str]) -> int:
    """Write or check; the exit code."""
    try:
        pages = stale()
    except LookupError as problem:
        print(problem)
        return 1
    if "--check" in arguments:
        for path in pages:
            print(f"{path.relative_to(ROOT)} is stale: run `{COMMAND}`")
        return 1 if pages else 0
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
