"""Plans of a real terraform for the sync plugin: what each change of a configuration looks like in the plan's JSON.

`python -m tests.support.sync_plans` writes them anew below plugins/terrapod-sync/tests/plans.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support import ROOT

RECORDED: Final = ROOT / "plugins/terrapod-sync/tests/plans"
_KEPT: Final = ("format_version", "terraform_version", "resource_changes", "resource_drift", "output_changes", "errored", "complete")
_ONE: Final = 'resource "terraform_data" "one" {\n  input = "first"\n}\n'


@dataclass(frozen=True)
class Scenario:
    """A configuration that is applied, and the one that is planned after it."""

    before: str
    after: str
    options: tuple[str, ...] = ()


def _replaced(value: str, *, first: bool) -> str:
    """A resource that is replaced when `value` is another."""
    order = "  lifecycle {\n    create_before_destroy = true\n  }\n" if first else ""
    return f'resource "terraform_data" "one" {{\n  triggers_replace = "{value}"\n{order}}}\n'


SCENARIOS: Final = {
    "create": Scenario("", _ONE),
    "nothing": Scenario(_ONE, _ONE),
    "update": Scenario(_ONE, _ONE.replace("first", "second")),
    "delete": Scenario(_ONE, ""),
    "destroy": Scenario(_ONE, _ONE, ("-destroy",)),
    "replace": Scenario(_replaced("first", first=False), _replaced("second", first=False)),
    "replace-create-first": Scenario(_replaced("first", first=True), _replaced("second", first=True)),
    "replace-asked": Scenario(_ONE, _ONE, ("-replace=terraform_data.one",)),
    "move": Scenario(_ONE, _ONE.replace('"one"', '"two"') + "moved {\n  from = terraform_data.one\n  to   = terraform_data.two\n}\n"),
    "import": Scenario("", 'resource "terraform_data" "one" {\n}\nimport {\n  to = terraform_data.one\n  id = "an-id"\n}\n'),
    "forget": Scenario(_ONE, "removed {\n  from = terraform_data.one\n  lifecycle {\n    destroy = false\n  }\n}\n"),
    "outputs": Scenario(_ONE, _ONE + 'output "name" {\n  value = "said"\n}\n'),
    "read": Scenario(
        "",
        _ONE + 'data "terraform_remote_state" "other" {\n  backend = "local"\n  config = {\n'
        '    path = "${terraform_data.one.output}.tfstate"\n  }\n}\n',
    ),
    "several": Scenario(
        'resource "terraform_data" "many" {\n  for_each = toset(["kept", "gone"])\n  input    = "first"\n}\n',
        'resource "terraform_data" "many" {\n  for_each = toset(["kept", "new"])\n  input    = "second"\n}\n',
    ),
}
"""By the name of what is planned."""


def plan(program: Path, scenario: Scenario, directory: Path) -> dict[str, Any]:
    """The part of the plan's JSON that says what changes."""
    main = directory / "main.tf"
    main.write_text(scenario.before)
    _run(program, directory, "init", "-no-color")
    if scenario.before:
        _run(program, directory, "apply", "-no-color", "-auto-approve")
    main.write_text(scenario.after)
    _run(program, directory, "plan", "-no-color", "-out=saved", *scenario.options)
    whole: dict[str, Any] = json.loads(_run(program, directory, "show", "-no-color", "-json", "saved"))
    return {name: whole[name] for name in _KEPT if name in whole}


def _run(program: Path, directory: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    done = subprocess.run(
        [str(program), *arguments],
        check=False,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"terraform {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def record(program: Path) -> None:
    """Write every plan."""
    RECORDED.mkdir(parents=True, exist_ok=True)
    for name, scenario in SCENARIOS.items():
        with tempfile.TemporaryDirectory() as directory:
            document = plan(program, scenario, Path(directory))
        (RECORDED / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    found = shutil.which("terraform")
    assert found is not None, "no terraform on PATH"
    record(Path(found))
