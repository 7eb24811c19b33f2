"""The reference is made from the code, whole and up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.plugin.hookspecs import HOOKS
from terrapod_core.runs.status import RunStatus
from terrapod_core.settings import reference
from tests.docs import api_pages, core_pages, generate
from tests.support import ROOT


def test_no_page_of_the_reference_is_stale() -> None:
    pages = [str(path.relative_to(ROOT)) for path in generate.stale()]
    assert not pages, f"run `nox -s docs -- --write`: {', '.join(pages)}"


def test_a_stale_page_is_named(tmp_path: Path) -> None:
    (tmp_path / "statuses.md").write_text("old")
    for name in set(generate.PAGES) - {"statuses.md"}:
        (tmp_path / name).write_text(generate.NOTICE + generate.PAGES[name]())
    assert [path.name for path in generate.stale(tmp_path)] == ["statuses.md"]


def test_the_check_fails_for_a_stale_page_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "permissions.md"
    monkeypatch.setattr(generate, "stale", lambda: {page: "new"})
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "permissions.md is stale" in capsys.readouterr().out
    assert not page.exists()
    assert generate.main([]) == 0
    assert page.read_text() == "new"


def test_every_route_has_words_and_all_words_have_a_route() -> None:
    assert api_pages.undocumented() == []


def test_every_hook_is_documented() -> None:
    page = api_pages.hooks()
    missing = [name for name in HOOKS if f"### {name}\n" not in page]
    assert not missing


def test_every_setting_is_documented_with_a_sentence() -> None:
    page = core_pages.settings()
    rows = [*reference(), *core_pages.plugins().reference()]
    assert not [row.key for row in rows if f"| `{row.key}` |" not in page]
    assert not [row.key for row in rows if not row.doc.endswith(".")]


def test_every_status_is_documented() -> None:
    page = core_pages.statuses()
    assert not [status for status in RunStatus if f"| `{status}` |" not in page]


def test_every_page_of_the_documentation_is_linked_from_its_first_page() -> None:
    first = (ROOT / "docs/README.md").read_text()
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md") if path.parent != ROOT / "docs"]
    assert not [page for page in pages if f"({page})" not in first]
