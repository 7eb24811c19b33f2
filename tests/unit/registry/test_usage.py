"""Blocks that call modules: what `terraform fmt` leaves as it is, and says what was asked for."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from terrapod_core.errors import Invalid
from terrapod_core.registry.contents.native import parse
from terrapod_core.registry.contents.structs import Input
from terrapod_core.registry.contents.usage import Reference, block
from terrapod_core.registry.contents.writing import heredoc, literal, quoted
from tests.support.terraform import on_path

SOURCE = "registry.example.com/default/network/aws"
INPUTS = [
    Input(name="cidr", type="string"),
    Input(name="password", type="string", sensitive=True),
    Input(name="subnets", type="map(object({\n  cidr = string\n}))"),
    Input(name="name", type="string", required=False, default='"net"'),
    Input(name="policy", type="string", required=False, default="null"),
    Input(name="tags", type="map(string)", required=False, default="{}"),
]


def test_a_block_has_required_inputs_first_and_only_optional_ones_with_a_value() -> None:
    values = {"cidr": "10.0.0.0/16", "tags": {"a": "b", "c d": "${e}"}, "subnets": Reference("var.subnets"), "policy": "a\nb\n"}
    assert (
        block("net", SOURCE, "1.2.0", INPUTS, values)
        == """\
module "net" {
  source  = "registry.example.com/default/network/aws"
  version = "1.2.0"

  cidr = "10.0.0.0/16"
  # Sensitive: hand it over as a variable rather than writing it here.
  password = var.password
  subnets  = var.subnets

  policy = <<-EOT
    a
    b
  EOT
  tags = {
    a     = "b"
    "c d" = "$${e}"
  }
}
"""
    )


def test_without_values_a_block_says_what_to_fill_in() -> None:
    assert (
        block("net", SOURCE, None, INPUTS, {})
        == """\
module "net" {
  source = "registry.example.com/default/network/aws"

  # Required, fill in: string
  cidr = null
  # Sensitive: hand it over as a variable rather than writing it here.
  password = var.password
  # Required, fill in: map(object({ cidr = string }))
  subnets = null
}
"""
    )


def test_a_sensitive_value_that_is_a_reference_needs_no_word() -> None:
    assert "#" not in block("net", SOURCE, None, [INPUTS[1]], {"password": Reference("ephemeral.random_password.db.result")})


def test_a_module_without_inputs_is_called_with_its_source_alone() -> None:
    assert block("net", "./net", None, [], {}) == 'module "net" {\n  source = "./net"\n}\n'


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refusal:
        block("a b", SOURCE, None, INPUTS, {"nmae": 1, "cidr": Reference('x"\n}')})
    assert [problem.detail for problem in refusal.value.problems] == [
        "'a b' cannot be the name of a module block: letters, digits, - and _",
        "the module has no input 'nmae'",
        "'x\"\\n}' is no reference, as var.name or module.network.id is",
    ]


@pytest.mark.parametrize("text", ["a\nb", "a\n", "  a\n  b\n", "a\n \nb\n", "a\nEOT\nb\n", "a\r\nb\n", "a\n\x00b\n", "", "\n\n\n"])
def test_a_text_that_lines_would_not_spell_exactly_is_quoted(text: str) -> None:
    assert heredoc(text, 2) is None


def told(text: str) -> bool:
    """Whether two programs can tell us what they read: python-hcl2 wants an escaped `${` to be closed."""
    return re.search(r"[$%]\{[^}]*$", text) is None


# Characters that are special to the language, and any others. Those that combine with the one before them are not among them: `jsonencode`,
# which we are told by, puts them behind an escape and has them combine with its last letter.
SPECIAL = st.text(st.sampled_from("ab \n\t\r\\\"$%{}#'<EOT-é日\u2028😀~"), max_size=8)
ANY = st.text(st.characters(exclude_categories=["Cs", "Mn", "Mc", "Me"], exclude_characters="\0"), max_size=8)
TEXTS = (SPECIAL | ANY).filter(told)
LINES = st.lists(SPECIAL.filter(told), min_size=2, max_size=4).map(lambda lines: "\n".join(lines) + "\n")
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.integers(-(10**9), 10**9).map(lambda number: number / 1000)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | LINES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=4, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(VALUES, min_size=20, max_size=40))
def test_what_is_written_is_formatted_and_means_the_same_to_terraform_and_to_us(tmp_path: Path, values: list[Any]) -> None:
    names = {f"v{'x' * (number % 7)}{number}": value for number, value in enumerate(values)}
    inputs = [Input(name=name, sensitive=number % 5 == 0, required=number % 3 > 0) for number, name in enumerate(names)]
    text = block("m", "./inner", None, inputs, names)
    file = tmp_path / "main.tf"
    file.write_text(text)
    terraform("fmt", "-check", "-diff", str(file))

    [called] = parse(text)
    assert {name: called.attributes[name].value() for name in names} == names

    file.write_text("locals {\n" + text.split("\n\n", 1)[1])
    pairs = ", ".join(f"{name} = local.{name}" for name in names)
    said = terraform("console", where=tmp_path, given=f"base64encode(jsonencode({{{pairs}}}))\n")
    assert json.loads(base64.b64decode(said.strip().strip('"'))) == normal(names)


def normal(value: Any) -> Any:
    """As terraform has texts."""
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case list():
            return [normal(each) for each in value]
        case dict():
            return {normal(key): normal(each) for key, each in value.items()}
    return value


def terraform(*arguments: str, where: Path | None = None, given: str = "") -> str:
    result = subprocess.run([str(on_path()), *arguments], capture_output=True, text=True, cwd=where, input=given, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_list_that_is_long_gets_a_line_for_each_element() -> None:
    assert literal(["a" * 40, "b" * 40], 2) == f'[\n    "{"a" * 40}",\n    "{"b" * 40}",\n  ]'


def test_a_key_that_is_a_word_of_the_language_is_quoted() -> None:
    assert re.findall(r"^ +(\S+)", literal({"for": 1, "null": 2, "a-b": 3, "a.b": 4}), re.MULTILINE) == ['"for"', '"null"', "a-b", '"a.b"']


def test_what_no_screen_shows_is_spelled_out() -> None:
    assert quoted("a\x1b\u2028\x7f") == '"a\\u001b\\u2028\\u007f"'


def test_keys_are_aligned_as_the_formatter_counts_characters(tmp_path: Path) -> None:
    file = tmp_path / "main.tf"
    keys = {"plain": 1, "e\u0301\u0301": 2, "日本語": 3, "👩\u200d👧": 4, "zero\u200bwidth": 5, "ünï": 6}
    file.write_text(f"locals {{\n  a = {literal(keys, 2)}\n}}\n")
    terraform("fmt", "-check", "-diff", str(file))
