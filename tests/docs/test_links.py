"""Guides that lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.sources import committed

PAGES = [path for path in committed() if path.suffix == ".md"]
FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = [target for target in links(page) if not leads_somewhere(page, target)]
    assert not broken, f"{page}: {', '.join(broken)}"


def links(page: Path) -> Iterator[str]:
    prose = FENCED.sub("", (ROOT / page).read_text())
    return (target for target in LINK.findall(prose) if not re.match(r"[a-z+]+:", target))


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (ROOT / page).parent / name if name else ROOT / page
    if not path.exists():
        return False
    return not anchor or path.suffix != ".md" or anchor in anchors(path.read_text())


def anchors(markdown: str) -> set[str]:
    """The anchors that GitHub and its like give to headings."""
    headings = re.findall(r"^#+\s+(.*?)\s*$", FENCED.sub("", markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
