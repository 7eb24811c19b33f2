from __future__ import annotations

import re
from importlib import resources

import pytest

FILES = sorted(path.name for path in resources.files("terrapod_core.ui").joinpath("templates").iterdir())


def text_of(name: str) -> str:
    return resources.files("terrapod_core.ui").joinpath("templates", name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_a_template_brings_no_inline_script_or_style_and_asks_nobody_else(name: str) -> None:
    found = re.findall(r"<script(?![^>]*src=)|<style| style=| on[a-z]+=\"|(?:src|href|action)=\"(?:https?:)?//|\|safe", text_of(name))
    assert not found


@pytest.mark.parametrize("name", FILES)
def test_every_form_that_changes_something_carries_its_token(name: str) -> None:
    forms = re.findall(r"<form[^>]*method=\"post\".*?</form>", text_of(name), re.DOTALL)
    missing = [form[:80] for form in forms if 'name="form-token"' not in form and 'name="state"' not in form]
    assert not missing


@pytest.mark.parametrize("name", FILES)
def test_every_field_has_a_label(name: str) -> None:
    text = text_of(name)
    fields = re.findall(r"<(?:input|select)\b(?![^>]*type=\"hidden\")[^>]*\bid=\"([^\"]+)\"", text, re.DOTALL)
    assert [field for field in fields if f'for="{field}"' not in text] == []


def test_scripts_put_in_what_a_run_printed_as_text_alone() -> None:
    script = resources.files("terrapod_core.ui").joinpath("static", "run.js").read_text(encoding="utf-8")
    assert "textContent" in script
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b", script)
