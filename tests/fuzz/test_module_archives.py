"""Hostile archives and configuration of modules: understood, or refused with a reason, and nothing else ever happens."""

from __future__ import annotations

import gc
import gzip
import io
import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from terrapod_core.errors import Invalid
from terrapod_core.registry.contents.structs import ModuleContents
from terrapod_core.registry.contents.tree import Tree, read
from terrapod_core.registry.contents.understanding import understand
from terrapod_core.tarballs import ArchiveLimits
from tests.support import wire
from tests.support.fuzzing import values

NATIVE = """\
terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.0", configuration_aliases = [aws.a] }
  }
}
variable "x" {
  type        = map(object({ a = optional(string, "b") }))
  default     = { "k" = [1, -2.5, null, true], l : <<-E
    text
  E
  }
  description = "a ${b} $${c} \\u00e4"
  validation {
    condition = alltrue([for k, v in var.x : v != ""])
  }
}
output "y" { value = var.x["k"].*.a[0] }
resource "aws_vpc" "z" { provider = aws.a }
module "m" { source = "./m" }
"""
SIGNS = r'{ } [ ] ( ) " ${ %{ $${ }} <<E <<-E E = == => ... . , : ? && # // /* */ \ \u0000 \ud800 1e999 -'
PIECES = [
    *NATIVE.split(),
    *SIGNS.split(),
    "variable",
    "\n",
    "\r\n",
    "\0",
    "\ufeff",
]
GOOD = wire.archive(
    {"m-1/main.tf": NATIVE, "m-1/README.md": "# Hi <a name='x'></a>\n", "m-1/modules/a/main.tf.json": '{"variable": {"a": {}}}'}
)


@pytest.fixture(scope="module", autouse=True)
def no_collections() -> Iterator[None]:
    """As in the program: an alarm during a collection would come up in Hypothesis, which listens to them."""
    gc.disable()
    yield
    gc.enable()


def check(files: dict[str, bytes]) -> None:
    """Whatever the files hold, what is known of them can be stored and read again."""
    found = understand(Tree("", files, {}))
    text = msgspec.json.encode(found)
    assert b"\\u0000" not in text.replace(b"\\\\", b"")
    assert msgspec.json.decode(text, type=ModuleContents) == found


@given(st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join) | st.text(max_size=200))
def test_configuration_of_words_of_the_language_in_any_order(text: str) -> None:
    check({"main.tf": text.encode(), "README.md": text.encode()})


@given(st.lists(st.tuples(st.integers(0, len(NATIVE)), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4))
def test_configuration_with_something_wrong_in_it(edits: list[tuple[int, int, str]]) -> None:
    text = NATIVE
    for at, drop, extra in edits:
        text = text[:at] + extra + text[at + drop :]
    check({"main.tf": text.encode()})


@given(
    st.dictionaries(st.sampled_from(["variable", "output", "terraform", "resource", "data", "module", "//", "x"]), values, max_size=5)
    | values
)
def test_the_json_syntax_with_any_values(document: object) -> None:
    check({"main.tf.json": json.dumps(document).encode()})


@given(st.binary(max_size=200))
def test_bytes_of_any_kind(content: bytes) -> None:
    check(dict.fromkeys(("main.tf", "main.tf.json", "README.md", "README.txt", "LICENSE", "modules/a/main.tofu"), content))


@settings(suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 600), st.binary(max_size=5)), min_size=1, max_size=4), st.booleans())
def test_an_archive_that_was_damaged(edits: list[tuple[int, int, bytes]], inside: bool) -> None:
    content = gzip.decompress(GOOD) if inside else GOOD
    for start, drop, extra in edits:
        at = start % (len(content) + 1)
        content = content[:at] + extra + content[at + drop :]
    try:
        tree = read(io.BytesIO(gzip.compress(content, 1) if inside else content), ArchiveLimits())
    except Invalid:
        return
    check(tree.files)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{" * 100_000,
        "a = " + "(" * 100_000 + "1" + ")" * 100_000,
        'a = "' + "${" * 50_000,
        "a = <<E\n" * 50_000,
        "a {\n" * 50_000 + "}\n" * 50_000,
        "a = " + "!" * 200_000 + "true",
        "a = -" * 50_000,
        "/*" * 200_000,
        '"' * 500_000,
        "a = " + "x ? " * 50_000 + "1",
        "variable x {\n default = " + "[" * 30_000 + "]" * 30_000 + "\n}\n",
        "x" * 1_000_000,
    ],
    ids=lambda text: text[:12],
)
def test_what_was_made_to_take_long_or_go_deep(text: str) -> None:
    check({"main.tf": text.encode(), "README.md": text.encode()})
    check({"main.tf.json": text.encode(), "README.md": ("> " * 50_000 + "- " * 50_000).encode()})
