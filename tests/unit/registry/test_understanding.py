"""From the files of an archive to what is known of the module."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator

import msgspec
import pytest

from terrapod_core.registry.contents import understanding
from terrapod_core.registry.contents.structs import Input, ModuleContents, Output, Problem, Provider, Resource
from terrapod_core.registry.contents.tree import Tree
from terrapod_core.registry.contents.understanding import understand

MAIN = """\
terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = "~> 5.0"
      configuration_aliases = [aws.replica]
    }
    old = "~> 2.0"
  }
}

# What it is called.
variable "name" {
  type        = string
  description = "What it is \\"called\\": $${x}\\n\\u00e4"
  sensitive   = true
  nullable    = false

  validation {
    condition     = length(var.name) > 3
    error_message = "Too short: ${var.name}."
  }
}

variable "subnets" {
  type = map(object({
    cidr = string              # as 10.0.0.0/24
    zone = optional(string, "a")
  }))
  default = {
    "one two" = { cidr = "10.0.0.0/24" }
    three     = { cidr = "10.0.1.0/24", zone = null, weights = [1, -2.5, true] }
  }
  description = <<-EOT
    Several lines,
      indented.
  EOT
}

variable "anything" {}

variable "hours" {
  default = 60 * 60 # evaluated by terraform
}

output "id" {
  value       = aws_vpc.this.id
  description = "The id."
  sensitive   = true
}

resource "aws_vpc" "this" {
  dynamic "x" {
    for_each = { for k, v in var.subnets : k => v... if v != "" }
    content {}
  }
}

resource "google_thing" "g" {
  provider = google-beta.west
}

resource "terraform_data" "d" {}

data "aws_ami" "linux" {}

ephemeral "random_password" "p" {}

module "inner" {
  source = "./modules/inner"
}

module "far" {
  source  = "terraform-aws-modules/vpc/aws"
  version = "5.1.0"
}
"""


def of(files: dict[str, str | bytes], **unread: str) -> ModuleContents:
    return understand(Tree("", {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}, unread))


def inputs(text: str, name: str = "main.tf") -> dict[str, Input]:
    found = of({name: text})
    assert not found.problems
    return {each.name: each for each in found.module.inputs}


def test_inputs_have_what_their_author_wrote() -> None:
    found = inputs(MAIN)
    assert list(found) == ["anything", "hours", "name", "subnets"]
    assert found["name"] == Input(
        name="name", type="string", description='What it is "called": ${x}\nä', sensitive=True, nullable=False, validations=1
    )
    assert found["anything"] == Input(name="anything")
    assert (found["hours"].required, found["hours"].default, found["hours"].value) == (False, "60 * 60", msgspec.UNSET)
    subnets = found["subnets"]
    assert subnets.type == ('map(object({\n  cidr = string              # as 10.0.0.0/24\n  zone = optional(string, "a")\n}))')
    assert subnets.value == {
        "one two": {"cidr": "10.0.0.0/24"},
        "three": {"cidr": "10.0.1.0/24", "zone": None, "weights": [1, -2.5, True]},
    }
    assert subnets.default is not None
    assert subnets.default.startswith('{\n  "one two" = {')
    assert subnets.description == "Several lines,\n  indented.\n"


def test_outputs_resources_providers_and_calls_are_listed() -> None:
    module = of({"main.tf": MAIN}).module
    assert module.outputs == [Output(name="id", description="The id.", sensitive=True)]
    assert module.required_version == [">= 1.3"]
    assert module.resources == [
        Resource(mode="managed", type="aws_vpc", name="this"),
        Resource(mode="managed", type="google_thing", name="g"),
        Resource(mode="managed", type="terraform_data", name="d"),
        Resource(mode="data", type="aws_ami", name="linux"),
        Resource(mode="ephemeral", type="random_password", name="p"),
    ]
    assert module.providers == [
        Provider(name="aws", source="hashicorp/aws", version="~> 5.0", aliases=["aws.replica"]),
        Provider(name="google-beta"),
        Provider(name="old", version="~> 2.0"),
        Provider(name="random"),
    ]
    assert [(call.name, call.source, call.version) for call in module.calls] == [
        ("inner", "./modules/inner", None),
        ("far", "terraform-aws-modules/vpc/aws", "5.1.0"),
    ]


def test_the_json_syntax_says_the_same() -> None:
    document = {
        "//": "a comment",
        "terraform": [
            {"required_version": ">= 1.3"},
            {"required_providers": {"aws": {"source": "hashicorp/aws", "version": "~> 5.0", "configuration_aliases": ["aws.replica"]}}},
        ],
        "variable": {
            "name": {"type": "string", "description": "What $${x}", "sensitive": "true", "validation": [{"condition": "${true}"}]},
            "list": [{"type": "list(string)", "default": ["a", {"b": 1.5}], "//": "x"}],
            "made": {"default": "${1 + 1}"},
        },
        "output": {"id": {"value": "${aws_vpc.this.id}", "description": "The id."}},
        "resource": {"aws_vpc": {"this": {"cidr_block": "10.0.0.0/16"}}},
        "data": [{"aws_ami": [{"linux": {}}]}],
        "module": {"inner": {"source": "./modules/inner"}},
        "locals": {"x": 1},
    }
    found = of({"main.tf.json": json.dumps(document)})
    assert not found.problems
    module = found.module
    by_name = {each.name: each for each in module.inputs}
    assert by_name["name"] == Input(name="name", type="string", description="What ${x}", sensitive=True, validations=1)
    assert by_name["list"].value == ["a", {"b": 1.5}]
    assert by_name["list"].default == '[\n  "a",\n  {\n    b = 1.5\n  },\n]'
    assert (by_name["made"].required, by_name["made"].value) == (False, msgspec.UNSET)
    assert module.providers == [Provider(name="aws", source="hashicorp/aws", version="~> 5.0", aliases=["aws.replica"])]
    assert [resource.mode for resource in module.resources] == ["managed", "data"]
    assert module.required_version == [">= 1.3"]
    assert module.outputs == [Output(name="id", description="The id.")]
    assert [call.source for call in module.calls] == ["./modules/inner"]


def test_submodules_and_examples_have_all_of_it_too() -> None:
    found = of(
        {
            "main.tf": "",
            "modules/b/main.tf": 'variable "x" {}\n',
            "modules/a/main.tf": 'output "y" {\n  value = 1\n}\n',
            "modules/a/README.md": "# A\n",
            "modules/a/deeper/main.tf": 'variable "no" {}\n',
            "modules/empty/README.md": "",
            "examples/simple/main.tf": 'module "m" {\n  source = "../.."\n}\n',
        }
    )
    assert [each.path for each in found.submodules] == ["modules/a", "modules/b"]
    assert found.submodules[0].readme is not None
    assert found.submodules[0].readme.file == "modules/a/README.md"
    assert [each.name for each in found.submodules[0].outputs] == ["y"]
    assert [each.name for each in found.submodules[1].inputs] == ["x"]
    assert [each.calls[0].source for each in found.examples] == ["../.."]


def test_files_that_override_others_have_the_last_word() -> None:
    found = of({"a.tf": 'variable "x" {\n  type = string\n  default = 1\n}\n', "a_override.tf": 'variable "x" {\n  default = 2\n}\n'})
    [only] = found.module.inputs
    assert (only.type, only.value) == ("string", 2)


def test_of_a_file_and_its_twin_for_opentofu_terraforms_is_read() -> None:
    found = of({"a.tf": 'variable "x" {}\n', "a.tofu": 'variable "y" {}\n', "b.tofu": 'variable "z" {}\n'})
    assert [each.name for each in found.module.inputs] == ["x", "z"]


@pytest.mark.parametrize(
    ("name", "content", "detail"),
    [
        ("a.tf", 'variable "x" {\n', "line 2 cannot be parsed"),
        ("a.tf", "locals {\n  a = = 1\n}\n", "line 2 cannot be parsed"),
        ("a.tf", 'x = "\xff"'.encode("latin-1"), "it is not UTF-8"),
        ("a.tf.json", "{", "it is not JSON"),
        ("a.tf.json", "17", "neither an object nor a list"),
        ("a.tf.json", "[" * 100_000, "it is nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem_and_all_others_are_read(name: str, content: str | bytes, detail: str) -> None:
    found = of({name: content, "z.tf": 'variable "z" {}\n'})
    assert [each.name for each in found.module.inputs] == ["z"]
    [problem] = found.problems
    assert problem.file == name
    assert detail in problem.detail


@pytest.fixture
def no_collections() -> Iterator[None]:
    """As in the program: an alarm during a collection would come up in Hypothesis, which listens to them."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
def test_what_takes_too_long_is_a_problem_and_so_is_all_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(understanding, "CPU_SECONDS", 0.2)
    found = of({"a.tf": 'variable "a" {}\n', "b.tf": "x = " + "1 + " * 100_000 + "1\n", "c.tf": 'variable "c" {}\n', "README.md": "hi"})
    assert [each.name for each in found.module.inputs] == ["a"]
    assert [problem.file for problem in found.problems] == ["b.tf", "c.tf", "README.md"]
    assert all("takes too long" in problem.detail for problem in found.problems)


def test_files_that_were_not_kept_are_problems() -> None:
    assert of({"main.tf": ""}, huge="it is too large").problems == [Problem(file="huge", detail="not read: it is too large")]


def test_of_very_many_submodules_some_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(understanding, "DIRECTORIES", 3)
    found = of({f"modules/m{number}/main.tf": "" for number in range(5)})
    assert [each.path for each in found.submodules] == ["modules/m0", "modules/m1", "modules/m2"]
    assert found.problems == [Problem(file="modules", detail="of 5 directories in it the first 3 are described")]


@pytest.mark.parametrize(
    "text",
    [
        '\ufeffvariable "x" {}',
        'variable "x" {}\r\nlocals {\r\n  a = 1\r\n}\r\n',
        'variable "x" { default = "a" }\nlocals {\n  b = { c : 1, d = 2 }\n}',
        'variable "x" {}\nlocals {\n  a = x ? "b" : "c"\n  b = a.*.b[0]["x"].y\n  c = "%{if x}a%{else}b%{endif}"\n}\n',
        'variable "x" {}\nlocals {\n  a = provider::foo::bar([for v in y : v])\n  b = f(z...)\n  c = <<E\nx ${y}\nE\n}\n',
        "variable x {}\n/* a\nlong one */\n// and\n# more\n",
    ],
)
def test_what_terraform_reads_is_read(text: str) -> None:
    assert list(inputs(text)) == ["x"]


def test_a_text_that_is_not_static_is_no_text() -> None:
    found = inputs('variable "x" {\n  description = "a ${b}"\n  default = "${c}"\n}\nvariable "y" {\n  default = <<E\n${d}\nE\n}\n')
    assert (found["x"].description, found["x"].default, found["x"].value) == (None, '"${c}"', msgspec.UNSET)
    assert found["y"].value is msgspec.UNSET


@pytest.mark.parametrize("number", ["1e999", "9" * 400, "9007199254740993", "-9007199254740993"])
@pytest.mark.parametrize("name", ["main.tf", "main.tf.json"])
def test_a_number_that_readers_of_json_do_not_agree_on_is_left_as_text(number: str, name: str) -> None:
    text = f'variable "x" {{\n  default = {number}\n}}\n' if name == "main.tf" else f'{{"variable": {{"x": {{"default": {number}}}}}}}'
    assert inputs(text, name)["x"].value is msgspec.UNSET


def test_nothing_is_kept_that_a_database_cannot_hold() -> None:
    found = of({"main.tf": 'variable "x" {\n  description = "a\\u0000b\\ud800c\0"\n}\n', "README.md": "a\0b", "modules/a/main.tf": ""})
    text = msgspec.json.encode(found).decode()
    assert "\\u0000" not in text
    assert found.module.inputs[0].description == "a\ufffdb\ufffdc\ufffd"


def test_the_whole_goes_through_json_and_comes_back() -> None:
    found = of({"main.tf": MAIN, "README.md": "# Hi\n", "LICENSE": "MIT License\n", "modules/a/main.tf": "x"})
    text = msgspec.json.encode(found)
    assert msgspec.json.decode(text, type=ModuleContents) == found
    assert b'"required-version":[">= 1.3"]' in text
